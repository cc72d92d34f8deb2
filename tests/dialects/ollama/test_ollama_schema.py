"""Tool schemas made plain for a real Ollama."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.dialects.ollama.schema import simplify

CITY = {"type": "string", "description": "A city"}

ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "reference",
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/City"}}, "$defs": {"City": CITY}},
        {"type": "object", "properties": {"a": CITY}},
    ),
    (
        "reference with words of its own",
        {"properties": {"a": {"$ref": "#/definitions/City", "description": "Where to"}}, "definitions": {"City": CITY}},
        {"properties": {"a": {"type": "string", "description": "Where to"}}},
    ),
    (
        "reference to a reference, in a list",
        {
            "properties": {"a": {"anyOf": [{"$ref": "#/$defs/B"}]}},
            "$defs": {"B": {"$ref": "#/$defs/City"}, "City": CITY},
        },
        {"properties": {"a": {"anyOf": [CITY]}}},
    ),
    (
        "escaped name",
        {"properties": {"a": {"$ref": "#/$defs/x~1y~0z"}}, "$defs": {"x/y~z": CITY}},
        {"properties": {"a": CITY}},
    ),
    (
        "oneOf",
        {"properties": {"a": {"oneOf": [{"type": "string"}, {"oneOf": [{"type": "null"}]}]}}},
        {"properties": {"a": {"anyOf": [{"type": "string"}, {"anyOf": [{"type": "null"}]}]}}},
    ),
    (
        "a property called oneOf",
        {"properties": {"oneOf": {"type": "string"}, "$ref": {"type": "string"}}},
        {"properties": {"oneOf": {"type": "string"}, "$ref": {"type": "string"}}},
    ),
    (
        "a property called definitions",
        {"properties": {"definitions": CITY, "a": {"$ref": "#/$defs/City"}}, "$defs": {"City": CITY}},
        {"properties": {"definitions": CITY, "a": CITY}},
    ),
    (
        "dangling",
        {"properties": {"a": {"$ref": "#/$defs/Nowhere"}, "b": {"$ref": "https://example.org/s"}}},
        {"properties": {"a": {"$ref": "#/$defs/Nowhere"}, "b": {"$ref": "https://example.org/s"}}},
    ),
]


@pytest.mark.parametrize(("schema", "simple"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_simplify(schema: dict[str, Any], simple: dict[str, Any]) -> None:
    assert simplify(schema) == simple


def test_a_plain_schema_is_the_same_object() -> None:
    schema = {"type": "object", "properties": {"a": CITY}, "$defs": {"unused": {}}}
    assert simplify(schema) is schema


def test_recursion_keeps_its_definitions() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#/$defs/Tree"}}}
    schema = {"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}}
    simple = simplify(schema)
    assert simple["$defs"] == {"Tree": tree}
    assert simple["properties"]["child"] == {"$ref": "#/$defs/Tree"}


def test_a_schema_that_explodes_is_bounded() -> None:
    """Each definition uses the next one twice: 2^40 nodes when put in place."""
    defs: dict[str, Any] = {
        f"d{i}": {"properties": {"l": {"$ref": f"#/$defs/d{i + 1}"}, "r": {"$ref": f"#/$defs/d{i + 1}"}}}
        for i in range(40)
    }
    simple = simplify({"$ref": "#/$defs/d0", "$defs": defs | {"d40": CITY}})
    assert "$defs" in simple
    assert len(str(simple)) < 2_000_000


def test_nesting_without_end_is_bounded() -> None:
    deep: dict[str, Any] = {"$ref": "#"}
    for _ in range(500):
        deep = {"items": deep, "oneOf": []}
    assert simplify(deep)
