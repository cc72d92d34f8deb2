"""The words of the Messages wire, as tables, and the usage object both ways."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.conversation import JSON, Object, Reason, Usage
from dragoman.dialects.untold import Says
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
    "format.schema": "output_config.format.schema",
    "user": "metadata.user_id",
    "web_search": "tools.web_search",
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

TIERS: Mapping[str, str] = {word: word for word in ("standard", "priority", "batch")}
"""How a call was served."""

SAYS = Says(origins=frozenset({NAME}), tiers=TIERS)

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
    read, write = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    written, details = usage.get("cache_creation"), usage.get("output_tokens_details")
    return Usage(
        input=_count(usage, "input_tokens") + read + write,
        output=_count(usage, "output_tokens"),
        cache_read=read,
        cache_write=write,
        cache_write_1h=_count(written, "ephemeral_1h_input_tokens") if written else 0,
        thinking=_count(details, "thinking_tokens") if details else 0,
    )


def _count(owner: JSON, name: str) -> int:
    """What is missing or no number counts 0."""
    value = owner.get(name) if type(owner) is dict else None
    return int(value) if isinstance(value, (int, float)) and 0 < value < 2**63 else 0


_COUNTED = frozenset(
    {"input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"}
    | {"cache_creation", "output_tokens_details", "service_tier"}
)
_DETAILS: Mapping[str, frozenset[str]] = {
    "cache_creation": frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"}),
    "output_tokens_details": frozenset({"thinking_tokens"}),
}


def usage_rest(usage: Object) -> Object:
    """What a usage object says that `Usage` does not: searches, speed, place, the rounds of one answer."""
    rest = {name: value for name, value in usage.items() if name not in _COUNTED and value is not None}
    for name, known in _DETAILS.items():
        if (details := usage.get(name)) and not details.keys() <= known:
            rest[name] = {inner: count for inner, count in details.items() if inner not in known}
    return rest


def encode_usage(usage: Usage, tier: str = "", rest: Object | None = None) -> Object:
    """The whole usage object; every counter is a number, as all SDK generations want.

    `rest` is what `usage_rest` found.
    """
    whole: Object = {
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
        "service_tier": (tier or "standard") if tier in TIERS or not tier else None,
    }
    for name, value in (rest or {}).items():
        whole[name] = whole[name] | value if name in _DETAILS else value
    return whole


def encode_final_usage(usage: Usage, rest: Object | None = None) -> Object:
    """The usage object of `message_delta`, which tells less than that of a message."""
    whole = encode_usage(usage, rest=rest)
    return {name: value for name, value in whole.items() if name not in ("cache_creation", "service_tier")}


def encode_count(tokens: int) -> Object:
    """The answer of `POST /v1/messages/count_tokens`."""
    return {"input_tokens": tokens}
