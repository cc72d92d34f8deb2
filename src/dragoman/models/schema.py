"""JSON Schemas as Claude's structured outputs take them.

What the grammar compiler cannot hold (`minimum`, look-around in a `pattern`, ...) moves into the `description`, where
the model still reads it.  https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object
from dragoman.models.keywords import leniently
from dragoman.pointers import pointed

# What one request may hold in all, by the same page.
MAX_OPTIONAL, MAX_UNIONS = 24, 16
# References put in place can make a small schema grow without end; the API refuses far smaller ones.
MAX_NODES = 2000

_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"])
_KEPT = frozenset({"title", "description", "default", "const"})
_SILENT = frozenset(
    {"$schema", "$id", "$comment", "id", "discriminator", "examples", "example", "$defs", "definitions"}
)
_WORDS = ("title", "description", "default")
_LONGEST_NAME = 1000  # characters of a definition's name
_MAX_VALUES = 20_000  # in a document of which schemas are merged
# What tells the type by itself.
_TYPED = ("$ref", "anyOf", "oneOf", "allOf", "enum")
_REFUSED_REGEX = re.compile(r"\(\?(?!:)|\\[bB1-9]|\{\d{3,}")


class UnfitError(Exception):
    """The schema says something the grammar cannot hold even approximately; the text says what."""


def transform(schema: Object) -> tuple[Object, list[str]]:
    """The schema Claude accepts, and the keywords that moved into descriptions.  The root is always an object.

    Raises `UnfitError` for recursion, free-form objects, schemas of anything, and over-large ones.
    """
    moved: list[str] = []
    work = _Transform(schema, moved)
    out = work.schema(schema)
    if (definitions := work.definitions()) is not None:
        out["$defs"] = definitions
    if work.optional > MAX_OPTIONAL or work.unions > MAX_UNIONS:
        raise UnfitError(f"it has over {MAX_OPTIONAL} optional members or {MAX_UNIONS} unions")
    return out, sorted(set(moved))


class _Transform:
    """One pass over one document; `moved`, `optional` and `unions` are what it found on the way."""

    def __init__(self, root: Object, moved: list[str]) -> None:
        self._root = root
        self._moved = moved
        self._refs: dict[str, Object] = {}
        self._names: dict[str, str] = {}
        self._open: list[str] = []
        self._nodes = 0
        self._vast: bool | None = None
        self.optional = 0
        self.unions = 0

    def definitions(self) -> Object | None:
        return {name: self._refs[name] for name in sorted(self._refs)} or None

    def schema(self, node: JSON) -> Object:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise UnfitError("it is too large")
        if not isinstance(node, dict):
            raise UnfitError("a part of it allows anything")
        node = _normalise(node)
        if "$ref" in node:
            return self._reference(node)
        if isinstance(branches := node.get("allOf"), list):
            return self.schema(self._all(_without(node, "allOf"), branches))
        if isinstance(node.get("type"), list):
            return self._types(node["type"], node)
        for key in ("anyOf", "oneOf"):
            if node.get(key):
                return self._union(key, node)
        return self._plain(node)

    # --- references ------------------------------------------------------------------------------

    def _reference(self, node: Object) -> Object:
        """The reference, and its target among the definitions; the target itself where something stands beside."""
        ref = str(node["$ref"])
        if ref in self._open:
            raise UnfitError("it is recursive")
        if beside := {key: value for key, value in node.items() if key not in _SILENT and key != "$ref"}:
            self._open.append(ref)
            out = self.schema(self._all(beside, [{"$ref": ref}]))
            self._open.pop()
            return out
        name = self._name(ref)
        if name not in self._refs:
            self._open.append(ref)
            self._refs[name] = self.schema(self._resolve({"$ref": ref}))
            self._open.pop()
        return {"$ref": f"#/$defs/{name}"}

    def _name(self, ref: str) -> str:
        """A name of its own for what `ref` means."""
        if ref not in self._names:
            plain = ref.removeprefix("#/$defs/").removeprefix("#/definitions/")[:_LONGEST_NAME]
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", plain)
            taken = name in self._names.values()
            self._names[ref] = f"{name}_{len(self._names)}" if taken else name
        return self._names[ref]

    def _resolve(self, node: JSON) -> JSON:
        for _ in range(32):
            if not isinstance(node, dict) or "$ref" not in node:
                return node
            ref = str(node["$ref"])
            node = pointed(self._root, ref)
            if node is None:
                raise UnfitError(f"it refers to {ref!r}, which is not in it")
        raise UnfitError("it is recursive")

    # --- shapes ----------------------------------------------------------------------------------

    def _all(self, node: Object, branches: list[JSON]) -> Object:
        """`node` and all of `branches`, as one schema."""
        self._nodes += len(branches)  # each is held against all before it
        if self._nodes > MAX_NODES or self._is_vast():
            raise UnfitError("it is too large")
        for branch in branches:
            other = self._resolve(branch)
            if not isinstance(other, dict):
                raise UnfitError("allOf holds something that is not a schema")
            node = _both(node, other)
        return node

    def _is_vast(self) -> bool:
        """Whether there are too many values in the document to hold parts of it against each other."""
        if self._vast is None:
            count = 0
            rest: list[Any] = [self._root]
            while rest and count <= _MAX_VALUES:
                node = rest.pop()
                inner = list(node.values()) if isinstance(node, dict) else node
                count += len(inner)
                rest += [value for value in inner if isinstance(value, dict | list)]
            self._vast = count > _MAX_VALUES
        return self._vast

    def _types(self, kinds: list[JSON], node: Object) -> Object:
        """One branch a type; words that are the parent's are said once."""
        self.unions += 1
        own = _without(node, "title", "default")
        branches = [{**own, "type": kind} if kind != "null" else {"type": kind} for kind in kinds]
        return {key: node[key] for key in _WORDS if key in node} | {"anyOf": [self.schema(b) for b in branches]}

    def _union(self, key: str, node: Object) -> Object:
        """The branches, each with what stands beside the union."""
        branches = node[key]
        if not isinstance(branches, list):
            raise UnfitError(f"{key} is not an array")
        self.unions += 1
        out: Object = {word: node[word] for word in _WORDS if word in node}
        if key == "oneOf":
            out = self._describe(out, {key: "exactly one of these"}, set())
        beside = {k: v for k, v in node.items() if k not in _SILENT and k not in _WORDS and k != key}
        out["anyOf"] = [self.schema(self._all(beside, [b]) if beside else b) for b in branches]
        return out

    def _plain(self, node: Object) -> Object:
        out = {k: v for k, v in node.items() if k in _KEPT}
        values = node.get("enum")
        if values is not None or "const" in node:
            if not isinstance(values, list | None):
                raise UnfitError("an enum of it is not an array")
            if any(isinstance(v, dict | list) for v in values or [node.get("const")]):
                raise UnfitError("an enum of it holds objects or arrays")
            return self._describe(out | ({"enum": values} if values is not None else {}), node, {"enum", "type"})
        match node.get("type"):
            case "object":
                return self._describe(out | self._object(node), node, {"type", "properties", "required"})
            case "array":
                shape = {"type": "array", "items": self.schema(node.get("items"))}
                if node.get("minItems") in (0, 1):
                    shape["minItems"] = node["minItems"]
                return self._describe(out | shape, node, {"type", "items"} | shape.keys())
            case "string" | "number" | "integer" | "boolean" | "null" as kind:
                return self._describe(out | {"type": kind} | _string(node), node, {"type"} | _string(node).keys())
            case _:
                raise UnfitError("a part of it allows anything")

    def _object(self, node: Object) -> Object:
        properties, more = node.get("properties"), node.get("additionalProperties")
        if not isinstance(properties, dict) or (not properties and more is not False):
            raise UnfitError("an object of it is free-form")
        if isinstance(more, dict) and more:
            raise UnfitError("an object of it may have more members than it names")
        required = list(dict.fromkeys(_names(node.get("required"))))
        if any(name not in properties for name in required):
            raise UnfitError("an object of it needs a member that is not described")
        self.optional += len(properties) - len(required)
        return {
            "type": "object",
            "properties": {name: self.schema(child) for name, child in properties.items()},
            "required": required,
            "additionalProperties": False,
        }

    def _describe(self, out: Object, node: Object, said: set[str]) -> Object:
        left = {k: v for k, v in node.items() if k not in said | _KEPT | _SILENT}
        if left.get("additionalProperties") is False:
            del left["additionalProperties"]  # as every object is
        if left:
            self._moved += left
            note = ", ".join(f"{name}: {json_text(value)}" for name, value in left.items())
            out["description"] = f"{out['description']} ({note})" if out.get("description") else note
        return out


