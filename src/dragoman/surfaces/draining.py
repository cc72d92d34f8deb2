"""An orderly end: nobody is turned away, who is here is served, and who is not done in time is told in his own words.

First the process says that it is leaving (`/ready`) and serves on for a while, so that whoever sends it calls can send
them elsewhere.  Then it accepts nobody any more, and every connection ends with its current answer.  What still runs
when the time is over ends with an error event, or an error status where nothing was said yet; its upstream is cut.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from dragoman.errors import GatewayError

log = logging.getLogger("dragoman.server")

NAME = "draining"
"""Under which requests find the `Draining` of their process, in the state of their scope."""

# In seconds: between two looks at what is left; how long a connection without a call is left open, for a request that
# may be on its way; how long those have to take their error who are slow.
_LOOK = 0.02
_LINGER = 0.5
_GRACE = 1.0


class Draining:
    """Where the process stands on its way out.

    `begun`: it is not to be sent new calls, and a connection ends with its answer.  `over`: no call goes on.
    """

    __slots__ = ("begun", "over")

    def __init__(self) -> None:
        self.begun = self.over = False


def told() -> GatewayError:
    """What those hear who were not done in time."""
    message = "this gateway is shutting down and could not finish the answer; send the request again"
    return GatewayError("overloaded", message, code="shutting_down", retry_after=1.0)


class Calls(Protocol):
    """What has to come to an end besides requests: `application` in `app`."""

    @property
    def in_background(self) -> int:
        """How many answers are made with nobody waiting."""

    def break_off(self, error: GatewayError) -> None:
        """End every answer that has begun with `error`."""

    async def close_background(self) -> None:
        """End what is made in the background; it has failed."""


class Drain:
    """The way out of one server.  `hurry` says that somebody will not wait any longer."""

    def __init__(self, state: ServerState, draining: Draining, calls: Calls, hurry: Callable[[], bool]) -> None:
        self._state = state
        self._draining = draining
        self._calls = calls
        self._hurry = hurry

    async def announced(self, delay: float) -> None:
        """Say that the process is leaving, and serve on for `delay` seconds."""
        self._draining.begun = True
        for connection in self._connections:
            if not _idle(connection) and not connection.cycle.response_started:
                connection.cycle.keep_alive = False  # those that begin later: see `protocol`
        await self._until(lambda: False, delay)

    async def finished(self, seconds: float) -> None:
        """Nobody new is coming: give those who are here so many seconds, and tell the rest."""
        running = len(self._state.tasks) + self._calls.in_background
        if running:
            log.info("stopping: %d running calls have %g seconds to end", running, seconds)
        idle: dict[HttpToolsProtocol, float] = {}
        await self._until(lambda: self._left(idle), seconds)
        for connection in filter(_idle, list(self._connections)):
            connection.shutdown()
        if self._state.tasks or self._calls.in_background:
            await self._told()
        await self._settled(lambda: not self._connections, _GRACE / 2)
        for connection in self._connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    def _left(self, idle: dict[HttpToolsProtocol, float]) -> bool:
        """Whether all have left.  Connections on which nothing has been asked for a while are closed.

        Not sooner: whoever was not told that his connection ends may be about to use it again.
        """
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            if not _idle(connection):
                idle.pop(connection, None)
            elif now - idle.setdefault(connection, now) >= _LINGER:
                connection.shutdown()
        return self._done()

    def _done(self) -> bool:
        return not (self._connections or self._state.tasks or self._calls.in_background)

    @property
    def _connections(self) -> set[HttpToolsProtocol]:
        return cast("set[HttpToolsProtocol]", self._state.connections)

    async def _told(self) -> None:
        state = self._state
        log.warning("%d calls were not done in time and are ended", len(state.tasks) + self._calls.in_background)
        self._draining.over = True
        self._calls.break_off(told())  # answers that have begun end as if their server had failed
        await self._calls.close_background()
        await self._settled(lambda: not state.tasks, _GRACE / 2)
        for task in state.tasks:  # and who had none yet: see `Exchange.cause`
            task.cancel()
        await self._settled(lambda: not state.tasks, _GRACE)
        for task in state.tasks:
            task.cancel()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        await self._settled(lambda: done() or self._hurry(), seconds)

    async def _settled(self, done: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not done() and loop.time() < until:  # noqa: ASYNC110  what ends here has no event for it
            await asyncio.sleep(min(_LOOK, max(until - loop.time(), 0.0)))


def _idle(connection: HttpToolsProtocol) -> bool:
    return connection.cycle is None or connection.cycle.response_complete
