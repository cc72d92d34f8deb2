"""The Response object, with every member in every event that carries it.

Official SDKs want fewer of them, the Open Responses specification wants all.
https://platform.openai.com/docs/api-reference/responses/object, https://www.openresponses.org/specification
"""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.conversation import JSON, Object, Request, Text, Usage
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses.settings import told_reasoning, told_text
from dragoman.dialects.openai_responses.tools import told_choice, told_tools
from dragoman.dialects.openai_responses.usage import encode_usage

_SECOND = 1_000_000_000


def response_object(
    request: Request,
    stamp: Stamp,
    status: str,
    *,
    output: Sequence[Object] = (),
    usage: Usage | None = None,
    error: Object | None = None,
    incomplete: str | None = None,
) -> Object:
    """The answer to `request` as it stands.

    `status` is "queued", "in_progress", "completed", "incomplete", "failed" or "cancelled"; `error` is
    `failure.told_error`, and `incomplete` the reason why the answer is.
    """
    extra, choice = request.extra, request.tool_choice
    ended = stamp.created + max(stamp.clock() - stamp.started, 0)
    conversation = extra.get("conversation")
    return {
        "id": stamp.id,
        "object": "response",
        "created_at": stamp.created // _SECOND,
        "completed_at": ended // _SECOND if status == "completed" else None,
        "status": status,
        "background": extra.get("background") or False,
        "error": error,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": _instructions(request),
        "max_output_tokens": request.max_tokens,
        "max_tool_calls": _number(extra.get("max_tool_calls")),
        "model": stamp.model,
        "output": list(output),
        "parallel_tool_calls": choice is None or choice.parallel is not False,
        "previous_response_id": extra.get("previous_response_id"),
        "prompt_cache_key": _word(extra.get("prompt_cache_key")),
        "reasoning": told_reasoning(request),
        "safety_identifier": request.user,
        "service_tier": _word(extra.get("service_tier")) or "default",
        "store": extra.get("store") is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": told_text(request),
        "tool_choice": told_choice(request),
        "tools": told_tools(request),
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": "auto" if extra.get("truncation") == "auto" else "disabled",
        "presence_penalty": request.presence_penalty or 0.0,
        "frequency_penalty": request.frequency_penalty or 0.0,
        "usage": encode_usage(usage),
        "metadata": extra.get("metadata") or {},
        "user": request.user,
    } | ({"conversation": _conversation(conversation)} if conversation else {})


def count_body(tokens: int) -> Object:
    """The answer of `/v1/responses/input_tokens`."""
    return {"object": "response.input_tokens", "input_tokens": tokens}


def _instructions(request: Request) -> str | None:
    said = [message for message in request.messages if message.at == "instructions"]
    return "".join(part.text for message in said for part in message.content if isinstance(part, Text)) or None


def _conversation(value: JSON) -> Object:
    return value if isinstance(value, dict) else {"id": str(value)}


def _word(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: JSON) -> int | None:
    return value if type(value) is int else None
