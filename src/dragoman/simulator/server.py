"""Serving a simulator: in a thread for tests, beside a gateway for the demo, and alone for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

import uvicorn
from uvicorn.server import ServerState

from dragoman.simulator.app import Simulator
from dragoman.simulator.books import Served

_START_SECONDS = 10.0


_Simulator = TypeVar("_Simulator", bound=Served)


class Serving(NamedTuple, Generic[_Simulator]):
    """A simulator that listens at `url`."""

    url: str
    simulator: _Simulator


Running = Serving[Simulator]
"""The one that speaks the Anthropic API."""


class _Config(uvicorn.Config):
    """A configuration that leaves the process's logging as it is: a gateway may be at home in it."""

    def configure_logging(self) -> None:
        pass


class _Server(uvicorn.Server):
    """A uvicorn that says when it listens, and leaves signals to whoever owns the process unless told otherwise."""

    def __init__(self, simulator: Served, *, signals: bool, listening: Callable[[], None]) -> None:
        # h11 would do, but the simulator must not be what a benchmark measures.
        config = _Config(
            simulator,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
        )
        super().__init__(config)
        self._signals = signals
        self._listening = listening
        self._over = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._listening()

    async def main_loop(self) -> None:
        # uvicorn looks ten times a second whether it is to end, for a signal can only leave word.
        if self._signals:
            await super().main_loop()
            return
        while not await self.on_tick(0):  # which also sets the clock of the answers
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if self._signals:
            with super().capture_signals():
                yield
        else:
            yield

    def stop(self) -> None:
        """End at once: whoever stops a simulator does not wait for its slow answers.  Any thread may call it."""
        self.should_exit = True
        self.force_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave nothing behind: the loop may be closed next, or be somebody else's."""
        if not self.force_exit:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        await hang_up(self.server_state)


async def hang_up(state: ServerState) -> None:
    """End all connections and answers of a server that listens no more, and come back when they have ended."""
    for _ in range(3):
        await asyncio.sleep(0)  # whoever was let in just now is not in the books yet
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # now they are closed, and answers know that nobody listens
    answers = list(state.tasks)
    for answer in answers:
        answer.cancel()
    await asyncio.gather(*answers, return_exceptions=True)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def url_of(sock: socket.socket) -> str:
    """Where `sock` listens."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    simulator: Served, host: str = "127.0.0.1", port: int = 0, *, listening: Callable[[str], None] | None = None
) -> None:
    """Serve until a signal says stop.  `listening` is called with the URL."""
    sock = bind(host, port)
    url = url_of(sock)
    server = _Server(simulator, signals=True, listening=lambda: listening(url) if listening else None)
    await server.serve(sockets=[sock])


@contextlib.asynccontextmanager
async def running(simulator: _Simulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Serving[_Simulator]]:
    """A simulator in the event loop of somebody else, who also minds the signals."""
    sock = bind(host, port)
    started = asyncio.Event()
    server = _Server(simulator, signals=False, listening=started.set)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await asyncio.wait_for(started.wait(), _START_SECONDS)
        yield Serving(url_of(sock), simulator)
    finally:
        server.stop()
        await task


@contextlib.contextmanager
def run_in_thread(simulator: _Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[Serving[_Simulator]]:
    """A simulator in a thread of its own, with its own event loop.  Port 0 takes a free one."""
    sock = bind(host, port)
    started = threading.Event()
    server = _Server(simulator, signals=False, listening=started.set)
    factory = server.config.get_loop_factory()

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(server.serve(sockets=[sock]))

    thread = threading.Thread(target=run, name="dragoman-simulator", daemon=True)
    thread.start()
    try:
        if not started.wait(_START_SECONDS):
            raise RuntimeError("the simulator did not start")
        yield Serving(url_of(sock), simulator)
    finally:
        server.stop()
        thread.join(_START_SECONDS)
