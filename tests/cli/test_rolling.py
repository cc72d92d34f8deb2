"""Two gateways are replaced one after the other, and no call fails."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.balancing import NGINX, balancer, free_port, nginx
from tests.cli.serving import PATIENCE, Served, served
from tests.relay.scripted import CHUNKED_HEAD, END_CHUNK, chunk, ending, opening, scripted
from tests.waiting import until

Before = Callable[[list[int], Path], AbstractContextManager[str]]

CALLERS = 8
CALLS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "/v1/messages": (b"message_stop", {"max_tokens": 100}),
    "/api/chat": (b'"done":true', {}),
    "/v1/chat/completions": (b"[DONE]", {}),
}


def ready(url: str) -> None:
    """Wait until it says so."""
    until(lambda: requests.get(url + "/ready", timeout=PATIENCE).status_code == 200)


class Crowd:
    """Clients that ask without a pause, each answer a stream that takes a while."""

    def __init__(self, url: str) -> None:
        self.told: Counter[str] = Counter()
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CALLERS)]

    def _ask(self, number: int) -> None:
        path, (end, more) = list(CALLS.items())[number % len(CALLS)]
        body: dict[str, Any] = {
            "model": "claude-sonnet-4-5",
            "stream": True,
            "messages": [{"role": "user", "content": "Hi"}],
            **more,
        }
        while not self._over.is_set():
            try:
                answer = requests.post(self._url + path, json=body, timeout=PATIENCE)
            except requests.RequestException as error:
                self.told[repr(error)] += 1
                continue
            good = answer.status_code == 200 and end in answer.content and b"error" not in answer.content
            self.told["good" if good else f"{answer.status_code} {answer.text[-300:]}"] += 1

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def goes_on(self) -> None:
        """Wait until everybody has been answered once more, and again."""
        before = self.told["good"]
        until(lambda: self.told["good"] > before + 2 * CALLERS)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.mark.parametrize(
    "before",
    [
        balancer,
        pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
    ],
    ids=["balancer", "nginx"],
)
def test_no_call_fails_while_both_are_replaced(before: Before, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("DRAGOMAN_REFRESH", "0")
    with scripted() as upstream, ExitStack() as stack:
        upstream.play([CHUNKED_HEAD + chunk(opening("Hel", "lo")), 0.1, chunk(ending()), END_CHUNK])
        env = {"ANTHROPIC_BASE_URL": upstream.url}
        ports = [free_port(), free_port()]
        gateways: list[Served] = [stack.enter_context(served(port=port, env=env)) for port in ports]
        crowd = Crowd(stack.enter_context(before(ports, tmp_path)))
        crowd.start()
        try:
            for place, port in enumerate(ports * 2):
                place %= 2
                crowd.goes_on()
                gateways[place].signal(signal.SIGTERM)
                assert gateways[place].ended() == 0
                gateways[place] = stack.enter_context(served(port=port, env=env))
                ready(gateways[place].url)
        finally:
            crowd.stop()
        assert crowd.told == {"good": crowd.told["good"]}, [gateway.said[-2000:] for gateway in gateways]
