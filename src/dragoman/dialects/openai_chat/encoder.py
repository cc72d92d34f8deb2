"""Events to chat completion chunks.

The first chunk has the role, the last one the finish reason; between them a tool call is opened once, with id and
name, and then only continued, because clients concatenate every string they see twice.
https://platform.openai.com/docs/api-reference/chat-streaming

`Encoder.feed` runs once per token for every client: what is the same in all chunks of a part is prepared at its start,
and a delta costs one JSON string between two pieces of bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from dragoman.dialects.openai_chat.reply import encode_annotation, encode_usage, shows_reasoning, total
from dragoman.dialects.openai_chat.request import include_usage
from dragoman.dialects.openai_chat.tools import uses_functions
from dragoman.dialects.openai_chat.vocabulary import finish_reason
from dragoman.framing import sse

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode
_NOTHING = b""


def tail(request: Request, stamp: Stamp, usages: Sequence[Usage]) -> bytes:
    """The end of a stream: the usage chunk, if it was asked for, with the sum of `usages`, and `[DONE]`."""
    if not include_usage(request):
        return DONE
    return sse(_encode(_head(stamp) | {"choices": [], "usage": encode_usage(total(usages))})) + DONE


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
        self._before = b'data: %b,"choices":[{"index":%d,"delta":' % (_encode(_head(stamp))[:-1], index)
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
                if self._prefix and text:
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
                return self.open()
            case PartStart():
                return self._begin(event.part)
            case SealDelta():
                if isinstance(self._part, Thinking):
                    self._part.seal = event.seal
            case CitationDelta():
                self._cited.append(event.citation)
            case PartEnd():
                return self._end()
            case Finish():
                return self._finish(event)
            case Fault():
                self._close()
                return sse(_encode(encode_fault(event)))
        return b""

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
        return self._delta({"tool_calls": [opening]})

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
        if event.reason == "refusal" and event.explanation and not self._refused:
            out += self._delta({"refusal": event.explanation})
        if self._annotations:
            out += self._delta({"annotations": self._annotations})
        word = finish_reason(event.reason, calls=bool(self._calls))
        if self._deprecated and word == "tool_calls":
            word = "function_call"
        stopped = b"" if event.stop_sequence is None else b',"stop_reason":' + _encode(event.stop_sequence)
        last = b'{},"logprobs":null,"finish_reason":"%b"%b}]' % (word.encode(), stopped)
        out += self._before + last + self._usage
        self._close()
        return out + tail(self._request, self._stamp, [self.usage]) if self._tail else out

    def _close(self) -> None:
        self.done, self._prefix = True, _NOTHING

    def _delta(self, delta: Object) -> bytes:
        return self._before + _encode(delta) + self._after

    def _around(self, prefix: bytes, suffix: bytes) -> None:
        self._prefix, self._suffix = self._before + prefix, suffix + self._after
