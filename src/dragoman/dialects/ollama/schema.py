"""Tool schemas for a real Ollama, which reads `anyOf` and plain properties and forgets `$ref` and `oneOf`.

References are put in place and `oneOf` becomes `anyOf`.  A schema that refers to itself, or that would grow beyond a
bound, keeps the references that are left.
"""

from __future__ import annotations

from dragoman.conversation import JSON, Object
from dragoman.pointers import pointed

_MAX_NODES = 4000
_MAX_DEPTH = 64
_DEFINITIONS = ("$defs", "definitions")


def simplify(schema: Object) -> Object:
    """`schema` without references and `oneOf`; the same object when there are none."""
    if not _mentions(schema, 0):
        return schema
    inliner = _Inliner(schema)
    out: Object = inliner.walk({key: schema[key] for key in schema if key not in _DEFINITIONS}, ("#",), 0)
    if inliner.left:
        return out | {key: schema[key] for key in _DEFINITIONS if key in schema}
    return out


def _mentions(node: JSON, depth: int) -> bool:
    match node:
        case dict():
            return "$ref" in node or "oneOf" in node or (depth < _MAX_DEPTH and _some(node.values(), depth))
        case list():
            return depth < _MAX_DEPTH and _some(node, depth)
        case _:
            return False


def _some(nodes: JSON, depth: int) -> bool:
    return any(_mentions(node, depth + 1) for node in nodes)


class _Inliner:
    """`left`: whether a reference could not be put in place."""

    def __init__(self, root: Object) -> None:
        self._root = root
        self._nodes = 0
        self.left = False

    def walk(self, node: JSON, path: tuple[str, ...], depth: int) -> JSON:
        """`node` with its references replaced; `path` are the references we are inside of."""
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            self.left = True
            return node
        if isinstance(node, list):
            return [self.walk(item, path, depth + 1) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(ref := node.get("$ref"), str):
            target = None if ref in path else pointed(self._root, ref)
            if isinstance(target, dict):
                rest = {key: value for key, value in node.items() if key != "$ref"}
                return self.walk(target | rest, (*path, ref), depth + 1)
            self.left = True
        return self._members(node, path, depth)

    def _members(self, node: Object, path: tuple[str, ...], depth: int) -> Object:
        out = {key: self.walk(value, path, depth + 1) for key, value in node.items()}
        choices = out.get("oneOf")
        if isinstance(choices, list) and "anyOf" not in out:
            del out["oneOf"]
            out["anyOf"] = choices
        return out
