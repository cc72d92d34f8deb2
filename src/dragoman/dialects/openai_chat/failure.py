"""Errors, both ways: ours as clients read them, and every shape that servers send.

https://platform.openai.com/docs/guides/error-codes.  Compatible servers put numbers into `code`, a bare string into
`error`, or an error into an answer with status 200.
"""

from __future__ import annotations

from typing import cast, get_args

import msgspec

from dragoman.conversation import JSON, Fault, Object
from dragoman.dialects.openai_chat.vocabulary import BROKEN
from dragoman.errors import TABLE, GatewayError, Kind

_KINDS: frozenset[str] = frozenset(get_args(Kind))
_decode = msgspec.json.Decoder().decode

_STATUS: dict[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    500: "upstream",
    501: "not_implemented",
    502: "upstream",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

# `code` and `type` of OpenAI, vLLM, llama.cpp, OpenRouter and others that say more than the status does.
_WORDS: dict[str, Kind] = {
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "model_not_found": "model_not_found",
    "insufficient_quota": "billing",
    "credit_balance_exhausted": "billing",
    "organization_spend_limit_exceeded": "billing",
    "project_spend_limit_exceeded": "billing",
    "organization_usage_limit_exceeded": "billing",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "slow_down": "overloaded",
    "server_is_overloaded": "overloaded",
    "service_unavailable_error": "overloaded",
    "unavailable_error": "overloaded",
    "overloaded_error": "overloaded",
    "invalid_api_key": "authentication",
    "authentication_error": "authentication",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "notfounderror": "model_not_found",
    "request_too_large": "too_large",
    "invalid_request_error": "invalid_request",
    "badrequesterror": "invalid_request",
}

_TOO_LONG = (
    "context_length_exceeded",
    "maximum context length",
    "model's context length",
    "exceeds the available context size",
    "exceed context limit",
    "input tokens exceed the configured limit",
    "prompt is too long",
)
# Claude's own words, as services that offer Claude pass them on.
_UNVERIFIED = ("`signature` in `thinking`", "`data` in `redacted_thinking`")


def encode_error(error: GatewayError) -> Object:
    """OpenAI's object with all four keys."""
    row = error.row
    code = error.code or row.openai_code
    return {"error": {"message": error.message, "type": row.openai_type, "param": error.param, "code": code}}


def encode_fault(fault: Fault) -> Object:
    """The same object, for a stream that has begun."""
    return encode_error(GatewayError(known_kind(fault.kind), fault.message))


def known_kind(kind: str) -> Kind:
    return cast(Kind, kind) if kind in _KINDS else "upstream"


def decode_error(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """An upstream's answer with an error status.  `retry_after` is in seconds."""
    try:
        value: JSON = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = body.decode("utf-8", "replace").strip()[:500]
    words, message, param = _read(value)
    kind = _kind(words, message, status)
    message = message or f"the upstream answered with status {status}"
    return GatewayError(kind, message, param=param, code=_code(words, kind), retry_after=retry_after)


def find_error(body: Object) -> GatewayError | None:
    """The error inside what should be an answer or a chunk of one, or None: every shape seen in a 200.

    `{"error": {…}}`, `{"error": "text"}`, `{"object": "error", …}`, `{"detail": …}`, `{"choices": [{"error": {…}}]}`.
    """
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    found = body.get("error") or first.get("error")
    if not found and not isinstance(choices, list) and (body.get("object") == "error" or body.get("detail")):
        found = body
    finish = first.get("finish_reason")
    word = finish.lower() if isinstance(finish, str) else ""
    if not found and word not in BROKEN:
        return None
    words, message, param = _read({"error": found} if found else {})
    kind = _kind(words, message, None) if found else known_kind(BROKEN[word])
    message = message or f"the upstream ended its answer with {word or 'an error'}"
    return GatewayError(kind, message, param=param, code=_code(words, kind))


def broken_reply(body: Object) -> GatewayError | None:
    """What is wrong with an unstreamed answer, if anything."""
    if error := find_error(body):
        return error
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return None
    return GatewayError("upstream", "the upstream's answer has no choices")


def _read(value: JSON) -> tuple[list[str], str, str | None]:
    """(code and type, as text; message; param) of any error body.

    The message may be a whole error body itself: what the llama.cpp server inside Ollama said.
    """
    words, message, param = _members(value)
    if message.startswith("{"):
        try:
            inner_words, inner, inner_param = _members(_decode(message))
        except (msgspec.DecodeError, RecursionError):
            return words, message, param
        if inner:
            return inner_words + words, inner, inner_param or param
    return words, message, param


def _members(value: JSON) -> tuple[list[str], str, str | None]:
    if isinstance(value, dict):
        inner = value.get("error") or value.get("detail") or value
        if isinstance(inner, dict):
            words = [str(w) for key in ("code", "type") if (w := inner.get(key)) is not None]
            message = inner.get("message") or inner.get("detail") or inner.get("msg") or ""
            param = inner.get("param")
            return words, message if isinstance(message, str) else "", param if isinstance(param, str) else None
        value = inner
    if isinstance(value, list):  # FastAPI's {"detail": [{"loc", "msg"}]}
        value = "; ".join(_complaint(item) for item in value if isinstance(item, dict) and item.get("msg"))
    return [], value if isinstance(value, str) else "", None


def _complaint(item: Object) -> str:
    loc = item.get("loc")
    steps = ".".join(map(str, loc)) if isinstance(loc, list) else ""
    return f"{steps}: {item['msg']}" if steps else str(item["msg"])


def _kind(words: list[str], message: str, status: int | None) -> Kind:
    text = message.lower()
    if any(phrase in text for phrase in _TOO_LONG):
        return "context_length"
    if any(phrase in text for phrase in _UNVERIFIED):
        return "unverified_thinking"
    for word in words:
        if (kind := _WORDS.get(word.lower())) and (kind != "invalid_request" or status in (None, 400, 422)):
            return kind
    number = next((int(word) for word in words if word.isdecimal()), None) if status is None else status
    if number is None:
        return "upstream"
    if number == 404 and "model" in text:
        return "model_not_found"
    return _STATUS.get(number, "upstream" if number >= 500 or number < 400 else "invalid_request")


def _code(words: list[str], kind: Kind) -> str | None:
    """The upstream's own code where it refines ours; numbers only repeat the status."""
    code = words[0] if words else ""
    known = {row.openai_type for row in TABLE.values()}
    refines = code and not code.isdecimal() and code not in known and not code.lower().endswith("error")
    return code if refines and TABLE[kind].openai_code != code else None