def _normalise(node: Object) -> Object:
    """What `leniently` reads, and a type that only its other members give away."""
    node = leniently({**node, **_guessed(node)})
    if "enum" in node or "const" in node:
        node.pop("type", None)
    if isinstance(node.get("type"), list) and len(node["type"]) == 1:
        node["type"] = node["type"][0]
    return node


def _guessed(node: Object) -> Object:
    if node.get("type") is not None or any(node.get(key) is not None for key in _TYPED) or "const" in node:
        return {}
    kinds = (kind for key, kind in (("properties", "object"), ("items", "array")) if node.get(key) is not None)
    return {"type": kind} if (kind := next(kinds, None)) else {}


def _without(node: Object, *names: str) -> Object:
    return {key: value for key, value in node.items() if key not in names}


def _string(node: Object) -> Object:
    out: Object = {}
    if isinstance(form := node.get("format"), str) and form in _FORMATS and node.get("type") == "string":
        out["format"] = form
    if isinstance(pattern := node.get("pattern"), str) and not _REFUSED_REGEX.search(pattern):
        out["pattern"] = pattern
    return out


def _both(one: Object, other: Object) -> Object:
    """A schema of what fits both.  Of words, the first ones stay.  Raises `UnfitError` where they cannot be one."""
    out = dict(one)
    for key, value in other.items():
        mine = out.get(key)
        if key not in out or mine == value:
            out[key] = value
        elif key == "properties" and isinstance(value, dict) and isinstance(mine, dict):
            shared = {n: {"allOf": [mine[n], child]} for n, child in value.items() if mine.get(n, child) != child}
            out[key] = mine | value | shared
        elif key == "required":
            out[key] = list(dict.fromkeys((*_names(mine), *_names(value))))
        elif key == "additionalProperties":
            out[key] = value if mine is True else mine if value is True else False
        elif key not in _SILENT and key not in _WORDS:
            raise UnfitError(f"it says {key} twice of one value")
    return out


