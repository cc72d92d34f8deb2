"""A value unlike any other for each member of a request, and a request around it that makes sense.

Strings are words that occur nowhere else (`zq…z`), numbers are odd ones, media hold such a word.  What a type does not
say (a picture must be one) stands in the tables here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from tests.fidelity.members import Array, Leaf, Member, Record, Shape, Step
from tests.fidelity.surroundings import around
from tests.relay.pdfs import pdf, text

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"


class Probe(NamedTuple):
    """`body` has the member and `bare` has not; where it must be there, it has another value in `bare`.

    `at` is where the member stands in `body`; `value` what it is.
    """

    body: dict[str, Any]
    bare: dict[str, Any]
    at: str
    value: Any


def probe(dialect: str, member: Member) -> Probe:
    """The requests that show what becomes of `member`."""
    build = _Build(dialect, member)
    body, at = build.body(0)
    return Probe(body, build.body(1)[0], at, build.value)


_RARE = frozenset({"ultrafast"})
"""Words that one wire alone has for a member of several: what becomes of the member is told by the others."""


def word(pattern: str, seed: int = 0) -> str:
    """The string that stands at `pattern`."""
    return f"zq{crc32(pattern.encode()) % 10**8:08d}{seed}z"


def sample(shape: Shape, pattern: str, seed: int = 0) -> Any:
    """A value of `shape`; of an object only what must be there.  Another `seed`, another value."""
    if (special := _special(pattern, shape)) is not None:
        return special(pattern, seed)
    match shape:
        case Leaf():
            return _scalar(shape, pattern, seed)
        case Array(items):
            return [sample(items[0], f"{pattern}[]", seed)]
        case Record():
            return _object(shape, pattern, seed)


def _object(record: Record, pattern: str, seed: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, field in record.fields.items():
        if name in ("type", "role", "name") and record.label and (words := _words(field.alternatives)):
            if record.label in words or field.required:
                made[name] = record.label if record.label in words else words[0]
        elif field.required:
            made[name] = sample(_simplest(field.alternatives), f"{pattern}.{name}", seed)
    for name, field in record.fields.items():
        if name not in made and _is_needed(pattern, name):
            made[name] = sample(_simplest(field.alternatives), f"{pattern}.{name}", seed)
    return made


def _words(alternatives: tuple[Shape, ...]) -> list[Any]:
    return [choice for shape in alternatives if isinstance(shape, Leaf) for choice in shape.choices]


def _simplest(alternatives: tuple[Shape, ...]) -> Shape:
    order = {"str": 0, "int": 1, "float": 1, "bool": 1, "word": 2, "object": 3}
    return min(alternatives, key=lambda shape: order[shape.kind] if isinstance(shape, Leaf) else 4)


def _scalar(leaf: Leaf, pattern: str, seed: int) -> Any:
    number = crc32(pattern.encode())
    match leaf.kind:
        case "str":
            return word(pattern, seed)
        case "word":
            others = [choice for choice in leaf.choices if choice and choice not in _RARE]
            return others[-1 - seed] if seed < len(others) else others[-1] if others else leaf.choices[0]
        case "int":
            return 1100 + number % 6000 + 7 * seed
        case "float":
            return (number % 61 + 1) / 64 + seed / 256
        case "bool":
            return not seed
        case _:
            return {word(pattern, seed): word(pattern + "!", seed)}


# --- values that a type does not tell ------------------------------------------------------------

# Members that a request makes no sense without, though their types leave them out.
_NEEDED: tuple[tuple[str, str], ...] = (
    (r"\[compaction\]$", "content"),
    (r"(function|custom)_call_output\]$|^input\[function_call_output\]$", "call_id"),
    (r"\[input_image\]$", "image_url"),
    (r"\[input_file\]$", "file_data"),
    (r"^tools\[\]$", "function"),
    (r"^tools\[\]\.function$", "name"),
    (r"\[file\]\.file$", "file_data"),
    (r"^messages\[assistant\]$", "content"),
    (r"\.json_schema$", "schema"),
    (r"^tools\[function\]\.function$|^functions\[\]$|^tools\[\]\.function$", "parameters"),
    (r"^tools\[custom\]$", "input_schema"),
)


def _is_needed(pattern: str, name: str) -> bool:
    return any(name == needed and re.search(expression, pattern) for expression, needed in _NEEDED)


_Made = Callable[[str, int], Any]


def _special(pattern: str, shape: Shape) -> _Made | None:
    kind = shape.kind if isinstance(shape, Leaf) else "record" if isinstance(shape, Record) else "array"
    for expression, kinds, made in _SPECIAL:
        if (not kinds or kind in kinds) and re.search(expression, pattern):
            return made
    return None


def _fixed(*values: Any) -> _Made:
    return lambda _, seed: values[min(seed, len(values) - 1)]


def _picture(pattern: str, seed: int) -> str:
    return base64.b64encode(_PNG + word(pattern, seed).encode()).decode()


def _sound(pattern: str, seed: int) -> str:
    return base64.b64encode(_WAV + word(pattern, seed).encode()).decode()


@cache
def _paper(_: str, seed: int) -> str:
    return base64.b64encode(pdf(text(word("pdf", seed)))).decode()


def _schema(pattern: str, seed: int) -> dict[str, Any]:
    name = word(pattern, seed)
    return {
        "type": "object",
        "properties": {name: {"type": "string"}},
        "required": [name],
        "additionalProperties": False,
    }


def _address(suffix: str) -> _Made:
    return lambda pattern, seed: f"https://example.org/{word(pattern, seed)}.{suffix}"


def _in_object(pattern: str, seed: int) -> str:
    return json.dumps({"q": word(pattern, seed)})


_SPECIAL: tuple[tuple[str, tuple[str, ...], _Made], ...] = (
    (r"\[input_image\]\.image_url$", ("str",), lambda p, s: f"data:image/png;base64,{_picture(p, s)}"),
    (r"\[input_file\]\.file_data$", ("str",), lambda p, s: f"data:application/pdf;base64,{_paper(p, s)}"),
    (r"\[input_file\]\.file_url$", ("str",), _address("txt")),
    (r"\[input_file\]\.filename$", ("str",), lambda p, s: f"{word(p, s)}.pdf"),
    (r"image_url\.url$", ("str",), lambda p, s: f"data:image/png;base64,{_picture(p, s)}"),
    (r"images\[\]$", ("str",), _picture),
    (r"\[image\]\.source\[base64\]\.data$", (), _picture),
    (r"\[image\]\.source\[base64\]\.media_type$", (), _fixed("image/png")),
    (r"\[image\]\.source$", (), lambda p, s: {"type": "base64", "media_type": "image/png", "data": _picture(p, s)}),
    (r"\[image\]\.source\[url\]\.url$", (), _address("png")),
    (r"\[base64\]\.data$", (), _paper),
    (r"\[base64\]\.media_type$", (), _fixed("application/pdf")),
    (r"\[document\]\.source\[url\]\.url$", (), _address("txt")),
    (r"\[document\]\.source$", (), lambda p, s: {"type": "text", "media_type": "text/plain", "data": word(p, s)}),
    (r"input_audio\.data$", (), _sound),
    (r"input_audio\.format$", (), _fixed("wav")),
    (r"file\.file_data$", (), lambda p, s: f"data:application/pdf;base64,{_paper(p, s)}"),
    (r"file\.filename$", (), lambda p, s: f"{word(p, s)}.pdf"),
    (r"arguments$", ("str",), _in_object),
    (r"(input_schema|parameters|(?<!json_)schema)$", ("object", "record"), _schema),
    (r"(input_schema|parameters)\[object\]\.properties$", (), lambda p, s: {word(p, s): {"type": "string"}}),
    (r"required(\[\])?$", ("str",), _fixed("q")),
    (r"^format$", ("object",), _schema),
    (r"^temperature|options\.temperature$", (), _fixed(0.28125, 0.53125)),
    (r"top_p$", (), _fixed(0.96875, 0.984375)),
    (r"min_p$", (), _fixed(0.078125, 0.109375)),
    (r"top_k$", (), _fixed(37, 41)),
    (r"^n$", (), _fixed(3)),
    (r"best_of$", (), _fixed(5)),
    (r"top_logprobs$", (), _fixed(7, 9)),
    (r"^logprobs$", ("int",), _fixed(4, 3)),
    (r"^(max_tokens|max_completion_tokens)$|num_predict$", (), _fixed(7777, 7779)),
    (r"num_ctx$", (), _fixed(65_536)),
    (r"logit_bias$", (), _fixed({"4711": 3})),
    (r"context\[\]$", (), _fixed(4711)),
    (r"prompt\[\]", ("int",), _fixed(4711)),
    (r"parallel_tool_calls$", (), _fixed(False, True)),
    (r"thinking\[\w+\]\.display$", (), _fixed("omitted")),
    (r"^think$", ("str",), _fixed("high", "low")),
    (r"^speed$", ("word",), _fixed("fast", "standard")),  # `typing` mixes up the order of equal choices
    (r"^(truncate|shift)$", (), _fixed(False, True)),
    (r"^keep_alive$", ("str",), _fixed("47m", "48m")),
    (r"messages\[\]\.role$", (), _fixed("system", "user")),
    (r"tools\[\]\.type$", (), _fixed("function")),
    (r"allowed_tools\.tools\[\]$", (), lambda p, s: {"type": "function", "function": {"name": word(p, s)}}),
    (r"\[allowed_tools\]\.tools\[\]$", (), lambda p, s: {"type": "function", "name": word(p, s)}),
    (r"prompt_cache_breakpoint\.ttl$", (), _fixed("12h")),
    (r"ttl$", ("word",), _fixed("1h")),
    (r"^tool_choice$", ("word",), _fixed("required", "auto")),
    (r"^function_call$", ("word",), _fixed("none", "auto")),
    (r"^fallbacks\[\]\.model$|^model$", (), lambda p, s: f"m{s}"),
)


# --- a body around the value -----------------------------------------------------------------------

_ABSENT = object()
_NEUTRAL: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": "First of all."},
    "custom": {"name": "first", "description": "The first.", "input_schema": {"type": "object", "properties": {}}},
    "function": {"type": "function", "function": {"name": "first", "parameters": {"type": "object", "properties": {}}}},
}
"""What stands before the element that is probed, so that its number is not 0: by the label of a variant there is."""


class _Spot(NamedTuple):
    """Where a build has come to: `pattern` is the path by types, `at` the path in the body.

    With `seed` 1 the member is left out, or has another value where it is `required`.
    """

    pattern: str
    at: str
    required: bool
    seed: int


class _Build:
    def __init__(self, dialect: str, member: Member) -> None:
        self._dialect = dialect
        self._member = member
        self.value: Any = None

    def body(self, seed: int) -> tuple[dict[str, Any], str]:
        """The request with the member (`seed` 0), or without it or with another value, and where the member is."""
        first, *rest = self._member.steps
        value, at = self._below(first, tuple(rest), _Spot(first.key, first.key, self._member.required, seed))
        if first.key == "messages" or (first.key == "input" and len(self._member.steps) > 1):
            item = self._member.steps[1].shape
            role = item.label if isinstance(item, Record) else ""
            message = None if value is _ABSENT else value[-1]
            body, number = around(self._dialect, self._member.path, role, message)
            at = re.sub(r"^(messages|input)\[\d+\]", rf"\1[{number}]", at)
        else:
            members = {} if value is _ABSENT else {first.key: value}
            body, _ = around(self._dialect, self._member.path, "", members)
        return body, at

    def _below(self, step: Step, rest: tuple[Step, ...], spot: _Spot) -> tuple[Any, str]:
        """The value of `step`, in which `rest` leads to the member, and the path of the member."""
        shape = step.shape
        if isinstance(shape, Record) and not spot.pattern.endswith("]") and shape.label:
            spot = spot._replace(pattern=f"{spot.pattern}[{shape.label}]")
        if not rest:
            return self._member_itself(shape, spot), spot.at
        step, *after = rest
        if isinstance(shape, Array):
            return self._element(shape, step, tuple(after), spot)
        assert isinstance(shape, Record)
        made = _object(shape, spot.pattern, 0)
        field = shape.fields.get(step.key)
        needed = field is not None and (field.required or _is_needed(spot.pattern, step.key))
        inside = _Spot(f"{spot.pattern}.{step.key}", f"{spot.at}.{step.key}", needed, spot.seed)
        inner, at = self._below(step, tuple(after), inside)
        if inner is _ABSENT:
            made.pop(step.key, None)
        else:
            made[step.key] = inner
        return made, at

    def _member_itself(self, shape: Shape, spot: _Spot) -> Any:
        if spot.seed and not spot.required:
            return _ABSENT
        made = sample(shape, spot.pattern, spot.seed)
        if not spot.seed:
            self.value = made
        return made

    def _element(self, shape: Array, step: Step, rest: tuple[Step, ...], spot: _Spot) -> tuple[Any, str]:
        label = step.shape.label if isinstance(step.shape, Record) else ""
        first = _before(shape, spot.at)
        gone = not rest and bool(spot.seed) and bool(first)
        inside = _Spot(f"{spot.pattern}[{label}]", f"{spot.at}[{len(first)}]", spot.required and not gone, spot.seed)
        inner, where = self._below(step, rest, inside)
        if inner is _ABSENT:
            return (first or _ABSENT), where
        return [*first, inner], where


def _before(shape: Array, at: str) -> list[Any]:
    if not at.endswith(("content", "tools", "system")) or at == "messages":
        return []
    labels = {item.label for item in shape.items if isinstance(item, Record)}
    return [_NEUTRAL[label] for label in ("text", "function", "custom") if label in labels][:1]
