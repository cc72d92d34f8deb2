"""Values made to fit a JSON schema: the arguments of a tool call, and structured output.  The same schema and the same
words give the same value."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from dragoman.conversation import Object
from dragoman.simulator.patterns import UnsupportedPatternError, example
from dragoman.simulator.schemas import resolve

_FORMATS = {
    "date-time": "2026-11-22T12:00:00Z",
    "time": "12:00:00Z",
    "date": "2026-11-22",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NOTE = re.compile(
    r"\b(minimum|maximum|exclusiveMinimum|exclusiveMaximum|multipleOf|minLength|maxLength|minItems|pattern): "
    r'(-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*")'
)
_DEEP, _DEEPEST = 5, 12
_LONGEST_ARRAY = 20
_LONGEST_STRING = 10_000
_FALLBACK = "example"


class Synthesis:
    """`words` fills strings; the first number in it fills numbers.  `every`: optional members too."""

    def __init__(self, root: Object, words: str, *, every: bool) -> None:
        self._root = root
        self._words = words
        self._every = every
        found = _NUMBER.search(words)
        self._number = float(found[0]) if found and len(found[0]) < 12 else None

    def value(self, schema: Any, depth: int = 0) -> Any:
        """A value that fits `schema`."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return self._words or _FALLBACK
        if isinstance(ref := schema.get("$ref"), str):
            return self.value(resolve(self._root, ref), depth + 1)
        schema = _noted(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for union in ("anyOf", "oneOf"):
            if choices := schema.get(union):
                return self._chosen({**schema, union: None}, choices, depth)
        if parts := schema.get("allOf"):
            return self.value(_merged([{**schema, "allOf": None}, *parts]), depth + 1)
        return self._of_kind(_kind(schema), schema, depth)

    def _chosen(self, beside: Object, choices: list[Any], depth: int) -> Any:
        """One of several, with what holds for them all; nothing, where it gets too deep and may be nothing."""
        choice = _first_real(choices) if depth < _DEEP else next(filter(_is_null, choices), choices[0])
        if isinstance(choice, dict) and isinstance(ref := choice.get("$ref"), str):
            choice = resolve(self._root, ref)
        return self.value(_merged([beside, choice]), depth + 1)

    def _of_kind(self, kind: str, schema: Object, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                count = min(max(1, int(schema.get("minItems", 1))), _LONGEST_ARRAY)
                items = schema.get("prefixItems") or [schema.get("items", {"type": "string"})] * count
                return [self.value(item, depth + 1) for item in items]
            case "number" | "integer":
                return self._numeric(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema)

    def _object(self, schema: Object, depth: int) -> Object:
        known: Object = schema.get("properties") or {}
        required: list[str] = schema.get("required") or []
        every = self._every and depth < _DEEP
        names = [*required, *(name for name in known if every and name not in required)]
        return {name: self.value(known.get(name), depth + 1) for name in names}

    def _string(self, schema: Object) -> str:
        if (named := schema.get("format")) in _FORMATS:
            return _FORMATS[named]
        if pattern := schema.get("pattern"):
            try:
                return example(pattern)
            except UnsupportedPatternError:
                pass
        words = self._words or _FALLBACK
        words = words.ljust(min(int(schema.get("minLength", 0)), _LONGEST_STRING), ".")
        return words[: int(schema["maxLength"])] if "maxLength" in schema else words

    def _numeric(self, schema: Object, *, whole: bool) -> float:
        low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + 1)
        high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - 1)
        value = 1.0 if self._number is None else self._number
        value = max(min(value, high), low)
        if step := schema.get("multipleOf"):
            value = math.ceil(value / step) * step
        return math.ceil(value) if whole else value


def _noted(schema: Object) -> Object:
    """`schema` with the limits that its description tells of: "Age (minimum: 1, multipleOf: 2)"."""
    description = schema.get("description")
    if not isinstance(description, str):
        return schema
    found = {name: json.loads(value) for name, value in _NOTE.findall(description)}
    return {**found, **schema}


def _kind(schema: Object) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), "null")
    if isinstance(kinds, str):
        return kinds
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _first_real(choices: list[Any]) -> Any:
    return next((choice for choice in choices if not _is_null(choice)), choices[0])


def _is_null(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("type") == "null"


def _merged(parts: list[Any]) -> Object:
    out: Object = {}
    for part in parts:
        for key, value in part.items() if isinstance(part, dict) else ():
            if value is None:
                continue
            if key == "properties":
                out[key] = {**out.get(key, {}), **value}
            elif key == "required":
                out[key] = [*out.get(key, []), *value]
            else:
                out[key] = value
    return out
