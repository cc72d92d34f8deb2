"""The words of the Messages wire, as tables, and the usage object both ways."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.conversation import Object, Reason, Usage
from dragoman.errors import Kind

NAME = "anthropic"
STREAM_TYPE = "text/event-stream"

SPELLING: Mapping[str, str] = {
    "stop": "stop_sequences",
    "reasoning": "thinking",
    "reasoning.budget": "thinking.budget_tokens",
    "reasoning.effort": "output_config.effort",
    "tool_choice.parallel": "tool_choice.disable_parallel_tool_use",
    "format": "output_config.format",
    "user": "metadata.user_id",
}

HANDLED: frozenset[str] = frozenset()
EMULATED: Mapping[str, str] = {}

REASONS: Mapping[str, Reason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "context",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
STOP_REASONS: Mapping[Reason, str] = {ours: theirs for theirs, ours in REASONS.items()} | {"other": "end_turn"}

ERROR_KINDS: Mapping[str, Kind] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "api_error": "upstream",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}


def decode_usage(usage: Object) -> Usage:
    """Their `input_tokens` leaves the cached part out; ours is the whole prompt."""
    read, write = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return Usage(
        input=(usage.get("input_tokens") or 0) + read + write,
        output=usage.get("output_tokens") or 0,
        cache_read=read,
        cache_write=write,
        cache_write_1h=(usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0,
        thinking=(usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )


def encode_usage(usage: Usage) -> Object:
    """The whole usage object; every counter is a number, as all SDK generations want."""
    return {
        "input_tokens": max(usage.input - usage.cache_read - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.cache_write_1h,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.thinking},
        "server_tool_use": None,
        "service_tier": "standard",
    }


def encode_final_usage(usage: Usage) -> Object:
    """The usage object of `message_delta`, which tells less than that of a message."""
    whole = encode_usage(usage)
    return {name: value for name, value in whole.items() if name not in ("cache_creation", "service_tier")}


def encode_count(tokens: int) -> Object:
    """The answer of `POST /v1/messages/count_tokens`."""
    return {"input_tokens": tokens}
