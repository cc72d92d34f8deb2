"""What chat and generate share besides the conversation: `think`, `format`, `options`, `stream`, log probabilities."""

from __future__ import annotations

import msgspec

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Effort, Format, Object, Reasoning, Request
from dragoman.dialects.ollama.options import decode_options, encode_options
from dragoman.dialects.ollama.vocabulary import LEVELS, THINK_LEVELS
from dragoman.dialects.reading import take
from dragoman.errors import invalid
from dragoman.losses import Losses

_decode = msgspec.json.Decoder().decode

_CHOICES = '"high", "medium", "low", "max", true, or false'

# Members that say nothing when they have this value.
_DEFAULTS: Object = {
    "truncate": True,
    "shift": True,
    "raw": False,
    "template": "",
    "context": [],
    "_debug_render_only": False,
}


def check_top_logprobs(body: Object) -> None:
    """Ollama looks at this before anything else."""
    value = body.get("top_logprobs")
    if isinstance(value, int | float) and not 0 <= value <= 20:
        raise invalid("top_logprobs must be between 0 and 20", "top_logprobs")


def decode_settings(body: Object, request: Request) -> Request:
    """Pop the shared members of `body` into `request`; what nobody asked for becomes its `extra`."""
    stream = take(body, "stream", bool)
    request.stream = True if stream is None else stream
    request.reasoning = decode_think(body.pop("think", None))
    request.format = decode_format(body.pop("format", None))
    request.logprobs = take(body, "logprobs", bool) or None
    request.top_logprobs = take(body, "top_logprobs", int) or None
    decode_options(body, request)
    request.extra |= {k: v for k, v in body.items() if v is not None and (k not in _DEFAULTS or v != _DEFAULTS[k])}
    return request


def encode_settings(request: Request, losses: Losses, extra: Object) -> Object:
    """The shared members, in a fixed order.  `extra` came with the request; its "options" are popped."""
    body: Object = {"stream": request.stream}
    think = encode_think(request.reasoning, losses)
    if think is not None:
        body["think"] = think
    if request.format is not None:
        body["format"] = encode_format(request.format)
    if options := encode_options(request, extra.pop("options", {})):
        body["options"] = options
    if request.logprobs:
        body["logprobs"] = True
    if request.top_logprobs:
        body["top_logprobs"] = request.top_logprobs
    if request.user is not None:
        losses.drop("user", "Ollama has no user")
    return body


def decode_think(value: JSON) -> Reasoning | None:
    """`think`: a switch, or a level, which is a switch too."""
    if value is None:
        return None
    if isinstance(value, bool):
        return Reasoning(enabled=True, visible=True) if value else Reasoning(enabled=False)
    if not isinstance(value, str):
        raise invalid(f"think must be a boolean or string ({_CHOICES})", "think")
    for level in THINK_LEVELS:
        if value == level:
            return Reasoning(enabled=True, effort=level, visible=True)
    raise invalid(f'invalid think value: "{value}" (must be {_CHOICES})', "think")


def encode_think(reasoning: Reasoning | None, losses: Losses) -> bool | Effort | None:
    """The nearest thing `think` can say; None when the client said nothing."""
    if reasoning is None:
        return None
    if reasoning.enabled is False:
        return False
    if reasoning.budget is not None:
        losses.drop("reasoning.budget", "Ollama's thinking has levels, not a budget of tokens")
    if reasoning.effort is not None:
        level = LEVELS[reasoning.effort]
        if level != reasoning.effort:
            losses.emulate("reasoning.effort", f"{reasoning.effort} became {level}")
        return level
    return True if reasoning.enabled or reasoning.budget is not None else None


def decode_format(value: JSON) -> Format | None:
    """`format`: "json", or a schema, which may be in the style of OpenAPI (Home Assistant's)."""
    match value:
        case None | "" | "default":  # n8n's word for none
            return None
        case "json":
            return Format(kind="json")
        case str() if (schema := _written(value)) is not None:
            return decode_format(schema)
        case dict():
            return Format(kind="schema", schema=value) if value else Format(kind="json")
        case _:
            shown = value if isinstance(value, str) else json_text(value)
            raise invalid(f'invalid format: "{shown}"; expected "json" or a valid JSON Schema object', "format")


def _written(text: str) -> Object | None:
    """A schema that was put into a string, as some clients do."""
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def encode_format(format: Format) -> JSON:
    """A schema's name, description and strictness have no place here; the grammar is always strict."""
    return format.schema if format.kind == "schema" and format.schema else "json"
