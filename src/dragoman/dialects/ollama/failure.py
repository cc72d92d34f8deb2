"""Errors, both ways: `{"error": text}`, a flat string, in an answer of its own or as the last line of a stream."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dragoman.conversation import JSON, Object
from dragoman.errors import GatewayError, Kind, placed

_decode = msgspec.json.Decoder().decode

_STATUS_KINDS: Mapping[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    501: "not_implemented",
    502: "unreachable",
    503: "overloaded",
    504: "timeout",
}
_OVERFLOW = (
    "prompt is longer than the context length",
    "input length exceeds the context length",
    "exceeds the available context size",
)


def encode_error(error: GatewayError) -> Object:
    """A flat string.  Clients look for "not found" to tell a missing model from everything else."""
    message = placed(error)
    if error.kind == "model_not_found" and "not found" not in message:
        message = f"model not found: {message}"
    return {"error": message}


def model_not_found(name: str) -> GatewayError:
    """The one every client knows, with the name as it was asked for."""
    return GatewayError("model_not_found", f"model '{name}' not found", param="model")


def decode_error(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """Any answer that is not a success, JSON or not, as our error."""
    try:
        message = error_message(_decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = ""
    message = message or f"the upstream answered with HTTP status {status}"
    return GatewayError(error_kind(status, message), message, retry_after=retry_after)


def error_message(body: JSON) -> str:
    """The text of `{"error": text}`; proxies in between like OpenAI's object better."""
    match body:
        case {"error": str(text), "signin_url": str(url)}:
            return f"{text}; sign in at {url}"
        case {"error": {"message": ""}}:
            return "the server reported an error, and did not say which"
        case {"error": str(text)} | {"error": {"message": str(text)}}:
            return _unwrapped(text)
        case {"error": error} if error:
            return str(error)
        case _:
            return ""


def _unwrapped(text: str) -> str:
    """What the llama.cpp server inside Ollama says, whose whole JSON Ollama (0.30 and newer) gives as the text."""
    if not text.startswith("{"):
        return text
    try:
        inner = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    match inner:
        case {"error": {"message": str(message)}} if message:
            return message
        case _:
            return text


def error_kind(status: int, message: str) -> Kind:
    """Our kind for a status, refined by the wordings that mean something of their own."""
    kind = _STATUS_KINDS.get(status, "upstream" if status >= 500 else "invalid_request")
    if any(phrase in message for phrase in _OVERFLOW):
        return "context_length"
    if "server busy" in message:
        return "overloaded"
    if kind == "not_found" and message.startswith("model ") and "not found" in message:
        return "model_not_found"
    return kind
