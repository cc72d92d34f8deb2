"""The event stream, both ways.  https://platform.claude.com/docs/en/build-with-claude/streaming

`message_stop` is the only proof that an answer is whole: an input that ends without it yields a `Fault`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dragoman.arguments import parse_arguments
from dragoman.conversation import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Foreign,
    Media,
    Object,
    Part,
    PartEnd,
    PartStart,
    Reason,
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
from dragoman.dialects.anthropic.answer import Answer, encode_citation, media_words
from dragoman.dialects.anthropic.binding import decode_dropped
from dragoman.dialects.anthropic.blocks import decode_block, decode_citation
from dragoman.dialects.anthropic.failure import encode_fault, error_kind
from dragoman.dialects.anthropic.marker import read_signature, signature
from dragoman.dialects.anthropic.partial import ObjectText
from dragoman.dialects.anthropic.reply import KNOWN, decode_ending, encode_ending, message_object, text_of
from dragoman.dialects.anthropic.vocabulary import (
    NAME,
    REASONS,
    SAYS,
    decode_usage,
    encode_final_usage,
    encode_usage,
    usage_rest,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.untold import NOTHING, Untold, note
from dragoman.errors import GatewayError
from dragoman.framing import MAX_FRAME, SSE, FrameTooLargeError, sse

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Decoder:
    """Their events to ours, one `feed` a network read."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.skipped: list[str] = []
        self._frames = SSE(limit)
        self._done = False
        self._usage: Object = {}
        self._finish: Finish | None = None
        # A block of theirs that streams its input (a server tool's call) is held until it is whole.
        self._held: tuple[Object, list[str]] | None = None
        # The block that is open, by their number, and by ours: parts begin and end one after the other, whatever comes.
        self._open: object = _NONE
        self._index = -1
        self._begun = False

    def feed(self, data: bytes) -> list[Event]:
        out: list[Event] = []
        if self._done:
            return out
        try:
            for frame in self._frames.feed(data):
                self._event(_decode(frame), out)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fault("upstream", "the upstream sent an event that is not JSON", out)
        except FrameTooLargeError as error:
            self._fault("upstream", f"the upstream sent too much at once: {error}", out)
        except (GatewayError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._fault("upstream", f"the upstream sent an event of an unknown shape ({type(error).__name__})", out)
        return out

    def close(self) -> list[Event]:
        if self._done:
            return []
        self._done = True
        return [Fault("upstream", "the upstream ended its answer before it was complete")]

    def _fault(self, kind: str, message: str, out: list[Event]) -> None:
        if not self._done:
            self._done = True
            out.append(Fault(kind, message))

    def _event(self, event: Object, out: list[Event]) -> None:
        if self._done:
            return
        match event.get("type"):
            case "content_block_delta":
                delta = event["delta"]
                if len(event) != 3 or len(delta) != 2:
                    self._note_rest(event, "index", "delta")
                    self._note_rest(delta, *_DELTA, place="delta")
                self._delta(event["index"], delta, out)
            case "content_block_start":
                self._note_rest(event, "index", "content_block")
                self._start_block(event["index"], event["content_block"], out)
            case "content_block_stop":
                self._note_rest(event, "index")
                self._stop_block(event["index"], out)
            case "message_start":
                self._note_rest(event, "message")
                self._begin(event["message"], out)
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                self._note_rest(event)
                if self._open is not _NONE:
                    self._stop_block(self._open, out)
                self._done = True
                finish = self._finish or Finish("other", decode_usage(self._usage))
                finish.skipped = self.skipped or None
                out.append(finish)
            case "error":
                error = event.get("error") or {}
                message = str(error.get("message") or "the upstream reported an error")
                self._fault(error_kind(str(error.get("type") or ""), message, "upstream"), message, out)
            case "ping":
                pass
            case other:
                note(self.skipped, f"event {other}")

    def _begin(self, message: Object, out: list[Event]) -> None:
        if self._begun:
            note(self.skipped, "event message_start")
            return
        self._begun = True
        self._usage = dict(message.get("usage") or {})
        extra = {k: v for k, v in message.items() if k not in KNOWN and v not in (None, [])}
        if rest := usage_rest(self._usage):
            extra["usage"] = rest
        dropped = decode_dropped(message.get("input_transformations")) or None
        id, model = text_of(message.get("id") or ""), text_of(message.get("model") or "")
        tier, usage = text_of(self._usage.get("service_tier") or ""), decode_usage(self._usage)
        out.append(Start(id, model, usage, dropped, origin=NAME, tier=tier, extra=extra or None))

    def _note_rest(self, members: Object, *known: str, place: str = "") -> None:
        """Note what stands beside the `known` members of an event; nobody knows what it would mean."""
        where = place or members.get("type")
        for name, value in members.items():
            if name != "type" and name not in known and value not in NOTHING:
                note(self.skipped, f"{where}.{name}")

    def _delta(self, theirs: object, delta: Object, out: list[Event]) -> None:
        if theirs != self._open:
            note(self.skipped, "delta of no open block")
            return
        index = self._index
        match delta.get("type"):
            case "text_delta" if not self._held:
                out.append(TextDelta(index, text_of(delta["text"])))
            case "input_json_delta":
                if self._held:
                    self._held[1].append(text_of(delta["partial_json"]))
                elif delta["partial_json"]:
                    out.append(ArgumentsDelta(index, text_of(delta["partial_json"])))
            case "thinking_delta" if not self._held:
                if delta["thinking"]:
                    out.append(TextDelta(index, text_of(delta["thinking"])))
            case "signature_delta" if not self._held:
                if seal := read_signature(delta["signature"]):
                    out.append(SealDelta(index, seal))
            case "citations_delta" if not self._held:
                out.append(CitationDelta(index, decode_citation(delta["citation"])))
            case "compaction_delta" if self._held:
                self._note_rest(delta, *_DELTA, place="delta")
                _add(self._held[0], delta)
            case other:
                note(self.skipped, f"delta {other}")

    def _start_block(self, theirs: object, block: Object, out: list[Event]) -> None:
        if not self._begun:
            out.append(Start("", "", origin=NAME))
            self._begun = True
        if self._open is not _NONE:  # nobody said that it ended
            self._stop_block(self._open, out)
        self._open = theirs
        self._index += 1
        if block.get("type") == "tool_use":
            block["input"] = {}  # its input comes as deltas; what stands here is a placeholder
        part = decode_block(block, "content_block")
        match part:
            case Foreign() if "input" in part.extra or part.extra.get("type") == "compaction":
                self._held = (part.extra, [])
                return
            case ToolCall():
                part.arguments = ""
            case Foreign():
                if (kind := str(block.get("type"))) not in _KNOWN_WHOLE and not kind.endswith("_tool_result"):
                    note(self.skipped, f"block {kind}")
            case _:
                pass
        out.append(PartStart(self._index, part))

    def _stop_block(self, theirs: object, out: list[Event]) -> None:
        if theirs != self._open:
            note(self.skipped, "end of no open block")
            return
        index, self._open = self._index, _NONE
        if self._held:
            block, pieces = self._held
            self._held = None
            if pieces:
                block["input"] = parse_arguments("".join(pieces))
            out.append(PartStart(index, Foreign(origin=NAME, extra=block)))
        out.append(PartEnd(index))

    def _message_delta(self, event: Object) -> None:
        # Every count is cumulative; one that is absent or null keeps its earlier value.
        self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
        delta = event.get("delta") or {}
        details, extra = decode_ending(delta)
        for members in (delta, event):
            extra |= {k: v for k, v in members.items() if k not in _ENDING and v is not None}
        if rest := usage_rest(self._usage):
            extra["usage"] = rest
        reason: Reason = REASONS.get(delta.get("stop_reason") or "", "other")
        usage, explanation = decode_usage(self._usage), details.get("explanation") or ""
        stop = delta.get("stop_sequence")
        self._finish = Finish(reason, usage, stop and text_of(stop), text_of(explanation), extra=extra or None)


def _add(block: Object, delta: Object) -> None:
    """More of a summary to the block that will hold it."""
    for name in ("content", "encrypted_content"):
        if (more := delta.get(name)) is not None:
            block[name] = text_of(block.get(name) or "") + text_of(more)


_NONE = object()
"""What is open when no block is: equal to no number of theirs."""
_KNOWN_WHOLE = frozenset({"container_upload", "fallback", "mcp_tool_result"})
_DELTA = ("text", "partial_json", "thinking", "signature", "citation", "content", "encrypted_content")
_ENDING = frozenset({"type", "delta", "usage", "stop_reason", "stop_sequence", "stop_details"})
_OF_DELTA = ("container", "stop_reason", "stop_sequence", "stop_details")


class Encoder:
    """Our events to theirs.  Blocks get their own indices: a part this wire cannot say leaves no gap."""

    def __init__(self, request: Request, stamp: Stamp) -> None:
        self._stamp = stamp
        self._answer = Answer(request)
        self._extra: Object = {}
        self.untold = Untold(SAYS)
        self._next = 0
        self._usage: Usage | None = None
        self._refused: list[str] = []
        # of the open block: its index, its type, and what is to be said before it ends
        self._open: int | None = None
        self._kind = ""
        self._seal: Seal | None = None
        self._input = ObjectText()

    def feed(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text, logprobs=logprobs):
                if logprobs:
                    self.untold.logprobs(event.index, None, logprobs)
                return self._text(text)
            case ArgumentsDelta(text=text) if self._kind == "tool_use":
                return self._arguments(self._input.feed(text))
            case SealDelta(seal=seal):
                self._seal = seal
            case CitationDelta(citation=citation) if self._kind == "text":
                self.untold.cited(event.index, citation)
                return self._delta({"type": "citations_delta", "citation": encode_citation(citation)})
            case PartStart(index=index, part=part):
                self.untold.part(index, part)
                return self._start_block(part)
            case PartEnd() if self._open is not None:
                return self._end_block()
            case Start():
                return self._start(event)
            case Finish():
                return self._finish(event)
            case Fault(kind=kind, message=message):
                return encode_fault(kind, message)
        return b""

    def _start(self, event: Start) -> bytes:
        self._usage = event.usage
        self.untold.start(event)
        self._answer.own = self.untold.own
        extra = dict(event.extra or {}) if self.untold.own else {}
        usage = encode_usage(event.usage or Usage(), event.tier, extra.pop("usage", None))
        self._extra = {name: extra.pop(name) for name in _OF_DELTA if name in extra}
        return _frame("message_start", {"message": message_object(self._stamp, [], usage) | extra})

    def _text(self, text: str) -> bytes:
        match self._kind:
            case "text":
                return self._delta({"type": "text_delta", "text": text})
            case "refusal":
                self._refused.append(text)
                return self._delta({"type": "text_delta", "text": text})
            case "thinking" if not self._answer.hides_thinking:
                return self._delta({"type": "thinking_delta", "thinking": text})
            case _:
                return b""

    def _arguments(self, text: str) -> bytes:
        return self._delta({"type": "input_json_delta", "partial_json": text}) if text else b""

    def _start_block(self, part: Part) -> bytes:
        block = self._answer.opening(part)
        if block is None:
            return b""
        self._kind = "refusal" if isinstance(part, Refusal) else block["type"]
        self._open = self._next
        self._next += 1
        head = _frame("content_block_start", {"index": self._open, "content_block": block})
        return head + self._told(part)

    def _told(self, part: Part) -> bytes:
        """Deltas for what a part already holds when it starts: programs read the deltas only."""
        match part:
            case Text(text=text, citations=citations):
                cited = [self._event(CitationDelta(0, citation)) for citation in citations]
                return b"".join([self._text(text) if text else b"", *cited])
            case Refusal(text=text) if text:
                return self._text(text)
            case Media():
                return self._text(media_words(part))
            case Thinking(text=text, seal=seal):
                self._seal = seal
                return self._text(text) if text else b""
            case ToolCall(arguments=arguments):
                self._input = ObjectText()
                return self._arguments(self._input.feed(arguments))
            case _:
                return b""

    def _end_block(self) -> bytes:
        last = b""
        if self._kind == "thinking":
            last = self._delta({"type": "signature_delta", "signature": signature(self._seal)})
        elif self._kind == "tool_use":
            last = self._arguments(self._input.close())
        frame = _frame("content_block_stop", {"index": self._open})
        self._open, self._kind, self._seal = None, "", None
        return last + frame

    def _delta(self, delta: Object) -> bytes:
        return _frame("content_block_delta", {"index": self._open, "delta": delta})

    def _finish(self, event: Finish) -> bytes:
        self.untold.finish(event)
        extra = self._extra | (event.extra or {}) if self.untold.own else {}
        usage = encode_final_usage(event.usage or self._usage or Usage(), extra.pop("usage", None))
        refused, more = "".join(self._refused), extra.pop("stop_details", None)
        delta = encode_ending(event.reason, event.stop_sequence, event.explanation, refused, more)
        delta |= {name: extra.pop(name) for name in _OF_DELTA if name in extra}
        return _frame("message_delta", {"delta": delta, "usage": usage} | extra) + _frame("message_stop", {})


def encode_ping() -> bytes:
    """The event that keeps a silent connection open; it may stand anywhere between two events."""
    return _frame("ping", {})


def _frame(name: str, rest: Object) -> bytes:
    return sse(_encode({"type": name} | rest), name)
