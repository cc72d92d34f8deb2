"""Requests that ask for no answer: load a model, unload it.  And `keep_alive`, how long it should stay.

The command line, Open WebUI's unload button and LangChain depend on them; they never reach a model.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import Literal

from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama.timing import created_at
from dragoman.errors import GatewayError, invalid

Probe = Literal["load", "unload"]

# Go's time.ParseDuration.
_UNITS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
# One way to match each text: a number that could be split anywhere would be tried at every place.
_STEP = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"([+-]?)((?:{_STEP.pattern})+)")
_LONGEST = 400  # characters: nobody writes more, and each step of a million would be counted
_NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)")


def keep_alive_seconds(value: JSON) -> float | None:
    """`keep_alive` in seconds: infinity when negative, None when absent.

    Numbers are seconds; strings are durations as Go writes them ("5m", "1h30m"), or, unlike in Ollama, plain numbers.
    """
    match value:
        case None | "":
            return None
        case bool():
            pass
        case int() | float():  # JSON has no NaN
            return math.inf if value < 0 or value > sys.float_info.max else float(value)
        case str() if len(value) > _LONGEST:
            pass
        case str() if (text := value.strip()) and _NUMBER.fullmatch(text):
            return keep_alive_seconds(float(text))
        case str() if found := _DURATION.fullmatch(value.strip()):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(found[2]))
            return math.inf if found[1] == "-" and seconds else seconds
    raise _bad_keep_alive(value)


def _bad_keep_alive(value: JSON) -> GatewayError:
    shown = f'"{value}"' if isinstance(value, str) else type(value).__name__
    return invalid(f"keep_alive: invalid duration {shown}", "keep_alive")


def probe(body: Object) -> Probe | None:
    """What a chat without messages asks for; None for one that wants an answer.  `body` stays as it is."""
    return None if body.get("messages") else _wish(body)


def probe_generate(body: Object) -> Probe | None:
    """The same for /api/generate: nothing to answer, complete or look at."""
    return None if any(body.get(name) for name in ("prompt", "suffix", "images")) else _wish(body)


def _wish(body: Object) -> Probe:
    return "unload" if keep_alive_seconds(body.get("keep_alive")) == 0 else "load"


def encode_probe(done_reason: Probe, stamp: Stamp) -> Object:
    """The whole answer to a chat probe."""
    message = {"role": "assistant", "content": ""}
    return _answer(stamp) | {"message": message, "done": True, "done_reason": done_reason}


def encode_generate_probe(done_reason: Probe, stamp: Stamp) -> Object:
    """The whole answer to a generate probe."""
    return _answer(stamp) | {"response": "", "done": True, "done_reason": done_reason}


def _answer(stamp: Stamp) -> Object:
    return {"model": stamp.model, "created_at": created_at(stamp)}
