"""What an answer took, both ways.  https://platform.openai.com/docs/api-reference/chat/object"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dragoman.conversation import JSON, Object, Usage
from dragoman.dialects.counts import count, money, uncounted, with_rest


def encode_usage(usage: Usage, rest: Object | None = None) -> Object:
    """`prompt_tokens` counts cached tokens too, `completion_tokens` those of reasoning: as `Usage` does.

    `rest` is what `usage_rest` found.
    """
    counted: Object = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    if usage.cost is not None:
        counted["cost"] = usage.cost  # OpenRouter's name for it, which programs show
    return with_rest(counted, rest)


def told_usage(usage: Usage, rest: Object | None = None) -> Object | None:
    """The same; None where the server counted nothing: zeros would be a lie."""
    return encode_usage(usage, rest) if rest or usage != _NOTHING_COUNTED else None


_NOTHING_COUNTED = Usage()
_COUNTED = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "cost"}
    | {"prompt_cache_hit_tokens", "prompt_cache_miss_tokens"}  # DeepSeek; the second is the rest of the prompt
)
_DETAILS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "prompt_tokens_details": frozenset({"cached_tokens", "cache_write_tokens"}),
        "completion_tokens_details": frozenset({"reasoning_tokens"}),
    }
)


def usage_rest(value: JSON) -> Object:
    """What a `usage` counts that `Usage` does not: predictions, sounds, pictures, money.  Counts of 0 are left out."""
    return uncounted(value, _COUNTED, _DETAILS)


def decode_usage(value: JSON) -> Usage:
    """Any server's `usage`; what is missing or no number counts 0."""
    usage = value if isinstance(value, dict) else {}
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        input=count(usage, "prompt_tokens"),
        output=count(usage, "completion_tokens"),
        cache_read=count(prompt, "cached_tokens") or count(usage, "prompt_cache_hit_tokens"),  # DeepSeek's name
        cache_write=count(prompt, "cache_write_tokens"),
        thinking=count(completion, "reasoning_tokens"),
        cost=money(usage.get("cost")),
    )


def total(usages: Iterable[Usage], n: int = 0) -> Usage:
    """The usage of several answers, `n` of them to each prompt (0: all to one), and prompt by prompt.

    A prompt counts once, as with the API's own `n`.  What it cost is the sum: each answer was a call of its own.
    """
    counted = list(usages)
    costs = [usage.cost for usage in counted]
    groups = [counted[at : at + n] for at in range(0, len(counted), n)] if n else [counted]
    prompts = [max(group, key=lambda usage: usage.input) for group in groups if group]
    return Usage(
        **{name: sum(getattr(prompt, name) for prompt in prompts) for name in _OF_PROMPTS},
        **{name: sum(getattr(usage, name) for usage in counted) for name in ("output", "thinking")},
        cost=sum(cost for cost in costs if cost) if costs and None not in costs else None,
    )


_OF_PROMPTS = ("input", "cache_read", "cache_write", "cache_write_1h")
