"""One server of each kind and the gateways before them, and one client of each SDK, for the whole matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Timeouts
from dragoman.simulator.server import run_in_thread
from tests.matrix.behind import SERVERS, Server
from tests.matrix.neutral import Client
from tests.running import run_gateway

ClientMaker = Callable[..., Client]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDKs would take from the environment of whoever runs the tests."""
    for vendor in ("OPENAI", "OLLAMA", "ANTHROPIC"):
        for name in ("API_KEY", "BASE_URL", "HOST", "AUTH_TOKEN", "ORG_ID", "PROJECT_ID"):
            monkeypatch.delenv(f"{vendor}_{name}", raising=False)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    """A simulator of each kind, by name."""
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(timeout=20.0, verify=False))  # noqa: S501  no TLS on loopback
        running = {row.name: stack.enter_context(run_in_thread(row.make())) for row in SERVERS}
        yield {row.name: Server(row, running[row.name], http) for row in SERVERS}


# What each gateway has that the plain one has not.
_GATEWAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "hasty": {"timeouts": Timeouts(first_byte=0.3, idle=0.3)},
    "locked": {"api_keys": (Secret("right"),)},
}


def _learn(url: str) -> None:
    """What a model refuses that others take the gateway learns by its first call."""
    ask = {"model": "responses/gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=ask, headers={"authorization": "Bearer right"}, timeout=20)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="session")
def clients(servers: dict[str, Server]) -> Iterator[ClientMaker]:
    """`clients(kind, gateway="plain", key="any")`: one client of a kind for each gateway and key."""
    upstreams = tuple(server.behind.upstream(server.url) for server in servers.values())
    urls: dict[str, str] = {}
    made: dict[tuple[str, str, str], Client] = {}
    with ExitStack() as stack:

        def make(kind: Callable[[str, str], Client], gateway: str = "plain", key: str = "any") -> Client:
            if gateway not in urls:
                values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "retries": 0, "default_model": None}
                settings = Settings(**values, upstreams=upstreams, **_GATEWAYS[gateway])
                urls[gateway] = stack.enter_context(run_gateway(settings)).url
                _learn(urls[gateway])
            which = (getattr(kind, "name", ""), gateway, key)
            if which not in made:
                made[which] = kind(urls[gateway], key)
                stack.callback(made[which].close)
            return made[which]

        yield make
