"""Events to the events of a Responses stream.

Items come one after the other.  The last one is closed when the next begins or the answer ends, because only then it
is known whether it was cut off; texts that follow each other are one text.  Reasoning is told as summaries.
https://platform.openai.com/docs/api-reference/responses-streaming

`Encoder.feed` runs once per token for every client: what is the same in all deltas of a part is prepared at its start,
and a delta costs one JSON string and one number between pieces of bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Foreign,
    Object,
    Part,
    PartEnd,
    PartStart,
    Refusal,
    Request,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import output as items
from dragoman.dialects.openai_responses.failure import told_fault
from dragoman.dialects.openai_responses.response import response_object
from dragoman.dialects.openai_responses.settings import shows_reasoning, wants_seals
from dragoman.dialects.openai_responses.tools import namespaces
from dragoman.dialects.openai_responses.usage import encode_usage
from dragoman.dialects.openai_responses.vocabulary import INCOMPLETE, ITEM, NAME, SAYS, TIERS
from dragoman.dialects.telling import Telling
from dragoman.dialects.untold import INNER, Untold
from dragoman.framing import sse

_encode = msgspec.json.Encoder().encode
_NOTHING = b""
_TEXT, _REFUSAL = "response.output_text", "response.refusal"
_SUMMARY, _SUMMARY_PART = "response.reasoning_summary_text", "response.reasoning_summary_part"
_ARGUMENTS, _INPUT = "response.function_call_arguments", "response.custom_tool_call_input"


class Encoder:
    """One response, streamed.

    `response` is the Response object of the last event that had one.  `kept` are the finished items with every proof,
    for who keeps them for the client; the client itself gets proofs only where it asked for them.
    """

    def __init__(self, request: Request, stamp: Stamp) -> None:
        self._request, self._stamp = request, stamp
        self.untold = Untold(SAYS)
        self.response: Object | None = None
        self.kept: list[Object] = []
        self.done = False
        self._output: list[Object] = []
        self._sequence = 0
        self._members: Object = {}
        self._inner: Object = {}
        self._names = namespaces(request)
        self._shows, self._seals = shows_reasoning(request), wants_seals(request)
        self._telling = Telling(request, annotates=True)
        self._cited: list[Citation] = []
        self._spoke = self._called = self._refused = False
        # the open item, what is open in it, the text of that so far, and whether its end was told
        self._item: Object | None = None
        self._part: Part | None = None
        self._texts: list[str] = []
        self._logprobs: list[Object] = []
        self._annotations: list[Object] = []
        self._begun = 0
        self._ended = False
        # around the text of the next delta; no `prefix`: it is not shown, or not announced yet
        self._prefix = self._suffix = _NOTHING

    def feed(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events.  Nothing follows a Finish or a Fault."""
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta or type(event) is ArgumentsDelta:
                if self._prefix and event.text and not (type(event) is TextDelta and event.logprobs):
                    out.append(b"%b%b%b%d}\n\n" % (self._prefix, _encode(event.text), self._suffix, self._sequence))
                    self._sequence += 1
                    self._texts.append(event.text)
                elif self._part is not None:
                    out.append(self._unusual(event))
            elif not self.done:
                out.append(self._rare(event))
        return out[0] if len(out) == 1 else b"".join(out)

    def _rare(self, event: Event) -> bytes:
        match event:
            case Start():
                return self._start(event)
            case PartStart():
                head = self._opening()
                self.untold.part(event.index, event.part)
                *whole, part = self._telling.parts(event.part)
                return head + b"".join([self._begin(each) + self._end() for each in whole]) + self._begin(part)
            case SealDelta(seal=seal) if isinstance(self._part, Thinking):
                self._part = replace(self._part, seal=seal)
            case CitationDelta():
                self._cited.append(self._telling.cite(event.citation))
                self.untold.cited(event.index, event.citation)
            case PartEnd():
                return self._end()
            case Finish():
                return self._finish(event)
            case Fault():
                return self._fail(event)
        return _NOTHING

    def _unusual(self, event: TextDelta | ArgumentsDelta) -> bytes:
        """A delta with log probabilities, the first one of a summary, or one that is not shown."""
        tokens = event.logprobs if type(event) is TextDelta else None
        if tokens and not isinstance(self._part, Text):
            self.untold.logprobs(event.index, self._part, tokens)
            return self.feed([TextDelta(event.index, event.text)])
        if isinstance(self._part, Thinking) and event.text:
            if not self._shows:
                self._texts.append(event.text)
                return _NOTHING
            empty = {"type": "summary_text", "text": ""}
            head = self._event(f"{_SUMMARY_PART}.added", self._at(summary_index=0) | {"part": empty})
            self._around(f"{_SUMMARY}.delta", self._at(summary_index=0))
            return head + self.feed([event])
        if not tokens or not self._prefix:
            return _NOTHING
        self.untold.logprobs(event.index, self._part, tokens)
        self._texts.append(event.text)
        scored = items.encode_logprobs(tokens)
        self._logprobs += scored
        return self._event(f"{_TEXT}.delta", self._at_content() | {"delta": event.text, "logprobs": scored})

    # --- the response ---------------------------------------------------------------------------

    def _start(self, event: Start) -> bytes:
        self.untold.start(event)
        own = event.origin == NAME
        known = event.extra or {} if own else {}
        self._inner = {name: value for name, value in known.items() if name in INNER}
        self._members = {name: value for name, value in known.items() if name not in INNER}
        if tier := TIERS.get(event.tier, event.tier if own else ""):
            self._members["service_tier"] = tier
        return self._opening()

    def _opening(self) -> bytes:
        """The first two events, unless they are out."""
        if self._sequence:
            return _NOTHING
        return self._lifecycle("created") + self._lifecycle("in_progress")

    def _lifecycle(
        self,
        name: str,
        usage: Usage | None = None,
        *,
        error: Object | None = None,
        incomplete: str | None = None,
    ) -> bytes:
        """An event with the response in it; it is called as the status the response has then."""
        status = "in_progress" if name == "created" else name
        told = response_object(
            self._request, self._stamp, status, output=self._output, error=error, incomplete=incomplete
        )
        told["usage"] = encode_usage(usage, self._inner.get("usage"))
        self.response = told | self._members
        return self._event(f"response.{name}", {"response": self.response})

    def _finish(self, event: Finish) -> bytes:
        out = self._opening()
        if text := self._telling.closing(answered=self._spoke or self._called or self._refused):
            out += self._begin(Text(text=text)) + self._end()
        if event.reason == "refusal" and event.explanation and not self._refused:
            out += self._begin(Refusal(text=event.explanation)) + self._end()
        incomplete = INCOMPLETE.get(event.reason)
        if event.reason == "refusal" and self._refused and not self._spoke:
            incomplete = None  # a refusal in words is a whole answer
        out += self._close("incomplete" if incomplete else "completed")
        self.untold.finish(event)
        if self.untold.own and event.extra:
            self._inner |= {name: value for name, value in event.extra.items() if name in INNER}
            self._members |= {name: value for name, value in event.extra.items() if name not in INNER}
        self.done = True
        name = "incomplete" if incomplete else "completed"
        return out + self._lifecycle(name, event.usage or Usage(), incomplete=incomplete)

    def _fail(self, fault: Fault) -> bytes:
        """What was not told to its end is no item: a client would run half a call."""
        out = self._opening() + (self._close("completed") if self._ended else _NOTHING)
        self.done, self._prefix, self._part = True, _NOTHING, None
        return out + self._lifecycle("failed", error=told_fault(fault))

    # --- parts ----------------------------------------------------------------------------------

    def _begin(self, part: Part) -> bytes:
        match part:
            case Text() | Refusal():
                out = self._begin_words(part)
            case Thinking():
                out = self._close("completed")
                out += self._add(items.new_reasoning(self._id("reasoning")) | self._own(part))
                self._part = replace(part, text="")
            case ToolCall():
                out = self._close("completed")
                kind = "custom_tool_call" if part.freeform else "function_call"
                out += self._add(items.new_call(self._id(kind), part, self._names) | self._own(part))
                self._part, self._called = part, True
                self._around(f"{_INPUT if part.freeform else _ARGUMENTS}.delta", self._at())
            case Foreign(origin=origin, extra=extra) if origin == NAME:
                return self._whole(extra)
            case _:
                return _NOTHING
        if known := part.arguments if isinstance(part, ToolCall) else part.text:
            out += self.feed([TextDelta(0, known)])
        return out

    def _begin_words(self, part: Text | Refusal) -> bytes:
        """More of the open text, another part of the open message, or a new message."""
        members = self._own(part).get(ITEM)
        out = _NOTHING
        if members or self._item is None or self._item["type"] != "message":
            out = self._close("completed")
            out += self._add(items.new_message(self._id("message"), members))
        is_text = isinstance(part, Text)
        if type(self._part) is not type(part):
            out += self._close_part()
            self._part = part
            empty = items.text_part("") if is_text else items.refusal_part("")
            out += self._event("response.content_part.added", self._at_content() | {"part": empty})
        self._around(f"{_TEXT if is_text else _REFUSAL}.delta", self._at_content(), b',"logprobs":[]' * is_text)
        self._cited = list(part.citations) if isinstance(part, Text) else []
        self._begun, self._ended = sum(map(len, self._texts)), False
        return out

    def _end(self) -> bytes:
        """The part is whole; its item stays open."""
        out = _NOTHING
        match self._part:
            case ToolCall(freeform=False) if not self._texts:
                out = self.feed([ArgumentsDelta(0, "{}")])
            case Text():
                out = self._annotated()
                self._spoke = self._spoke or bool(self._texts)
            case Refusal():
                self._refused = self._refused or bool(self._texts)
            case _:
                pass
        self._ended, self._prefix = True, _NOTHING
        return out

    def _annotated(self) -> bytes:
        end, out = sum(map(len, self._texts)), []
        for citation in self._cited:
            if (annotation := items.encode_annotation(citation, self._begun, end)) is not None:
                said = {"annotation_index": len(self._annotations), "annotation": annotation}
                out.append(self._event(f"{_TEXT}.annotation.added", self._at_content() | said))
                self._annotations.append(annotation)
        self._cited = []
        return b"".join(out)

    # --- items ----------------------------------------------------------------------------------

    def _add(self, item: Object) -> bytes:
        self._item, self._ended = item, False
        return self._event("response.output_item.added", {"output_index": len(self._output), "item": item})

    def _whole(self, item: Object) -> bytes:
        """An item of this wire's own that came at once."""
        out = self._close("completed") + self._add({"id": self._id("item"), **item})
        self._ended = True
        return out

    def _close(self, status: str) -> bytes:
        """The end of the open item, if there is one."""
        item = self._item
        if item is None:
            return _NOTHING
        thought, text = self._part, "".join(self._texts)
        out = self._close_part()
        sealed: Object = {}
        if isinstance(thought, Thinking):
            sealed = items.reasoning_members(replace(thought, text=text), item, shown=self._shows)
        if item.get("status") == "in_progress":
            item["status"] = status
        self.kept.append(item | sealed)
        told = item | sealed if self._seals else item
        out += self._event("response.output_item.done", {"output_index": len(self._output), "item": told})
        self._output.append(told)
        self._item = None
        return out

    def _close_part(self) -> bytes:
        """The end of what is open in the item."""
        part, text, item = self._part, "".join(self._texts), self._item or {}
        out = _NOTHING
        match part:
            case Text():
                whole = items.text_part(text, self._annotations, self._logprobs)
                out = self._event(f"{_TEXT}.done", self._at_content() | {"text": text, "logprobs": self._logprobs})
                out += self._event("response.content_part.done", self._at_content() | {"part": whole})
                item["content"].append(whole)
            case Refusal():
                whole = items.refusal_part(text)
                out = self._event(f"{_REFUSAL}.done", self._at_content() | {"refusal": text})
                out += self._event("response.content_part.done", self._at_content() | {"part": whole})
                item["content"].append(whole)
            case Thinking() if text and self._shows:
                summary = {"type": "summary_text", "text": text}
                out = self._event(f"{_SUMMARY}.done", self._at(summary_index=0) | {"text": text})
                out += self._event(f"{_SUMMARY_PART}.done", self._at(summary_index=0) | {"part": summary})
                item["summary"].append(summary)
            case ToolCall(freeform=True):
                item["input"] = text
                out = self._event(f"{_INPUT}.done", self._at() | {"input": text})
            case ToolCall():
                item["arguments"] = text
                out = self._event(f"{_ARGUMENTS}.done", self._at() | {"name": item["name"], "arguments": text})
        self._part, self._prefix = None, _NOTHING
        self._texts, self._logprobs, self._annotations, self._begun = [], [], [], 0
        return out

    # --- bytes ----------------------------------------------------------------------------------

    def _own(self, part: Part) -> Object:
        """What only this wire knows of a part; the `id` that its server gave the item is among it."""
        return part.extra if self.untold.own else {}

    def _id(self, kind: str) -> str:
        return items.item_id(kind, self._stamp.id, len(self._output) + (self._item is not None))

    def _at(self, **more: int) -> Object:
        return {"item_id": (self._item or {}).get("id"), "output_index": len(self._output), **more}

    def _at_content(self) -> Object:
        return self._at(content_index=len((self._item or {"content": ()})["content"]))

    def _event(self, name: str, members: Object) -> bytes:
        event = {"type": name, **members, "sequence_number": self._sequence}
        self._sequence += 1
        return sse(_encode(event), name)

    def _around(self, name: str, members: Object, more: bytes = _NOTHING) -> None:
        """The bytes before and behind the text of a delta."""
        head = _encode({"type": name, **members})[:-1]
        self._prefix = b"event: %b\ndata: %b," % (name.encode(), head) + b'"delta":'
        self._suffix = more + b',"sequence_number":'
