"""A gateway in a thread of its own, for tests that talk to it over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import Simulator
from dragoman.simulator.server import hang_up, run_in_thread
from dragoman.surfaces.server import make_server

_PATIENCE = 10.0


# Models come and go; what tests expect of them is true on this day.
TODAY = date(2026, 11, 22)


def simulate(**options: Any) -> Simulator:
    """A simulator that lives on that day."""
    return Simulator(today=TODAY, **options)


@dataclass
class Gateway:
    """A gateway that listens at `url`, and the simulator behind it when there is one."""

    url: str
    simulator: Simulator = field(default_factory=simulate)


@contextmanager
def run_gateway(settings: Settings) -> Iterator[Gateway]:
    """Serve `settings` (port 0 takes a free one) until the block ends."""
    listening = threading.Event()
    urls: list[str] = []
    stop: list[Callable[[], object]] = []

    def started(url: str) -> None:
        urls.append(url)
        listening.set()

    server, listener = make_server(settings, started, signals=False, today=lambda: TODAY)
    factory = server.config.get_loop_factory()

    async def serve() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stop.append(partial(asyncio.get_running_loop().call_soon_threadsafe, serving.cancel))
        try:
            await serving
        except asyncio.CancelledError:  # whoever asked it to end would wait for it to look up, and for its good manners
            for door in server.servers:
                door.close()
            await hang_up(server.server_state)
            if server.started:
                await server.lifespan.shutdown()
        finally:
            listener.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="dragoman-gateway", daemon=True)
    thread.start()
    try:
        if not listening.wait(_PATIENCE):
            raise RuntimeError("the gateway did not start")
        yield Gateway(urls[0])
    finally:
        with suppress(RuntimeError):  # it may have ended by itself
            for end in stop:
                end()
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "the gateway did not stop"


@contextmanager
def run_with_simulator(simulator: Simulator | None = None, **settings: Any) -> Iterator[Gateway]:
    """A gateway before a simulator; what `settings` do not say is as quick and as strict as tests want it."""
    with run_in_thread(simulator or simulate()) as behind:
        upstream = Upstream(name="anthropic", base_url=behind.url, key=Secret("sk-test"))
        values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "upstreams": (upstream,), "retries": 0}
        with run_gateway(Settings(**(values | settings))) as gateway:
            gateway.simulator = behind.simulator
            yield gateway
