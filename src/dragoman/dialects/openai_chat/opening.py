"""Which part of a streamed answer is open: parts never overlap and their indices rise."""

from __future__ import annotations

from dragoman.conversation import Event, Part, PartEnd, PartStart, TextDelta


class Parts:
    """Collects events.  `kind` is what the open part is called, "" when none is; `index` is its number.

    `last` is an event that is to be said just before the open part ends.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.index = -1
        self.last: Event | None = None
        self._events: list[Event] = []

    def begin(self, kind: str, part: Part) -> None:
        """Close what is open, and open `part`."""
        self.close()
        self.kind = kind
        self.index += 1
        self._events.append(PartStart(self.index, part))

    def text(self, kind: str, part: Part, text: str) -> None:
        """More text for the open part if it is of this kind, else for `part`, now opened."""
        if not text:
            return
        if self.kind != kind:
            self.begin(kind, part)
        self._events.append(TextDelta(self.index, text))

    def say(self, event: Event) -> None:
        self._events.append(event)

    def close(self) -> None:
        if self.kind:
            if self.last is not None:
                self._events.append(self.last)
            self.kind, self.last = "", None
            self._events.append(PartEnd(self.index))

    def take(self) -> list[Event]:
        """The events so far, once."""
        events, self._events = self._events, []
        return events
