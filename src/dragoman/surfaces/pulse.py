"""Signs of life for a client that waits: proxies and clients hang up on a stream that is silent for too long.

Anthropic's own servers send a `ping` now and then, which every client of theirs skips.  A local model may read its
prompt for minutes before it says its first word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from dragoman.surfaces.exchange import Exchange


@asynccontextmanager
async def pulse(exchange: Exchange, ping: bytes, every: float) -> AsyncIterator[Pulse]:
    """While inside, write `ping` whenever nothing was written for `every` seconds.

    The first one begins the answer, if nothing else has: after that an error can only be told inside the stream.
    """
    beat = Pulse(exchange, ping, every)
    try:
        yield beat
    finally:
        beat.quiet()
        await beat.settled()


class Pulse:
    """`quiet` ends it: nothing may follow the last event of an answer."""

    def __init__(self, exchange: Exchange, ping: bytes, every: float) -> None:
        self._exchange = exchange
        self._ping = ping
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._seen = exchange.written
        self._timer = self._loop.call_later(every, self._look)
        self._writing: asyncio.Task[None] | None = None

    def _look(self) -> None:
        exchange = self._exchange
        if exchange.written == self._seen and not exchange.done and not exchange.behind:
            self._writing = self._loop.create_task(self._beat())
        self._seen = exchange.written
        self._timer = self._loop.call_later(self._every, self._look)

    async def _beat(self) -> None:
        if not self._exchange.started:
            await self._exchange.begin_stream()
        rest: Awaitable[None] | None = self._exchange.write_now(self._ping)
        self._seen = self._exchange.written
        if rest is not None:
            await rest

    def quiet(self) -> None:
        self._timer.cancel()

    async def settled(self) -> None:
        """Wait for a ping that is being written."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
