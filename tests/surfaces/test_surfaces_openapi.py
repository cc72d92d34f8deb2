"""`/openapi.json`: it is valid, and it describes every path that is served, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from dragoman.config import Settings
from dragoman.errors import TABLE, Kind
from dragoman.models.catalogue import build
from dragoman.relay.relay import Relay
from dragoman.surfaces import origins
from dragoman.surfaces.app import all_routes
from dragoman.surfaces.background import Background
from dragoman.surfaces.openapi import OpenAPISurface, document
from dragoman.surfaces.shapes import parsed, shape
from tests.running import Gateway


@pytest.fixture(scope="module")
def told() -> Any:
    return document()


def test_it_is_valid(told: Any) -> None:
    validate(told)


def test_it_has_every_path_and_no_other(told: Any) -> None:
    relay = Relay(Settings(), build(), {})
    served = {
        (method.lower(), re.sub(r":\w+}", "}", route.path))
        for route in all_routes(relay, Background(relay.durable))
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    assert {(method, path) for path, methods in told["paths"].items() for method in methods} == served


def test_it_is_served(gateway: Gateway) -> None:
    for _ in range(2):
        answer = httpx.get(f"{gateway.url}/openapi.json", trust_env=False)
        assert answer.json() == document()
    assert answer.headers["content-type"].startswith("application/json")


def test_starting_does_not_pay_for_it() -> None:
    assert OpenAPISurface()._made == b""


def test_every_reference_leads_somewhere_and_every_shape_is_used(told: Any) -> None:
    components = told["components"]
    used = set(re.findall(r'"#/components/(\w+)/([\w.-]+)"', json.dumps(told)))
    named = {(half, name) for half in ("schemas", "headers", "responses") for name in components[half]}
    assert used == named


def test_every_header_of_ours_is_described(told: Any) -> None:
    ours = {name for name in origins._EXPOSED if name.startswith("x-dragoman-")}
    assert len(ours) > 9 and ours <= told["components"]["headers"].keys()


def operations(told: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in told["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_errors_have_the_statuses_of_their_dialect(told: Any) -> None:
    columns = {"Anthropic": "anthropic", "OpenAI": "openai", "Responses": "openai"}
    for path, operation in operations(told):
        column = columns.get(operation["tags"][0], "ollama")
        known = {str(getattr(TABLE[kind], column)) for kind in get_args(Kind)} | {"200", "426", "default"}
        assert set(operation["responses"]) <= known, path
        if "security" not in operation:
            assert {"401", "403"} <= set(operation["responses"]), path


def test_operations_have_names_of_their_own(told: Any) -> None:
    names = [operation["operationId"] for _, operation in operations(told)]
    assert len(set(names)) == len(names)


# --- the short way to write shapes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("string", {"type": "string"}),
        ("integer(1..128)", {"type": "integer", "minimum": 1, "maximum": 128}),
        ("number(-2..2)", {"type": "number", "minimum": -2, "maximum": 2}),
        ("string(1..)", {"type": "string", "minLength": 1}),
        ("'a' | 'b'", {"type": "string", "enum": ["a", "b"]}),
        ("string[]", {"type": "array", "items": {"type": "string"}}),
        ("Item[1..9]", {"type": "array", "items": {"$ref": "#/components/schemas/Item"}, "minItems": 1, "maxItems": 9}),
        ("string{}", {"type": "object", "additionalProperties": {"type": "string"}}),
        ("any", {}),
        (
            "(string | 'x')[]",
            {"type": "array", "items": {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "string"}]}},
        ),
        ("string | null", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ],
)
def test_types(written: str, meant: Any) -> None:
    assert parsed(written) == meant


@pytest.mark.parametrize("written", ["", "text", "string |", "(string", "string)", "string string", "string(1)", "[]"])
def test_what_is_no_type(written: str) -> None:
    with pytest.raises(ValueError):
        parsed(written)


def test_members() -> None:
    found = shape({"a": "string! -- its name", "b": "integer"}, asked=True)
    nothing = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert found["properties"] == {"a": {"type": "string", "description": "its name"}, "b": nothing}
    assert found["required"] == ["a"]
    assert shape({"b": "integer"}, asked=False) == {"type": "object", "properties": {"b": {"type": "integer"}}}
