"""Coroutines as tests, on the event loop of the real thing; and what tests of the HTTP client share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import uvloop

from dragoman.relay.http1 import Connection
from dragoman.relay.upstreams import Whole
from tests.relay.scripted import Scripted

REQUEST = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
LIMIT = 1 << 20


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine function to its end, with nothing left over."""

    async def wrapped() -> None:
        async with asyncio.timeout(20):
            await work()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left running: {left}"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(wrapped())


async def body_of(connection: Connection, patience: float = 5.0) -> bytes:
    """The rest of an answer."""
    sink = Whole(LIMIT)
    connection.read_into(sink, patience)
    return await sink.read()


def connections(upstream: Scripted) -> list[int]:
    """The connection each request came on."""
    return [request.connection for request in upstream.requests]
