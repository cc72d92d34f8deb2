"""What a call came to: one line in the log, and a header where the answer is not streamed.

The line has names, counts, times and money.  What was said, and keys, are not in it.
"""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from dragoman.conversation import Event, Fault, Finish, Object, PartStart, Reply, Start, Usage
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.models.cost import cost, plain
from dragoman.relay.call import Answer, Call, Passage
from dragoman.relay.stream import Stream
from dragoman.surfaces.exchange import ClientGoneError, Exchange, Header

log = logging.getLogger("dragoman.calls")

_NONE = Usage()
_LONGEST_NAME = 100


class Account:
    """One call's, from its start until `close`.

    `started` is by `time.perf_counter_ns`.  `spoke` is when the first part of the answer was there, 0 until then.
    """

    __slots__ = ("_answer", "_call", "_exchange", "_id", "_started", "_usage", "fault", "spoke")

    def __init__(self, exchange: Exchange, call: Call, id: str, started: int) -> None:
        self._exchange, self._call, self._id, self._started = exchange, call, id, started
        self._answer: Answer | None = None
        self._usage: Usage | None = None
        self.spoke = 0
        self.fault = ""

    def answered(self, got: Answer) -> None:
        """The answer has begun."""
        self._answer = got

    def seen(self, events: list[Event]) -> None:
        """Events on their way to the client, for their times and counts."""
        if not self.spoke:
            self._opening(events)
        last = events[-1] if events else None
        if type(last) is Finish and last.usage is not None:
            self._usage = last.usage
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
        if log.isEnabledFor(logging.INFO):
            _write(self._members(_outcome(error) or self._broken()))

    def _broken(self) -> str:
        got = self._answer
        if isinstance(got, Passage):
            return got.fault.kind if got.fault is not None else "" if got.connection.status < 400 else "refused"
        return self.fault

    def _members(self, outcome: str) -> Object:
        resolution, got, now = self._call.sent.resolution, self._answer, time.perf_counter_ns()
        told = _who(self._exchange, resolution, self._id)
        told["outcome"] = outcome or "ok"
        told |= counted(self._usage or used(got), resolution.card)
        spoke = self.spoke or (got.spoke if isinstance(got, Reply) else 0) or self._exchange.first
        if spoke:
            told["first"] = _seconds(spoke - self._started)
        told["total"] = _seconds(now - self._started)
        return told


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


def tell_embedding(exchange: Exchange, resolution: Resolution, usage: Usage | None, started: int) -> None:
    """The line of a call for embeddings."""
    if log.isEnabledFor(logging.INFO):
        told = _who(exchange, resolution) | {"outcome": "ok"} | counted(usage, resolution.card)
        told["total"] = _seconds(time.perf_counter_ns() - started)
        _write(told)


def _who(exchange: Exchange, resolution: Resolution, answer: str = "") -> Object:
    card, asked = resolution.card, resolution.asked
    told: Object = {"id": exchange.id, "answer": answer} if answer else {"id": exchange.id}
    told |= {"client": exchange.dialect.NAME, "model": card.id[:_LONGEST_NAME], "upstream": card.upstream}
    return told | ({"asked": asked[:_LONGEST_NAME]} if asked != card.id else {})


def _write(told: Object) -> None:
    """Words for people; in JSON each member has its own place."""
    words = [f"{name}={plain(value) if name == 'cost' else value}" for name, value in told.items()]
    log.info("%s", " ".join(words), extra={"members": told})


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


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e9, 3)
