"""A streamed turn that the model paused, taken up again: several upstream streams, one answer.

A server that runs tools of its own stops after a while with "pause_turn" and wants to be asked again, with all it has
said so far.  https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from dragoman.conversation import Event, Fault, Finish, OfPart, Part, PartStart, Start, Usage
from dragoman.errors import GatewayError
from dragoman.folding import added
from dragoman.relay.stream import Deliver, Stream

# How often one turn is taken up again.
ROUNDS = 10


class Resuming:
    """What goes on after the first stream has ended.  `ask` gives the next one, begun, from all parts so far."""

    def __init__(self, stream: Stream, ask: Callable[[Sequence[Part]], Awaitable[Stream]]) -> None:
        self._stream = stream
        self._ask = ask
        self._paused: Finish | None = None
        self._rounds = 0
        self._parts = 0
        self._base = 0
        self._spent: Usage | None = None

    def take(self, events: list[Event]) -> list[Event]:
        """The events but for a pause that is not the end; the end tells what all rounds took."""
        for event in events:
            if isinstance(event, PartStart):
                self._parts += 1
        last = events[-1] if events else None
        if not isinstance(last, Finish):
            return events
        self._spent = added(self._spent, last.usage) if self._spent and last.usage else last.usage or self._spent
        if last.reason == "pause" and self._rounds < ROUNDS:
            self._paused = last
            return events[:-1]
        return [*events[:-1], replace(last, usage=self._spent)]

    async def go_on(self, deliver: Deliver) -> None:
        """Ask again for as long as the model pauses, and deliver what it says."""
        stream = self._stream
        while self._paused is not None and stream.fold is not None:
            self._paused = None
            self._rounds += 1
            self._base = self._parts
            try:
                more = await self._ask(stream.fold.reply.content)
            except GatewayError as error:
                await _hand_over([Fault(error.kind, error.message, error.retry_after)], deliver)
                return
            stream.takes_over(more)
            if first := self._shown(more.seen(more.first)):
                await _hand_over(first, deliver)
            await more.pump(lambda events: self._delivered(events, deliver))
            stream.usage, stream.fault = self._spent, more.fault

    def _shown(self, events: list[Event]) -> list[Event]:
        """The events of a later stream, as those of the one answer."""
        return self._stream.passed([self._moved(event) for event in events if type(event) is not Start])

    def _moved(self, event: Event) -> Event:
        return replace(event, index=event.index + self._base) if isinstance(event, OfPart) else event

    def _delivered(self, events: list[Event], deliver: Deliver) -> Awaitable[None] | None:
        shown = self._shown(events)
        return deliver(shown) if shown else None


async def _hand_over(events: list[Event], deliver: Deliver) -> None:
    if (rest := deliver(events)) is not None:
        await rest
