"""Two gateways that share a directory: either shows what both did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator.server import run_in_thread
from dragoman.surfaces.server import make_server
from tests.running import TODAY, simulate
from tests.telemetry.scraping import chat, scraped

_PATIENCE = 20.0


@contextmanager
def worker(settings: Settings, peers: str) -> Iterator[str]:
    """A gateway that is one of several; its URL."""
    listening = threading.Event()
    urls: list[str] = []

    def started(url: str) -> None:
        urls.append(url)
        listening.set()

    server, listener = make_server(settings, started, signals=False, today=lambda: TODAY, peers=peers)

    def run() -> None:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listener]))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert listening.wait(_PATIENCE)
        yield urls[0]
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)


def test_either_answers_for_both(tmp_path: Path) -> None:
    with ExitStack() as stack:
        behind = stack.enter_context(run_in_thread(simulate()))
        upstream = Upstream(name="anthropic", base_url=behind.url, key=Secret("sk-test"))
        settings = Settings(host="127.0.0.1", port=0, upstreams=(upstream,), retries=0)
        one = stack.enter_context(worker(settings, str(tmp_path)))
        with worker(settings, str(tmp_path)) as two:
            for url in (one, two, two):
                assert httpx.post(f"{url}/api/chat", json=chat()).status_code == 200
            for url in (one, two):
                found = scraped(url, lambda s: s.value("dragoman_calls_total") == 3)
                assert found.value("dragoman_workers") == 2
                assert found.value("dragoman_breaker_state", state="closed") == 2
        found = scraped(one, lambda s: s.value("dragoman_workers") == 1)
        assert found.value("dragoman_calls_total") == 3, "what it counted outlives it"
