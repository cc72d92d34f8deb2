"""A plan gone through: which server is asked, which one only when nobody else can serve, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dragoman.errors import GatewayError
from dragoman.models.catalogue import Resolution
from dragoman.relay.call import Passage, Plan
from dragoman.relay.patience import MEANING, falls_over
from dragoman.relay.stream import Stream
from dragoman.relay.tally import Tally
from dragoman.relay.upstreams import UpstreamServer, retry_after
from dragoman.telemetry.trail import CURRENT

log = logging.getLogger("dragoman.relay")

# Seconds a call waits for a place at one server while it could be served by another.
_SHORT = 1.0

A = TypeVar("A")
Once = Callable[[UpstreamServer, Resolution], Awaitable[A]]
Won = tuple[A, UpstreamServer, int]
"""What came of an attempt, where, and the ticket of that server's breaker."""


class UnfitError(Exception):
    """This model cannot be sent the call at all, for the reason that `error` gives.  Another one may."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error


class _PutOffError(Exception):
    """There is no place at this server now."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error


class Rounds:
    """Goes through plans.  `server` finds a server by its name, or raises `GatewayError`."""

    def __init__(self, server: Callable[[str], UpstreamServer], tally: Tally) -> None:
        self._server = server
        self._tally = tally

    async def go(self, plan: Plan, once: Once[A]) -> Won[A]:
        """Every model of the plan once, until one has an answer.

        Servers that have no room come after the others, and those that are out of order last of all.  Raises
        `GatewayError`: where nobody could serve, the failure that is worth the client's patience.
        """
        if len(plan.candidates) == 1:
            return await self._alone(plan.candidates[0], once)
        failures: list[GatewayError] = []
        unfit: list[GatewayError] = []
        full: list[Resolution] = []
        broken: list[Resolution] = []
        ready = sorted(plan.candidates, key=self._busy)
        for turn, late in ((ready, False), (full, True), (broken, True)):
            for resolution in turn:
                try:
                    server = self._server(resolution.card.upstream)
                    if not late and server.breaker.refuses:
                        broken.append(resolution)
                        continue
                    patience = server.timeouts.first_byte if late else min(_SHORT, server.timeouts.first_byte)
                    return await self._try(server, resolution, once, patience, forced=late)
                except UnfitError as error:
                    unfit.append(error.error)
                except _PutOffError as error:
                    if late:
                        failures.append(error.error)
                    else:
                        (broken if server.breaker.refuses else full).append(resolution)
                except GatewayError as error:
                    if not falls_over(error):
                        raise
                    failures.append(error)
                    self._tally.moved(resolution.card.upstream, error.kind)
                    log.info("%s/%s could not serve: %s", resolution.card.upstream, resolution.card.id, error.kind)
        raise _telling(failures or unfit)

    async def _alone(self, resolution: Resolution, once: Once[A]) -> Won[A]:
        server = self._server(resolution.card.upstream)
        try:
            return await self._try(server, resolution, once, server.timeouts.first_byte, forced=True)
        except (UnfitError, _PutOffError) as error:
            raise error.error from None

    def _busy(self, resolution: Resolution) -> bool:
        try:
            server = self._server(resolution.card.upstream)
        except GatewayError:
            return True
        return server.breaker.busy or server.gate.full

    async def _try(
        self, server: UpstreamServer, resolution: Resolution, once: Once[A], patience: float, *, forced: bool
    ) -> Won[A]:
        """One model, once.  `forced`: also when its server is thought to be out of order."""
        try:
            await server.gate.enter(patience)
        except GatewayError as error:
            raise _PutOffError(error) from None
        ticket = server.breaker.admit()
        if (trail := CURRENT.get()) is not None:
            trail.tries(server.name, resolution.card.id, *server.address)
        try:
            if not ticket and not forced:
                busy = GatewayError("overloaded", f"{server.name} is being tried by another call")
                raise _PutOffError(busy)
            got = await once(server, resolution)
        except BaseException as error:
            if trail is not None:
                trail.ends(error.kind if isinstance(error, GatewayError) else "left")
            server.gate.leave()
            if isinstance(error, GatewayError):
                server.breaker.blame(ticket, error)
                self._tally.add(server.name, resolution.card.id, failed=error.kind)
            else:
                server.breaker.released(ticket)
            raise
        _praise(server, ticket, got)
        if not isinstance(got, Stream | Passage):
            server.gate.leave()
        return got, server, ticket


def _praise(server: UpstreamServer, ticket: int, got: object) -> None:
    """An answer has begun; one that is passed through may yet be the server's own error."""
    status = got.connection.status if isinstance(got, Passage) else 200
    if status >= 500:
        server.breaker.failed(ticket)
    elif status == 429:
        server.breaker.told_to_wait(ticket, retry_after(got.connection.headers) if isinstance(got, Passage) else None)
    else:
        server.breaker.succeeded(ticket)


def _telling(failures: Sequence[GatewayError]) -> GatewayError:
    """Of all failures the one that passes soonest; where none of them does, that of the best model."""
    passing = [error for error in failures if _may_pass(error)]
    return min(passing, key=lambda error: error.retry_after or 0.0) if passing else failures[0]


def _may_pass(error: GatewayError) -> bool:
    match MEANING[error.kind].again:
        case "yes":
            return True
        case "if told when":
            return error.retry_after is not None
        case "never":
            return False
