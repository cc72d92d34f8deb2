"""An answer as it arrives: the network's bytes become events, and each read is handed over in the turn it came in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from dragoman.conversation import Event, Fault, Finish, Part, PartStart, Reply, Start, Usage
from dragoman.dialects.contract import StreamDecoder
from dragoman.errors import TABLE, GatewayError, Kind
from dragoman.folding import Fold
from dragoman.models.repair import CheckStream
from dragoman.models.restore import RestoreStream
from dragoman.relay.http1 import Brake, Connection
from dragoman.relay.upstreams import UpstreamServer

# How long (seconds) the end of an answer may lag behind its last event before it is taken for granted.
_LINGER = 1.0

Deliver = Callable[[list[Event]], Awaitable[None] | None]

Keep = Callable[[list[Part]], asyncio.Task[None] | None]
"""Keeps what was said, as `Recall.remember` does."""


class Further(Protocol):
    """What an answer may need beyond this stream: its events, but for an end that is none, and what follows them."""

    def take(self, events: list[Event]) -> list[Event]: ...

    async def go_on(self, deliver: Deliver) -> None: ...


class Stream:
    """An answer that has begun.  `first` are its first events; `pump` delivers the rest, one list a network read.

    The last event of all is a Finish or a Fault.
    """

    def __init__(self, server: UpstreamServer, connection: Connection) -> None:
        decoder: StreamDecoder = server.dialect.Decoder(server.limits.frame)
        self.first: list[Event] = []
        self.restore: RestoreStream | None = None
        self.fold: Fold | None = None
        self.keep: Keep | None = None
        self.resuming: Further | None = None
        self.check: CheckStream | None = None
        self._words = self._changes = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        self._server = server
        self._hide = server.hide
        self._decoder = decoder
        self._feed = decoder.feed
        self.connection = connection
        self._deliver: Deliver | None = None
        self._held: list[Event] = []
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._brake = Brake(connection, self._fail)

    async def begin(self, patience: float, *, words: bool = False) -> None:
        """Read until there is something to say: `first`.  Raises `GatewayError` when that is a failure.

        With `words` the mere start of an answer does not count.
        """
        self._words = words
        self.connection.read_into(self, patience)
        await self._begun
        self.first, self._held = self._held, []
        _raise_early_fault(self.first)
        for event in self.first:
            if type(event) is Start:
                self.usage = self.usage or event.usage

    async def pump(self, deliver: Deliver) -> None:
        """Call `deliver` with everything after `first`, until the end.

        It runs inside the network's own callback.  What it returns, if anything, is awaited before the upstream is
        read on: this is how a slow client slows the upstream down.
        """
        self._deliver = deliver
        changes = (self.restore, self.fold, self.resuming, self.check)
        self._changes = any(change is not None for change in changes)
        held, self._held = self._held, []
        if held:
            self._got(held)
        try:
            await self._ended
            await self._brake.released()
        finally:
            self._deliver = _deaf  # who took the answer holds it: memory in a circle waits for the collector
        if self.resuming is not None:
            await self.resuming.go_on(deliver)

    def seen(self, events: list[Event]) -> list[Event]:
        """The events as the client sees them."""
        if self.restore is not None:
            events = self.restore.feed(events)
        return self.passed(events)

    def passed(self, events: list[Event]) -> list[Event]:
        """The same, from where they have the client's own names."""
        if self.fold is not None:
            self.fold.feed(events)
        if self.resuming is not None:
            events = self.resuming.take(events)
        if self.check is not None:
            events = self.check.feed(events)
        return events

    def kept(self) -> asyncio.Task[None] | None:
        """Keep a turn that is complete, once: for whoever tells the client so, before that.  See `Recall.remember`."""
        keep, fold = self.keep, self.fold
        if keep is None or fold is None or fold.finish is None:
            return None
        self.keep = None
        return keep(fold.reply.content)

    def takes_over(self, more: Stream) -> None:
        """The answer goes on in another stream: its connection is this one's from now on."""
        self._server.release(self.connection)
        self.connection = more.connection

    # --- the connection's sink -------------------------------------------------------------------

    def data(self, data: bytes) -> None:
        if events := self._feed(data):
            last = events[-1]
            if type(last) is Fault:
                events[-1] = self.fault = Fault(last.kind, self._hide(last.message), last.retry_after)
                self._got(events)
                self._finish()
                return
            self._got(events)
            if type(last) is Finish:
                self.usage = last.usage or self.usage
                # The end of the body frees the connection for the next call, but nobody needs it.
                asyncio.get_running_loop().call_later(_LINGER, self._finish)

    def end(self) -> None:
        if events := self._decoder.close():
            self._note(events[-1])
            self._got(events)
        self._finish()

    def broken(self, error: GatewayError) -> None:
        self.fault = Fault(error.kind, error.message, error.retry_after)
        self._got([self.fault])
        self._finish()

    def _note(self, last: Event) -> None:
        match last:
            case Fault():
                self.fault = last
            case Finish(usage=usage):
                self.usage = usage or self.usage

    def _got(self, events: list[Event]) -> None:
        """Hand them over, or keep them for who will take them.  Each token comes through here."""
        deliver = self._deliver
        if deliver is None:
            self._held += events
            if not self._begun.done() and not (self._words and all(type(event) is Start for event in events)):
                self._begun.set_result(None)
            return
        try:
            rest = deliver(self.seen(events) if self._changes else events)
        except Exception as error:
            self._fail(error)
            return
        if rest is not None:
            self._brake.hold(rest)

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Our own end is broken: nothing more is delivered."""
        self._deliver = _deaf
        if not self._ended.done():
            self._ended.set_exception(error)


def _deaf(_: list[Event]) -> None:
    """Takes what nobody wants any more."""


def _raise_early_fault(events: list[Event]) -> None:
    """A failure before anything was said is an ordinary error, with its own status."""
    for event in events:
        match event:
            case Fault(kind=kind, message=message, retry_after=after):
                raise GatewayError(known_kind(kind), message, retry_after=after)
            case PartStart():
                return
            case _:
                pass


def known_kind(kind: str) -> Kind:
    return kind if kind in TABLE else "upstream"


async def folded(server: UpstreamServer, connection: Connection) -> Reply:
    """A streamed answer as the reply it adds up to."""
    stream, fold = Stream(server, connection), Fold(server.dialect.NAME)
    await stream.begin(server.timeouts.idle)
    began = time.perf_counter_ns()
    spoke = 0

    def take(events: list[Event]) -> None:
        nonlocal spoke
        fold.feed(events)
        if not spoke and any(type(event) is PartStart for event in events):
            spoke = time.perf_counter_ns()

    try:
        take(stream.first)
        await stream.pump(take)
    except LookupError as error:
        raise GatewayError("upstream", "the upstream sent events in an order that makes no sense") from error
    if fold.finish is None:
        fault = fold.fault or Fault("upstream", "the upstream ended its answer before it was complete")
        raise GatewayError(known_kind(fault.kind), fault.message, retry_after=fault.retry_after)
    reply = fold.reply
    reply.began, reply.spoke = began, spoke
    return reply
