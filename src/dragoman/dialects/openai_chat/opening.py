"""Which part of a streamed answer is open: parts never overlap and their indices rise."""

from __future__ import annotations

from dragoman.conversation import Event, Object, Part, PartEnd, PartStart, Refusal, Text, TextDelta, Thinking


class Parts:
    """Collects events.  `kind` is what the open part is called, "" when none is; `index` is its number.

    `last` is an event that is to be said just before the open part ends; `tokens` of the chunk that is read, with
    their log probabilities, are said with its text, or else by `settle`.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.index = -1
        self.last: Event | None = None
        self.tokens: list[Object] = []
        self.older: list[Object] = []
        self._wordy = False
        self._events: list[Event] = []

    def begin(self, kind: str, part: Part) -> None:
        """Close what is open, and open `part`."""
        self.close()
        self.kind = kind
        self.index += 1
        self._wordy = isinstance(part, (Text, Refusal, Thinking))
        self._events.append(PartStart(self.index, part))

    def text(self, kind: str, part: Part, text: str) -> None:
        """More text for the open part if it is of this kind, else for `part`, now opened."""
        if not text:
            return
        if self.kind != kind:
            self.begin(kind, part)
        self._words(text)

    def say(self, event: Event) -> None:
        self._events.append(event)

    def close(self) -> None:
        if self.kind:
            if self.older and self._wordy:
                self._events.append(TextDelta(self.index, "", self.older))
                self.older = []
            if self.last is not None:
                self._events.append(self.last)
            self.kind, self.last = "", None
            self._events.append(PartEnd(self.index))

    def _words(self, text: str) -> None:
        tokens = self.older + self.tokens
        self._events.append(TextDelta(self.index, text, tokens or None))
        if tokens:
            self.older, self.tokens = [], []

    def settle(self) -> None:
        """The chunk is read: what is left of its tokens goes with what comes next, or before the open part ends."""
        if self.tokens:
            self.older, self.tokens = self.older + self.tokens, []

    def take(self) -> list[Event]:
        """The events so far, once."""
        events, self._events = self._events, []
        return events
