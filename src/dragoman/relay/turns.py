"""Places for work that is heavy or slow, which clients take in turns.

Who wants a hundred at once has the free ones, and no more as long as others wait: each of them is next after one of
his, and not after all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dragoman.telemetry.trail import CURRENT


class Turns:
    """`most` places, of which one client has at most `each`.  For one event loop: nothing here is locked."""

    def __init__(self, most: int, each: int) -> None:
        self._free = most
        self._each = each
        self._held: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By client; whose turn is next stands first."""

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place, for the client of the call that this is done for."""
        trail = CURRENT.get()
        client = trail.client if trail is not None else ""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._let_in()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._leave(client)
            elif (waiting := self._waiting.get(client)) is not None and turn in waiting:  # cancelled while waiting
                waiting.remove(turn)
                if not waiting:
                    del self._waiting[client]

    def _leave(self, client: str) -> None:
        self._free += 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        self._let_in()

    def _let_in(self) -> None:
        while self._free and (client := self._next()) is not None:
            waiting = self._waiting.pop(client)
            turn = waiting.popleft()
            if waiting:
                self._waiting[client] = waiting  # behind the others
            if not turn.done():  # else it is cancelled, and goes when it learns of it
                self._free -= 1
                self._held[client] = self._held.get(client, 0) + 1
                turn.set_result(None)

    def _next(self) -> str | None:
        return next((client for client in self._waiting if self._held.get(client, 0) < self._each), None)
