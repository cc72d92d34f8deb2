"""The words of this wire, in tables: names, statuses, and how the conversation's members are spelled here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dragoman.conversation import Effort, Media, Reason, Text
from dragoman.dialects.untold import Says
from dragoman.errors import Kind

NAME = "openai_responses"
STREAM_TYPE = "text/event-stream"

SPELLING: Mapping[str, str] = MappingProxyType(
    {
        "messages": "input",
        "max_tokens": "max_output_tokens",
        "logprobs": "include",
        "reasoning.visible": "reasoning.summary",
        "format": "text.format",
        "format.schema": "text.format.schema",
        "format.name": "text.format.name",
        "format.description": "text.format.description",
        "format.strict": "text.format.strict",
        "tool_choice.parallel": "parallel_tool_calls",
        "verbosity": "text.verbosity",
        "web_search": "tools.web_search",
        "web_search.size": "tools.web_search.search_context_size",
    }
)

NAMESPACE = "namespace"
"""In `Tool.extra`: the namespace a tool is in, see `tools.Names`."""
SUMMARY = "reasoning.summary"
"""In `Request.extra`: in which words the client asked for summaries of the reasoning."""
ITEM = "item"
"""In the `extra` of the first part of a message: what is left of the item it stands in."""

HANDLED = frozenset(
    {
        *("store", "previous_response_id", "conversation", "background", "background_options", "include", "metadata"),
        *("client_metadata", "stream_options", NAMESPACE, SUMMARY),
    }
)
"""Members of `extra` that the gateway itself honours, or that ask nothing of a model."""

EMULATED: Mapping[str, str] = MappingProxyType(
    {
        "prompt_cache_key": "what is cached is found by the prompt itself",
        "prompt_cache_options": "what is cached, and for how long, follows the marks and the server's own rules",
        "prompt_cache_retention": "a prompt is kept for as long as the server can: by Claude for an hour at most",
    }
)
"""Members of `Request.extra` that `decode_request` has already turned into something else, and how."""

EFFORTS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")

TOLD_EFFORTS: Mapping[str, str] = MappingProxyType({"minimal": "low", "max": "xhigh"})
"""Efforts that Open Responses does not know, as the Response object repeats them."""

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
"""What a client may `include` that concerns every model."""

# https://platform.openai.com/docs/api-reference/responses/object
INCOMPLETE: Mapping[Reason, str] = MappingProxyType(
    {"length": "max_output_tokens", "context": "max_output_tokens", "refusal": "content_filter"}
)

TIERS: Mapping[str, str] = MappingProxyType(
    {"standard": "default", **{word: word for word in ("auto", "flex", "scale", "priority", "fast", "ultrafast")}}
)
"""How a call was served, in this wire's words."""

SAYS = Says(
    origins=frozenset({NAME}),
    tiers=TIERS,
    stop_sequence=False,
    plain_tokens=True,
    mute=("pause",),
    logprobs=(Text,),
    unsaid=(Media,),
)

CODES: Mapping[Kind, str] = MappingProxyType(
    {
        "context_length": "context_length_exceeded",
        "rate_limit": "rate_limit_exceeded",
        "billing": "insufficient_quota",
        "invalid_request": "invalid_prompt",
        "unverified_thinking": "invalid_prompt",
        "too_large": "invalid_prompt",
    }
)
"""The codes of a failed response; all others are `server_error`, after which programs try again.

Not `server_is_overloaded`: agents take it for final once a stream has begun.
"""
