"""Replies and errors, both ways."""

from __future__ import annotations

import msgspec

from dragoman.conversation import Object, Reply, Request, Usage
from dragoman.dialects.anthropic.blocks import decode_content, encode_content
from dragoman.dialects.anthropic.vocabulary import (
    ERROR_KINDS,
    NAME,
    REASONS,
    STOP_REASONS,
    decode_usage,
    encode_usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError, Kind
from dragoman.losses import Losses

_decode = msgspec.json.Decoder().decode

# Wordings with which the API says that the conversation does not fit the model's window.
_OVERFLOW = ("prompt is too long", "exceed context limit", "exceeds the context window")

# Wordings with which it says that thinking which was sent back is not what it signed, or not where it was signed.
_UNVERIFIED = (
    "`signature` in `thinking`",
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


def decode_reply(body: Object) -> Reply:
    """A message object as a Reply.  Raises `GatewayError` for an error under a 200, and for anything else."""
    if isinstance(error := body.get("error"), dict):
        message = str(error.get("message") or "the upstream reported an error")
        raise GatewayError(error_kind(str(error.get("type") or ""), message, "upstream"), message)
    if body.get("type", "message") != "message" or not isinstance(body.get("content"), list):
        raise GatewayError("upstream", "the upstream's answer is not a message")
    try:
        return _decode_message(body)
    except GatewayError as error:
        raise GatewayError("upstream", f"the upstream's answer cannot be read: {error.message}") from None


def _decode_message(body: Object) -> Reply:
    details = body.get("stop_details") or {}
    return Reply(
        origin=NAME,
        id=body.get("id") or "",
        model=body.get("model") or "",
        content=decode_content(body.get("content"), "content"),
        reason=REASONS.get(body.get("stop_reason") or "", "other"),
        stop_sequence=body.get("stop_sequence"),
        explanation=details.get("explanation") or "",
        usage=decode_usage(body.get("usage") or {}),
    )


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """A Reply as a message object."""
    return {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "model": stamp.model,
        "content": encode_content(reply.content, reply.origin, Losses(), "content"),
        "stop_reason": STOP_REASONS[reply.reason],
        "stop_sequence": reply.stop_sequence,
        "stop_details": stop_details(reply.reason, reply.explanation),
        "container": None,
        "usage": encode_usage(reply.usage or Usage()),
    }


def stop_details(reason: str, explanation: str) -> Object | None:
    """`stop_details` of a refusal, else null."""
    if reason != "refusal":
        return None
    return {"type": "refusal", "category": None, "explanation": explanation or None}


def encode_error(error: GatewayError) -> Object:
    """The error envelope."""
    return {"type": "error", "error": {"type": error.row.anthropic_type, "message": error.message}}


def decode_error(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """Any answer that is not a success, JSON or not, as our error."""
    kind: Kind = _STATUS_KINDS.get(status, "invalid_request" if 400 <= status < 500 else "upstream")
    message = ""
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if isinstance(document, dict) and isinstance(detail := document.get("error"), dict):
        message = str(detail.get("message") or "")
        kind = error_kind(str(detail.get("type") or ""), message, kind)
    elif isinstance(document, dict) and isinstance(detail, str):
        message = detail
    return GatewayError(kind, message or f"the upstream answered with HTTP status {status}", retry_after=retry_after)


def error_kind(name: str, message: str, default: Kind) -> Kind:
    """Our kind for their `error.type`, refined by the wordings that mean something of their own."""
    kind = ERROR_KINDS.get(name, default)
    if kind == "invalid_request" and any(phrase in message for phrase in _OVERFLOW):
        return "context_length"
    if kind == "invalid_request" and any(phrase in message for phrase in _UNVERIFIED):
        return "unverified_thinking"
    if kind == "invalid_request" and "credit balance is too low" in message:
        return "billing"
    if kind == "not_found" and message.startswith("model:"):
        return "model_not_found"
    return kind
