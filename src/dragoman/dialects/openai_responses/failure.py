"""Errors, both ways: as a body, as the end of a response, and as an event.

An error before the first byte is the same as in chat completions.  After that the response fails: agents act on its
code, and know no other end.  https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import math
import re

from dragoman.conversation import JSON, Fault, Object
from dragoman.dialects.openai_chat.failure import decode_error, encode_error, find_error, known_kind
from dragoman.dialects.openai_responses.vocabulary import CODES
from dragoman.errors import GatewayError

__all__ = ["decode_error", "encode_error", "error_event", "find_failure", "told_error", "told_fault"]


def told_error(error: GatewayError) -> Object:
    """The member `error` of a response that failed.

    Of a rate limit it says when to try again, in the words that agents look for.
    """
    message = error.message
    code = error.code if error.code in _KNOWN else CODES.get(error.kind, "server_error")
    if error.kind == "rate_limit" and error.retry_after is not None and "try again in" not in message.lower():
        message = f"{message.rstrip('. ')}. Please try again in {math.ceil(error.retry_after)}s."
    return {"code": code, "message": message}


def told_fault(fault: Fault) -> Object:
    """The same, for an answer that had begun."""
    return told_error(GatewayError(known_kind(fault.kind), fault.message, retry_after=fault.retry_after))


def error_event(error: GatewayError, sequence_number: int = 0, status: int | None = None) -> Object:
    """The event `error`: where there is no response that could fail.

    On a WebSocket it has the `status` that the answer would have had.
    """
    event: Object = {"type": "error", "sequence_number": sequence_number}
    return event | ({} if status is None else {"status": status}) | encode_error(error)


_KNOWN = frozenset({"cyber_policy", "usage_not_included", "image_parse_error", "image_too_large", "invalid_image"})
"""Codes of servers that say more than ours: agents act on the first two."""


# --- what servers send ----------------------------------------------------------------------------

# Codes that say whose fault it was.  https://platform.openai.com/docs/api-reference/responses/object
_CLIENTS = re.compile(
    r"invalid_\w+|unsupported_\w+|unknown_parameter|missing_required_parameter|previous_response_not_found"
    r"|image_\w+|empty_image_file|failed_to_download_image|data_residency_mismatch"
    r"|(bio|cyber)_policy|misalignment_policy_violation"
)
_WAIT = re.compile(r"(?i)\btry again in (\d+(?:\.\d+)?) ?(ms|s|m)\b")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def find_failure(body: Object) -> GatewayError | None:
    """What went wrong, by the `error` of a response, a body or an event; None when nothing did.

    The event `error` has the members of the error itself, or an object with them.
    """
    found: JSON = body.get("error")
    if not found and body.get("type") == "error":
        found = {name: value for name, value in body.items() if name not in ("type", "sequence_number")}
        found = found or {"message": "the upstream reported an error"}
    if not found:
        return None
    error = find_error({"error": found}) or GatewayError("upstream", "the upstream reported an error")
    code = found.get("code") if isinstance(found, dict) else None
    if error.kind == "upstream" and isinstance(code, str) and _CLIENTS.fullmatch(code):
        error.kind = "invalid_request"
    error.retry_after = wait_in(error.message)
    return error


def wait_in(message: str) -> float | None:
    """The seconds in "Please try again in 1.5s.", where a server says so; it has no header inside a stream."""
    told = _WAIT.search(message)
    return float(told[1]) * _SECONDS[told[2].lower()] if told else None
