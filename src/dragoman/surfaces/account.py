"""What a call came to: one line in the log, counts, a span, and a header where the answer is not streamed.

The line has names, counts, times and money.  What was said, and keys, are not in it.
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from dragoman.conversation import Event, Fault, Finish, Object, PartStart, Reply, Start, Usage
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.models.cost import cost, plain
from dragoman.relay.call import Answer, Call, Passage
from dragoman.relay.stream import Stream, known_kind
from dragoman.surfaces.exchange import ClientGoneError, Exchange, Header, ascii_list, status_of
from dragoman.surfaces.peers import PEER, household
from dragoman.telemetry import lines
from dragoman.telemetry.trail import CURRENT, Trail, is_usual
from dragoman.telemetry.visit import Visit, request_members

_NONE = Usage()
_LONGEST_NAME = 100
_LONGEST_LIST = 300
_LONGEST_WHY = 300


class Account:
    """One call's, from its start until `close`.

    `started` is by `time.perf_counter_ns`.  `spoke` is when the first part of the answer was there, 0 until then.
    """

    __slots__ = ("_answer", "_call", "_exchange", "_id", "_reason", "_started", "_trail", "_usage", "fault", "spoke")

    def __init__(self, exchange: Exchange, call: Call, id: str, started: int) -> None:
        self._exchange, self._call, self._id, self._started = exchange, call, id, started
        self._answer: Answer | None = None
        self._usage: Usage | None = None
        self._reason = ""
        self.spoke = 0
        self.fault = ""
        self._trail = _set_out(exchange, call.sent.resolution.asked)

    def answered(self, got: Answer) -> None:
        """The answer has begun.  One that is passed through has its server's own id of it among its headers."""
        self._answer = got
        exchange, id = self._exchange, self._trail.request_id
        if id and not isinstance(got, Passage) and not exchange.started and exchange.visit.calls == 1:
            shown = id if is_usual(id) else str(ascii_list([exchange.hide(id)], 200), "ascii")
            exchange.extra.append((b"x-dragoman-upstream-request-id", shown.encode()))

    def seen(self, events: list[Event]) -> None:
        """Events on their way to the client, for their times and counts."""
        if not self.spoke:
            self._opening(events)
        last = events[-1] if events else None
        if type(last) is Finish:
            self._reason = last.reason
            self._usage = last.usage or self._usage
        elif type(last) is Fault:
            self.fault = last.kind

    def _opening(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is Start and event.usage is not None:
                self._usage = event.usage  # of an answer that breaks off nothing more is known
            elif type(event) is PartStart:
                self.spoke = time.perf_counter_ns()
                return

    def close(self, error: BaseException | None = None) -> None:
        """The call is over; `error` is why it failed, or broke off."""
        got, sent = self._answer, self._call.sent
        spoke = self.spoke or (got.spoke if isinstance(got, Reply) else 0) or self._exchange.first
        outcome = _outcome(error)
        if outcome == "left" and self._reason:  # all was told; some clients do not wait until it is also over
            outcome = ""
        end = _End(
            self._trail,
            self._id,
            outcome or self._broken(),
            error,
            self._usage or used(got),
            self._started,
            spoke,
        )
        end.reason = got.reason if isinstance(got, Reply) else self._reason
        _over(self._exchange, sent.resolution, end, sent.losses)

    def _broken(self) -> str:
        got = self._answer
        if isinstance(got, Passage):
            return got.fault.kind if got.fault is not None else "" if got.connection.status < 400 else "refused"
        return known_kind(self.fault) if self.fault else ""


@contextmanager
def accounted(exchange: Exchange, call: Call, mark: Stamp) -> Iterator[Account]:
    """The account of a call that is made inside."""
    account = Account(exchange, call, mark.id, mark.started)
    try:
        yield account
    except BaseException as error:
        account.close(error)
        raise
    account.close()


class Embedding:
    """The account of a call for vectors, which has no answer that would begin before it is over."""

    def __init__(self, exchange: Exchange, asked: str, started: int) -> None:
        self._exchange, self._started = exchange, started
        self._trail = _set_out(exchange, asked, "embeddings")

    def close(
        self, resolution: Resolution, usage: Usage | None, losses: Losses, error: BaseException | None = None
    ) -> None:
        """The call is over; `error` is why it failed."""
        _over(
            self._exchange, resolution, _End(self._trail, "", _outcome(error), error, usage, self._started, 0), losses
        )


def used(got: Answer | None) -> Usage | None:
    """What an answer says of its tokens."""
    match got:
        case Reply() | Stream():
            return got.usage
        case Passage():
            return got.tap.usage
        case _:
            return None


def counted(usage: Usage | None, card: Card) -> Object:
    """The counts of a line; a server that told none has none."""
    if usage is None or usage == _NONE:
        return {}
    told: Object = {"in": usage.input, "cached": usage.cache_read, "written": usage.cache_write}
    told |= {"out": usage.output, "thinking": usage.thinking}
    if (dollars := cost(usage, card)) is not None:
        told["cost"] = round(dollars, 9)
    return told


def cost_header(usage: Usage | None, card: Card) -> list[Header]:
    """`x-dragoman-cost`, in US dollars, where it is known."""
    if usage is None or usage == _NONE or (dollars := cost(usage, card)) is None:
        return []
    return [(b"x-dragoman-cost", plain(dollars).encode())]


class _End(Struct):
    """How a call ended: `started` and `spoke` by `time.perf_counter_ns`, `spoke` 0 where nobody knows it."""

    trail: Trail
    answer: str
    outcome: str
    error: BaseException | None
    usage: Usage | None
    started: int
    spoke: int = 0
    reason: str = ""


def _set_out(exchange: Exchange, asked: str, operation: str = "") -> Trail:
    """The call begins: from now on what is asked of servers in this context is its."""
    visit = exchange.visit
    visit.calls += 1
    client = household(exchange.scope.get(PEER, ""))
    if visit.span is None:
        trail = Trail(visit.context, None, client)
    else:
        if not operation:
            legacy = exchange.scope["path"].endswith(("/generate", "/completions"))
            operation = "text_completion" if legacy and "chat" not in exchange.scope["path"] else "chat"
        span = visit.span.call(operation, asked[:_LONGEST_NAME])
        trail = Trail(span.headers, span, client)
    CURRENT.set(trail)
    return trail


def _over(exchange: Exchange, resolution: Resolution, end: _End, losses: Losses) -> None:
    """Counted, told, and traced."""
    now, visit, card, trail = time.perf_counter_ns(), exchange.visit, resolution.card, end.trail
    metrics = visit.metrics
    visit.who = who = metrics.named(card.upstream, card.id)
    first = max(end.spoke - end.started, 1) if end.spoke else 0
    metrics.call(visit.dialect, who, end.outcome or "ok", now - end.started, first)
    if losses.dropped:
        metrics.lost(visit.dialect, "dropped", losses.dropped)
    if losses.emulated:
        metrics.lost(visit.dialect, "emulated", losses.emulated)
    if lines.wanted():
        lines.tell(_members(exchange, resolution, end, losses, now=now, first=first))
    trail.ends(end.outcome)
    if trail.span is not None:
        trail.span.answered(card.dialect, card.id, end.answer, end.usage, reason=end.reason, first=first / 1e9)
        trail.span.end(end.outcome)


def _members(exchange: Exchange, resolution: Resolution, end: _End, losses: Losses, *, now: int, first: int) -> Object:
    card, trail, visit = resolution.card, end.trail, exchange.visit
    told = request_members(visit, exchange.scope)
    if end.answer:
        told["answer"] = end.answer
    told["model"], told["upstream"] = card.id[:_LONGEST_NAME], card.upstream
    if resolution.asked != card.id:
        told["asked"] = resolution.asked[:_LONGEST_NAME]
    if trail.request_id:
        told["upstream_id"] = trail.request_id
    if trail.attempts > 1:
        told["attempts"] = trail.attempts
    told["outcome"] = end.outcome or "ok"
    if status := _status(exchange, visit, end.error):
        told["status"] = status
    told |= counted(end.usage, card)
    if first:
        told["first"] = round(first / 1e9, 4)
    told["total"] = round((now - end.started) / 1e9, 4)
    for name, lost in (("dropped", losses.dropped), ("emulated", losses.emulated)):
        if lost:
            told[name] = ",".join(lost)[:_LONGEST_LIST]
    if isinstance(end.error, GatewayError):
        told["why"] = end.error.message[:_LONGEST_WHY]
    elif end.outcome == "refused" and visit.why:
        told["why"] = visit.why[:_LONGEST_WHY]
    return told


def _status(exchange: Exchange, visit: Visit, error: BaseException | None) -> int:
    """What the client gets; 0 when it does not wait for anything."""
    if visit.status:
        return visit.status
    match error:
        case GatewayError():
            return status_of(error, exchange.dialect)
        case ClientGoneError() | CancelledError() | None:
            return 0
        case _:
            return 500


def _outcome(error: BaseException | None) -> str:
    match error:
        case None:
            return ""
        case GatewayError():
            return error.kind
        case ClientGoneError() | CancelledError():
            return "left"
        case _:
            return "internal"
