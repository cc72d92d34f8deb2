"""`options`: the sampling members of a request, and the settings of Ollama's runner.

What the conversation has a name for becomes a field; the rest stays, as it came, under "options" in `extra`.
Unknown options never fail, options of the wrong type fail as they do in Ollama.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from dragoman.conversation import JSON, Object, Request
from dragoman.dialects.reading import check, take
from dragoman.errors import invalid

_TYPES: Mapping[str, str] = (
    dict.fromkeys(
        (
            *("num_predict", "num_ctx", "top_k", "seed", "repeat_last_n", "num_keep", "num_batch", "num_gpu"),
            *("main_gpu", "num_thread", "draft_num_predict"),
        ),
        "integer",
    )
    | dict.fromkeys(
        (
            *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "frequency_penalty"),
            "presence_penalty",
        ),
        "float32",
    )
    | {"use_mmap": "boolean"}
)

# Option names that are fields of the conversation, under the same name unless said otherwise.
_FIELDS: Mapping[str, str] = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}


def decode_options(body: Object, request: Request) -> None:
    """Pop `options` from `body` into the fields of `request`, and what is left into its `extra`."""
    options = take(body, "options", dict)
    if not options:
        return
    rest: Object = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "stop":
            request.stop = [text for text in _stop(value) if text]
            request.off |= frozenset() if request.stop else {name}
            continue
        value = _typed(name, value)
        if name not in _FIELDS:
            rest[name] = value
        elif _said(name, value):
            setattr(request, _FIELDS[name], value)
        else:
            request.off |= {_FIELDS[name]}
    if rest:
        request.extra["options"] = rest


def encode_options(request: Request, extra: Object) -> Object:
    """The `options` object; `extra` are the options that came with the request."""
    options = dict(check(extra, dict, "options"))
    for name, member in _FIELDS.items():
        if (value := getattr(request, member)) is not None:
            options[name] = value
    if request.stop:
        options["stop"] = request.stop
    return options


def _said(name: str, value: float) -> bool:
    """Whether `value` asks for anything: clients send the "off" values of their sliders all the time."""
    match name:
        case "num_predict" | "top_k" | "min_p":
            return value > 0
        case "seed":
            return value != -1
        case "frequency_penalty" | "presence_penalty":
            return value != 0
        case _:
            return True


def _typed(name: str, value: JSON) -> JSON:
    """`value` as the type of option `name`; like Ollama, an integer is any number with its fraction cut off."""
    kind = _TYPES.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    match kind:
        case "integer" if number:
            return int(value)
        case "float32" if number:
            return float(value)
        case "boolean" if isinstance(value, bool):
            return value
        case None:
            return value
        case _:
            raise invalid(f'option "{name}" must be of type {kind}', f"options.{name}")


def _stop(value: JSON) -> list[str]:
    """Ollama wants a list; Open WebUI and others send one string as well."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise invalid('option "stop" must be of type array', "options.stop")
    if not all(isinstance(item, str) for item in value):
        raise invalid('option "stop" must be of an array of strings', "options.stop")
    return value
