"""A stream folded into the reply it adds up to, and a reply unfolded into a stream.

`fold(unfold(reply)) == reply`: this is what makes streamed and unstreamed answers the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

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
    Refusal,
    Reply,
    Seal,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)


class Fold:
    """Feed it events; `reply` is the answer once `finish` is there.  `fault` is set when the stream broke."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._start = Start("", "")
        self._parts: list[Part] = []
        self._text: list[str] = []
        self._logprobs: list[Object] = []
        self.finish: Finish | None = None
        self.fault: Fault | None = None

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case TextDelta(text=text, logprobs=logprobs):
                    self._text.append(text)
                    if logprobs:
                        self._logprobs += logprobs
                case ArgumentsDelta(text=text):
                    self._text.append(text)
                case PartStart(part=part):
                    self._parts.append(_own(part))
                case SealDelta(seal=seal) if isinstance(part := self._parts[-1], Thinking):
                    part.seal = seal
                case CitationDelta(citation=citation) if isinstance(part := self._parts[-1], Text):
                    part.citations.append(citation)
                case PartEnd():
                    self._close()
                case Start():
                    self._start = event
                case Finish():
                    self.finish = event
                case Fault():
                    self.fault = event

    def _close(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        match self._parts[-1]:
            case ToolCall() as call:
                call.arguments += text
            case Text() | Refusal() | Thinking() as part:
                part.text += text
                part.logprobs = part.logprobs + self._logprobs
        self._logprobs = []

    @property
    def reply(self) -> Reply:
        """The folded reply.  Call it only when `finish` is set."""
        if self.finish is None:
            raise ValueError("the stream has not finished")
        return Reply(
            origin=self._origin,
            id=self._start.id,
            model=self._start.model,
            content=self._parts,
            reason=self.finish.reason,
            stop_sequence=self.finish.stop_sequence,
            explanation=self.finish.explanation,
            usage=self.finish.usage or self._start.usage or Usage(),
            dropped=self._start.dropped or {},
            tier=self._start.tier,
            skipped=self.finish.skipped or [],
            extra=(self._start.extra or {}) | (self.finish.extra or {}),
        )


def _own(part: Part) -> Part:
    """A copy to be filled: the events are read by others too, who must not see the text before its deltas."""
    return replace(part, citations=list(part.citations)) if isinstance(part, Text) else replace(part)


def unfold(reply: Reply) -> list[Event]:
    """The stream that folds into `reply`: one delta a part."""
    said = reply.extra or None
    start = Start(reply.id, reply.model, reply.usage, reply.dropped or None, reply.origin, reply.tier, said)
    events: list[Event] = [start]
    for index, part in enumerate(reply.content):
        events += _unfold_part(index, part)
    events.append(
        Finish(reply.reason, reply.usage, reply.stop_sequence, reply.explanation, skipped=reply.skipped or None)
    )
    return events


def _unfold_part(index: int, part: Part) -> list[Event]:
    start: Part = part
    deltas: list[Event] = []
    match part:
        case ToolCall():
            start = ToolCall(
                id=part.id, name=part.name, arguments="", freeform=part.freeform, cache=part.cache, extra=part.extra
            )
            deltas = [ArgumentsDelta(index, part.arguments)]
        case Text():
            start = Text(text="", cache=part.cache, extra=part.extra)
            deltas = [_words(index, part), *(CitationDelta(index, c) for c in part.citations)]
        case Refusal():
            start = Refusal(text="", extra=part.extra)
            deltas = [_words(index, part)]
        case Thinking(redacted=False):
            start = Thinking(text="", extra=part.extra)
            deltas = [_words(index, part)]
            if isinstance(part.seal, Seal):
                deltas.append(SealDelta(index, part.seal))
        case _:
            pass
    return [PartStart(index, start), *deltas, PartEnd(index)]


def _words(index: int, part: Text | Refusal | Thinking) -> TextDelta:
    return TextDelta(index, part.text, part.logprobs or None)


def added(first: Usage, second: Usage) -> Usage:
    """What two calls took together.  What it cost is known where it is known of both."""
    counts = {name: getattr(first, name) + getattr(second, name) for name in _COUNTS}
    if first.cost is None or second.cost is None:
        return Usage(**counts)
    return Usage(**counts, cost=first.cost + second.cost)


_COUNTS = tuple(name for name in Usage.__struct_fields__ if name != "cost")
