"""Several choices in one stream: `n` > 1, or several prompts, each answered by a call of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dragoman.conversation import Event, Fault, Usage
from dragoman.dialects.untold import Untold


class ChoiceEncoder(Protocol):
    """A `StreamEncoder` for one choice, made with `tail=False`."""

    untold: Untold
    usage: Usage | None
    done: bool

    def open(self) -> bytes: ...
    def feed(self, events: Sequence[Event]) -> bytes: ...


class FanOut:
    """The events of several calls, in any interleaving, as one stream.

    `tail` gives the end of the stream from the usage of each call.  A Fault of one call ends them all: a client cannot
    be told that one of its choices failed.
    """

    def __init__(self, choices: Sequence[ChoiceEncoder], tail: Callable[[Sequence[Usage]], bytes]) -> None:
        self._choices, self._tail = choices, tail
        self._opened = False
        self.done = False
        """True after the end of the stream or a Fault: what still runs may be cancelled."""

    @property
    def untold(self) -> Untold:
        """What of any of the answers could not be said."""
        first, *others = [choice.untold for choice in self._choices]
        for other in others:
            first.join(other)
        return first

    def feed(self, index: int, events: Sequence[Event]) -> bytes:
        """The bytes for `events` of the call at `index`."""
        if self.done:
            return b""
        # Clients add up choices in a list and expect 0, 1, 2, … to appear in that order.
        head = b"" if self._opened else b"".join([choice.open() for choice in self._choices])
        self._opened = True
        out = head + self._choices[index].feed(events)
        if any(isinstance(event, Fault) for event in events):
            self.done = True
        elif all(choice.done for choice in self._choices):
            self.done = True
            out += self._tail([choice.usage or Usage() for choice in self._choices])
        return out
