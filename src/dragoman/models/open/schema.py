"""JSON Schemas as the grammars of local servers hold them: without what no grammar can say, and with references only
where a schema contains itself.

Ollama and llama.cpp turn a schema into a grammar; a keyword it cannot hold is passed over, and some are an error.
https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dragoman.conversation import JSON, Object
from dragoman.models.keywords import TABLES, VALUES, leniently
from dragoman.pointers import pointed

_UNHELD = frozenset(
    (
        *("not", "if", "then", "else", "contains", "uniqueItems", "multipleOf", "propertyNames", "patternProperties"),
        *("dependentRequired", "dependentSchemas", "minProperties", "maxProperties", "unevaluatedProperties"),
    )
)
# Of numbers, only whole ones can be counted out.
_LIMITS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_SILENT = frozenset(("$defs", "definitions", "$schema", "$id", "$comment"))
# Where something is written before the schema inside begins: a grammar may come back to itself only after that.
_INNER = frozenset(("properties", "items", "prefixItems", "additionalProperties"))
_SAYS_NOTHING = frozenset(("$ref", "title", "description", "default", "examples"))

# A pattern is held when it begins and ends with the text, and is made of characters, classes and repetitions.
_PATTERN = re.compile(r"\^(?:[^\\]|\\[^a-zA-Z0-9])*\$", re.DOTALL)
_MAX_NODES = 4000
_MAX_DEPTH = 32


class Held:
    """`schema` for the grammar, and `unheld`: the keywords it does not hold, sorted.

    `whole`: the grammar is made of this schema alone, and what contains itself is in its `$defs`.
    """

    def __init__(self, schema: Object, *, whole: bool = False) -> None:
        self._root = schema
        self._whole = whole
        self._nodes = 0
        self._unheld: set[str] = set()
        self._names: dict[str, str] = {}
        walked = self._walk(schema, (), (), 0)
        self.schema: Object = walked if isinstance(walked, dict) else {}
        definitions: Object = {}
        while len(definitions) < len(self._names):
            ref, name = list(self._names.items())[len(definitions)]
            definitions[name] = self._walk(pointed(schema, ref), (ref,), (ref,), 0)
        if definitions:
            self.schema["$defs"] = definitions

    @property
    def unheld(self) -> list[str]:
        return sorted(self._unheld)

    def _walk(self, node: JSON, path: tuple[str, ...], bare: tuple[str, ...], depth: int) -> JSON:
        """`node` without references; `path` are those we are inside of, `bare` those with nothing written since.
        Where it has no end anything is allowed."""
        self._nodes += 1
        if not isinstance(node, dict):
            return node
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            self._unheld.add("what is nested too deep")
            return {}
        node = leniently(node)
        if isinstance(ref := node.get("$ref"), str):
            if self._whole and ref in path and ref not in bare and node.keys() <= _SAYS_NOTHING:
                return {"$ref": f"#/$defs/{self._names.setdefault(ref, f'r{len(self._names)}')}"}
            target = None if ref in path else pointed(self._root, ref)
            if not isinstance(target, dict):
                self._unheld.add("$ref")
                return {}
            beside = {k: v for k, v in node.items() if k != "$ref"}
            return self._walk(target | beside, (*path, ref), (*bare, ref), depth + 1)
        return self._members(node, path, bare, depth + 1)

    def _members(self, node: Object, path: tuple[str, ...], bare: tuple[str, ...], depth: int) -> Object:
        out: Object = {}
        for key, value in node.items():
            if key in _SILENT:
                continue
            since = () if key in _INNER else bare
            if not _is_held(key, value, node):
                self._unheld.add(key)
            elif key in VALUES:
                out[key] = value
            elif key in TABLES and isinstance(value, dict):
                out[key] = {name: self._walk(child, path, since, depth) for name, child in self._possible(value)}
            elif isinstance(value, list):
                out[key] = [self._walk(item, path, since, depth) for item in value]
            else:
                out[key] = self._walk(value, path, since, depth)
        if "oneOf" in out:
            self._unheld.add("oneOf")  # a grammar does not count how many branches fit
            if "anyOf" not in out:
                out["anyOf"] = out.pop("oneOf")
        return out

    def _possible(self, table: Object) -> Iterator[tuple[str, JSON]]:
        """The schemas of members that may be there, without those that say yes or no and nothing else."""
        for name, child in table.items():
            if child is False:
                self._unheld.add("false")
            else:
                yield name, {} if child is True else child


def _is_held(key: str, value: JSON, node: Object) -> bool:
    if key in _LIMITS:
        return node.get("type") == "integer"
    if key == "pattern":
        return isinstance(value, str) and "(?" not in value and _PATTERN.fullmatch(value) is not None
    return key not in _UNHELD


def is_described(schema: JSON) -> bool:
    """Whether it says anything to a reader that a grammar cannot: a title or a description, anywhere."""
    return any("description" in node for node in _schemas(schema, 0))


def is_closed(schema: Object) -> bool:
    """Whether it is an object, and every object in it has exactly the members it names: OpenAI's `strict` wants that.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    nodes = list(_schemas(schema, 0))
    if schema.get("type") != "object" or any("oneOf" in node or "allOf" in node for node in nodes):
        return False
    objects = [node for node in nodes if "properties" in node or node.get("type") == "object"]
    return all(_has_only_its_own(node) for node in objects) and not Held(schema).unheld


def _has_only_its_own(node: Object) -> bool:
    properties, required = node.get("properties"), node.get("required")
    if node.get("additionalProperties") is not False or not isinstance(properties, dict):
        return False
    return isinstance(required, list) and properties.keys() <= {name for name in required if isinstance(name, str)}


def _schemas(node: JSON, depth: int) -> Iterator[Object]:
    """Every schema in `node`, itself first."""
    if depth > _MAX_DEPTH * 2:
        return
    if isinstance(node, list):
        for item in node:
            yield from _schemas(item, depth + 1)
    elif isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key in TABLES:
                for child in value.values() if isinstance(value, dict) else ():
                    yield from _schemas(child, depth + 1)
            elif key not in VALUES:
                yield from _schemas(value, depth + 1)
