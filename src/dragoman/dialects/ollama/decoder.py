"""A streamed answer of an Ollama server: lines to events."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dragoman.conversation import (
    ArgumentsDelta,
    Event,
    Fault,
    Finish,
    Object,
    Part,
    PartEnd,
    PartStart,
    Reason,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
)
from dragoman.dialects.logprobs import decode_logprobs
from dragoman.dialects.ollama.failure import error_kind, error_message
from dragoman.dialects.ollama.reply import CallIds, decode_answer, decode_reason, decode_usage
from dragoman.dialects.ollama.timing import durations
from dragoman.dialects.ollama.vocabulary import MEASURED, NAME
from dragoman.dialects.tagged import Tagged
from dragoman.dialects.untold import NOTHING, note
from dragoman.errors import GatewayError
from dragoman.framing import MAX_FRAME, NDJSON, FrameTooLargeError

_decode = msgspec.json.Decoder().decode

_KNOWN = MEASURED | {"model", "message", "done", "done_reason", "logprobs"}


class Decoder:
    """Lines to events.  Anything but a line with `done` true is not an end: it becomes a Fault."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.skipped: list[str] = []
        self._extra: Object = {}
        self._width = 0
        # with their log probabilities: of this line, and those of earlier ones that went with no text
        self._tokens: list[Object] = []
        self._older: list[Object] = []
        self._frames = NDJSON(limit)
        self._ids: CallIds | None = None
        self._index = -1
        self._open: type[Part] | None = None
        self._tags = Tagged()
        self._called = False
        self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        try:
            return self._lines(self._frames.feed(data))
        except FrameTooLargeError as error:
            return self._fault("upstream", str(error))

    def close(self) -> list[Event]:
        events = self._lines(self._frames.close())
        return events or self._fault("upstream", "the upstream's answer ended before it was complete")

    def _lines(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            if not self._ended:
                events += self._event_line(line)
        return events

    def _event_line(self, line: bytes) -> list[Event]:
        try:
            body = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._fault("upstream", "the upstream sent a line that is not JSON")
        if not isinstance(body, dict):
            return self._fault("upstream", "the upstream sent a line that is not an object")
        if message := error_message(body):
            return self._fault(error_kind(500, message), message)
        events: list[Event] = []
        try:
            self._answer(body, events)
        except GatewayError as error:
            events += self._fault("upstream", error.message)
        return events

    def _answer(self, body: Object, events: list[Event]) -> None:
        if len(body) != self._width:  # lines with as many members as one that was looked at have the same
            self._width = len(body)
            self._extra |= {k: v for k, v in body.items() if k not in _KNOWN and v not in NOTHING}
        if self._ids is None:
            self._ids = CallIds(body.get("created_at"))
            events.append(Start("", str(body.get("model") or ""), origin=NAME, extra=self._extra or None))
            self._extra = {}
        if "logprobs" in body:
            self._tokens = decode_logprobs(body["logprobs"])
        message = body.get("message")
        if isinstance(message, dict):
            text = message.get("content")
            # Nearly every line is some more text and nothing else.
            if self._open is Text and type(text) is str and text and len(message) == 2 and "role" in message:
                events.append(TextDelta(self._index, text, self._scores() if self._tokens or self._older else None))
            else:
                for part in decode_answer(message):
                    self._part(part, events)
                for name in message:
                    if name != "role":
                        note(self.skipped, f"message.{name}")
        if self._tokens:
            self._older, self._tokens = self._older + self._tokens, []
        if body.get("done") is True:
            reason: Reason = decode_reason(body.get("done_reason"), self._called, self.skipped)
            usage = decode_usage(body)
            self._words(self._tags.close(), events)
            self._close_part(events)
            self._ended = True
            if self._older:
                note(self.skipped, "logprobs")
            rest = self._extra | durations(body)
            events.append(Finish(reason, usage, skipped=self.skipped or None, extra=rest or None))

    def _scores(self) -> list[Object] | None:
        """The log probabilities that belong to the next piece of text."""
        tokens = self._older + self._tokens
        self._older, self._tokens = [], []
        return tokens or None

    def _part(self, part: Part, events: list[Event]) -> None:
        match part:
            case Text(text=text):
                self._words(self._tags.feed(text, first=self._index < 0), events)
            case Thinking():
                self._words([part], events)
            case _:
                self._words(self._tags.close(), events)
                self._close_part(events)
                self._whole(part, events)

    def _words(self, parts: Sequence[Text | Thinking], events: list[Event]) -> None:
        for part in parts:
            kind = type(part)
            self._switch(kind, kind(text=""), events)
            events.append(TextDelta(self._index, part.text, self._scores()))

    def _switch(self, kind: type[Part], start: Part, events: list[Event]) -> None:
        if self._open is not kind:
            self._close_part(events)
            self._index += 1
            self._open = kind
            events.append(PartStart(self._index, start))

    def _whole(self, part: Part, events: list[Event]) -> None:
        """A call comes in one piece; its arguments still go as a delta, which is where readers look for them."""
        self._index += 1
        arguments = ""
        if isinstance(part, ToolCall) and self._ids is not None:
            self._called = True
            self._ids.identify(part)
            arguments, part.arguments = part.arguments, ""
        events.append(PartStart(self._index, part))
        if arguments:
            events.append(ArgumentsDelta(self._index, arguments))
        events.append(PartEnd(self._index))

    def _close_part(self, events: list[Event]) -> None:
        if self._open is not None:
            if self._older:
                events.append(TextDelta(self._index, "", self._older))
                self._older = []
            self._open = None
            events.append(PartEnd(self._index))

    def _fault(self, kind: str, message: str) -> list[Event]:
        if self._ended:
            return []
        self._ended = True
        events: list[Event] = []
        self._words(self._tags.close(), events)
        return [*events, Fault(kind, message)]
