"""Schemas in, schemas the grammar compiler takes out."""

from __future__ import annotations

import jsonschema
import pytest

from dragoman.conversation import Object
from dragoman.models.schema import UnfitError, tool_schema, transform

A: Object = {"type": "string"}


def obj(required: list[str] | None = None, /, **properties: Object) -> Object:
    return {"type": "object", "properties": properties, "required": required or [], "additionalProperties": False}


ROWS: list[tuple[str, Object, Object]] = [
    (
        "closed",
        {"type": "object", "properties": {"a": A}, "additionalProperties": True},
        {**obj(a=A), "description": "additionalProperties: true"},
    ),
    ("closed already", {"type": "object", "properties": {"a": A}, "additionalProperties": False}, obj(a=A)),
    ("required kept", {"type": "object", "properties": {"a": A, "b": A}, "required": ["a"]}, obj(["a"], a=A, b=A)),
    ("type from its members", {"properties": {"a": A}}, obj(a=A)),
    ("types", {"type": ["string", "null"]}, {"anyOf": [A, {"type": "null"}]}),
    ("one type in a list", {"type": ["string"]}, A),
    ("nullable", {"type": "string", "nullable": True}, {"anyOf": [A, {"type": "null"}]}),
    ("upper case", {"type": "STRING"}, A),
    (
        "oneOf",
        {"oneOf": [A, {"type": "integer"}], "discriminator": {"propertyName": "x"}},
        {"anyOf": [A, {"type": "integer"}], "description": 'oneOf: "exactly one of these"'},
    ),
    (
        "what stands beside a union",
        {"type": "object", "properties": {"a": A}, "required": ["a"], "anyOf": [{"properties": {"b": A}}, obj(a=A)]},
        {"anyOf": [obj(["a"], a=A, b=A), obj(["a"], a=A)]},
    ),
    (
        "two unions",
        {"anyOf": [A, {"type": "integer"}], "allOf": [{"anyOf": [A, {"type": "integer"}]}]},
        {"anyOf": [A, {"type": "integer"}]},
    ),
    (
        "what stands beside a reference",
        {**obj(p={"$ref": "#/$defs/P", "description": "his"}), "$defs": {"P": {**A, "description": "whose"}}},
        obj(p={**A, "description": "his"}),
    ),
    (
        "a reference or nothing",
        {"$ref": "#/$defs/P", "nullable": True, "$defs": {"P": A}},
        {"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}], "$defs": {"P": A}},
    ),
    (
        "references that would have one name",
        {**obj(p={"$ref": "#/$defs/a b"}, q={"$ref": "#/$defs/a_b"}), "$defs": {"a b": A, "a_b": {"type": "null"}}},
        {
            **obj(p={"$ref": "#/$defs/a_b"}, q={"$ref": "#/$defs/a_b_1"}),
            "$defs": {"a_b": A, "a_b_1": {"type": "null"}},
        },
    ),
    (
        "allOf with one member twice",
        {"allOf": [{"properties": {"a": A}}, {"properties": {"a": {"type": "string", "description": "it"}}}]},
        obj(a={**A, "description": "it"}),
    ),
    ("allOf", {"allOf": [{"properties": {"a": A}}, {"properties": {"b": A}, "required": ["b"]}]}, obj(["b"], a=A, b=A)),
    ("enum", {"type": "string", "enum": ["x", "y"]}, {"enum": ["x", "y"]}),
    ("const", {"const": 1}, {"const": 1}),
    ("format kept", {"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
    ("format told", {"type": "string", "format": "regex"}, {"type": "string", "description": 'format: "regex"'}),
    ("pattern kept", {"type": "string", "pattern": "^[a-z]+$"}, {"type": "string", "pattern": "^[a-z]+$"}),
    ("pattern told", {"type": "string", "pattern": "(?=x)"}, {"type": "string", "description": 'pattern: "(?=x)"'}),
    (
        "limits told",
        {"type": "integer", "minimum": 1, "description": "Age"},
        {"type": "integer", "description": "Age (minimum: 1)"},
    ),
    (
        "items",
        {"type": "array", "items": A, "minItems": 1, "maxItems": 3},
        {"type": "array", "items": A, "minItems": 1, "description": "maxItems: 3"},
    ),
    (
        "references",
        {
            "type": "object",
            "properties": {"p": {"$ref": "#/definitions/P"}},
            "definitions": {"P": {"properties": {"a": A}}},
        },
        {**obj(p={"$ref": "#/$defs/P"}), "$defs": {"P": obj(a=A)}},
    ),
    ("silent", {"$schema": "x", "$id": "y", **A, "examples": ["e"]}, A),
]


@pytest.mark.parametrize(("schema", "wire"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_transform(schema: Object, wire: Object) -> None:
    out, _ = transform(schema)
    assert out == wire
    jsonschema.Draft202012Validator.check_schema(out)


def test_moved_keywords_are_named() -> None:
    assert transform({"type": "integer", "minimum": 1, "multipleOf": 2})[1] == ["minimum", "multipleOf"]


UNFIT: list[tuple[str, Object]] = [
    ("free-form", {"type": "object"}),
    ("a map", {"type": "object", "additionalProperties": A}),
    ("anything", {}),
    ("items of anything", {"type": "array"}),
    ("true", {"type": "object", "properties": {"a": True}}),
    ("recursive", {"$ref": "#"}),
    ("recursive definition", {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}}),
    ("recursive alias", {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}),
    ("a reference to nowhere", {"$ref": "#/$defs/none"}),
    ("an enum of objects", {"enum": [{}]}),
    ("too many optionals", {"type": "object", "properties": {str(i): A for i in range(25)}}),
    ("too many unions", {"type": "object", "properties": {str(i): {"type": ["string", "null"]} for i in range(17)}}),
    ("members by any name", {"type": "object", "properties": {"a": A}, "additionalProperties": A}),
    ("a member nobody describes", {"type": "object", "properties": {"a": A}, "required": ["a", "b"]}),
    ("allOf that nothing fits", {"allOf": [A, {"type": "integer"}]}),
    ("two unions", {"anyOf": [A, {"type": "integer"}], "allOf": [{"anyOf": [A, {"type": "null"}]}]}),
    ("recursive beside words", {"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n", "description": "n"}}}),
    ("allOf of nonsense", {"allOf": [1]}),
    ("anyOf of nonsense", {"anyOf": 1}),
]


@pytest.mark.parametrize("schema", [row[1] for row in UNFIT], ids=[row[0] for row in UNFIT])
def test_what_cannot_be_held_is_said(schema: Object) -> None:
    with pytest.raises(UnfitError):
        transform(schema)


TOOLS: list[tuple[str, Object | None, Object, list[str]]] = [
    ("none", None, {"type": "object", "properties": {}}, []),
    (
        "as it is",
        {"type": "object", "properties": {"a": A}, "$defs": {}},
        {"type": "object", "properties": {"a": A}, "$defs": {}},
        [],
    ),
    ("no type", {"properties": {"a": A}}, {"type": "object", "properties": {"a": A}}, []),
    (
        "branches",
        {
            "type": "object",
            "anyOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": A}, "required": ["a"]}],
        },
        {"type": "object", "properties": {"a": A, "b": A}, "required": ["a"]},
        ["anyOf"],
    ),
    ("nulls", {"type": "object", "properties": {}, "required": None}, {"type": "object", "properties": {}}, []),
]


@pytest.mark.parametrize(("schema", "wire", "merged"), [row[1:] for row in TOOLS], ids=[row[0] for row in TOOLS])
def test_tool_schema(schema: Object | None, wire: Object, merged: list[str]) -> None:
    assert tool_schema(schema) == (wire, merged)
