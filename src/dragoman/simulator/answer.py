"""An answer, and its two spellings on the wire: one message, or the events that add up to it."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.conversation import Object
from dragoman.simulator.cache import Counts
from dragoman.simulator.rules import Approved
from dragoman.simulator.seals import Seal, digest, prefix_of, write
from dragoman.simulator.tokens import json_pieces, pieces

_json = msgspec.json.Encoder().encode


class Part(msgspec.Struct):
    """A block of the answer, whole, and the pieces it is streamed in.  `hidden`: tokens billed but not shown."""

    body: Object
    pieces: list[str]
    hidden: int = 0

    @property
    def tokens(self) -> int:
        return len(self.pieces) + self.hidden


class Answer(msgspec.Struct):
    """What the model says, before it is cut, signed and framed."""

    parts: list[Part]
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    stop_details: Object | None = None
    searches: int = 0


def text(words: str, citations: list[Object] | None = None) -> Part:
    """Plain text, with its citations."""
    body: Object = {"type": "text", "text": words}
    if citations:
        body["citations"] = citations
    return Part(body, pieces(words))


def call(call_id: str, name: str, arguments: Object, kind: str = "tool_use") -> Part:
    """A tool call: the client's to run, or with kind `server_tool_use` ours."""
    caller = {"type": "direct"}
    body = {"type": kind, "id": call_id, "name": name, "input": arguments, "caller": caller}
    return Part(body, json_pieces(_json(arguments).decode()) if arguments else [])


def thought(words: str, display: str) -> Part:
    """A thinking block, its signature still to come; the words are only there when they are to be shown."""
    shown = words if display == "summarized" else ""
    count = len(pieces(words))
    return Part({"type": "thinking", "thinking": shown, "signature": ""}, pieces(shown), 0 if shown else count)


def whole(body: Object, tokens: int = 0) -> Part:
    """A block that arrives in one piece: a server tool's result, redacted thinking."""
    return Part(body, [], tokens)


# --- cutting and signing ----------------------------------------------------------------------------


def cut(answer: Answer, limit: int, stops: list[str], window: int) -> None:
    """End the answer where a stop sequence, `max_tokens` or the context window ends it."""
    _stop(answer, stops)
    room, reason = min((limit, "max_tokens"), (window, "model_context_window_exceeded"))
    kept: list[Part] = []
    for part in answer.parts:
        if part.tokens <= room:
            kept.append(part)
            room -= part.tokens
            continue
        if part.pieces and room > 0:
            kept.append(_shorter(part, room))
        elif part.body["type"] == "thinking" and room > 0:
            kept.append(Part(part.body, [], room))
        answer.stop_reason, answer.stop_sequence = reason, None
        break
    answer.parts = kept


def _shorter(part: Part, room: int) -> Part:
    kept = part.pieces[:room]
    body = dict(part.body)
    match body["type"]:
        case "text":
            body["text"] = "".join(kept)
        case "thinking":
            body["thinking"] = "".join(kept)
        case _:
            body["input"] = {}  # an unfinished input is not an input
    return Part(body, kept)


def _stop(answer: Answer, stops: list[str]) -> None:
    for index, part in enumerate(answer.parts):
        if part.body["type"] != "text":
            continue
        words: str = part.body["text"]
        hits = [(at, stop) for stop in stops if (at := words.find(stop)) >= 0]
        if hits:
            at, stop = min(hits, key=lambda hit: (hit[0], -len(hit[1])))
            before = [text(words[:at])] if at else []
            answer.parts = answer.parts[:index] + before
            answer.stop_reason, answer.stop_sequence = "stop_sequence", stop
            return


