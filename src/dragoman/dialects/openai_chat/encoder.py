"""Events to chat completion chunks.

The first chunk has the role, the last one the finish reason; between them a tool call is opened once, with id and
name, and then only continued, because clients concatenate every string they see twice.
https://platform.openai.com/docs/api-reference/chat-streaming

`Encoder.feed` runs once per token for every client: what is the same in all chunks of a part is prepared at its start,
and a delta costs one JSON string between two pieces of bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Object,
    Part,
    PartEnd,
    PartStart,
    Refusal,
    Request,
    Seal,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_chat.failure import encode_fault
from dragoman.dialects.openai_chat.reasoning import encode_detail
from dragoman.dialects.openai_chat.reply import encode_annotation, encode_tier, shows_reasoning
from dragoman.dialects.openai_chat.request import include_usage
from dragoman.dialects.openai_chat.tools import uses_functions
from dragoman.dialects.openai_chat.usage import told_usage, total
from dragoman.dialects.openai_chat.vocabulary import NAME, SAYS, finish_reason
from dragoman.dialects.telling import Telling
from dragoman.dialects.untold import INNER, Untold
from dragoman.framing import sse

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode
_NOTHING = b""


def tail(request: Request, stamp: Stamp, usages: Sequence[Usage], rest: Object | None = None) -> bytes:
    """The end of a stream: the usage chunk with the `usages` of all choices, if it was asked for and anybody counted,
    and `[DONE]`.

    `rest` is what else was counted.
    """
    usage = told_usage(total(usages), rest) if include_usage(request) else None
    if usage is None:
        return DONE
    return sse(_encode(_head(stamp) | {"choices": [], "usage": usage})) + DONE


_SCORED: Mapping[type[Part] | type[None], str] = {Text: "content", Refusal: "refusal"}
"""The parts that have log probabilities on this wire, and the member both stand in."""


def members_after(body: Object) -> bytes:
    """The members of `body`, after others."""
    return b"," + _encode(body)[1:-1] if body else _NOTHING


def _head(stamp: Stamp) -> Object:
    created = stamp.created // 1_000_000_000
    return {"id": stamp.id, "object": "chat.completion.chunk", "created": created, "model": stamp.model}


class Encoder:
    """One choice of one stream.

    For `n` > 1, one encoder each with its `index` and without `tail`; the last one to finish is followed by
    `tail(request, stamp, usages)`.  See `fanout`.
    """

    def __init__(self, request: Request, stamp: Stamp, index: int = 0, tail: bool = True) -> None:
        self._request, self._stamp, self._tail = request, stamp, tail
        self._index = index
        self._inner: Object = {}
        self._outer: Object = {}
        self._before = self._beginning({})
        self.untold = Untold(SAYS)
        self._usage = b',"usage":null}\n\n' if include_usage(request) else b"}\n\n"
        self._after = b',"logprobs":null,"finish_reason":null}]' + self._usage
        self._shows = shows_reasoning(request)
        self._deprecated = uses_functions(request)
        # around the text of the open part; no `prefix`: the part is not shown
        self._prefix = self._suffix = _NOTHING
        self._part: Part | None = None
        self._size = 0
        self._thought: list[str] | None = None
        self._cited: list[Citation] = []
        self._telling = Telling(request, annotates=True)
        self._annotations: list[Object] = []
        self._offset = self._calls = self._details = 0
        self._refused = self._opened = False
        self.usage: Usage | None = None
        """What the call has cost, once it is finished."""
        self.done = False

    def open(self) -> bytes:
        """The chunk with the role, unless it is already out."""
        if self._opened:
            return b""
        self._opened = True
        return self._delta({"role": "assistant", "content": "", "refusal": None})

    def feed(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events.  Nothing follows a Finish or a Fault."""
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta or type(event) is ArgumentsDelta:
                text = event.text
                if type(event) is TextDelta and event.logprobs:
                    out.append(self._scored(event, event.logprobs))
                elif self._prefix and text:
                    out.append(self._prefix + _encode(text) + self._suffix)
                    self._size += len(text)
                    if self._thought is not None:
                        self._thought.append(text)
            elif not self.done:
                out.append(self._rare(event))
        return out[0] if len(out) == 1 else b"".join(out)

    def _rare(self, event: Event) -> bytes:
        match event:
            case Start():
                self._started(event)
                return self.open()
            case PartStart():
                self.untold.part(event.index, event.part)
                *whole, part = self._telling.parts(event.part)
                return b"".join([self._begin(each) + self._end() for each in whole]) + self._begin(part)
            case SealDelta():
                if isinstance(self._part, Thinking):
                    self._part.seal = event.seal
            case CitationDelta():
                self._cited.append(self._telling.cite(event.citation))
                self.untold.cited(event.index, event.citation)
            case PartEnd():
                return self._end()
            case Finish():
                return self._finish(event)
            case Fault():
                self._close()
                return sse(_encode(encode_fault(event)))
        return b""

    def _started(self, event: Start) -> None:
        """What every chunk tells from now on."""
        self.untold.start(event)
        own = event.origin == NAME
        known = event.extra or {} if own else {}
        self._inner = {name: value for name, value in known.items() if name in INNER}
        extra = {name: value for name, value in known.items() if name not in INNER}
        self._outer = encode_tier(event.tier, own) | extra
        self._before = self._beginning(self._outer)

    def _beginning(self, members: Object) -> bytes:
        head = _encode(_head(self._stamp) | members)[:-1]
        return b'data: %b,"choices":[{"index":%d,"delta":' % (head, self._index)

    def _scored(self, event: TextDelta, tokens: list[Object]) -> bytes:
        """A piece of text with the log probabilities of its tokens."""
        name = _SCORED.get(type(self._part))
        if name is None or not self._prefix:
            self.untold.logprobs(event.index, self._part, tokens)
            return self.feed([TextDelta(event.index, event.text)])
        self._size += len(event.text)
        logprobs: Object = {"content": None, "refusal": None, name: tokens}
        delta = _encode({name: event.text}), _encode(logprobs), self._usage
        return self._before + b'%b,"logprobs":%b,"finish_reason":null}]%b' % delta

    # --- parts ----------------------------------------------------------------------------------

    def _begin(self, part: Part) -> bytes:
        self._size = 0
        head = self.open()
        match part:
            case Text():
                self._around(b'{"content":', b"}")
                self._cited = list(part.citations)
            case Refusal():
                self._around(b'{"refusal":', b"}")
            case Thinking() if self._shows:
                part = Thinking(text=part.text, seal=part.seal, redacted=part.redacted)
                self._thought = []
                self._around(b'{"reasoning_content":', b"}")
            case ToolCall() if not (self._deprecated and self._calls):
                head += self._call(part)
            case _:
                return head
        self._part = part
        if known := part.arguments if isinstance(part, ToolCall) else part.text:
            head += self.feed([TextDelta(0, known)])
        return head

    def _call(self, call: ToolCall) -> bytes:
        """The chunk that opens a call, and what its continuations look like."""
        number = self._calls
        self._calls += 1
        if self._deprecated:
            self._around(b'{"function_call":{"arguments":', b"}}")
            return self._delta({"function_call": {"name": call.name, "arguments": ""}})
        kind, words = ("custom", "input") if call.freeform else ("function", "arguments")
        self._around(b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (number, kind.encode(), words.encode()), b"}}]}")
        opening = {"index": number, "id": call.id, "type": kind, kind: {"name": call.name, words: ""}}
        return self._delta({"tool_calls": [opening | call.extra if self.untold.own else opening]})

    def _end(self) -> bytes:
        part, out = self._part, b""
        match part:
            case ToolCall(freeform=False) if not self._size:
                out = self.feed([ArgumentsDelta(0, "{}")])
            case Refusal():
                self._refused = self._refused or self._size > 0
            case Text():
                start, self._offset = self._offset, self._offset + self._size
                found = [encode_annotation(citation, start, self._offset) for citation in self._cited]
                self._annotations += [annotation for annotation in found if annotation]
            case Thinking(seal=Seal() as seal):
                part.text = "".join(self._thought or ())
                # whole and once: an element that comes in pieces is added up differently by every client
                out = self._delta({"reasoning_details": [encode_detail(part, seal, self._details)]})
                self._details += 1
        self._part, self._thought, self._prefix = None, None, _NOTHING
        self._cited = []
        return out

    # --- the end --------------------------------------------------------------------------------

    def _finish(self, event: Finish) -> bytes:
        self.usage = event.usage or Usage()
        out = self.open()
        answered = bool(self._offset or self._calls or self._refused)
        if text := self._telling.closing(answered=answered):
            out += self._begin(Text(text=text)) + self._end()
        if event.reason == "refusal" and event.explanation and not self._refused:
            out += self._delta({"refusal": event.explanation})
        if self._annotations:
            out += self._delta({"annotations": self._annotations})
        word = finish_reason(event.reason, calls=bool(self._calls))
        if self._deprecated and word == "tool_calls":
            word = "function_call"
        self.untold.finish(event)
        extra = self._inner | (event.extra or {}) if self.untold.own else {}
        for name in extra.pop("message", {}):
            self.untold.note(f"message.{name}")
        rest = extra.pop("usage", None)
        choice = {} if event.stop_sequence is None else {"stop_reason": event.stop_sequence}
        more = members_after(choice | extra.pop("choice", {}))
        last = b'{},"logprobs":null,"finish_reason":"%b"%b}]' % (word.encode(), more)
        out += self._beginning(self._outer | extra) + last + self._usage
        self._close()
        return out + tail(self._request, self._stamp, [self.usage], rest) if self._tail else out

    def _close(self) -> None:
        self.done, self._prefix = True, _NOTHING

    def _delta(self, delta: Object) -> bytes:
        return self._before + _encode(delta) + self._after

    def _around(self, prefix: bytes, suffix: bytes) -> None:
        self._prefix, self._suffix = self._before + prefix, suffix + self._after
