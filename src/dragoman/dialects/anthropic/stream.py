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
from dragoman.dialects.anthropic.blocks import decode_block, decode_citation, encode_part
from dragoman.dialects.anthropic.reply import error_kind, stop_details
from dragoman.dialects.anthropic.vocabulary import NAME, REASONS, STOP_REASONS, decode_usage, encode_usage
from dragoman.dialects.contract import Stamp
from dragoman.errors import TABLE, GatewayError
from dragoman.framing import SSE, FrameTooLargeError, sse
from dragoman.losses import Losses

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Decoder:
    """Their events to ours, one `feed` a network read."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self._frames = SSE()
        self._done = False
        self._usage: Object = {}
        self._finish: Finish | None = None
        # A block of theirs that streams its input (a server tool's call) is held until it is whole.
        self._held: tuple[int, Object, list[str]] | None = None

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
        except (GatewayError, KeyError, TypeError, AttributeError) as error:
            self._fault("upstream", f"the upstream sent an event of an unknown shape ({type(error).__name__})", out)
        return out

    def close(self) -> list[Event]:
        if self._done:
            return []
        self._done = True
        return [Fault("upstream", "the upstream ended its answer before it was complete")]

    def _fault(self, kind: str, message: str, out: list[Event]) -> None:
        self._done = True
        out.append(Fault(kind, message))

    def _event(self, event: Object, out: list[Event]) -> None:
        if self._done:
            return
        match event.get("type"):
            case "content_block_delta":
                self._delta(event["index"], event["delta"], out)
            case "content_block_start":
                self._start_block(event["index"], event["content_block"], out)
            case "content_block_stop":
                self._stop_block(event["index"], out)
            case "message_start":
                message = event["message"]
                self._usage = dict(message.get("usage") or {})
                out.append(Start(message.get("id") or "", message.get("model") or "", decode_usage(self._usage)))
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                self._done = True
                out.append(self._finish or Finish("other", decode_usage(self._usage)))
            case "error":
                error = event.get("error") or {}
                message = str(error.get("message") or "the upstream reported an error")
                self._fault(error_kind(str(error.get("type") or ""), message, "upstream"), message, out)
            case "ping":
                pass
            case other:
                self.skipped.append(f"event {other}")

    def _delta(self, index: int, delta: Object, out: list[Event]) -> None:
        match delta.get("type"):
            case "text_delta":
                out.append(TextDelta(index, delta["text"]))
            case "input_json_delta":
                if self._held:
                    self._held[2].append(delta["partial_json"])
                elif delta["partial_json"]:
                    out.append(ArgumentsDelta(index, delta["partial_json"]))
            case "thinking_delta":
                if delta["thinking"]:
                    out.append(TextDelta(index, delta["thinking"]))
            case "signature_delta":
                out.append(SealDelta(index, Seal(NAME, delta["signature"])))
            case "citations_delta":
                out.append(CitationDelta(index, decode_citation(delta["citation"])))
            case other:
                self.skipped.append(f"delta {other}")

    def _start_block(self, index: int, block: Object, out: list[Event]) -> None:
        if block.get("type") == "tool_use":
            block["input"] = {}  # its input comes as deltas; what stands here is a placeholder
        part = decode_block(block, "content_block")
        match part:
            case Foreign() if "input" in part.extra:
                self._held = (index, part.extra, [])
                return
            case ToolCall():
                part.arguments = ""
            case Foreign():
                if (kind := str(block.get("type"))) not in _KNOWN_WHOLE and not kind.endswith("_tool_result"):
                    self.skipped.append(f"block {kind}")
            case _:
                pass
        out.append(PartStart(index, part))

    def _stop_block(self, index: int, out: list[Event]) -> None:
        if self._held and self._held[0] == index:
            _, block, pieces = self._held
            self._held = None
            if pieces:
                block["input"] = parse_arguments("".join(pieces))
            out.append(PartStart(index, Foreign(origin=NAME, extra=block)))
        out.append(PartEnd(index))

    def _message_delta(self, event: Object) -> None:
        # Every count is cumulative; one that is absent or null keeps its earlier value.
        self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
        delta = event.get("delta") or {}
        details = delta.get("stop_details") or {}
        reason: Reason = REASONS.get(delta.get("stop_reason") or "", "other")
        self._finish = Finish(
            reason, decode_usage(self._usage), delta.get("stop_sequence"), details.get("explanation") or ""
        )


_KNOWN_WHOLE = frozenset({"container_upload", "fallback", "compaction", "mcp_tool_result"})


class Encoder:
    """Our events to theirs.  Blocks get their own indices: a part this wire cannot say leaves no gap."""

    def __init__(self, request: Request, stamp: Stamp) -> None:
        self._stamp = stamp
        self._origin = request.origin
        self._next = 0
        self._open: int | None = None
        self._thinking = False

    def feed(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text) if self._open is not None:
                kind = "thinking" if self._thinking else "text"
                return self._delta({"type": f"{kind}_delta", kind: text})
            case ArgumentsDelta(text=text) if self._open is not None:
                return self._delta({"type": "input_json_delta", "partial_json": text})
            case SealDelta(seal=seal) if self._open is not None:
                return self._delta({"type": "signature_delta", "signature": seal.value})
            case CitationDelta(citation=citation) if self._open is not None and citation.extra:
                return self._delta({"type": "citations_delta", "citation": citation.extra})
            case PartStart(part=part):
                return self._start_block(part)
            case PartEnd() if self._open is not None:
                frame = _frame("content_block_stop", {"index": self._open})
                self._open = None
                return frame
            case Start(usage=usage):
                return self._message_start(usage or Usage())
            case Finish():
                return self._finish(event)
            case Fault(kind=kind, message=message):
                return encode_fault(kind, message)
        return b""

    def _message_start(self, usage: Usage) -> bytes:
        message: Object = {
            "id": self._stamp.id,
            "type": "message",
            "role": "assistant",
            "model": self._stamp.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(usage),
        }
        return _frame("message_start", {"message": message})

    def _start_block(self, part: Part) -> bytes:
        block: Object | None
        match part:
            case ToolCall():
                block = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
            case Thinking(redacted=False):
                block = {"type": "thinking", "thinking": part.text, "signature": ""}
            case Text() | Refusal():
                block = {"type": "text", "text": part.text}
            case _:
                block = encode_part(part, NAME, Losses(), "content")
        if block is None:
            return b""
        self._thinking = isinstance(part, Thinking)
        self._open = self._next
        self._next += 1
        return _frame("content_block_start", {"index": self._open, "content_block": block})

    def _delta(self, delta: Object) -> bytes:
        return _frame("content_block_delta", {"index": self._open, "delta": delta})

    def _finish(self, event: Finish) -> bytes:
        delta = {
            "stop_reason": STOP_REASONS[event.reason],
            "stop_sequence": event.stop_sequence,
            "stop_details": stop_details(event.reason, event.explanation),
            "container": None,
        }
        usage = encode_usage(event.usage or Usage())
        return _frame("message_delta", {"delta": delta, "usage": usage}) + _frame("message_stop", {})


def encode_fault(kind: str, message: str) -> bytes:
    """The event that ends a broken answer."""
    name = TABLE[kind].anthropic_type if kind in TABLE else "api_error"
    return _frame("error", {"error": {"type": name, "message": message}})


def _frame(name: str, rest: Object) -> bytes:
    return sse(_encode({"type": name} | rest), name)
