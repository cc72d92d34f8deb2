"""Replies, both ways."""

from __future__ import annotations

from dragoman.conversation import JSON, Object, Reason, Refusal, Reply, Request, Usage
from dragoman.dialects.anthropic.answer import Answer
from dragoman.dialects.anthropic.binding import decode_dropped
from dragoman.dialects.anthropic.blocks import decode_content
from dragoman.dialects.anthropic.failure import error_kind
from dragoman.dialects.anthropic.vocabulary import (
    NAME,
    REASONS,
    STOP_REASONS,
    decode_usage,
    encode_usage,
    usage_rest,
)
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError


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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"it has an unknown shape ({type(error).__name__})"
        raise GatewayError("upstream", f"the upstream's answer cannot be read: {what}") from None


def _decode_message(body: Object) -> Reply:
    usage, stop = body.get("usage") or {}, body.get("stop_sequence")
    details, rest = decode_ending(body)
    extra = {name: value for name, value in body.items() if name not in KNOWN and value is not None} | rest
    if more := usage_rest(usage):
        extra["usage"] = more
    return Reply(
        origin=NAME,
        id=text_of(body.get("id") or ""),
        model=text_of(body.get("model") or ""),
        content=decode_content(body.get("content"), "content"),
        reason=REASONS.get(body.get("stop_reason") or "", "other"),
        stop_sequence=stop and text_of(stop),
        explanation=text_of(details.get("explanation") or ""),
        usage=decode_usage(usage),
        tier=text_of(usage.get("service_tier") or ""),
        extra=extra,
        dropped=decode_dropped(body.get("input_transformations")),
    )


KNOWN = frozenset({"id", "type", "role", "model", "content", "usage", "stop_reason", "stop_sequence", "stop_details"})


def text_of(value: JSON) -> str:
    """What a server must say in text.  Raises `TypeError` for anything else."""
    if type(value) is not str:
        raise TypeError
    return value


def decode_ending(ending: Object) -> tuple[Object, Object]:
    """`stop_details`, and what the members that say how an answer ended say beyond the conversation's own words."""
    details: Object = ending.get("stop_details") or {}
    rest: Object = {}
    if details and (more := {k: v for k, v in details.items() if k not in ("type", "explanation") and v is not None}):
        rest["stop_details"] = more
    reason = ending.get("stop_reason")
    if reason is not None and reason not in REASONS:
        rest["stop_reason"] = reason
    return details, rest


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """A Reply as a message object."""
    own = reply.origin == NAME
    extra = dict(reply.extra) if own else {}
    answer = Answer(request, own)
    blocks = [block for part in reply.content if (block := answer.block(part)) is not None]
    refused = "".join(part.text for part in reply.content if isinstance(part, Refusal))
    usage = encode_usage(reply.usage or Usage(), reply.tier, extra.pop("usage", None))
    ending = encode_ending(
        reply.reason, reply.stop_sequence, reply.explanation, refused, extra.pop("stop_details", None)
    )
    return message_object(stamp, blocks, usage) | ending | extra


def message_object(stamp: Stamp, content: list[Object], usage: Object) -> Object:
    """A message that has not ended; every member is there, as all SDK generations want."""
    return {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "model": stamp.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": usage,
    }


def encode_ending(
    reason: Reason, stop_sequence: str | None, explanation: str, refused: str, more: Object | None = None
) -> Object:
    """The members that say how an answer ended.  `refused` is the model's own refusal, if it spoke one; `more` is what
    else Anthropic says of it."""
    if refused and reason in ("stop", "other"):
        reason = "refusal"  # other servers end a spoken refusal like any answer
    details: Object | None = None
    if reason == "refusal":
        details = {"type": "refusal", "category": None, "explanation": explanation or refused or None} | (more or {})
    return {
        "stop_reason": STOP_REASONS[reason],
        "stop_sequence": stop_sequence,
        "stop_details": details,
        "container": None,
    }
