"""A streamed answer, both ways: one JSON object a line.

`Encoder.feed` runs once a token for every stream in the house.  All of a line but the text and the time is made
before, and the time is put together from parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

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
    Request,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama.failure import error_kind, error_message
from dragoman.dialects.ollama.messages import encode_call
from dragoman.dialects.ollama.reply import (
    CallIds,
    cut_off,
    decode_answer,
    decode_reason,
    decode_usage,
    final_members,
    is_whole,
    readable,
    refusal_text,
    shows_thinking,
)
from dragoman.dialects.ollama.timing import SECOND, measured, to_the_second
from dragoman.dialects.tagged import Tagged
from dragoman.errors import GatewayError
from dragoman.framing import NDJSON, FrameTooLargeError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

# What ends a line for some who read it: httpx, and with it Ollama's own SDK for Python, cuts there too, in the middle
# of a string.  Ollama itself escapes the last two, as Go does.  In JSON these bytes stand nowhere but in strings.
_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


class Shape(NamedTuple):
    """Where the answer is in a line: the bytes before the JSON string of its text, and after it and its neighbours."""

    before: bytes
    after: bytes


CHAT = Shape(b'"message":{"role":"assistant","content":', b"}")
GENERATE = Shape(b'"response":', b"")


class Encoder:
    """Events to lines.

    `closing` gives members of the last line, from the whole text of the answer.  Nothing comes after a Finish or a
    Fault, and a Fault is never a finish.
    """

    def __init__(
        self,
        request: Request,
        stamp: Stamp,
        shape: Shape = CHAT,
        closing: Callable[[str], Object] | None = None,
    ) -> None:
        self._clock = stamp.clock
        self._zero = stamp.created - stamp.started
        self._head = b'{"model":%b,"created_at":"' % _encode(stamp.model)
        self._second = -1
        self._prefix = b""
        self._shape = shape
        self._text_line = (b'Z",' + shape.before, shape.after + b',"done":false}\n')
        self._thinking_line = (b'Z",%b"","thinking":' % shape.before, self._text_line[1])
        self._line: tuple[bytes, bytes] | None = None
        self._shows_thinking = shows_thinking(request)
        self._closing = closing
        self._spoke = False
        self._said: list[str] = []
        self._parts: list[Part] = []
        self._arguments: list[str] = []
        self._held: ToolCall | None = None
        self._calls = 0
        self._usage: Usage | None = None
        self._started = stamp.started
        self._first_event: int | None = None
        self._first_part: int | None = None
        self._done = False

    def feed(self, events: Sequence[Event]) -> bytes:
        """The lines for these events."""
        now = self._clock()
        second, nanosecond = divmod(self._zero + now, SECOND)
        if second != self._second:
            self._second = second
            self._prefix = b"%b%b." % (self._head, to_the_second(second).encode())
        if self._first_event is None:
            self._first_event = now
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                if (line := self._line) is not None and (text := event.text):
                    before, after = line
                    out.append(b"%b%09d%b%b%b" % (self._prefix, nanosecond, before, _encode(text), after))
                    if line is self._text_line:
                        self._spoke = True
                        if self._closing is not None:
                            self._said.append(text)
            elif not self._done:
                out += self._other(event, b"%b%09d" % (self._prefix, nanosecond), now)
        data = out[0] if len(out) == 1 else b"".join(out)
        return data if data.isascii() else _on_their_lines(data)

    def _other(self, event: Event, head: bytes, now: int) -> list[bytes]:
        match event:
            case PartStart(part=part):
                if self._first_part is None:
                    self._first_part = now
                return self._flush(head) + self._start_part(part, head)
            case ArgumentsDelta(text=text):
                self._arguments.append(text)
            case PartEnd():
                self._line = None
                return self._end_part(head)
            case Start(usage=usage):
                self._usage = usage
            case Finish():
                return self._finish(event, head, now)
            case Fault(message=message):
                self._done, self._line = True, None
                return [_encode({"error": message}) + b"\n"]
            case _:
                pass
        return []

    def _start_part(self, part: Part, head: bytes) -> list[bytes]:
        self._parts.append(part)
        match part:
            case ToolCall(arguments=arguments):
                self._arguments = [arguments]
                return []
            case Thinking(text=text):
                self._line = self._thinking_line if self._shows_thinking and not part.redacted else None
            case _:
                self._line = self._text_line
                text = readable(part)
        if not text or self._line is None:
            return []
        if self._line is self._text_line:
            self._say(text)
        return [b"%b%b%b%b" % (head, self._line[0], _encode(text), self._line[1])]

    def _say(self, text: str) -> None:
        self._spoke = True
        self._said.append(text)

    def _end_part(self, head: bytes) -> list[bytes]:
        """A call goes out at its end; one that may be cut off waits for what comes next."""
        part = self._parts[-1] if self._parts else None
        if not isinstance(part, ToolCall):
            return []
        self._held = ToolCall(
            id=part.id, name=part.name, arguments="".join(self._arguments), freeform=part.freeform, extra=part.extra
        )
        return self._flush(head) if is_whole(self._held) else []

    def _flush(self, head: bytes) -> list[bytes]:
        call, self._held = self._held, None
        if call is None:
            return []
        body = encode_call(call, self._calls)
        self._calls += 1
        before, after = self._text_line
        return [b'%b%b"","tool_calls":%b%b' % (head, before, _encode([body]), after)]

    def _finish(self, finish: Finish, head: bytes, now: int) -> list[bytes]:
        self._done, self._line = True, None
        out: list[bytes] = []
        if self._held is not None and not cut_off(self._held, finish.reason):
            out += self._flush(head)
        before, after = self._text_line
        if text := refusal_text(finish.reason, finish.explanation, self._parts, self._spoke):
            self._say(text)
            out.append(b"%b%b%b%b" % (head, before, _encode(text), after))
        first_event = now if self._first_event is None else self._first_event
        first_part = now if self._first_part is None else self._first_part
        durations = measured(first_event - self._started, first_part - first_event, now - first_part)
        members = final_members(finish.reason, finish.usage or self._usage, durations)
        if self._closing is not None:
            members |= self._closing("".join(self._said))
        tail = _encode(members)[1:]
        out.append(b'%b%b""%b,"done":true,%b\n' % (head, before, self._shape.after, tail))
        return out


def _on_their_lines(data: bytes) -> bytes:
    """The same JSON, one value a line to every reader."""
    for end, escaped in _LINE_ENDS:
        if end in data:
            data = data.replace(end, escaped)
    return data


class Decoder:
    """Lines to events.  Anything but a line with `done` true is not an end: it becomes a Fault."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self._frames = NDJSON()
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
        if self._ids is None:
            self._ids = CallIds(body.get("created_at"))
            events.append(Start("", str(body.get("model") or "")))
        message = body.get("message")
        if isinstance(message, dict):
            text = message.get("content")
            # Nearly every line is some more text and nothing else.
            if self._open is Text and type(text) is str and text and len(message) == 2 and "role" in message:
                events.append(TextDelta(self._index, text))
            else:
                for part in decode_answer(message):
                    self._part(part, events)
        if "logprobs" in body and "logprobs" not in self.skipped:
            self.skipped.append("logprobs")
        if body.get("done") is True:
            reason: Reason = decode_reason(body.get("done_reason"), self._called)
            usage = decode_usage(body)
            self._words(self._tags.close(), events)
            self._close_part(events)
            self._ended = True
            events.append(Finish(reason, usage))

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
            events.append(TextDelta(self._index, part.text))

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
            self._open = None
            events.append(PartEnd(self._index))

    def _fault(self, kind: str, message: str) -> list[Event]:
        if self._ended:
            return []
        self._ended = True
        events: list[Event] = []
        self._words(self._tags.close(), events)
        return [*events, Fault(kind, message)]
