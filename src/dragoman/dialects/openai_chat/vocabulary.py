"""The words of this wire, in tables: names, finish reasons, and how the conversation's members are spelled here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dragoman.conversation import Effort, Media, Reason, Refusal, Text
from dragoman.dialects.untold import Says

NAME = "openai_chat"
STREAM_TYPE = "text/event-stream"

SPELLING: Mapping[str, str] = MappingProxyType(
    {
        "reasoning": "reasoning_effort",
        "reasoning.effort": "reasoning_effort",
        "format": "response_format",
        "format.schema": "response_format.json_schema.schema",
        "format.name": "response_format.json_schema.name",
        "format.description": "response_format.json_schema.description",
        "format.strict": "response_format.json_schema.strict",
        "tool_choice.parallel": "parallel_tool_calls",
        "web_search": "web_search_options",
        "web_search.size": "web_search_options.search_context_size",
    }
)

DEPRECATED = "deprecated_function"
"""Marks, in `Tool.extra`, a tool given as one of `functions`: the answer is then a `function_call`."""

HANDLED = frozenset({"n", "stream_options", "cache_control", DEPRECATED})
"""Members of `extra` that the client half itself honours: they are not losses, whatever the target."""

EMULATED: Mapping[str, str] = MappingProxyType(
    {
        "max_tokens": "max_completion_tokens, the newer name of the same limit, counts",
        "prompt_cache_key": "what is cached is found by the prompt itself",
        "prompt_cache_options": "what is cached, and for how long, follows the marks and the server's own rules",
        "prompt_cache_retention": "a prompt is kept for as long as the server can: by Claude for an hour at most",
    }
)
"""Members of `Request.extra` that `decode_request` has already turned into something else, and how."""

EFFORTS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")

ANTHROPIC_FORMAT = "anthropic-claude-v1"

# https://platform.openai.com/docs/api-reference/chat/object
FINISH: Mapping[Reason, str] = MappingProxyType(
    {
        "stop": "stop",
        "stop_sequence": "stop",
        "pause": "stop",
        "other": "stop",
        "length": "length",
        "context": "length",
        "tool_calls": "tool_calls",
        "refusal": "content_filter",
    }
)

# The first five are OpenAI's; the others are what compatible servers really send.
REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "refusal",
        "eos": "stop",
        "eos_token": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop_sequence",
        "max_tokens": "length",
        "model_length": "length",
        "tool_call": "tool_calls",
        "tool_use": "tool_calls",
        "refusal": "refusal",
        "safety": "refusal",
        "recitation": "refusal",
    }
)

TIERS: Mapping[str, str] = MappingProxyType(
    {"standard": "default", **{word: word for word in ("auto", "flex", "scale", "priority", "fast")}}
)
"""How a call was served, in this wire's words."""

SAYS = Says(origins=frozenset({NAME}), tiers=TIERS, logprobs=(Text, Refusal), unsaid=(Media,), mute=("pause",))

BROKEN: Mapping[str, str] = MappingProxyType(
    {"error": "upstream", "abort": "upstream", "insufficient_system_resource": "overloaded"}
)
"""Finish reasons (OpenRouter, SGLang, DeepSeek) that mean there is no complete answer: the error kind of each."""


def finish_reason(reason: Reason, *, calls: bool) -> str:
    """The wire's word for `reason`.  An answer with tool calls never says "stop": agents would not run them."""
    word = FINISH[reason]
    return "tool_calls" if calls and word == "stop" else word


def end_reason(word: str, *, calls: bool) -> Reason:
    """The inverse, for an upstream's `finish_reason`."""
    reason = REASONS.get(word.lower(), "other")
    return "tool_calls" if calls and reason in ("stop", "other") else reason
