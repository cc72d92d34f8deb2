"""How many calls a server gets at once, and the queue before it: first come, first served, and never long."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from dragoman.errors import GatewayError

# Seconds after which a client that found no place may try again.
_RETRY_AFTER = 1.0


class Gate:
    """The places at one server.  `limit` calls may be inside (0: any number), `queue` more may wait.

    `enter` takes a place and `leave` gives it back; they come in pairs.  For one event loop: nothing here is locked.
    """

    def __init__(self, name: str, limit: int = 0, queue: int = 100) -> None:
        self.name = name
        self.limit = limit
        self.queue = queue
        self.inside = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """How many are in the queue."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a call that comes now would have to wait, or be turned away."""
        return 0 < self.limit <= self.inside  # nobody waits while there is room

    def resize(self, limit: int, queue: int) -> None:
        """From now on.  Who is inside or in the queue already stays."""
        self.limit, self.queue = limit, queue
        self._let_in()

    async def enter(self, patience: float) -> None:
        """Take a place, waiting at most `patience` seconds for it.  Raises `GatewayError` ("overloaded").

        While there is room nothing is awaited.  Whoever is cancelled while waiting has no place and owes nothing.
        """
        if not self.full:
            self.inside += 1
            return
        if len(self._waiting) >= self.queue or patience <= 0:
            raise self._refusal(f"already has {self.inside} calls, and {self.waiting} wait")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(patience, self._expire, turn)
        try:
            admitted = await turn
        except BaseException:
            self._give_up(turn)
            raise
        finally:
            timer.cancel()
        if not admitted:
            raise self._refusal(f"had no place for this call for {patience:g} seconds")

    def leave(self) -> None:
        """Give the place back: who waits longest has it next."""
        self.inside -= 1
        if self._waiting:
            self._let_in()

    def held(self, patience: float) -> Held:
        """`async with gate.held(patience):` enters, and leaves at the end."""
        return Held(self, patience)

    def _let_in(self) -> None:
        while self._waiting and (self.limit <= 0 or self.inside < self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.inside += 1  # the place is taken for whoever waits, before it knows
                turn.set_result(True)

    def _expire(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._waiting.remove(turn)
            turn.set_result(False)

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if turn.done() and not turn.cancelled():
            if turn.result():  # cancelled between getting the place and learning of it
                self.leave()
        elif turn in self._waiting:
            self._waiting.remove(turn)

    def _refusal(self, why: str) -> GatewayError:
        return GatewayError("overloaded", f"{self.name} {why}; try again later", retry_after=_RETRY_AFTER)


class Held:
    """A place for the length of a `with`."""

    def __init__(self, gate: Gate, patience: float) -> None:
        self._gate, self._patience = gate, patience

    async def __aenter__(self) -> None:
        await self._gate.enter(self._patience)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._gate.leave()
