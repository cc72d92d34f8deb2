"""Structured output: which schemas are refused, with which keyword named, and that what is made fits."""

from __future__ import annotations

import re
import warnings
from typing import Any

import anthropic
import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.models.cards import Card, bundled
from dragoman.simulator.patterns import UnsupportedPatternError, example
from dragoman.simulator.refused import Refused
from dragoman.simulator.rules import Call, check
from dragoman.simulator.synthesis import Synthesis

CARDS: dict[str, Card] = dict(bundled().cards)


def obj(required: bool = True, /, **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(properties)} if required else {})


def asked(schema: Any, model: str = "claude-opus-4-8", **members: Any) -> dict[str, Any]:
    config = {"format": {"type": "json_schema", "schema": schema}}
    messages = [{"role": "user", "content": "order 3 apples for Ada"}]
    return {"model": model, "max_tokens": 1000, "messages": messages, "output_config": config, **members}


REFUSED = [
    ({"type": "object"}, "For 'object' type, 'additionalProperties' must be explicitly set to false"),
    (obj() | {"additionalProperties": True}, "'additionalProperties' must be explicitly set to false"),
    (obj(a={"type": "object"}), "'additionalProperties' must be explicitly set to false"),
    (
        obj(a={"type": "array", "items": {"type": "string"}, "maxItems": 3}),
        "For 'array' type, property 'maxItems' is not",
    ),
    (
        obj(a={"type": "array", "minItems": 2}),
        "For 'array' type, 'minItems' values other than 0 or 1 are not supported",
    ),
    (obj(a={"type": "array", "uniqueItems": True}), "property 'uniqueItems' is not supported"),
    (obj(a={"type": "array", "prefixItems": [{"type": "null"}]}), "property 'prefixItems' is not supported"),
    (obj(a={"type": "integer", "minimum": 1}), "For 'integer' type, property 'minimum' is not supported"),
    (obj(a={"type": "number", "multipleOf": 2}), "For 'number' type, property 'multipleOf' is not supported"),
    (obj(a={"type": "string", "minLength": 1}), "For 'string' type, property 'minLength' is not supported"),
    (obj(a={"type": ["string", "null"], "maxLength": 1}), "For 'string' type, property 'maxLength' is not supported"),
    (obj(a={"type": "string", "format": "color"}), "For 'string' type, format 'color' is not supported"),
    (obj(a={"type": "string", "pattern": "(?=x)"}), "Unsupported regex feature in pattern field: lookahead"),
    (obj(a={"type": "string", "pattern": r"\bx"}), "Unsupported regex feature in pattern field: word boundary"),
    (obj(a={"type": "string", "pattern": r"(x)\1"}), "Unsupported regex feature in pattern field: backreference"),
    (obj(a={"type": "string", "pattern": "x{1,9999}"}), "Unsupported regex feature in pattern field: large quantifier"),
    (obj(a={"oneOf": [{"type": "string"}]}), "Schema keyword 'oneOf' is not supported"),
    (obj(a={"not": {"type": "string"}}), "Schema keyword 'not' is not supported"),
    (obj(a={"if": {"type": "string"}}), "Schema keyword 'if' is not supported"),
    (obj(a={"enum": [{"x": 1}]}), "objects and arrays in 'enum' are not supported"),
    (obj(a={}), "Schema is too permissive"),
    (obj(a=True), "Schema is too permissive"),
    (obj() | {"patternProperties": {"x": {"type": "string"}}}, "property 'patternProperties' is not supported"),
    (obj(a={"$ref": "https://example.com/s"}), "External schema references are not supported"),
    (obj(a={"$ref": "#/$defs/x"}), "Schema reference '#/$defs/x' cannot be resolved"),
    (obj(a={"$ref": "#"}), "Recursive schemas are not supported"),
    (
        obj(a={"$ref": "#/$defs/n"}) | {"$defs": {"n": obj(next={"$ref": "#/$defs/n"})}},
        "Recursive schemas are not supported: '#/$defs/n' refers to itself",
    ),
    (obj(a={"allOf": [{"$ref": "#/$defs/n"}]}) | {"$defs": {"n": obj()}}, "'$ref' inside 'allOf' is not supported"),
    (obj(a={"type": "txt"}), "JSON schema is invalid"),
    (obj(False, **{f"p{i}": {"type": "string"} for i in range(25)}), "too many optional parameters (25)"),
    (
        obj(True, **{f"p{i}": {"type": ["string", "null"]} for i in range(17)}),
        "too many parameters with union types (17",
    ),
]


