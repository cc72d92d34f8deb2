"""Requests at random: garbage raises our errors only, and what was read once is stable."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Object
from dragoman.dialects.openai_chat import decode_request, encode_request
from dragoman.errors import GatewayError
from dragoman.losses import Losses

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    (
        *("model", "messages", "max_tokens", "temperature", "stop", "reasoning_effort", "response_format", "tools"),
        *("stream", "stream_options", "tool_choice", "parallel_tool_calls", "user", "seed", "logprobs"),
        *("n", "system", "functions", "function_call", "reasoning", "thinking", "content", "role", "type", "text"),
        *("tool_calls", "tool_call_id", "image_url", "file", "input_audio", "function", "arguments", "name", "custom"),
        *("reasoning_details", "thinking_blocks", "reasoning_content", "cache_control", "url", "file_data", "data"),
    )
)
WORDS = st.sampled_from(
    ["user", "assistant", "tool", "function", "custom", "text", "image_url", "file", "x", "allowed_tools"]
)
GARBAGE = st.recursive(
    JSON | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(
    body=st.dictionaries(MEMBERS, GARBAGE, max_size=6), entries=st.lists(st.dictionaries(MEMBERS, GARBAGE), max_size=3)
)
def test_garbage_raises_our_errors_only(body: Object, entries: list[Object]) -> None:
    for candidate in (dict(body), {**body, "model": "m", "messages": [{"role": "user"} | e for e in entries]}):
        try:
            decode_request(candidate)
        except GatewayError as error:
            assert error.kind == "invalid_request"


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


_TEXT = st.text(max_size=5)
_PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": st.text(max_size=5)}, optional={"cache_control": one_of({}, {"ttl": "1h"})}
    )
    | one_of(
        {"type": "image_url", "image_url": {"url": "https://a/b", "detail": "high"}},
        {"type": "file", "file": {"file_data": "JVBERi0xLjcgCg=="}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"}},
        {"type": "mystery", "x": 1},
    ),
    max_size=3,
)
_CALLS = st.lists(
    one_of(
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"function": {"name": "f", "arguments": {"a": 1}}},
        {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "text"}},
    ),
    max_size=2,
)
_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": one_of("system", "developer", "user"), "content": st.none() | _TEXT | _PARTS},
        optional={"name": _TEXT},
    )
    | st.fixed_dictionaries(
        {"role": st.just("assistant")},
        optional={
            "content": st.none() | _TEXT | _PARTS,
            "tool_calls": _CALLS,
            "function_call": one_of({"name": "f"}),
            "refusal": _TEXT,
            "reasoning": _TEXT,
            "reasoning_details": one_of([{"type": "reasoning.text", "text": "t", "signature": "s"}], []),
            "thinking_blocks": one_of([{"type": "redacted_thinking", "data": "d"}]),
            "x_vendor": one_of(1),
        },
    )
    | st.fixed_dictionaries(
        {"role": one_of("tool", "function"), "content": st.none() | _TEXT | _PARTS},
        optional={"tool_call_id": one_of("call_1", "call_2", "other"), "name": one_of("f", "c")},
    ),
    min_size=1,
    max_size=5,
)
_REQUESTS = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": _MESSAGES},
    optional={
        "stream": st.booleans(),
        "max_completion_tokens": st.integers(-1, 9),
        "stop": _TEXT | st.lists(_TEXT, max_size=2),
        "reasoning": one_of({"effort": "low"}, {"max_tokens": 5000}, {"enabled": False}),
        "tools": one_of(
            [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}],
            [{"type": "function", "name": "f", "cache_control": {}}],
        ),
        "parallel_tool_calls": st.booleans(),
        "response_format": one_of({"type": "json_object"}, {"type": "json_object", "schema": {}}),
        "metadata": one_of({"a": "b"}),
        "n": st.integers(1, 3),
    },
)


@settings(max_examples=150, deadline=None)
@given(body=_REQUESTS)
def test_what_was_read_once_is_stable(body: Object) -> None:
    sent = msgspec.json.encode(body)
    once = encode_request(decode_request(msgspec.json.decode(sent)), Losses())
    again = encode_request(decode_request(msgspec.json.decode(msgspec.json.encode(once))), Losses())
    assert again == once
    same = encode_request(decode_request(msgspec.json.decode(sent)), Losses())
    assert msgspec.json.encode(same) == msgspec.json.encode(once), "the same history gives the same bytes"
