"""Answers against the schema their client sent: what fits, what is told, and schemas that nobody should have sent."""

from __future__ import annotations

import json
import string
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Format, Object
from dragoman.models.checking import complaint, unchecked
from dragoman.models.schemacost import ENDLESS, work

JSON_MODE = Format(kind="json")


def against(schema: Object) -> Format:
    return Format(kind="schema", schema=schema)


PERSON: Object = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE: Object = {
    "$defs": {
        "n": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/n"}}, "v": {"type": "integer"}}}
    },
    "$ref": "#/$defs/n",
}

MISFITS: list[tuple[Object, str, str]] = [
    (PERSON, '{"name": "A", "age": -1}', "$.age: -1 is less than the minimum of 0"),
    (PERSON, '{"age": 1}', '$: "name" is a required property'),
    (PERSON, '{"name": "A", "age": 1, "x y": 2}', "$: Additional properties are not allowed ('x y' was unexpected)"),
    (PERSON, "[]", '$: the value is not of type "object"'),
    (PERSON, '{"name": null, "age": true}', '$.name: null is not of type "string"; $.age: true is not of type'),
    (TREE, '{"kids": [{}, {"kids": [{"v": "x"}]}]}', '$.kids[1].kids[0].v: the value is not of type "integer"'),
    ({"properties": {"odd name": {"maxLength": 1}}}, '{"odd name": "xx"}', '$["odd name"]: the value is longer than 1'),
    ({"enum": ["a", {"b": 1}]}, '{"b": 2}', "$: the value is not one of"),
    ({"anyOf": [{"type": "null"}, PERSON]}, '{"name": "A"}', '$: "age" is a required property'),
    ({"anyOf": [{"type": "null"}, PERSON]}, '{"name": "A", "age": "x"}', '$.age: the value is not of type "integer"'),
    ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, "4", "$: 4 is valid under more than one"),
    ({"type": "string", "pattern": "^a+$"}, '"b"', '$: the value does not match "^a+$"'),
    ({"properties": {"a": {"not": {}}}}, '{"a": 1}', "$.a: "),
    ({"type": "STRING"}, "3", '$: 3 is not of type "string"'),
    ({"exclusiveMinimum": True, "minimum": 3}, "3", "$: 3 is less than or equal to"),  # draft 4
    ({"items": [{"type": "string"}]}, "[3]", "$[0]: 3 is not"),  # draft 7
    ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "null"}},
      "$ref": "#/definitions/a"}, "1", "$: 1 is not"),
    ({"$schema": "https://example.org/mine", "type": "null"}, "1", "$: 1 is not"),
    ({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "null"}}}, "1", "$: 1 is not"),
    ({"$ref": "#/allOf/0", "allOf": [{"type": "null"}]}, "1", "$: 1 is not"),
    ({"maximum": 3}, "1e400", "it is not one JSON value: "),
    ({}, "", "it is empty"),
    ({}, " \n", "it is empty"),
    ({}, "```json\n{}\n```", "it is not one JSON value: "),
    ({}, "{} {}", "it is not one JSON value: trailing characters"),
    ({}, '{"a": ', "it is not one JSON value: "),
    ({}, '"\\ud800"', "it is not one JSON value: "),
    ({}, "NaN", "it is not one JSON value: "),
    ({}, "[" * 100_000, "it is nested too deep"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "text", "told"), MISFITS)
def test_what_does_not_fit_is_told_with_its_place(schema: Object, text: str, told: str) -> None:
    assert (complaint(text, against(schema)) or "").startswith(told)
    assert unchecked(against(schema)) == ""