def _merge(node: Object, branches: list[JSON]) -> Object:
    """The branches as one schema: members together, required together, first word wins otherwise."""
    out = {k: v for k, v in node.items() if k != "allOf"}
    properties = dict(_table(out.get("properties")))
    required = dict.fromkeys(_names(out.get("required")))
    for branch in branches:
        if not isinstance(branch, dict):
            raise UnfitError("allOf holds something that is not a schema")
        for key, value in branch.items():
            match key:
                case "properties" if isinstance(value, dict):
                    properties.update(value)
                    out[key] = properties
                case "required" if isinstance(value, list):
                    required.update(dict.fromkeys(_names(value)))
                case _:
                    out.setdefault(key, value)
    return out | {"required": list(required)} if required else out


def tool_schema(schema: Object | None) -> tuple[Object, list[str]]:
    """A tool's `input_schema` as the API takes it: an object at the root, no combinators beside it.

    Branches of a root-level `anyOf`, `oneOf` or `allOf` are merged; the second value names what was merged.
    """
    if not schema:
        return {"type": "object", "properties": {}}, []
    out = {k: v for k, v in schema.items() if v is not None and k not in ("anyOf", "oneOf", "allOf")}
    merged = [k for k in ("anyOf", "oneOf", "allOf") if schema.get(k)]
    for key in merged:
        branches = list(_branches(schema[key]))
        joined = _merge({}, branches)
        out["properties"] = {**_table(joined.get("properties")), **_table(out.get("properties"))}
        common = set(_names(joined.get("required")))
        if key != "allOf":
            common = common.intersection(*(_names(branch.get("required")) for branch in branches))
        own = _names(out.get("required"))
        more = common.difference(own)
        out["required"] = [*own, *(name for name in _names(joined.get("required")) if name in more)]
        if "$defs" in joined:
            out["$defs"] = {**_table(joined["$defs"]), **_table(out.get("$defs"))}
    if out.get("type") != "object":
        out = {"type": "object"} | {k: v for k, v in out.items() if k != "type"}
    out.setdefault("properties", {})
    return out, merged


def _table(value: JSON) -> Object:
    return value if isinstance(value, dict) else {}


def _names(value: JSON) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _branches(value: JSON) -> Iterator[Object]:
    if isinstance(value, list):
        yield from (branch for branch in value if isinstance(branch, dict))
