"""Errors, both ways.  https://platform.claude.com/docs/en/api/errors

Programs act on the wording: Claude Code compacts its conversation when it reads "prompt is too long", and asks for less
when it reads that the limit on the output is what does not fit.
"""

from __future__ import annotations

import re
from typing import get_args

import msgspec

from dragoman.conversation import Object
from dragoman.dialects.anthropic.vocabulary import ERROR_KINDS
from dragoman.errors import TABLE, GatewayError, Kind, placed
from dragoman.framing import sse

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

THREAD_UNSUPPORTED = "thread_unsupported_request"
"""The code on which the SDKs send the whole conversation instead of a thread."""

_SAID = frozenset(row.openai_code for row in TABLE.values())
"""OpenAI's codes that say no more than the kind does; SDKs take one they do not know for none."""

# Wordings with which the API says that the conversation does not fit the model's window.
_OVERFLOW = ("prompt is too long", "exceed context limit", "exceeds the context window")

# Wordings with which it says that thinking which was sent back is not what it signed, or not where it was signed.
_UNVERIFIED = (
    "`signature` in `thinking`",
    "`data` in `redacted_thinking`",
    "bound to a different conversation",
    "blocks in the latest assistant message",
)

_STATUS_KINDS: dict[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


# --- out -----------------------------------------------------------------------------------------


def encode_error(error: GatewayError, request_id: str = "") -> Object:
    """The error envelope.  `request_id` is also the answer's `request-id` header."""
    document = _envelope(error.kind, placed(error), request_id)
    if error.code and error.code not in _SAID:
        document["error"]["details"] = {"error_code": error.code}
    return document


def encode_fault(kind: str, message: str, request_id: str = "") -> bytes:
    """The event that ends a broken answer."""
    known: Kind = next((k for k in get_args(Kind) if k == kind), "upstream")
    return sse(_encode(_envelope(known, message, request_id)), "error")


def _envelope(kind: Kind, message: str, request_id: str) -> Object:
    error = {"type": TABLE[kind].anthropic_type, "message": _wording(kind, message)}
    return {"type": "error", "error": error} | ({"request_id": request_id} if request_id else {})


def _wording(kind: Kind, message: str) -> str:
    match kind:
        case "context_length" if not any(phrase in message for phrase in _OVERFLOW):
            return _overflow(message)
        case "model_not_found" if not message.startswith("model:"):
            return f"model: {message}"
        case _:
            return message


# What is told as a wrong request, and is none: no money, and an organisation's own limit on what it spends.
# https://platform.claude.com/docs/en/api/errors
_UNPAID = ("credit balance is too low", "You have reached your specified API usage limits")

# How servers say how much they hold, and how much of it was asked for as output: the wordings of OpenAI, OpenRouter,
# vLLM, llama.cpp and LM Studio, November 2026.
_NUMBER = r"(\d[\d,]*)"
_HOLDS = re.compile(rf"(?:maximum|available|loaded|model's)[^.\d]*context (?:length|size|window)[^.\d]*{_NUMBER}", re.I)
_SPLIT = (
    re.compile(r"\((?P<prompt>\d+) in the messages, (?P<output>\d+) in the completion\)"),
    re.compile(r"requested (?P<output>\d+) output tokens and your prompt contains (?:at least )?(?P<prompt>\d+) input"),
    re.compile(r"is too large: (?P<output>\d+)\..* your request has (?P<prompt>\d+) input tokens"),
)


def _overflow(message: str) -> str:
    """Another server's complaint that the prompt does not fit, in Anthropic's words, with what numbers it has."""
    if (holds := _HOLDS.search(message)) is None:
        return f"prompt is too long: {message}"
    limit = _number(holds[1])
    for pattern in _SPLIT:
        if (split := pattern.search(message)) and (prompt := int(split["prompt"])) < limit:
            parts = f"{prompt} + {split['output']} > {limit}"
            return (
                f"input length and `max_tokens` exceed context limit: {parts}, "
                "decrease input length or `max_tokens` and try again"
            )
    asked = max(map(_number, re.findall(_NUMBER, message)))
    if asked <= limit:
        return f"prompt is too long: {message}"
    return f"prompt is too long: {asked} tokens > {limit} maximum"


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


# --- in ------------------------------------------------------------------------------------------


def decode_error(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """Any answer that is not a success, JSON or not, as our error."""
    kind: Kind = _STATUS_KINDS.get(status, "invalid_request" if 400 <= status < 500 else "upstream")
    message, code = "", None
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if isinstance(document, dict) and isinstance(detail := document.get("error"), dict):
        message = str(detail.get("message") or "")
        kind = error_kind(str(detail.get("type") or ""), message, kind)
        more = detail.get("details")
        said = more.get("error_code") if isinstance(more, dict) else None
        code = said if isinstance(said, str) else None
    elif isinstance(document, dict) and isinstance(detail, str):
        message = detail
    message = message or f"the upstream answered with HTTP status {status}"
    return GatewayError(kind, message, code=code, retry_after=retry_after)


def error_kind(name: str, message: str, default: Kind) -> Kind:
    """Our kind for their `error.type`, refined by the wordings that mean something of their own."""
    kind = ERROR_KINDS.get(name, default)
    if kind == "invalid_request" and any(phrase in message for phrase in _OVERFLOW):
        return "context_length"
    if kind == "invalid_request" and any(phrase in message for phrase in _UNVERIFIED):
        return "unverified_thinking"
    if kind == "invalid_request" and any(phrase in message for phrase in _UNPAID):
        return "billing"
    if kind == "not_found" and message.startswith("model:"):
        return "model_not_found"
    return kind