FITS: list[tuple[Object, str]] = [
    (PERSON, ' {"name": "A", "age": 1.0}\n'),
    (TREE, '{"kids": [{"kids": []}]}'),
    ({}, "3"),
    ({"type": "string", "format": "email"}, '"nobody"'),  # an annotation
    ({"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}, '"nobody"'),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "contentMediaType": "application/json"}, '"nobody"'),
    ({"type": "string", "nullable": True}, "null"),
    ({"type": "string", "enum": ["a"], "nullable": True}, "null"),
    ({"$ref": "#/$defs/a", "nullable": True, "$defs": {"a": {"type": "string"}}}, "null"),
    ({"type": "object", "required": None, "properties": None}, "{}"),
    ({"properties": {"nullable": {"type": "string"}, "type": {"enum": ["A"]}}}, '{"nullable": "x", "type": "A"}'),
    ({"const": None}, "null"),
    ({"$id": "https://example.org/a.json", "$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, "null"),
    ({"type": "integer"}, "1" * 400),
    ({"properties": {"a": True, "b": {"$ref": "#/properties/a"}}}, '{"a": 1, "b": 2}'),
]


@pytest.mark.parametrize(("schema", "text"), FITS)
def test_what_fits(schema: Object, text: str) -> None:
    assert complaint(text, against(schema)) is None
    assert unchecked(against(schema)) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", None),
        ("[]", "$: it is not a JSON object"),
        ('"x"', "$: it is not a JSON object"),
        ("{}{}", "it is not one JSON value: trailing characters (byte 3)"),
        ("Sure: {}", "it is not one JSON value: invalid character (byte 0)"),
    ],
)
def test_json_mode_promises_an_object(text: str, told: str | None) -> None:
    assert complaint(text, JSON_MODE) == told
    assert unchecked(JSON_MODE) == ""


# --- schemas that nobody should have sent --------------------------------------------------------


def fan(keyword: str, levels: int) -> Object:
    """References that double at every level."""
    inner = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**inner, f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def nested(levels: int, **leaf: Any) -> Object:
    out: Object = dict(leaf)
    for _ in range(levels):
        out = {"items": out}
    return out


TWICE: Object = {"anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}, {"items": {"$ref": "#"}, "maxItems": 3}]}

HOSTILE: list[tuple[Object, str]] = [
    (fan("anyOf", 60), "1"),
    (fan("allOf", 60), '"a"'),
    (TWICE, "[" * 60 + "1" + "]" * 60),
    ({"dependentSchemas": {"a": fan("oneOf", 60)}, "$defs": fan("oneOf", 60)["$defs"]}, '{"a": 1}'),
    ({"items": {"enum": [[i] for i in range(5000)]}}, json.dumps([[0, 0]] * 5000)),
]


@pytest.mark.parametrize(("schema", "text"), HOSTILE)
def test_what_would_take_for_ever_is_not_checked(schema: Object, text: str) -> None:
    assert work(schema, json.loads(text)) > 10_000_000
    assert complaint(text, against(schema)) is None


def test_long_answers_are_checked_all_the_same() -> None:
    schema: Object = {"type": "array", "items": PERSON}
    people = [{"name": "A", "age": 1}] * 20_000
    assert complaint(json.dumps(people), against(schema)) is None
    wrong = complaint(json.dumps([*people, {"name": "B"}]), against(schema))
    assert wrong == '$[20000]: "age" is a required property'


def test_one_of_many_errors_is_enough_where_each_costs() -> None:
    told = complaint(json.dumps([[]] * 20_000), against({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}))
    assert told is not None and told.startswith("$[0]: ")
    numbers = json.dumps([1] * 200_000)
    assert complaint(numbers, against({"items": {"type": "string"}})) == '$[0]: 1 is not of type "string"'
    told = complaint(numbers, against({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}))
    assert told == "it is not valid against the schema"


@pytest.mark.parametrize(
    ("pattern", "text"), [("^(a+)+$", "a" * 5000 + "!"), (r"^(?=(a+)+$)\1b", "a" * 40 + "!"), ("(x+x+)+y", "x" * 5000)]
)
def test_a_pattern_cannot_run_away(pattern: str, text: str) -> None:
    complaint(json.dumps([text] * 50), against({"items": {"pattern": pattern}}))


UNCHECKED: list[tuple[Object, str]] = [
    ({"type": "foo"}, "the schema is not valid"),
    ({"properties": []}, "the schema is not valid"),
    ({"pattern": "("}, "the schema is not valid"),
    ({"pattern": "((a{1000}){1000}){1000}"}, "the schema is not valid"),
    ({"const": "\ud800"}, "the schema is not valid"),
    ({"$ref": "https://example.org/s.json"}, "it refers to"),
    ({"$ref": "file:///etc/hostname"}, "it refers to"),
    ({"$ref": "#/$defs/none"}, "it refers to"),
    ({"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}}, "it refers to"),
    ({"$dynamicRef": "#"}, "the schema has dynamic references"),
    ({"properties": {f"p{i}": {"pattern": f"^{i}$"} for i in range(300)}}, "the schema has too many patterns"),
    ({"patternProperties": {"x" * 30_000: {}}}, "the schema has too many patterns"),
    (nested(300), "the schema is too large"),
    (nested(3000), "the schema is too large"),
    ({"properties": {str(i): {} for i in range(30_000)}}, "the schema is too large"),
]


@pytest.mark.parametrize(("schema", "told"), UNCHECKED)
def test_a_schema_that_cannot_be_held_against_anything_is_said(schema: Object, told: str) -> None:
    assert unchecked(against(schema)).startswith(told)
    assert len(unchecked(against(schema))) < 400
    assert complaint("1", against(schema)) is None
    assert complaint("no JSON", against(schema)) is not None  # that much can be told


def test_messages_are_short_and_tell_nothing_of_the_answer() -> None:
    """They are logged."""
    answer = json.dumps({"name": "secret" * 1000, "age": "secret", "x" * 5000: 1})
    told = complaint(
        answer, against({**PERSON, "properties": {"name": {"maxLength": 3}, "age": {"enum": ["a" * 5000]}}})
    )
    assert told is not None
    assert "secret" not in told and len(told) < 1000


def test_the_library_is_imported_when_it_is_needed() -> None:
    """It takes 7 MB, and most gateways never see a schema."""
    code = "import sys, dragoman.surfaces.server, dragoman.models.checking; print('jsonschema_rs' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_nothing_in_itself_is_endless() -> None:
    assert work({"$ref": "#"}, 1) < 10
    assert work({}, json.loads("[" * 300 + "]" * 300)) == ENDLESS


# --- any schema ----------------------------------------------------------------------------------

NAMES = st.text(string.ascii_letters, min_size=1, max_size=5)


def _object(inner: st.SearchStrategy[tuple[Object, Any]]) -> st.SearchStrategy[tuple[Object, Any]]:
    def made(members: dict[str, tuple[Object, Any]]) -> tuple[Object, Any]:
        schema: Object = {
            "type": "object",
            "properties": {name: child for name, (child, _) in members.items()},
            "required": list(members),
            "additionalProperties": False,
        }
        return schema, {name: value for name, (_, value) in members.items()}

    return st.dictionaries(NAMES, inner, max_size=4).map(made)


def _array(inner: st.SearchStrategy[tuple[Object, Any]]) -> st.SearchStrategy[tuple[Object, Any]]:
    return st.tuples(inner, st.integers(0, 3)).map(
        lambda made: ({"type": "array", "items": made[0][0], "maxItems": 3}, [made[0][1]] * made[1])
    )


LEAVES: st.SearchStrategy[tuple[Object, Any]] = st.one_of(
    st.integers(-100, 100).map(lambda n: ({"type": "integer", "minimum": n - 1, "maximum": n + 1}, n)),
    st.text(max_size=6).map(lambda text: ({"type": "string", "maxLength": 6}, text)),
    st.booleans().map(lambda flag: ({"type": "boolean"}, flag)),
    st.lists(NAMES, min_size=1, unique=True).map(lambda words: ({"enum": words}, words[-1])),
    st.just(({"type": ["null", "string"]}, None)),
)
MADE = st.recursive(LEAVES, lambda inner: _object(inner) | _array(inner), max_leaves=8)
"""A schema, and a value that fits it."""

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def _agrees(schema: Object, value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


@settings(max_examples=60, deadline=None)
@given(MADE)
def test_a_value_made_for_a_schema_fits(made: tuple[Object, Any]) -> None:
    schema, value = made
    assert complaint(json.dumps(value), against(schema)) is None


@settings(max_examples=60, deadline=None)
@given(MADE, st.data())
def test_one_with_a_part_changed_fits_when_another_validator_says_so(
    made: tuple[Object, Any], data: st.DataObject
) -> None:
    schema, value = made
    places = list(_places(value, []))
    changed = _put(value, data.draw(st.sampled_from(places)), data.draw(ANYTHING))
    assert (complaint(json.dumps(changed), against(schema)) is None) is _agrees(schema, changed)


@settings(max_examples=60, deadline=None)
@given(MADE, ANYTHING)
def test_anything_against_a_schema_in_a_definition(made: tuple[Object, Any], value: Any) -> None:
    schema: Object = {
        "$defs": {"x": made[0]},
        "anyOf": [{"$ref": "#/$defs/x"}, {"type": "array", "items": {"$ref": "#"}}],
    }
    told = complaint(json.dumps(value), against(schema))
    assert (told is None) is _agrees(schema, value)


WORDS = """
type properties items anyOf allOf oneOf not if then $ref $defs enum const required pattern minimum maxLength nullable
additionalProperties $schema minItems
"""
SCHEMA_NOISE = st.dictionaries(
    st.sampled_from(WORDS.split()),
    ANYTHING | st.just("#") | st.just({"$ref": "#"}) | st.just([{"$ref": "#"}, {"type": "null"}]),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(SCHEMA_NOISE, ANYTHING)
def test_nonsense_for_a_schema_breaks_nothing(schema: Object, value: Any) -> None:
    told = complaint(json.dumps(value), against(schema))
    if unchecked(against(schema)):
        assert told is None
    assert told is None or 0 < len(told) < 1000


def _places(value: Any, path: list[Any]) -> Any:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from _places(child, [*path, key])


def _put(value: Any, path: list[Any], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _put(value[path[0]], path[1:], new)
    return copy
