"""JSON Schemas as Claude's structured outputs take them.

What the grammar compiler cannot hold (`minimum`, look-around in a `pattern`, ...) moves into the `description`, where
the model still reads it.  https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object

# What one request may hold in all, by the same page.
MAX_OPTIONAL, MAX_UNIONS = 24, 16
# References put in place can make a small schema grow without end; the API refuses far smaller ones.
MAX_NODES = 2000

_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"])
_KEPT = frozenset({"title", "description", "default", "const"})
_SILENT = frozenset({"$schema", "$id", "$comment", "id", "nullable", "additionalProperties", "examples", "example"})
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
        self._open: list[str] = []
        self._nodes = 0
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
        if "$ref" in node:
            return self._reference(node["$ref"])
        node = _normalise(node)
        if isinstance(node.get("type"), list):
            return self._union(
                [{**node, "type": kind} if kind != "null" else {"type": kind} for kind in node["type"]], node
            )
        if branches := node.get("anyOf") or node.get("oneOf"):
            return self._union(branches, node)
        if isinstance(branches := node.get("allOf"), list):
            return self.schema(_merge(node, [self._resolve(branch) for branch in branches]))
        return self._plain(node)

    # --- references ------------------------------------------------------------------------------

    def _reference(self, ref: JSON) -> Object:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", str(ref).removeprefix("#/$defs/").removeprefix("#/definitions/"))
        if name in self._open:
            raise UnfitError("it is recursive")
        if name not in self._refs:
            self._open.append(name)
            self._refs[name] = self.schema(self._resolve({"$ref": ref}))
            self._open.pop()
        return {"$ref": f"#/$defs/{name}"}

    def _resolve(self, node: JSON) -> JSON:
        for _ in range(32):
            if not isinstance(node, dict) or "$ref" not in node:
                return node
            target: JSON = self._root
            for step in str(node["$ref"]).removeprefix("#").strip("/").split("/"):
                key = step.replace("~1", "/").replace("~0", "~")
                if not isinstance(target, dict) or key not in target:
                    raise UnfitError(f"it refers to {node['$ref']!r}, which is not in it")
                target = target[key]
            node = target
        raise UnfitError("it is recursive")

    # --- shapes ----------------------------------------------------------------------------------

    def _union(self, branches: list[JSON], node: Object) -> Object:
        if not isinstance(branches, list):
            raise UnfitError("anyOf is not an array")
        self.unions += 1
        shared = {k: v for k, v in node.items() if k in ("properties", "required") and "type" not in node}
        out: Object = {k: node[k] for k in ("title", "description", "default") if k in node}
        out["anyOf"] = [
            self.schema({**shared, **branch} if shared and isinstance(branch, dict) else _undescribed(branch))
            for branch in branches
        ]
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
        properties = node.get("properties")
        if not isinstance(properties, dict) or (not properties and node.get("additionalProperties") is not False):
            raise UnfitError("an object of it is free-form")
        required = [name for name in _names(node.get("required")) if name in properties]
        self.optional += len(properties) - len(set(required))
        return {
            "type": "object",
            "properties": {name: self.schema(child) for name, child in properties.items()},
            "required": required,
            "additionalProperties": False,
        }

    def _describe(self, out: Object, node: Object, said: set[str]) -> Object:
        left = {k: v for k, v in node.items() if k not in said | _KEPT | _SILENT | {"$defs", "definitions"}}
        if left:
            self._moved += left
            note = ", ".join(f"{name}: {json_text(value)}" for name, value in left.items())
            out["description"] = f"{out['description']} ({note})" if out.get("description") else note
        return out


def _normalise(node: Object) -> Object:
    """OpenAPI's `nullable`, upper-case types, and a type that only its other members give away."""
    node = {k: v for k, v in node.items() if v is not None or k in ("default", "const")}
    kind = node.get("type")
    if isinstance(kind, str):
        node["type"] = kind = kind.lower()
    if kind is None and not node.keys() & {"anyOf", "oneOf", "allOf", "enum", "const"}:
        if "properties" in node:
            node["type"] = kind = "object"
        elif "items" in node:
            node["type"] = kind = "array"
    if node.pop("nullable", False) is True and isinstance(kind, str):
        node["type"] = [kind, "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
    if "enum" in node or "const" in node:
        node.pop("type", None)
    if isinstance(node.get("type"), list) and len(node["type"]) == 1:
        node["type"] = node["type"][0]
    return node


def _undescribed(branch: JSON) -> JSON:
    """A branch made from a list of types repeats its parent's words; once is enough."""
    return {k: v for k, v in branch.items() if k not in ("title", "default")} if isinstance(branch, dict) else branch


def _string(node: Object) -> Object:
    out: Object = {}
    if isinstance(form := node.get("format"), str) and form in _FORMATS and node.get("type") == "string":
        out["format"] = form
    if isinstance(pattern := node.get("pattern"), str) and not _REFUSED_REGEX.search(pattern):
        out["pattern"] = pattern
    return out


def _merge(node: Object, branches: list[JSON]) -> Object:
    """`allOf` as one schema: members together, required together, first word wins otherwise."""
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
        out["required"] = [*own, *(n for n in _names(joined.get("required")) if n in common and n not in own)]
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