@pytest.mark.parametrize(("schema", "words"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        check(asked(schema), Call(), CARDS)
    assert caught.value.status == 400
    assert caught.value.message.startswith(("output_config.format.schema: ", "Schemas contain"))
    assert words in caught.value.message
    strict = {"name": "f", "strict": True, "input_schema": schema}
    plain = {"model": "claude-opus-4-8", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(Refused):
        check({**plain, "tools": [strict]}, Call(), CARDS)


def test_references_that_multiply_are_too_complex() -> None:
    defs = {f"d{i}": obj(a={"$ref": f"#/$defs/d{i + 1}"}, b={"$ref": f"#/$defs/d{i + 1}"}) for i in range(30)}
    with pytest.raises(Refused, match="Schema is too complex for compilation"):
        check(asked({"$ref": "#/$defs/d0", "$defs": defs | {"d30": obj()}}), Call(), CARDS)


OTHER = [
    (asked(obj(), model="claude-3-haiku-20240307"), "model: "),
    (asked(obj(), output_config={"format": {"type": "json_object", "schema": {}}}), "Input should be 'json_schema'"),
    (asked(obj(), output_config={"format": {"type": "json_schema"}}), "output_config.format.schema: Field required"),
    (
        asked(
            obj(),
            messages=[
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "citations": {"enabled": True},
                            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                        }
                    ],
                }
            ],
        ),
        "is not supported when citations are enabled",
    ),
    (
        asked(obj(), tools=[{"name": f"t{i}", "strict": True, "input_schema": obj()} for i in range(21)]),
        "Too many strict tools (21)",
    ),
]


@pytest.mark.parametrize(("wrong", "words"), OTHER, ids=[str(i) for i in range(len(OTHER))])
def test_refused_for_what_is_around_it(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        check(wrong, Call(), CARDS)
    assert words in caught.value.message


def test_the_old_spelling_needs_its_beta_and_keeps_the_rules() -> None:
    plain = {"model": "claude-opus-4-8", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    call = Call(betas=frozenset({"structured-outputs-2025-11-13"}))
    assert check({**plain, "output_format": {"type": "json_schema", "schema": obj()}}, call, CARDS)
    for wrong in ({"type": "json_object"}, {"type": "json_schema", "schema": {"type": "object"}}):
        with pytest.raises(Refused, match=r"json_schema|additionalProperties"):
            check({**plain, "output_format": wrong}, call, CARDS)


def test_a_model_without_structured_output_says_so() -> None:
    old = CARDS["claude-opus-4-1-20250805"]
    card = msgspec.structs.replace(old, status="active", retirement="not_sooner_than")
    with pytest.raises(Refused, match="does not support structured outputs"):
        check(asked(obj(), model=old.id), Call(), {old.id: card})


GOOD = [
    obj(name={"type": "string"}, count={"type": "integer"}, ok={"type": "boolean"}, none={"type": "null"}),
    obj(kind={"enum": ["b", "a"]}, fixed={"const": 7}, maybe={"type": ["null", "number"]}),
    obj(items={"type": "array", "minItems": 1, "items": obj(id={"type": "string", "format": "uuid"})}),
    obj(when={"type": "string", "format": "date-time"}, mail={"type": "string", "format": "email"}),
    obj(code={"type": "string", "pattern": "^[A-Z]{3}-\\d{2,4}(?:x|y)?$"}),
    obj(either={"anyOf": [{"type": "null"}, {"type": "string"}]}, all={"allOf": [{"type": "string"}]}),
    obj(a={"$ref": "#/$defs/leaf"}, b={"$ref": "#/$defs/leaf"}) | {"$defs": {"leaf": obj(v={"type": "number"})}},
    {"type": "array", "items": {"type": "string"}},
]


@pytest.mark.parametrize("schema", GOOD, ids=[str(i) for i in range(len(GOOD))])
def test_the_answer_fits_the_schema(sdk: anthropic.Anthropic, schema: dict[str, Any]) -> None:
    answer = sdk.messages.create(**asked(schema))
    value = msgspec.json.decode(answer.content[0].text)
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
    with sdk.messages.stream(**{k: v for k, v in asked(schema).items() if k != "stream"}) as stream:
        assert stream.get_final_text() == answer.content[0].text


def test_values_come_from_the_question(sdk: anthropic.Anthropic) -> None:
    schema = obj(name={"type": "string"}, count={"type": "integer"})
    answer = sdk.messages.create(**asked(schema, messages=[{"role": "user", "content": 'order 3 "apples"'}]))
    assert msgspec.json.decode(answer.content[0].text) == {"name": "apples", "count": 1}


_scalar = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 3, "maximum": 9},
        {"type": "number", "exclusiveMinimum": 2.0},
        {"type": "boolean"},
        {"enum": ["x", "y"]},
        {"type": "string", "minLength": 5, "maxLength": 6},
        {"type": ["null", "integer"]},
    ]
)
_schemas = st.recursive(
    _scalar,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=3).map(lambda p: obj(**p)),
        inner.map(lambda item: {"type": "array", "items": item, "minItems": 2}),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)


@given(_schemas, st.text(max_size=20))
@settings(max_examples=150, deadline=None)
def test_made_values_fit(schema: dict[str, Any], words: str) -> None:
    jsonschema.validate(Synthesis(schema, words, every=True).value(schema), schema)


@given(st.text("ab01[](){}^$|*+?\\.-,dw", max_size=12))
@settings(max_examples=300, deadline=None)
def test_pattern_examples_match_or_are_refused(pattern: str) -> None:
    try:
        text = example(pattern)
    except UnsupportedPatternError:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what "[[" may mean one day
            compiled = re.compile(pattern)
    except re.error:
        return  # we take a little more than Python does
    if not any(anchor in pattern for anchor in "^$"):
        assert compiled.search(text)