def seal(answer: Answer, approved: Approved) -> None:
    """Sign the thinking: after it is cut, because the signature covers what is shown and what stands before."""
    if not any(part.body["type"] in ("thinking", "redacted_thinking") for part in answer.parts):
        return
    card = approved.card
    prefix = prefix_of(approved.sent) if card.thinking_prefix_check else None
    for part in answer.parts:
        body, before = part.body, prefix.value if prefix else ""
        if body["type"] == "thinking":
            shown = digest(body["thinking"]) if body["thinking"] else ""
            body["signature"] = write(Seal("thinking", card.id, shown, before))
        elif body["type"] == "redacted_thinking":
            body["data"] = write(Seal("redacted_thinking", card.id, "", before))
        if prefix:
            prefix.add("assistant", body)


# --- usage ---------------------------------------------------------------------------------------------


def _input_usage(counts: Counts) -> Object:
    return {
        "input_tokens": counts.fresh,
        "cache_creation_input_tokens": counts.written_5m + counts.written_1h,
        "cache_read_input_tokens": counts.read,
    }


def _output_usage(answer: Answer) -> Object:
    thinking = sum(part.tokens for part in answer.parts if part.body["type"].endswith("thinking"))
    usage: Object = {
        "output_tokens": sum(part.tokens for part in answer.parts),
        "output_tokens_details": {"thinking_tokens": thinking},
    }
    if answer.searches:
        usage["server_tool_use"] = {"web_search_requests": answer.searches, "web_fetch_requests": 0}
    return usage


def _start_usage(counts: Counts) -> Object:
    return {
        **_input_usage(counts),
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.written_5m,
            "ephemeral_1h_input_tokens": counts.written_1h,
        },
        "output_tokens": 1,
        "service_tier": "standard",
        "speed": "standard",
        "inference_geo": "global",
    }


# --- the two spellings -----------------------------------------------------------------------------------


def message(answer: Answer, approved: Approved, counts: Counts, message_id: str) -> Object:
    """The answer as one JSON object."""
    body = _envelope(approved, message_id)
    body["content"] = [part.body for part in answer.parts]
    body |= _ending(answer)
    body["usage"] = {**_start_usage(counts), **_output_usage(answer)}
    return body


def _envelope(approved: Approved, message_id: str) -> Object:
    body: Object = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": approved.card.id,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
    }
    if approved.dropped:
        body["input_transformations"] = approved.dropped
    return body


def _ending(answer: Answer) -> Object:
    return {
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": answer.stop_details,
        "container": None,
    }


def events(answer: Answer, approved: Approved, counts: Counts, message_id: str) -> list[Object]:
    """The answer as the events of a stream, in the real order: a `ping` follows the start of the first block."""
    start = {**_envelope(approved, message_id), "usage": _start_usage(counts)}
    out: list[Object] = [{"type": "message_start", "message": start}]
    for index, part in enumerate(answer.parts):
        out.append({"type": "content_block_start", "index": index, "content_block": _opening(part.body)})
        if index == 0:
            out.append({"type": "ping"})
        out += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(part)]
        out.append({"type": "content_block_stop", "index": index})
    if not answer.parts:
        out.append({"type": "ping"})
    usage = {**_input_usage(counts), **_output_usage(answer)}
    out.append({"type": "message_delta", "delta": _ending(answer), "usage": usage})
    out.append({"type": "message_stop"})
    return out


# What is empty when a block starts, because deltas will fill it.
_FILLED_LATER: dict[str, Object] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}


def _opening(body: Object) -> Object:
    opening = {**body, **_FILLED_LATER.get(body["type"], {})}
    if body.get("citations"):
        opening["citations"] = []
    return opening


def _deltas(part: Part) -> list[Object]:
    body: dict[str, Any] = part.body
    match body["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": item} for item in body.get("citations", [])]
            return cited + [{"type": "text_delta", "text": piece} for piece in part.pieces]
        case "thinking":
            shown: list[Object] = [{"type": "thinking_delta", "thinking": piece} for piece in part.pieces]
            return [*shown, {"type": "signature_delta", "signature": body["signature"]}]
        case "tool_use" | "server_tool_use":
            return [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *part.pieces]]
        case _:
            return []
