"""What an answer took.  https://platform.openai.com/docs/api-reference/responses/object"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dragoman.conversation import JSON, Object, Usage
from dragoman.dialects.counts import count, money, uncounted, with_rest

_NOTHING_COUNTED = Usage()


def encode_usage(usage: Usage | None, rest: Object | None = None) -> Object | None:
    """`input_tokens` counts cached tokens too, `output_tokens` those of reasoning: as `Usage` does.

    None where the server counted nothing: zeros would be a lie.  `rest` is what a server of this dialect counted
    besides.
    """
    if usage is None or (usage == _NOTHING_COUNTED and not rest):
        return None
    counted: Object = {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": usage.input + usage.output,
    }
    if usage.cost is not None:
        counted["cost"] = usage.cost  # OpenRouter's name for it, which programs show
    return with_rest(counted, rest)


_COUNTED = frozenset({"input_tokens", "output_tokens", "total_tokens", "cost"})
_DETAILS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "input_tokens_details": frozenset({"cached_tokens", "cache_write_tokens"}),
        "output_tokens_details": frozenset({"reasoning_tokens"}),
    }
)


def decode_usage(value: JSON) -> Usage:
    """Any server's `usage`; what is missing or no number counts 0."""
    usage = value if isinstance(value, dict) else {}
    prompt, answer = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        input=count(usage, "input_tokens"),
        output=count(usage, "output_tokens"),
        cache_read=count(prompt, "cached_tokens"),
        cache_write=count(prompt, "cache_write_tokens"),
        thinking=count(answer, "reasoning_tokens"),
        cost=money(usage.get("cost")),
    )


def usage_rest(value: JSON) -> Object:
    """What a `usage` counts that `Usage` does not.  Counts of 0 are left out."""
    return uncounted(value, _COUNTED, _DETAILS)
