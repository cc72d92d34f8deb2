"""Whole answers and errors, judged by the official client's types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama import ChatResponse

from dragoman.conversation import (
    Foreign,
    Media,
    Part,
    Reason,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects import ollama
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama.reply import REFUSED
from dragoman.errors import GatewayError

REQUEST = Request(origin="ollama", model="m", messages=[])
CALL = ToolCall(id="toolu_1", name="get_weather", arguments='{"city":"Paris"}')
WIRE_CALL = {"id": "toolu_1", "function": {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}}


def reply(*content: Part, reason: Reason = "stop", explanation: str = "") -> Reply:
    return Reply(
        origin="anthropic",
        id="msg_1",
        model="u",
        content=list(content),
        reason=reason,
        usage=Usage(input=26, output=282, cache_read=10),
        explanation=explanation,
    )


def message(answer: Reply, stamp: Stamp, request: Request = REQUEST) -> dict[str, Any]:
    body: dict[str, Any] = ollama.encode_reply(answer, request, stamp)
    ChatResponse.model_validate(body)
    assert body["message"].pop("role") == "assistant"
    assert isinstance(body["message"]["content"], str)
    members: dict[str, Any] = body["message"]
    return members


# Parts, and the `message` they make.
ROWS: list[tuple[list[Part], dict[str, Any]]] = [
    ([], {"content": ""}),
    ([Text(text="Hel"), Text(text="lo")], {"content": "Hello"}),
    ([Thinking(text="Hm", seal=Seal("anthropic", "s")), Text(text="Hi")], {"content": "Hi", "thinking": "Hm"}),
    ([Thinking(text="", redacted=True, seal=Seal("anthropic", "s")), Text(text="Hi")], {"content": "Hi"}),
    ([Thinking(text="Only this")], {"content": "", "thinking": "Only this"}),
    ([Text(text="Let me look."), CALL], {"content": "Let me look.", "tool_calls": [WIRE_CALL]}),
    (
        [CALL, ToolCall(id="b", name="f", arguments="")],
        {
            "content": "",
            "tool_calls": [WIRE_CALL, {"id": "b", "function": {"index": 1, "name": "f", "arguments": {}}}],
        },
    ),
    (
        [ToolCall(id="b", name="f", arguments="{broken")],
        {
            "content": "",
            "tool_calls": [
                {"id": "b", "function": {"index": 0, "name": "f", "arguments": {"_invalid_json": "{broken"}}}
            ],
        },
    ),
    ([Refusal(text="I will not.")], {"content": "I will not."}),
    ([Text(text="Here:"), Media(kind="image", data="iVBORw0KGgo=")], {"content": "Here:"}),
    ([Foreign(origin="anthropic", extra={"type": "x", "text": "seen"})], {"content": "seen"}),
    ([Foreign(origin="anthropic", extra={"type": "server_tool_use", "id": "s"}), Text(text="Hi")], {"content": "Hi"}),
]


@pytest.mark.parametrize(("content", "wire"), ROWS)
def test_parts(content: list[Part], wire: dict[str, Any], stamp: Stamp) -> None:
    assert message(reply(*content), stamp) == wire


@pytest.mark.parametrize(
    ("reason", "done_reason"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("tool_calls", "stop"),
        ("length", "length"),
        ("context", "length"),
        ("refusal", "stop"),
        ("pause", "stop"),
        ("other", "stop"),
    ],
)
def test_reasons(reason: Reason, done_reason: str, stamp: Stamp) -> None:
    body = ollama.encode_reply(reply(Text(text="Hi"), reason=reason), REQUEST, stamp)
    assert (body["done"], body["done_reason"]) == (True, done_reason)


@pytest.mark.parametrize(
    ("content", "explanation", "text"),
    [
        ([], "This touches a policy.", "This touches a policy."),
        ([], "", REFUSED),
        ([Refusal(text="")], "", REFUSED),
        ([Text(text="Well")], "This touches a policy.", "Well\n\nThis touches a policy."),
        ([Text(text="Well")], "", "Well"),
        ([Refusal(text="I will not.")], "This touches a policy.", "I will not."),
    ],
)
def test_a_refusal_is_readable(content: list[Part], explanation: str, text: str, stamp: Stamp) -> None:
    answer = reply(*content, reason="refusal", explanation=explanation)
    assert message(answer, stamp)["content"] == text


@pytest.mark.parametrize(
    ("arguments", "reason", "calls"),
    [
        ('{"city": "Par', "length", 0),
        ('{"city": "Par', "context", 0),
        ("", "length", 0),
        ('{"city": "Paris"}', "length", 1),
        ('{"city": "Par', "tool_calls", 1),
    ],
)
def test_a_call_that_was_cut_off_is_not_a_call(arguments: str, reason: Reason, calls: int, stamp: Stamp) -> None:
    answer = reply(Text(text="Hm"), ToolCall(id="a", name="f", arguments=arguments), reason=reason)
    assert len(message(answer, stamp).get("tool_calls", [])) == calls


def test_reasoning_nobody_wants_is_not_shown(stamp: Stamp) -> None:
    off = Request(origin="ollama", model="m", messages=[], reasoning=Reasoning(enabled=False))
    assert message(reply(Thinking(text="Hm"), Text(text="Hi")), stamp, off) == {"content": "Hi"}


def test_the_frame(stamp: Stamp) -> None:
    body = ollama.encode_reply(reply(Text(text="Hi")), REQUEST, stamp)
    assert body["model"] == "claude-sonnet-4.5"
    assert body["created_at"] == "2026-11-22T06:00:00.501000000Z"
    assert (body["prompt_eval_count"], body["eval_count"]) == (26, 282)
    parts = [body[f"{name}_duration"] for name in ("load", "prompt_eval", "eval")]
    assert all(part >= 1 for part in parts)
    assert sum(parts) <= body["total_duration"] == 2_000_000


def test_a_clock_that_stands_still_gives_no_zero() -> None:
    still = Stamp(id="x", model="m", created=0, started=5, clock=lambda: 5)
    body = ollama.encode_reply(reply(Text(text="Hi")), REQUEST, still)
    assert min(body[f"{name}_duration"] for name in ("load", "prompt_eval", "eval", "total")) >= 1


def test_counts_of_nothing_are_left_out(stamp: Stamp) -> None:
    answer = Reply(origin="anthropic", id="", model="", content=[])
    assert not {"prompt_eval_count", "eval_count"} & set(ollama.encode_reply(answer, REQUEST, stamp))


# --- the upstream half ------------------------------------------------------------------------------


def upstream(**members: Any) -> dict[str, Any]:
    return {
        "model": "llama3.2",
        "created_at": "2026-11-22T06:00:00Z",
        "message": {"role": "assistant", "content": "Hi"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 26,
        "eval_count": 2,
    } | members


def test_decode_reply() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"id": "f", "function": {"name": "f"}}]
    body = upstream(message={"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": calls})
    answer = ollama.decode_reply(body)
    assert (answer.origin, answer.model, answer.reason) == ("ollama", "llama3.2", "tool_calls")
    assert answer.usage == Usage(input=26, output=2)
    assert answer.content[:2] == [Thinking(text="Hm"), Text(text="Hi")]
    first, second = answer.content[2:]
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.arguments, second.arguments) == ('{"a":1}', "{}")
    assert first.id != second.id
    assert first.id.startswith("call_")
    assert second.id.startswith("call_")


@pytest.mark.parametrize(
    ("done_reason", "reason"), [("stop", "stop"), ("length", "length"), (None, "stop"), ("", "stop"), ("odd", "other")]
)
def test_decode_reason(done_reason: str | None, reason: Reason) -> None:
    assert ollama.decode_reply(upstream(done_reason=done_reason)).reason == reason


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"done_reason": "load"}, "only loaded the model"),
        ({"done": False}, "not complete"),
        ({"done": None}, "not complete"),
        ({"message": None}, "makes no sense"),
        ({"message": {"content": 1}}, "makes no sense"),
        ({"eval_count": "many"}, "makes no sense"),
        ({"error": "model runner has unexpectedly stopped"}, "unexpectedly stopped"),
    ],
)
def test_what_is_no_answer_is_an_error(members: dict[str, Any], words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        ollama.decode_reply(upstream(**members))
    assert caught.value.kind == "upstream"
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, {"error": "model 'x' not found"}, "model_not_found", "model 'x' not found"),
        (404, b"404 page not found", "not_found", "the upstream answered with HTTP status 404"),
        (400, {"error": '"x" does not support tools'}, "invalid_request", '"x" does not support tools'),
        (
            400,
            {"error": "the input length exceeds the context length"},
            "context_length",
            "the input length exceeds the context length",
        ),
        (
            400,
            {
                "error": '{"error":{"code":400,"message":"request (6009 tokens) exceeds the available context size'
                ' (2048 tokens), try increasing it","type":"exceed_context_size_error","n_ctx":2048}}'
            },
            "context_length",
            "request (6009 tokens) exceeds the available context size (2048 tokens), try increasing it",
        ),
        (400, {"error": '{"error":{"code":400,"message":"bad grammar"}}'}, "invalid_request", "bad grammar"),
        (500, {"error": '{"error": {"message": 1}}'}, "upstream", '{"error": {"message": 1}}'),
        (500, {"error": "{no JSON"}, "upstream", "{no JSON"),
        (
            401,
            {"error": "unauthorized", "signin_url": "https://example.org"},
            "authentication",
            "unauthorized; sign in at https://example.org",
        ),
        (403, b"", "permission", "the upstream answered with HTTP status 403"),
        (429, {"error": "slow down"}, "rate_limit", "slow down"),
        (500, {"error": {"message": "inner"}}, "upstream", "inner"),
        (
            503,
            {"error": "server busy, please try again.  maximum pending requests exceeded"},
            "overloaded",
            "server busy, please try again.  maximum pending requests exceeded",
        ),
        (502, b"\xff<html>", "unreachable", "the upstream answered with HTTP status 502"),
    ],
)
def test_decode_error(status: int, body: dict[str, Any] | bytes, kind: str, message: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = ollama.decode_error(status, data, 3.0)
    assert (error.kind, error.message, error.retry_after) == (kind, message, 3.0)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ollama.model_not_found("x"), "model 'x' not found"),
        (
            GatewayError("model_not_found", "The model `x` does not exist"),
            "model not found: The model `x` does not exist",
        ),
        (GatewayError("overloaded", "Overloaded"), "Overloaded"),
    ],
)
def test_encode_error_is_one_flat_string(error: GatewayError, text: str) -> None:
    assert ollama.encode_error(error) == {"error": text}


def test_an_unstreamed_answer_is_timed_like_a_streamed_one() -> None:
    reply = Reply(origin="anthropic", id="a", model="m", content=[Text(text="hi")], began=150, spoke=400)
    stamp = Stamp(id="", model="m", created=0, started=100, clock=lambda: 1000)
    body = ollama.encode_reply(reply, ollama.decode_request({"model": "m", "messages": []}), stamp)
    timed = [body[f"{name}_duration"] for name in ("load", "prompt_eval", "eval", "total")]
    assert timed == [50, 250, 600, 900]
