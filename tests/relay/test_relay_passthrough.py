"""Bytes that go through stay as they are, but for the model."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.relay.passthrough import Peek, adding, peek, reply_headers, request_headers, with_model, with_name

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), values, max_size=6), st.text(max_size=20), st.booleans(), st.sampled_from([None, 1]))
def test_every_other_member_is_byte_for_byte_the_same(
    members: dict[str, object], model: str, ascii_only: bool, indent: int | None
) -> None:
    members.pop("model", None)
    pieces = [
        f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=ascii_only, indent=indent)}"
        for name, value in [("first", 1), *members.items()]
    ]
    names = ["first", *members]
    if len(set(names)) < len(names):
        return
    wire = "{" + ",".join([*pieces, f'"model":{json.dumps(model)}', '"last":[ ]']) + "}"
    body = wire.encode("utf-8", "surrogatepass")
    if any(0xD800 <= ord(char) <= 0xDFFF for char in wire):
        return
    assert peek(body).model == model
    patched = with_model(body, "other").decode()
    decoded = json.loads(patched)
    assert decoded.pop("model") == "other"
    original = json.loads(wire)
    del original["model"]
    assert list(decoded) == list(original)
    assert decoded == original
    for piece, name in zip(pieces, names, strict=True):
        raw = (
            piece.split(":", 1)[1]
            if name == "first"
            else json.dumps(members[name], ensure_ascii=ascii_only, indent=indent)
        )
        assert raw in patched
    assert '"last":[ ]' in patched


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":1}', b'{"messages":[]}', b"\xff"])
def test_a_body_without_a_model_names_none(body: bytes) -> None:
    assert peek(body).model is None


@pytest.mark.parametrize(
    ("system", "there"),
    [
        (b'"Be brief."', True),
        (b'[{"type":"text"}]', True),
        (b"{}", True),
        (b'""', False),
        (b"[]", False),
        (b"null", False),
    ],
)
def test_a_system_prompt_hides_nothing_else(system: bytes, there: bool) -> None:
    body = b'{"model":"a", "system":' + system + b', "stream":true}'
    assert peek(body) == Peek(model="a", stream=True, system=there)
    assert with_model(body, "b") == body.replace(b'"a"', b'"b"', 1)


SPLICES = {
    b'{ "a" : 1,\n "model" : "x" , "b":[ ] }': b'{ "a" : 1,\n "model" : "other" , "b":[ ] }',
    b'{"in":{"model":"x"},"model":"x","text":"\\"model\\":\\"x\\""}': (
        b'{"in":{"model":"x"},"model":"other","text":"\\"model\\":\\"x\\""}'
    ),
    b'{"model":"y","model":"x"}': b'{"model":"y","model":"other"}',
    b'{"model":"other", "kept":1.0e5}': b'{"model":"other", "kept":1.0e5}',
    b'{"model":"a\\"b\\u00e9", "kept":1.0e5}': b'{"model":"other", "kept":1.0e5}',
}


@pytest.mark.parametrize(("body", "patched"), SPLICES.items())
def test_nothing_but_the_model_is_touched(body: bytes, patched: bytes) -> None:
    assert with_model(body, "other") == patched


@pytest.mark.parametrize(
    ("asked", "model", "sent"),
    [
        ("m", "m:latest", "m"),
        ("m:latest", "m:latest", "m:latest"),
        ("M", "m:latest", "m:latest"),
        ("m", "m:7b", "m:7b"),
        ("box/m", "m:latest", "m:latest"),
    ],
)
def test_an_ollama_server_gets_a_name_as_its_client_spelled_it(asked: str, model: str, sent: str) -> None:
    body = b'{"x": 1, "model": "%b"}' % asked.encode()
    wanted = b'{"x": 1, "model": "%b"}' % sent.encode()
    assert with_name(body, model) == with_name(body, model, asked) == wanted


def test_members_are_added_in_front() -> None:
    assert adding(b' {"a": 1 }', stream=True) == b' {"stream":true,"a": 1 }'
    assert adding(b"{ }", stream=True) == b'{"stream":true }'


def test_keys_and_cookies_stay_here() -> None:
    sent = [
        (b"anthropic-beta", b"a"),
        (b"anthropic-beta", b"b"),
        (b"anthropic-version", b"2026-10-21"),
        (b"x-api-key", b"secret"),
        (b"authorization", b"Bearer secret"),
        (b"cookie", b"c"),
        (b"x-forwarded-for", b"1"),
        (b"content-type", b"application/json"),
    ]
    assert request_headers(sent) == {
        "anthropic-beta": "a, b",
        "anthropic-version": "2026-10-21",
        "content-type": "application/json",
    }


def test_what_matters_comes_back() -> None:
    came = {"content-type": "t", "anthropic-ratelimit-requests-limit": "1", "set-cookie": "c", "request-id": "req_1"}
    assert [name for name, _ in reply_headers(came.items())] == [
        b"content-type",
        b"anthropic-ratelimit-requests-limit",
        b"request-id",
    ]
