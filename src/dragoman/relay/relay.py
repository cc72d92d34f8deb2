"""One call, start to end: planned, made ready, sent, tried again or elsewhere while nothing has reached the client, and
read.

What is inside a message is not this module's business: see `dialects` and `models`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.conversation import ArgumentsDelta, Fault, Finish, PartStart, Reply, Request, TextDelta, Usage
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.models.catalogue import Catalogue, Resolution, normal
from dragoman.models.cost import cost
from dragoman.relay.attempt import Attempts
from dragoman.relay.call import Answer, Answering, Call, Passage, Plan, Sent, Way
from dragoman.relay.carrying import Carrier
from dragoman.relay.derivations import Derivations, durable_of
from dragoman.relay.directory import Directory
from dragoman.relay.http1 import Connection
from dragoman.relay.patience import MEANING, delay
from dragoman.relay.planning import Known, behind, plan_for, refuses_for_length
from dragoman.relay.rounds import Once, Rounds, Won
from dragoman.relay.stream import Stream, known_kind
from dragoman.relay.tally import Tally
from dragoman.relay.upstreams import UpstreamServer
from dragoman.telemetry.metrics import Metrics

log = logging.getLogger("dragoman.relay")

A = TypeVar("A")


def utc_today() -> date:
    return datetime.now(UTC).date()


# Characters of the name of a model.
_LONGEST_NAME = 1000


class Relay:
    """The upstreams, the catalogue, and what is remembered between calls.  `today` says which models are retired."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        servers: Mapping[str, UpstreamServer],
        today: Callable[[], date] = utc_today,
    ) -> None:
        self.directory = Directory(settings, catalogue, servers)
        self.carrier = Carrier(settings, time.monotonic)
        self.durable = durable_of(settings)
        self.derived = Derivations(self.durable, self.directory, time.monotonic)
        self.tally = Tally(listed=self._lists)
        self.metrics = Metrics(self.tally.named)
        self._known = Known()
        self._rounds = Rounds(self.server, self.tally)
        self._attempts = Attempts(self.carrier)
        self.today = today
        self._rng = random.Random()

    @property
    def settings(self) -> Settings:
        return self.directory.settings

    @property
    def catalogue(self) -> Catalogue:
        return self.directory.catalogue

    @property
    def servers(self) -> Mapping[str, UpstreamServer]:
        return self.directory.servers

    def _lists(self, upstream: str, model: str) -> bool:
        """Whether the server is known to have this model."""
        source = self.catalogue.sources.get(upstream)
        if source is not None and normal(model) in source.cards:
            return True
        return upstream in self.servers and model in self.servers[upstream].upstream.models

    def server(self, name: str) -> UpstreamServer:
        """The server of this name.  Raises `GatewayError` when it is gone: the configuration was read again."""
        try:
            return self.servers[name]
        except KeyError:
            raise GatewayError("unreachable", f"the upstream {name} is no longer configured") from None

    def speaker(self, dialect: str) -> UpstreamServer | None:
        """The first server that speaks `dialect`."""
        return next((server for server in self.servers.values() if dialect == server.dialect.NAME), None)

    def apply(self, settings: Settings) -> None:
        """Other settings, from the next call on.  Upstreams that did not change keep their connections and lists, and
        calls that are under way go on where they are."""
        self.directory.apply(settings)
        self.carrier.apply(settings)

    # --- before the call -------------------------------------------------------------------------

    async def recent(self) -> None:
        """Make sure that the lists are new, as far as that can be had without waiting for long."""
        await asyncio.gather(self.directory.recent(), self.derived.recent())

    async def find(self, name: str) -> Card | None:
        """The model a name means; None when nobody knows it.

        It may have been pulled a moment ago: local servers are asked before it is given up.
        """
        today = self.today()
        card = self.catalogue.find(name, today)
        if card is None:
            await self.recent()
            card = self.catalogue.find(name, today)
        return card

    async def plan(self, name: str) -> Plan:
        """Who may answer for `name`.  Raises `GatewayError` for a name nobody answers to."""
        if len(name) > _LONGEST_NAME:  # what is asked for is remembered, and told again in each line of an answer
            raise GatewayError("model_not_found", f"model '{name[:100]}…' not found", param="model")
        today, catalogue = self.today(), self.catalogue
        if (known := self._known.get(name, catalogue, self.settings, today)) is not None:
            return known
        found = catalogue.find(name, today) is not None
        if not found:
            await self.find(name)
        route = behind(name, self.catalogue, self.settings)
        if route and any(self.catalogue.find(target.model, today) is None for target in route.targets):
            self.directory.look_again()  # its server may be there by now; the others need not wait for that
        try:
            plan = plan_for(name, self.catalogue, self.settings, today=today, rng=self._rng, busy=self._busy)
        except GatewayError as error:
            if error.kind == "model_not_found" and self.directory.failures:
                raise self.directory.perhaps_there(name) from None
            raise
        if found and route is None and self.catalogue is catalogue:
            self._known.put(name, plan)
        return plan

    def _busy(self, upstream: str) -> bool:
        server = self.servers.get(upstream)
        return server is not None and (server.breaker.busy or server.gate.full)

    async def prepare(
        self,
        client: ClientDialect,
        plan: Plan,
        decode: Callable[[], Request],
        *,
        strict: bool = False,
        way: Way | None = None,
        version: str = "",
    ) -> Call:
        """A call, ready for the first model of its plan that can take it.

        Raises `GatewayError` for a request that cannot be made.  With `strict`, a member that cannot be carried is an
        error rather than a line in the report.  Without a `way` nothing is passed through.
        """
        call = Call(client, plan, decode, strict=strict or self.settings.strict, way=way, version=version)
        try:
            await self._fit(call)
        except GatewayError as error:
            if not plan.on_context or not refuses_for_length(error):
                raise
            await self._handed_over(call, plan.on_context, error)
        return call

    async def _fit(self, call: Call) -> None:
        """Make the call ready for the first model of its plan that can take it; those before it are left out.

        Raises `GatewayError` when none can: for its length, where another model takes over then.
        """
        plan = call.plan
        refused = []
        for index, resolution in enumerate(plan.candidates):
            try:
                call.sent = await self.carrier.made(call, resolution)
            except GatewayError as error:
                refused.append(error)
            else:
                if index:
                    call.plan = replace(plan, candidates=plan.candidates[index:])
                return
        raise next(filter(refuses_for_length, refused), refused[0]) if plan.on_context else refused[0]

    # --- the call --------------------------------------------------------------------------------

    async def reply(self, call: Call) -> Reply:
        """The whole answer to a call that is not streamed and has no way.  Raises `GatewayError`."""
        async with self.answer(call) as answer:
            if not isinstance(answer, Reply):
                raise TypeError("this call has an answer of another kind")
            return answer

    def answer(self, call: Call) -> Answering:
        """The answer, with `async with`: passed through, as a stream, or whole.

        Raises `GatewayError` while nothing of it is there.  After that a failure is a Fault in the stream.
        """
        return Answering(call, self._answered, self._over)

    def _over(self, call: Call, got: Answer, server: UpstreamServer, ticket: int) -> None:
        """The answer has been read, or nobody reads it any more."""
        failed = ""
        match got:
            case Reply():
                usage: Usage | None = got.usage
            case Passage():
                usage, failed = got.tap.usage, _failure(got)
                _leave(server, got.connection)
                _blame(server, ticket, got.connection, got.fault)
            case Stream():
                usage, failed = got.usage, known_kind(got.fault.kind) if got.fault is not None else ""
                _leave(server, got.connection)
                _blame(server, ticket, got.connection, got.fault)
                got.kept()
        self._learn(call.sent, usage, failed=failed)

    def _learn(self, sent: Sent, usage: Usage | None, *, failed: str) -> None:
        """What an answer cost, for the next estimate."""
        spent = None if usage is None else cost(usage, sent.card)
        self.tally.add(sent.card.upstream, sent.card.id, usage, failed=failed, cost=spent)
        if usage is not None and usage.input and sent.estimate:
            self.carrier.calibration.observe(sent.key, sent.estimate, usage.input)

    # --- trying again ----------------------------------------------------------------------------

    async def _answered(self, call: Call) -> Won[Answer]:
        """The answer of the first model that has one, asked as often as is worth it."""
        try:
            got, server, ticket = await self._called(call)
        except GatewayError as error:
            if not call.plan.on_context or not refuses_for_length(error):
                raise
            await self._handed_over(call, call.plan.on_context, error)
            return await self._called(call)
        if not call.plan.on_refusal or not _refused(got):
            return got, server, ticket
        refused = call.sent
        try:
            await self._handed_over(call, call.plan.on_refusal, GatewayError("permission", "refusal"))
        except GatewayError:  # then it stays refused
            return got, server, ticket
        except BaseException:
            self._over(call, got, server, ticket)
            raise
        taken, call.sent = call.sent, refused
        self._over(call, got, server, ticket)
        call.sent = taken
        return await self._called(call)

    async def _called(self, call: Call) -> Won[Answer]:
        # Who speaks the server's own dialect has its own way of trying again.
        own = call.sent.way is not None and len(call.plan.candidates) == 1
        once = partial(self._attempts.go, call)
        return await self._repeated(lambda: self._rounds.go(call.plan, once), 0 if own else self.settings.retries)

    async def _repeated(self, go: Callable[[], Awaitable[A]], retries: int) -> A:
        """What comes of `go`, as often as is worth it."""
        for attempt in range(retries + 1):
            try:
                return await go()
            except GatewayError as error:
                wait = delay(attempt, error, retries=retries, rng=self._rng)
                if wait is None:
                    raise
                log.info("trying again: %s", error.kind)
                self.tally.retried(error.kind)
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _handed_over(self, call: Call, name: str, error: GatewayError) -> None:
        """The call made ready for `name`, which takes over.  Raises `error`, and leaves the call as it is, when nobody
        by that name can be sent it: in strict mode one that would lose something cannot."""
        before = call.plan
        call.plan = await self._instead(before, name, error)
        try:
            await self._fit(call)
        except GatewayError as unfit:
            log.info("%s cannot take over: %s", name, unfit.message[:100])
            call.plan = before
            raise error from None

    async def _instead(self, plan: Plan, name: str, error: GatewayError) -> Plan:
        """The plan in which `name` takes over.  Raises `error` when nobody answers to that name."""
        asked, card = plan.candidates[0].asked, plan.candidates[0].card
        try:
            others = (await self.plan(name)).candidates
        except GatewayError as unknown:
            log.warning("%s cannot take over from %s: %s", name, card.id, unknown.message)
            raise error from None
        log.info("%s takes over from %s: %s", name, card.id, error.message[:100])
        self.tally.moved(card.upstream, "refusal" if error.message == "refusal" else error.kind)
        why = f"{card.id} refuses" if error.message == "refusal" else f"too long for {card.id}"
        own = plan.candidates[0].derived
        return Plan(tuple(Resolution(asked, other.card, why, other.derived or own) for other in others))

    async def tried(self, plan: Plan, once: Once[A], *, again: bool = True) -> A:
        """What `once` makes of a model of the plan: the first that can.  For short questions with one answer.

        `again`: whether the same servers may be asked once more.  Raises `GatewayError`.
        """
        retries = self.settings.retries if again else 0
        return (await self._repeated(lambda: self._rounds.go(plan, once), retries))[0]


def _failure(passage: Passage) -> str:
    """Why an answer that was passed through is none; "" for one that is."""
    if passage.fault is not None:
        return passage.fault.kind
    status = passage.connection.status
    return "" if status < 400 else "refused" if status < 500 else "upstream"


def _leave(server: UpstreamServer, connection: Connection) -> None:
    server.release(connection)
    server.gate.leave()


def _blame(server: UpstreamServer, ticket: int, connection: Connection, fault: Fault | GatewayError | None) -> None:
    """An answer that broke off is the server's failure, unless it was the client that took nothing more of it."""
    if fault is not None and MEANING[known_kind(fault.kind)].blame == "broken" and not connection.paused:
        server.breaker.failed(ticket)


def _refused(got: Answer) -> bool:
    match got:
        case Reply(reason="refusal"):
            return True
        case Stream(first=events):
            words = (PartStart, TextDelta, ArgumentsDelta)
            finish = events[-1] if events else None
            return (
                isinstance(finish, Finish)
                and finish.reason == "refusal"
                and not any(isinstance(event, words) for event in events)
            )
        case _:
            return False
