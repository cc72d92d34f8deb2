"""How much of this process each client may take, and how slow it may be.

Nothing here runs while an answer streams.  Connections are looked at once a second, all of them in one turn: what costs
a timer per connection, or a clock per event, would cost all who mean well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Literal, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.config import Limits
from dragoman.errors import GatewayError

log = logging.getLogger("dragoman.surfaces")

# Seconds between two looks, where no limit is shorter than a few of them.
_LOOK = 1.0
# Beyond its limit of connections a process still says why to so many more.
_SPARE = 64

Doing = Literal["", "head", "body", "answer"]
"""What a connection waits for its client to do: to send a head or a body, or to take an answer."""


class Watched(Protocol):
    """A connection, as far as its client's pace goes."""

    def doing(self) -> tuple[Doing, float]:
        """What its client is to do, and a figure that grows as it does (seconds before now, for "head")."""

    def give_up(self, doing: Doing) -> None:
        """The client was too slow in that."""

    def close_idle(self) -> bool:
        """Close it if nothing is going on.  Whether that was so."""


class Pace:
    """How one client gets on: since when it does what it does, and how far it had got then."""

    __slots__ = ("doing", "figure", "since")

    def __init__(self) -> None:
        self.doing: Doing = ""
        self.since = 0.0
        self.figure = 0.0

    def late(self, doing: Doing, figure: float, now: float, limits: Limits) -> bool:
        """Whether it has taken too long, at this look."""
        if doing == "head":
            self.doing = doing
            return now - figure > limits.head
        if doing != self.doing or not doing:
            self.doing, self.since, self.figure = doing, now, figure
            return False
        if now - self.since < limits.stall:
            return False
        slow = figure - self.figure < limits.rate * limits.stall
        self.since, self.figure = now, figure
        return slow


class Bounds:
    """The bounds of one process.

    `refusing` gives the application that answers every request with an error, `told` the bytes of such an answer to a
    request of which only the beginning of the target is known.  `peer_of` names the client of a request.
    """

    def __init__(
        self,
        limits: Limits,
        linger: int,
        *,
        refusing: Callable[[GatewayError], ASGIApp],
        told: Callable[[GatewayError, bytes], bytes],
        peer_of: Callable[[Scope], str],
    ) -> None:
        self.limits = limits
        self.linger = linger
        self.refusing = refusing
        self.told = told
        self._peer_of = peer_of
        self._calls: dict[str, int] = {}
        self._connections: Collection[Watched] = ()
        self._paces: dict[Watched, Pace] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tried = 0.0

    def apply(self, limits: Limits, linger: int, peer_of: Callable[[Scope], str] | None = None) -> None:
        """From now on.  `linger`: how much of a request is still read, in bytes, after its answer was given."""
        self.limits, self.linger = limits, linger
        self._peer_of = peer_of or self._peer_of

    # --- connections -----------------------------------------------------------------------------

    def connected(self, connections: Collection[Watched]) -> ASGIApp | Literal["cut"] | None:
        """There is one more.  What answers on it instead of the gateway, if anything; "cut": nothing does."""
        self._connections = connections
        if self._timer is None:
            self._rest()
        limit = self.limits.connections
        if not limit or len(connections) <= limit:
            return None
        if self._made_room():
            return None
        if len(connections) > limit + _SPARE:
            return "cut"
        words = f"this gateway has {limit} connections open, and takes no more (DRAGOMAN_LIMIT_CONNECTIONS)"
        return self.refusing(GatewayError("overloaded", words, retry_after=_LOOK))

    def _made_room(self) -> bool:
        """Close a connection that nobody uses.  In vain, it is tried once a second: there are many to look at."""
        now = asyncio.get_running_loop().time()
        if now < self._tried + _LOOK:
            return False
        if any(connection.close_idle() for connection in list(self._connections)):
            return True
        self._tried = now
        return False

    def _rest(self) -> None:
        limits = self.limits
        pause = min(_LOOK, limits.head / 4, limits.stall / 4)
        self._timer = asyncio.get_running_loop().call_later(pause, self.look)

    def look(self) -> None:
        """At every connection."""
        now = asyncio.get_running_loop().time()
        limits, before = self.limits, self._paces
        self._paces = {}
        for connection in list(self._connections):
            doing, figure = connection.doing()
            if not doing:
                continue
            pace = self._paces[connection] = before.get(connection) or Pace()
            if pace.late(doing, figure, now, limits):
                connection.give_up(doing)
        self._timer = None
        if self._connections:
            self._rest()

    # --- calls -----------------------------------------------------------------------------------

    def full(self, calls: int) -> GatewayError | None:
        """Why a further call is not taken while so many run."""
        limit = self.limits.calls
        if not limit or calls < limit:
            return None
        words = f"this gateway has {calls} calls under way, and takes no more at a time (DRAGOMAN_LIMIT_CALLS)"
        return GatewayError("overloaded", words, retry_after=_LOOK)

    def calls_of(self, peer: str) -> int:
        """How many of its calls are under way, where they are counted."""
        return self._calls.get(peer, 0)

    def for_one(self, app: ASGIApp) -> ASGIApp:
        """`app` for a client that may have only so many calls at a time."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            peer, limit = self._peer_of(scope), self.limits.calls_per_peer
            running = self._calls.get(peer, 0)
            if running >= limit:
                words = f"{running} calls of yours are under way; that many you may have at a time"
                error = GatewayError("rate_limit", f"{words} (DRAGOMAN_LIMIT_CALLS_PER_PEER)", retry_after=_LOOK)
                await self.refusing(error)(scope, receive, send)
                return
            self._calls[peer] = running + 1
            try:
                await app(scope, receive, send)
            finally:
                self._calls[peer] -= 1
                if not self._calls[peer]:
                    del self._calls[peer]

        return counted
