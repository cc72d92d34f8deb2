"""Errors: ours in all four keys, and every shape that servers send, in any status."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import (
    Object,
)
from dragoman.dialects.openai_chat import decode_error, decode_reply, encode_error
from dragoman.errors import TABLE, GatewayError, Kind


def served(message: Any) -> Object:
    return {"id": "x", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(TABLE))
def test_errors_have_all_four_keys(kind: Kind) -> None:
    body = encode_error(GatewayError(kind, "what and why", param="messages[0]"))
    row = TABLE[kind]
    assert body == {
        "error": {"message": "what and why", "type": row.openai_type, "param": "messages[0]", "code": row.openai_code}
    }


def test_a_finer_code_wins() -> None:
    assert (
        encode_error(GatewayError("billing", "m", code="credit_balance_exhausted"))["error"]["code"]
        == "credit_balance_exhausted"
    )


LONG = "This model's maximum context length is 4096 tokens, however the request has 5000 input tokens."

ERRORS: list[tuple[int, Any, Kind, str]] = [
    (
        400,
        {"error": {"message": "bad", "type": "invalid_request_error", "param": "x", "code": None}},
        "invalid_request",
        "bad",
    ),
    (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, "context_length", "long"),
    (400, {"error": {"message": LONG, "type": "BadRequestError", "code": 400}}, "context_length", LONG),
    (400, {"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}}, "context_length", "m"),
    (
        400,
        {"error": {"message": '{"error":{"code":400,"message":"m","type":"exceed_context_size_error"}}', "type": "x"}},
        "context_length",
        "m",
    ),
    (500, {"error": {"message": '{"error":{"code":500,"message":"no images"}}'}}, "upstream", "no images"),
    (400, {"error": {"message": '{"city": 1}'}}, "invalid_request", '{"city": 1}'),
    (400, {"error": {"message": "{city} is not JSON"}}, "invalid_request", "{city} is not JSON"),
    (
        401,
        {"error": {"message": "key", "type": "invalid_request_error", "code": "invalid_api_key"}},
        "authentication",
        "key",
    ),
    (401, {"error": {"message": "key", "type": "invalid_request_error", "code": None}}, "authentication", "key"),
    (402, {"error": {"code": 402, "message": "credits"}}, "billing", "credits"),
    (403, {"error": {"message": "no", "type": "permission_error"}}, "permission", "no"),
    (
        404,
        {"error": {"message": "The model 'x' does not exist", "code": "model_not_found"}},
        "model_not_found",
        "The model 'x' does not exist",
    ),
    (404, {"error": "model 'x' not found"}, "model_not_found", "model 'x' not found"),
    (404, {"detail": "Not Found"}, "not_found", "Not Found"),
    (408, {}, "timeout", "the upstream answered with status 408"),
    (413, {"error": {"message": "big"}}, "too_large", "big"),
    (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "invalid_request", "body: field required"),
    (429, {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}, "rate_limit", "slow"),
    (429, {"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}}, "billing", "pay"),
    (429, {"error": {"code": 429, "message": "m", "metadata": {}}}, "rate_limit", "m"),
    (500, {"error": {"message": "oops", "type": "server_error"}}, "upstream", "oops"),
    (500, {"object": "error", "message": "flat", "code": 500}, "upstream", "flat"),
    (503, {"error": {"message": "loading", "type": "unavailable_error", "code": 503}}, "overloaded", "loading"),
    (503, {"error": {"message": "busy", "code": "server_is_overloaded"}}, "overloaded", "busy"),
    (529, {"error": {"message": "busy"}}, "overloaded", "busy"),
    (504, None, "timeout", "the upstream answered with status 504"),
    (418, {"error": {"message": "tea"}}, "invalid_request", "tea"),
    (302, "", "upstream", "the upstream answered with status 302"),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), ERRORS)
def test_errors_of_every_shape(status: int, body: Any, kind: Kind, message: str) -> None:
    error = decode_error(status, msgspec.json.encode(body), 1.5)
    assert (error.kind, error.message, error.retry_after) == (kind, message, 1.5)


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b'{"error": {'])
def test_errors_that_are_not_json(body: bytes) -> None:
    error = decode_error(502, body, None)
    assert error.kind == "upstream" and error.message


def test_a_finer_code_is_kept() -> None:
    body = msgspec.json.encode(
        {"error": {"message": "m", "type": "insufficient_quota", "code": "credit_balance_exhausted"}}
    )
    assert encode_error(decode_error(429, body, None))["error"]["code"] == "credit_balance_exhausted"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "Unexpected endpoint or method. (POST /x)"}, "upstream"),
        ({"error": {"code": 429, "message": "m"}}, "rate_limit"),
        ({"object": "error", "message": "m", "code": 400}, "invalid_request"),
        ({"detail": "Not Found"}, "upstream"),
        ({"choices": [{"error": {"code": 502, "message": "m"}, "finish_reason": "error"}]}, "upstream"),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": "abort"}]}, "upstream"),
        ({"choices": [{"message": {"content": "a"}, "finish_reason": "insufficient_system_resource"}]}, "overloaded"),
        ({"choices": []}, "upstream"),
        ({"choices": "x"}, "upstream"),
        ({}, "upstream"),
        (served({"content": 7}), "upstream"),
        (served({"tool_calls": [{"function": {}}]}), "upstream"),
    ],
)
def test_a_200_that_is_no_answer(body: Object, kind: Kind) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_reply(body)
    assert caught.value.kind == kind


_KEYS = (
    *("choices", "message", "content", "tool_calls", "function", "name", "arguments", "error", "code", "type", "text"),
    *("usage", "prompt_tokens", "finish_reason", "detail", "reasoning_details", "annotations", "id"),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(body=st.dictionaries(st.sampled_from(["choices", "error", "usage", "id", "detail"]), _VALUES), message=_VALUES)
def test_garbage_raises_our_errors_only(body: Object, message: Any) -> None:
    for candidate in (dict(body), served(message)):
        try:
            decode_reply(candidate)
        except GatewayError as error:
            assert error.kind in TABLE


@settings(max_examples=100, deadline=None)
@given(status=st.integers(100, 999), body=st.binary(max_size=20) | _VALUES.map(lambda v: repr(v).encode()))
def test_any_error_body_gives_an_error(status: int, body: bytes) -> None:
    assert decode_error(status, body, None).message
