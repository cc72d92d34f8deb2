"""What an answer took.  https://platform.openai.com/docs/api-reference/responses/object"""

from __future__ import annotations

from dragoman.conversation import Object, Usage

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
    for name, value in (rest or {}).items():
        known = counted.get(name)
        counted[name] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
    return counted
