"""Whatever arrives gets an answer or a well-formed refusal, never a crash."""

from __future__ import annotations

import asyncio
import time
from datetime import date
from typing import Any

import anthropic
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.simulator import Simulator
from dragoman.simulator.answer import cut
from dragoman.simulator.brain import respond
from dragoman.simulator.rules import Call, check
from dragoman.simulator.scenario import ANSWERS
from dragoman.simulator.tokens import json_pieces, pieces
from tests.simulator import rows_meaning, rows_shape
from tests.simulator.bodies import CARDS, TAKEN
from tests.simulator.judge import judge_message

SIMULATOR = Simulator(today=date(2026, 11, 22))


def post(raw: bytes, headers: dict[str, str], path: str = "/v1/messages") -> tuple[int, bytes]:
    """One request through the ASGI application itself."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
    }
    asyncio.run(SIMULATOR(scope, receive, send))
    return sent[0]["status"], b"".join(event.get("body", b"") for event in sent[1:])


HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def well_formed(status: int, raw: bytes) -> None:
    body = msgspec.json.decode(raw)
    if status == 200:
        judge_message(raw)
        return
    assert 400 <= status < 500
    assert body["type"] == "error"
    assert isinstance(body["error"]["type"], str)
    assert isinstance(body["error"]["message"], str)
    assert body["request_id"].startswith("req_")


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_any_json_is_answered(body: Any) -> None:
    well_formed(*post(msgspec.json.encode(body), HEADERS))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_answered(raw: bytes) -> None:
    status, answer = post(raw, HEADERS)
    assert status == 400
    well_formed(status, answer)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in items for path in _paths(item, (*at, key)))]


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = _changed(value[key], tuple(rest), new)
    return copy


NEARLY = [row[0] for row in (*rows_shape.ROWS, *rows_meaning.ROWS) if len(msgspec.json.encode(row[0])) < 2000] + TAKEN


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_body_with_anything_anywhere_is_answered(data: st.DataObject) -> None:
    body: Any = data.draw(st.sampled_from(NEARLY))
    path = data.draw(st.sampled_from([path for path in _paths(body) if path]))
    body = {k: v for k, v in _changed(body, path, data.draw(JSON)).items() if k != "stream"}
    well_formed(*post(msgspec.json.encode(body), HEADERS))
    status, answer = post(msgspec.json.encode(body), HEADERS, "/v1/messages/count_tokens")
    if status == 200:
        assert msgspec.json.decode(answer)["input_tokens"] > 0
    else:
        well_formed(status, answer)


@given(st.sampled_from(sorted(ANSWERS)), st.sampled_from(TAKEN), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_scenario_meets_any_request(name: str, body: dict[str, Any], words: str) -> None:
    if name in ("unknown_event", "slow_start"):
        return
    last = body["messages"][-1]
    if last["role"] == "user" and isinstance(last["content"], str):
        body = body | {"messages": [*body["messages"][:-1], {"role": "user", "content": "q " + words}]}
    well_formed(*post(msgspec.json.encode(body), HEADERS | {"x-simulator-scenario": name}))


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_pieces_add_up(words: str) -> None:
    assert "".join(pieces(words)) == words
    assert "".join(json_pieces(words)) == words
    assert all(pieces(words))


@given(st.integers(1, 60), st.lists(st.sampled_from(["e", "simulator", "You said", "zzz"]), max_size=2))
@settings(max_examples=100, deadline=None)
def test_a_cut_answer_is_a_beginning_of_the_whole(limit: int, stops: list[str]) -> None:
    body = {"model": "claude-opus-4-8", "max_tokens": 500, "messages": [{"role": "user", "content": "a b c d"}]}
    approved = check(body, Call(), CARDS)
    whole, part = respond(approved), respond(approved)
    cut(part, limit, stops, 10**6)
    text = "".join(piece.body["text"] for piece in part.parts)
    assert whole.parts[0].body["text"].startswith(text)
    assert sum(piece.tokens for piece in part.parts) <= limit
    assert not any(stop in text for stop in stops)


def test_the_same_request_is_the_same_in_another_simulator() -> None:
    body = msgspec.json.encode(TAKEN[9])
    answers = [msgspec.json.decode(post(body, HEADERS)[1]) for _ in range(2)]
    assert answers[0]["content"] == answers[1]["content"]
    assert answers[0]["usage"] == answers[1]["usage"]
    assert anthropic.types.Message.model_validate(answers[0])


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


def _with_schema(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": [*properties, "unlisted"]}
    return TAKEN[0] | {"tools": [{"name": "f", "input_schema": schema}]}


TWICE = {
    f"d{i}": {
        "type": "object",
        "properties": {"a": {"$ref": f"#/$defs/d{i + 1}"}, "b": {"$ref": f"#/$defs/d{i + 1}"}},
        "required": ["a", "b"],
    }
    for i in range(30)
}
HOSTILE: list[dict[str, Any]] = [
    TAKEN[0] | {"tools": [{"name": "f", "input_schema": _nested(300)}]},
    TAKEN[0] | {"tools": [{"name": "f", "strict": True, "input_schema": _nested(90)}]},
    TAKEN[0] | {"max_tokens": 100.0},
    _with_schema(a={"type": "array", "minItems": 1e300}),
    _with_schema(a={"type": "integer", "minimum": 1e300, "multipleOf": 1e-300}),
    _with_schema(a={"type": "integer", "multipleOf": 0}, b={"type": "string", "minLength": 10**12}),
    _with_schema(a={"type": "number", "minimum": 5, "maximum": -5}, b={"enum": []}, c={"anyOf": [True]}, d=False),
    _with_schema(a={"$ref": "#/properties/a"}, b={"$ref": "elsewhere"}),
    TAKEN[0] | {"tools": [{"name": "f", "input_schema": {**TWICE["d0"], "$defs": TWICE}}]},
    _with_schema(a={"type": "string", "pattern": "(" * 200}, b={"type": "string", "pattern": "(((a{999}){999}){999})"}),
    _with_schema(a={"type": "string"}) | {"messages": [{"role": "user", "content": "Aa, " * 20_000}]},
]


@pytest.mark.parametrize("body", HOSTILE, ids=[str(i) for i in range(len(HOSTILE))])
def test_hostile_bodies_are_answered_soon(body: dict[str, Any]) -> None:
    begun = time.monotonic()
    well_formed(*post(msgspec.json.encode(body), HEADERS))
    assert time.monotonic() - begun < 20, "what takes longer never ends"


@pytest.mark.parametrize("where", ["const", "minimum", "multipleOf"])
def test_huge_numbers_are_answered(where: str) -> None:
    body = msgspec.json.encode(_with_schema(a={"type": "integer", where: 7}))
    well_formed(*post(body.replace(b":7", b":1" + b"0" * 400), HEADERS))
    status, answer = post(body.replace(b":7", b":1e400"), HEADERS)
    assert status == 400
    well_formed(status, answer)
