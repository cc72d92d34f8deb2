"""JSON Schema read as its authors mean it: which members hold schemas, and the liberties that generators take.

https://json-schema.org/draft/2020-12 and, for `nullable` and types in capitals, https://spec.openapis.org/oas/v3.0.4
"""

from __future__ import annotations

from typing import Literal

from dragoman.conversation import JSON, Object
from dragoman.pointers import pointed

# Members whose values are schemas by name, and members whose value is any JSON.
TABLES = frozenset(("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"))
VALUES = frozenset(("const", "enum", "default", "examples", "example"))


_OF_THE_WHOLE = ("title", "description", "default", "$defs", "definitions")


class TooDeepError(Exception):
    """The schema has more parts, or is nested deeper, than anybody writes."""


def leniently(node: Object) -> Object:
    """One schema without members that are null, types in lower case, and `nullable` as JSON Schema says it."""
    out = {key: value for key, value in node.items() if value is not None or key in ("default", "const")}
    kind = out.get("type")
    if isinstance(kind, str):
        out["type"] = kind = kind.lower()
    elif isinstance(kind, list):
        out["type"] = [name.lower() if isinstance(name, str) else name for name in kind]
    if out.pop("nullable", False) is not True:
        return out
    if isinstance(kind, str):
        out["type"] = [kind, "null"] if kind != "null" else kind
        if isinstance(out.get("enum"), list) and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
    elif kind is None and out.keys() & {"$ref", "anyOf", "oneOf", "allOf", "enum", "const"}:
        kept = {key: out.pop(key) for key in _OF_THE_WHOLE if key in out}
        return kept | {"anyOf": [out, {"type": "null"}]}
    return out


def root_kind(schema: Object) -> Literal["object", "array", ""]:
    """The type of every value that fits, where that is one of two; "" for any other, and where it is not said."""
    node: JSON = schema
    for _ in range(8):
        match leniently(node) if isinstance(node, dict) else None:
            case {"type": "object"} | {"type": ["object"]}:
                return "object"
            case {"type": "array"} | {"type": ["array"]}:
                return "array"
            case {"$ref": str(ref)}:
                node = pointed(schema, ref)
            case {"properties": dict(), **rest} if not rest.keys() & {"type", "anyOf", "oneOf"}:
                return "object"  # as its author means it
            case _:
                break
    return ""


def read_leniently(schema: Object, *, without: frozenset[str], most: int, depth: int) -> Object:
    """A copy of the whole of `schema`, each schema in it read `leniently` and without the members in `without`.

    Raises `TooDeepError` above `most` parts or below a depth of `depth`.
    """
    return _Copy(without, most).schema(schema, depth)


class _Copy:
    def __init__(self, without: frozenset[str], most: int) -> None:
        self._without = without
        self._left = most

    def schema(self, node: Object, depth: int) -> Object:
        out: Object = {}
        for key, value in leniently(node).items():
            if key in self._without:
                continue
            if key in VALUES:
                out[key] = value
            elif key in TABLES and isinstance(value, dict):
                out[key] = {name: self._any(child, depth - 1) for name, child in value.items()}
            else:
                out[key] = self._any(value, depth - 1)
        return out

    def _any(self, value: JSON, depth: int) -> JSON:
        self._left -= 1
        if self._left < 0 or depth < 0:
            raise TooDeepError
        if isinstance(value, dict):
            return self.schema(value, depth)
        return [self._any(item, depth - 1) for item in value] if isinstance(value, list) else value
