"""What an Ollama request asks for beside its words: options, thinking, format, how long to keep the model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dragoman.conversation import Object
from dragoman.simulator.ollama_models import Model
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.schemas import resolve, well_formed

FIVE_MINUTES = 300.0
_DEFAULT_CONTEXT = 4096
_LEAST_CONTEXT = 4
_THINK = '(must be "high", "medium", "low", "max", true, or false)'

# https://docs.ollama.com/modelfile#valid-parameters-and-values and the runner's own settings
_INTEGERS = (
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "num_predict", "draft_num_predict"),
    *("seed", "top_k", "repeat_last_n"),
)
_FLOATS = (
    *("temperature", "top_p", "min_p", "typical_p"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
)
_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(_INTEGERS, ("of type integer", (int, float))),
    **dict.fromkeys(_FLOATS, ("of type float32", (int, float))),
    "use_mmap": ("of type boolean", (bool,)),
    "stop": ("of type array", (list,)),
}
RUNNER = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")
"""A change of one of these loads the model again."""


def options(body: Object, model: Model) -> Object:
    """The options in force: the request's over the Modelfile's.  What nobody knows is ignored, as in a real server."""
    given = {key: value for key, value in (body.get("options") or {}).items() if value is not None}
    for name, value in given.items():
        if name not in _TYPES:
            continue
        words, kinds = _TYPES[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise bad(f'option "{name}" must be {words}')
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise bad(f'option "{name}" must be of an array of strings')
    merged = {**model.parameters, **given}
    return {
        name: int(value) if name in _INTEGERS and math.isfinite(value) else value
        for name, value in merged.items()
        if name in _TYPES
    }


def context(chosen: Object, model: Model, default: int = _DEFAULT_CONTEXT) -> int:
    """The context window in force, in tokens: never more than the model was trained for."""
    return max(_LEAST_CONTEXT, min(int(chosen.get("num_ctx") or default), model.context_length))


def thinks(body: Object, model: Model, shown: str) -> str:
    """The effort to think with, or "" not to think.  Absent means yes when the model can.  Raises `Refused`."""
    think = body.get("think")
    if not isinstance(think, bool | str | None):
        raise bad('think must be a boolean or string ("high", "medium", "low", "max", true, or false)')
    if isinstance(think, str) and think not in ("low", "medium", "high", "max"):
        raise bad(f'invalid think value: "{think}" {_THINK}')
    if not model.can("thinking"):
        if think:
            raise bad(f'"{shown}" does not support thinking')
        return ""
    if model.levels:  # these levels know no maximum, and no end
        return "high" if think == "max" else think if isinstance(think, str) else "medium"
    if think is False:
        return ""
    return think if isinstance(think, str) else "medium"


def wanted_format(body: Object) -> Object | str:
    """`""`, `"json"`, or the schema.  Raises `Refused` for what makes no grammar."""
    given = body.get("format")
    if given in (None, "", "json"):
        return given or ""
    if not isinstance(given, dict):
        shown = msgspec.json.encode(msgspec.json.encode(given).decode()).decode()
        raise bad(f'invalid format: {shown}; expected "json" or a valid JSON Schema object')
    if not well_formed(given) or not _grammatical(given, given, 0):
        raise Refused(400, "invalid", "invalid JSON schema in format")
    return given


def _grammatical(schema: Any, root: Object, depth: int) -> bool:
    """Whether the schema becomes a grammar: its references lead somewhere and its patterns are anchored."""
    if isinstance(schema, list):
        return all(_grammatical(item, root, depth + 1) for item in schema)
    if not isinstance(schema, dict) or depth > 100:
        return True
    if isinstance(ref := schema.get("$ref"), str) and resolve(root, ref) is None:
        return False
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$")):
        return False
    return all(_grammatical(value, root, depth + 1) for value in schema.values())


# --- how long ---------------------------------------------------------------------------------------------

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")


def keep_alive(body: Object) -> float:
    """Seconds to keep the model after the call; infinity for ever.  Raises `Refused` in Go's words."""
    given = body.get("keep_alive")
    if given is None:
        return FIVE_MINUTES
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise bad("Unsupported type: " + msgspec.json.encode(type(given).__name__).decode())
    seconds = duration(given) if isinstance(given, str) else float(given)
    return math.inf if seconds < 0 else seconds


def duration(spelling: str) -> float:
    """Seconds of a Go duration, `1h30m`.  https://pkg.go.dev/time#ParseDuration"""
    shown = msgspec.json.encode(spelling).decode()
    sign = -1.0 if spelling.startswith("-") else 1.0
    rest = spelling.lstrip("+-") if spelling[:1] in ("+", "-") and spelling[1:2] not in ("+", "-") else spelling
    if rest == "0":
        return 0.0
    terms = _TERM.findall(rest)
    if not terms or "".join(number + unit for number, unit in terms) != rest:
        raise bad(f"time: invalid duration {shown}")
    total = 0.0
    for number, unit in terms:
        if not unit:
            raise bad(f"time: missing unit in duration {shown}")
        if unit not in _UNITS:
            raise bad(f'time: unknown unit "{unit}" in duration {shown}')
        total += float(number) * _UNITS[unit]
    return sign * total
