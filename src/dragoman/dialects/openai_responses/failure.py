"""Errors as clients of this wire read them: as a body, as the end of a response, and as an event.

An error before the first byte is the same as in chat completions.  After that the response fails: agents act on its
code, and know no other end.  https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import math

from dragoman.conversation import Fault, Object
from dragoman.dialects.openai_chat.failure import encode_error, known_kind
from dragoman.dialects.openai_responses.vocabulary import CODES
from dragoman.errors import GatewayError

__all__ = ["encode_error", "error_event", "told_error", "told_fault"]


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
