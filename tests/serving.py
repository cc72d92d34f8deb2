"""Small servers on loopback for tests, in the loop of whoever asks or in a thread of their own.

When one stops, all that it had accepted is closed, and closed before its loop is: a connection that outlives its loop
is found by the collector in some later test, which then fails for it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_PATIENCE = 20.0


@asynccontextmanager
async def serving(
    serve: Serve, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None, patience: float = 0.0
) -> AsyncIterator[int]:
    """The port (0 takes a free one) of a server that calls `serve` for each connection.

    At the end the connections have `patience` seconds to end by themselves; then they are cancelled and reset.
    """
    loop = asyncio.get_running_loop()
    transports: set[asyncio.Transport] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def attend(connection: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
        transports.add(transport)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    # `asyncio.start_server` accepts behind our back: what it has in hand when it is closed is never closed.
    def accept() -> None:
        with suppress(BlockingIOError, ConnectionError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = loop.create_task(attend(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    listener = socket.create_server((host, port), backlog=100)
    listener.setblocking(False)
    loop.add_reader(listener, accept)
    try:
        yield listener.getsockname()[1]
    finally:
        loop.remove_reader(listener)
        listener.close()
        await asyncio.sleep(0)  # by then all tasks have begun, and take care of their connections
        if tasks and patience:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        for transport in transports:
            transport.abort()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # a transport that was aborted is closed in the next turn


@contextmanager
def in_thread(serve: Serve) -> Iterator[int]:
    """`serving` in a thread of its own, with a loop of its own."""
    started = threading.Event()
    ports: list[int] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def main() -> None:
        async with serving(serve) as port:
            ports.append(port)
            started.set()
            await over.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, name="test-server", daemon=True)
    thread.start()
    assert started.wait(_PATIENCE), "the server did not start"
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "the server did not stop"
