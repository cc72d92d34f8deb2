"""How much work it is to hold a value against a schema, told beforehand.

A few references that fan out, or a schema in itself twice over, make a validator work for years.  What is counted here
is an upper bound, in looks at one part of the schema with one part of the value; and counting is bounded, too.
"""

from __future__ import annotations

from dragoman.conversation import JSON, Object
from dragoman.pointers import pointed

ENDLESS = 1 << 60
_STEPS = 100_000
_DEPTH = 200

_SAME_LISTS = ("allOf", "anyOf", "oneOf")
_SAME = ("not", "if", "then", "else")
_INNER = (
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
    *("items", "additionalItems", "unevaluatedItems", "contains"),
)
_LISTED = ("enum", "required", "properties", "patternProperties", "dependentRequired", "dependentSchemas")


def work(schema: Object, value: JSON) -> int:
    """An upper bound of the looks it takes; `ENDLESS` when that cannot be told, or the value is nested too deep."""
    sizes = _sizes(value)
    if len(sizes) > _DEPTH:
        return ENDLESS
    looks = _Looks(schema)
    try:
        return min(sum(count * looks.at(schema, depth) for depth, count in enumerate(sizes)), ENDLESS)
    except (_TooManyError, RecursionError):
        return ENDLESS


class _TooManyError(Exception):
    pass


def _sizes(value: JSON) -> list[int]:
    """How many values there are at each depth; the names of an object's members are values as well."""
    sizes: list[int] = []
    level = [value]
    while level and len(sizes) <= _DEPTH:
        sizes.append(len(level))
        inner: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
                sizes[-1] += len(item)
            elif isinstance(item, list):
                inner += item
        level = inner
    return sizes


class _Looks:
    """How often, at most, parts of a schema look at one value so many steps further inside."""

    def __init__(self, root: Object) -> None:
        self._root = root
        self._known: dict[tuple[int, int], int] = {}
        self._steps = 0

    def at(self, node: JSON, depth: int) -> int:
        if not isinstance(node, dict):
            return 1
        place = (id(node), depth)
        if (known := self._known.get(place)) is not None:
            return known
        self._steps += 1
        if self._steps > _STEPS:
            raise _TooManyError
        self._known[place] = 0  # a schema that only leads back to itself adds nothing
        here = sum(self.at(child, depth) for child in self._same(node))
        here += self._inside(node, depth - 1) if depth else 1 + sum(_length(node.get(name)) for name in _LISTED)
        if here > ENDLESS:
            raise _TooManyError
        self._known[place] = here
        return here

    def _same(self, node: Object) -> list[JSON]:
        """The schemas that look at the very value that `node` looks at."""
        out = [child for name in _SAME_LISTS for child in _list(node.get(name))]
        out += [node[name] for name in _SAME if name in node]
        out += _table(node.get("dependentSchemas")).values()
        if isinstance(ref := node.get("$ref"), str):
            out.append(pointed(self._root, ref))
        return out

    def _inside(self, node: Object, depth: int) -> int:
        """Of the schemas by name, or by place, one looks at a value; all others may."""
        named = max((self.at(child, depth) for child in _table(node.get("properties")).values()), default=0)
        items = node.get("items")
        placed = [*_list(node.get("prefixItems")), *_list(items)]
        total = named + max((self.at(child, depth) for child in placed), default=0)
        total += sum(self.at(child, depth) for child in _table(node.get("patternProperties")).values())
        return total + sum(self.at(node[name], depth) for name in _INNER if isinstance(node.get(name), dict))


def _length(value: JSON) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _table(value: JSON) -> Object:
    return value if isinstance(value, dict) else {}
