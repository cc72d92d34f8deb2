"""A finished answer as one Response object, both ways: what its stream adds up to.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from dragoman.conversation import Object, Part, Reason, Refusal, Reply, Request, Text, ToolCall
from dragoman.dialects.contract import Stamp
from dragoman.dialects.echoed import each, inner, word
from dragoman.dialects.openai_responses.encoder import Encoder
from dragoman.dialects.openai_responses.failure import find_failure
from dragoman.dialects.openai_responses.output import decode_output
from dragoman.dialects.openai_responses.usage import decode_usage, usage_rest
from dragoman.dialects.openai_responses.vocabulary import NAME
from dragoman.dialects.untold import NOTHING, note
from dragoman.errors import GatewayError
from dragoman.folding import unfold


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """The Response object of a finished answer."""
    response = _told(reply, request, stamp).response
    return response if response is not None else {}


def output_items(reply: Reply, request: Request, stamp: Stamp) -> list[Object]:
    """Its items with every proof, for who keeps them for the client."""
    return _told(reply, request, stamp).kept


def _told(reply: Reply, request: Request, stamp: Stamp) -> Encoder:
    encoder = Encoder(request, stamp)
    encoder.feed(unfold(reply))
    return encoder


# --- decode -------------------------------------------------------------------------------------

# What a Response object repeats of its request, and what says when and where it was made.
_ECHOED = frozenset(
    {
        *("object", "created_at", "completed_at", "status", "background", "instructions", "max_output_tokens"),
        *("max_tool_calls", "parallel_tool_calls", "previous_response_id", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature", "text", "tool_choice"),
        *("tools", "top_logprobs", "top_p", "truncation", "presence_penalty", "frequency_penalty", "metadata", "user"),
        *("access_programs", "image", "prompt", "service_tier", "frequency_penalty", "top_k", "min_p", "output_text"),
        *("id", "model", "output", "usage", "error", "incomplete_details", "input_transformations", "billing"),
    }
)


def decode_reply(body: Object) -> Reply:
    """A server's answer, read defensively.  Raises `GatewayError` when it is an error, or no answer."""
    if error := failed(body):
        raise error
    if not isinstance(body.get("output"), list):
        raise GatewayError("upstream", "the upstream's answer has no output")
    if body.get("status") in ("queued", "in_progress"):
        raise GatewayError("upstream", "the upstream's answer is not finished")
    skipped: list[str] = []
    reply_id = word(body, "id")
    content = decode_output(body["output"], reply_id, skipped)
    return Reply(
        origin=NAME,
        id=reply_id,
        model=word(body, "model"),
        content=content,
        reason=end_reason(body, frozenset(map(type, content)), skipped),
        usage=decode_usage(body.get("usage")),
        dropped=decode_dropped(body),
        tier=decode_tier(body),
        skipped=skipped,
        extra=reply_rest(body),
    )


def failed(body: Object) -> GatewayError | None:
    """What is wrong with a response, if anything."""
    if error := find_failure(body):
        return error
    status = body.get("status")
    if status in ("failed", "cancelled"):
        return GatewayError("upstream", f"the upstream's answer was {status}")
    return None


def end_reason(body: Object, said: frozenset[type[Part]], skipped: list[str]) -> Reason:
    """Why an answer with parts of the kinds `said` ended.  A reason nobody knows is noted in `skipped`."""
    details = inner(body, "incomplete_details")
    for name in details.keys() - {"reason"}:
        note(skipped, f"incomplete_details.{name}")
    why = details.get("reason")
    if why is not None or body.get("status") == "incomplete":
        if (reason := _REASONS.get(str(why))) is None:
            note(skipped, "incomplete_details.reason")
        return reason or "other"
    if ToolCall in said:
        return "tool_calls"
    return "refusal" if Refusal in said and Text not in said else "stop"


_REASONS: dict[str, Reason] = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "refusal"}


def decode_tier(body: Object) -> str:
    """How the call was served; "default" is what Anthropic calls "standard", "auto" says nothing yet."""
    tier = word(body, "service_tier")
    return {"default": "standard", "auto": ""}.get(tier, tier)


def decode_dropped(body: Object) -> dict[str, str]:
    """What the server left out of the request: reasoning that is not the model's own."""
    removed = [item for item in each(body.get("input_transformations")) if item.get("action") == "removed"]
    names = {"reasoning": "thinking"}
    return {
        names.get(kind := str(item.get("type")), kind): word(item, "reason") or "the model's server left it out"
        for item in reversed(removed)
    }


def reply_rest(body: Object) -> Object:
    """What only this wire knows of an answer, in the shape of `Reply.extra`."""
    rest = {name: value for name, value in body.items() if name not in _ECHOED and value not in NOTHING}
    return rest | ({"usage": counted} if (counted := usage_rest(body.get("usage"))) else {})
