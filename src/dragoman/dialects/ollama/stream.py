"""A streamed answer for a client: one JSON object a line.

`Encoder.feed` runs once a token for every stream in the house.  All of a line but the text and the time is made
before, and the time is put together from parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from dragoman.conversation import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Object,
    Part,
    PartEnd,
    PartStart,
    Request,
    Start,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.logprobs import without_blanks
from dragoman.dialects.ollama.messages import encode_call
from dragoman.dialects.ollama.reply import (
    after_reason,
    cut_off,
    final_members,
    is_whole,
    readable,
    refusal_text,
    shows_thinking,
)
from dragoman.dialects.ollama.timing import SECOND, durations, measured, to_the_second
from dragoman.dialects.ollama.vocabulary import DURATIONS, SAYS
from dragoman.dialects.telling import Telling
from dragoman.dialects.untold import Untold

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_GOES_ON = b',"done":false}\n'

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
        self._model = stamp.model
        self._head = self._beginning({})
        self._extra: Object = {}
        self._took: Object = {}
        self.untold = Untold(SAYS)
        self._second = -1
        self._prefix = b""
        self._shape = shape
        self._text_line = (b'Z",' + shape.before, shape.after + _GOES_ON)
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
        self._telling = Telling(request, annotates=False)
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
                if event.logprobs is not None:
                    out += self._scored(event, event.logprobs, b"%b%09d" % (self._prefix, nanosecond))
                elif (line := self._line) is not None and (text := event.text):
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

    def _beginning(self, members: Object) -> bytes:
        return _encode({"model": self._model, **members})[:-1] + b',"created_at":"'

    def _scored(self, event: TextDelta, tokens: list[Object], head: bytes) -> list[bytes]:
        """A piece of text with the log probabilities of its tokens."""
        if self._line is None:
            return []
        before, after = self._line
        if self._line is self._text_line:
            self._say(event.text)
        shown = _encode(without_blanks(tokens))
        after = b'%b,"logprobs":%b}\n' % (after.removesuffix(b"}\n"), shown)
        return [b"%b%b%b%b" % (head, before, _encode(event.text), after)]

    def _start(self, event: Start) -> None:
        """What an Ollama server says beside its answer, every line of ours says too."""
        self._usage = event.usage
        self.untold.start(event)
        if event.extra and self.untold.own:
            self._extra = dict(event.extra)
            self._extra.pop("message", None)
            self._took = durations(self._extra)
            self._extra = {name: value for name, value in self._extra.items() if name not in DURATIONS}
            self._head = self._beginning(self._extra)
            self._second = -1

    def _other(self, event: Event, head: bytes, now: int) -> list[bytes]:
        match event:
            case PartStart(index=index, part=part):
                self.untold.part(index, part)
                if self._first_part is None:
                    self._first_part = now
                shown = self._telling.parts(part)
                return self._flush(head) + [line for each in shown for line in self._start_part(each, head)]
            case ArgumentsDelta(text=text):
                self._arguments.append(text)
            case PartEnd():
                self._line = None
                return self._end_part(head)
            case Start():
                self._start(event)
            case Finish():
                return self._finish(event, head, now)
            case CitationDelta(index=index, citation=citation):
                self._telling.cite(citation)
                self.untold.cited(index, citation)
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
        body = encode_call(call, self._calls, call.extra if self.untold.own else None)
        self._calls += 1
        before, after = self._text_line
        return [b'%b%b"","tool_calls":%b%b' % (head, before, _encode([body]), after)]

    def _finish(self, finish: Finish, head: bytes, now: int) -> list[bytes]:
        self._done, self._line = True, None
        out: list[bytes] = []
        if self._held is not None and not cut_off(self._held, finish.reason):
            out += self._flush(head)
        before, after = self._text_line
        if text := self._telling.closing(answered=self._spoke or self._calls > 0):
            self._say(text)
            out.append(b"%b%b%b%b" % (head, before, _encode(text), after))
        if text := refusal_text(finish.reason, finish.explanation, self._parts, self._spoke):
            self._say(text)
            out.append(b"%b%b%b%b" % (head, before, _encode(text), after))
        first_event = now if self._first_event is None else self._first_event
        first_part = now if self._first_part is None else self._first_part
        ours = measured(first_event - self._started, first_part - first_event, now - first_part)
        rest: Object = finish.extra if finish.extra and self.untold.own else {}
        members = final_members(finish.reason, finish.usage or self._usage, ours, durations(rest) or self._took)
        self.untold.finish(finish)
        members |= {name: value for name, value in rest.items() if name not in DURATIONS and name not in self._extra}
        if self._closing is not None:
            members = after_reason(members, self._closing("".join(self._said)))
        tail = _encode(members)[1:]
        out.append(b'%b%b""%b,"done":true,%b\n' % (head, before, self._shape.after, tail))
        return out


def _on_their_lines(data: bytes) -> bytes:
    """The same JSON, one value a line to every reader."""
    for end, escaped in _LINE_ENDS:
        if end in data:
            data = data.replace(end, escaped)
    return data
