"""An answer in Ollama's two spellings: one object, or the lines that add up to it.

https://docs.ollama.com/api/chat, https://docs.ollama.com/api/streaming
"""

from __future__ import annotations

import time
import zlib
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.ids import mint
from dragoman.simulator.answer import Answer, Part

_json = msgspec.json.Encoder().encode
# As Go writes JSON: what HTML could mistake for markup is escaped.
_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    b"\xe2\x80\xa8": b"\\u2028",
    b"\xe2\x80\xa9": b"\\u2029",
}
_REASONS = {"max_tokens": "length", "model_context_window_exceeded": "length"}
_FUTURE = {"future_member": {"n": 1}}
_MS = 1_000_000
_VOCABULARY = 150_000


class Telling(NamedTuple):
    """What an answer is told with: the model as the client named it, counts, and what was asked for beside words.

    `context`: whether `/api/generate` gives the tokens back.  `quirk`: the scenario's name.
    """

    model: str
    chat: bool
    prompt: list[str]
    cached: int
    loaded: bool
    two_passes: bool = False
    logprobs: bool = False
    top_logprobs: int = 0
    context: bool = False
    quirk: str = ""


def encode(body: object) -> bytes:
    """JSON as Go writes it."""
    data = _json(body)
    for raw, escaped in _ESCAPES.items():
        data = data.replace(raw, escaped)
    return data


def line(body: Object) -> bytes:
    """A line of a stream."""
    return encode(body) + b"\n"


def stamp() -> str:
    """Now, to the nanosecond."""
    now = time.time_ns()
    return f"{datetime.fromtimestamp(now // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{now % 10**9:09d}Z"


def bare(model: str, *, chat: bool, reason: str) -> Object:
    """The answer to a request that only loads or unloads: one object without metrics."""
    return _envelope(model) | _said(chat=chat) | {"done": True, "done_reason": reason}


def lines(answer: Answer, telling: Telling) -> list[Object]:
    """The answer as the lines of a stream: thinking, text, and every tool call whole."""
    out: list[Object] = []
    ends = ""
    parts = list(answer.parts)
    if telling.quirk == "text_in_last_line" and parts and parts[-1].body["type"] == "text" and parts[-1].pieces:
        ends = parts[-1].pieces[-1]
        parts[-1] = Part(parts[-1].body, parts[-1].pieces[:-1])
    calls = _calls(parts, telling.quirk)
    for part in parts:
        match part.body["type"]:
            case "thinking":
                out += [_piece(telling, piece, thinking=piece) for piece in part.pieces]
            case "text":
                out += [_piece(telling, piece, content=piece) for piece in part.pieces]
    together = telling.quirk == "tools_in_one_line"
    for group in [calls] if together and calls else [[call] for call in calls]:
        out.append(_envelope(telling.model) | _said(chat=telling.chat, calls=group) | {"done": False})
    final = _envelope(telling.model) | _said(chat=telling.chat, content=ends) | _ending(answer, telling)
    return [_futured(body) if telling.quirk == "unknown_event" else body for body in [*out, final]]


def whole(answer: Answer, telling: Telling) -> Object:
    """The answer as one object."""
    words = {kind: [p for part in answer.parts if part.body["type"] == kind for p in part.pieces] for kind in _WORDS}
    body = _envelope(telling.model) | _said(
        chat=telling.chat,
        content="".join(words["text"]),
        thinking="".join(words["thinking"]),
        calls=_calls(answer.parts, telling.quirk),
    )
    body |= _ending(answer, telling)
    if telling.logprobs:
        body["logprobs"] = [_logprob(p, telling.top_logprobs) for kind in _WORDS for p in words[kind]]
    return _futured(body) if telling.quirk == "unknown_event" else body


_WORDS = ("thinking", "text")


def _envelope(model: str) -> Object:
    return {"model": model, "created_at": stamp()}


def _said(*, chat: bool, content: str = "", thinking: str = "", calls: list[Object] | None = None) -> Object:
    extra: Object = {"thinking": thinking} if thinking else {}
    if calls:
        extra["tool_calls"] = calls
    if chat:
        return {"message": {"role": "assistant", "content": content} | extra}
    return {"response": content} | extra


def _piece(telling: Telling, piece: str, *, content: str = "", thinking: str = "") -> Object:
    body = _envelope(telling.model) | _said(chat=telling.chat, content=content, thinking=thinking) | {"done": False}
    return body | {"logprobs": [_logprob(piece, telling.top_logprobs)]} if telling.logprobs else body


def _futured(body: Object) -> Object:
    """As a later version might send it: with members nobody knows yet."""
    inner = {"message": body["message"] | _FUTURE} if "message" in body else {}
    return body | inner | _FUTURE


def _calls(parts: list[Part], quirk: str) -> list[Object]:
    out: list[Object] = []
    for part in parts:
        if part.body["type"] != "tool_use":
            continue
        index = 0 if quirk == "tools_same_index" else len(out)
        function = {"index": index, "name": part.body["name"], "arguments": part.body["input"]}
        named = {} if quirk == "tools_without_ids" else {"id": mint("call_", part.body["id"], length=8)}
        if quirk == "tools_without_ids":
            del function["index"]
        out.append({**named, "function": function})
    return out


def _ending(answer: Answer, telling: Telling) -> Object:
    body: Object = {"done": True, "done_reason": _REASONS.get(answer.stop_reason, "stop")}
    if telling.context:
        said = [piece for part in answer.parts for piece in part.pieces]
        body["context"] = [zlib.crc32(token.encode()) % _VOCABULARY for token in [*telling.prompt, *said]]
    if telling.quirk == "missing_usage":
        return body
    # After thinking, a format starts a second pass, and only that is counted.
    counted = [part for part in answer.parts if not (telling.two_passes and part.body["type"] == "thinking")]
    count = sum(part.tokens for part in counted)
    spent: Object = {
        "total_duration": 0,
        "load_duration": (2 if telling.loaded else 850) * _MS,
        "prompt_eval_count": len(telling.prompt),
        "prompt_eval_duration": max(1, len(telling.prompt) - telling.cached) * _MS // 4,
        "eval_count": count,
        "eval_duration": count * 8 * _MS,
    }
    spent["total_duration"] = sum(value for name, value in spent.items() if name.endswith("duration")) + _MS
    if telling.quirk == "cached_prompt":
        del spent["prompt_eval_count"]
    return body | {name: value for name, value in spent.items() if value}


def _logprob(token: str, top: int) -> Object:
    first = _token(token, 0)
    ranked = [first, *(_token(f"{token.rstrip()}{number}", number) for number in range(1, top))]
    return first | ({"top_logprobs": ranked} if top else {})


def _token(token: str, rank: int) -> Object:
    return {"token": token, "logprob": -0.125 - 1.5 * rank, "bytes": list(token.encode())}
