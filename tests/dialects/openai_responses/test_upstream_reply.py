"""A server's whole answer and its errors, read defensively."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from dragoman.conversation import (
    Citation,
    Foreign,
    Object,
    Part,
    Reason,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import decode_error, decode_reply, encode_reply
from dragoman.dialects.openai_responses.sealed import kept_seal
from dragoman.dialects.openai_responses.usage import decode_usage, encode_usage, usage_rest
from dragoman.dialects.openai_responses.vocabulary import ITEM
from dragoman.errors import GatewayError
from tests.dialects.openai_responses.conftest import Ask
from tests.dialects.openai_responses.upstream import call, message, reasoning, response

SEAL, PLAIN = kept_seal("rs_1", "gAAAA"), kept_seal("rs_1", "")
FILE = {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 3}
NESTED = {"type": "url_citation", "url_citation": {"url": "https://u", "title": "t"}}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
WORDS = [{"type": "reasoning_text", "text": "hm"}]

ITEMS: dict[str, tuple[Object, list[Part]]] = {
    "a text": (message("a"), [Text(text="a")]),
    "a text as a string": (message(content="a"), [Text(text="a")]),
    "a message without a type": ({"role": "assistant", "content": ["a", "b"]}, [Text(text="a"), Text(text="b")]),
    "an empty text": (message(""), []),
    "no content": (message(content=None), []),
    "a refusal": (message({"type": "refusal", "refusal": "no"}), [Refusal(text="no")]),
    "a phase": (message("a", "b", phase="x"), [Text(text="a", extra={ITEM: {"phase": "x"}}), Text(text="b")]),
    "a file that is cited": (
        message({"type": "output_text", "text": "a", "annotations": [FILE]}),
        [Text(text="a", citations=[Citation(title="a.pdf", extra=FILE)])],
    ),
    "a page that is cited as in chat": (
        message({"type": "output_text", "text": "a", "annotations": [NESTED]}),
        [Text(text="a", citations=[Citation(url="https://u", title="t", extra=NESTED)])],
    ),
    "a summary": (reasoning("a", "b"), [Thinking(text="a\n\nb", seal=SEAL)]),
    "a summary without a proof": (reasoning("a", sealed=None), [Thinking(text="a")]),
    "a proof alone": (reasoning(), [Thinking(text="", seal=SEAL, redacted=True)]),
    "thoughts": (reasoning(sealed="", content=WORDS), [Thinking(text="hm", seal=PLAIN)]),
    "thoughts and their summary": (
        reasoning("s", sealed=None, content=WORDS),
        [Thinking(text="hm", seal=PLAIN, extra={"summary": [{"type": "summary_text", "text": "s"}]})],
    ),
    "no thoughts": (reasoning(sealed=None), []),
    "a call": (call("f", '{"a":1}'), [ToolCall(id="call_1", name="f", arguments='{"a":1}')]),
    "a call of a tool in a namespace": (
        call("f", namespace="ns"),
        [ToolCall(id="call_1", name="ns__f", arguments="{}")],
    ),
    "a call with an id alone": (call("f", call_id=""), [ToolCall(id="fc_1", name="f", arguments="{}")]),
    "a call without arguments": (call("f", arguments=""), [ToolCall(id="call_1", name="f", arguments="{}")]),
    "a call that says more": (
        call("f", caller={"type": "program", "caller_id": "p"}),
        [ToolCall(id="call_1", name="f", arguments="{}", extra={"caller": {"type": "program", "caller_id": "p"}})],
    ),
    "free text": (
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": ""},
        [ToolCall(id="c", name="sql", arguments="", freeform=True)],
    ),
    "a search": (SEARCH, [Foreign(origin="openai_responses", extra=SEARCH)]),
    "an item nobody knows": (
        {"type": "future", "x": 1},
        [Foreign(origin="openai_responses", extra={"type": "future", "x": 1})],
    ),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items(name: str) -> None:
    item, content = ITEMS[name]
    reply = decode_reply(response(item))
    assert (reply.content, reply.skipped) == (content, [])


@pytest.mark.parametrize(
    ("members", "output", "reason"),
    [
        ({}, [message("a")], "stop"),
        ({"status": None}, [message("a")], "stop"),
        ({}, [message("a"), call("f")], "tool_calls"),
        ({}, [message({"type": "refusal", "refusal": "no"})], "refusal"),
        ({}, [message("a", {"type": "refusal", "refusal": "no"})], "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, [call("f", "{")], "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, [message("a")], "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_messages"}}, [message("a")], "other"),
    ],
)
def test_reasons(members: Object, output: list[Object], reason: Reason) -> None:
    assert decode_reply(response(*output) | members).reason == reason


def test_the_rest_of_an_answer() -> None:
    body = response(
        message("a"),
        service_tier="default",
        tools=[],
        temperature=1.0,
        moderation={"input": {"flagged": False}},
        usage={"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"image_tokens": 2, "cached_tokens": 1}},
        input_transformations=[{"type": "reasoning", "id": "rs_0", "action": "removed", "reason": "turn_boundary"}],
    )
    assert decode_reply(body) == Reply(
        origin="openai_responses",
        id="resp_1",
        model="m",
        content=[Text(text="a")],
        usage=Usage(input=3, output=2, cache_read=1),
        tier="standard",
        dropped={"thinking": "turn_boundary"},
        extra={
            "moderation": {"input": {"flagged": False}},
            "usage": {"input_tokens_details": {"image_tokens": 2}},
        },
    )


@pytest.mark.parametrize(
    ("output", "skipped"),
    [
        ("x", "output"),
        ({"id": "x"}, "an item without a type"),
        ({"type": "function_call"}, "function_call without a name"),
        (message({"type": "mystery"}), "message.content (mystery)"),
        (message({"glow": 1}), "message.content"),
        (message({"type": "output_text", "text": "a", "annotations": ["x"]}), "annotations"),
    ],
)
def test_what_cannot_be_read_is_named(output: Any, skipped: str) -> None:
    assert decode_reply(response(output)).skipped == [skipped]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"error": "Unexpected endpoint or method. (POST /v1/responses)"}, "upstream", "Unexpected"),
        ({"error": {"message": "m", "code": 429}}, "rate_limit", "m"),
        (response(status="failed", error={"code": "invalid_prompt", "message": "m"}), "invalid_request", "m"),
        (response(status="failed"), "upstream", "failed"),
        (response(status="cancelled"), "upstream", "cancelled"),
        (response(status="queued"), "upstream", "not finished"),
        (response(status="in_progress"), "upstream", "not finished"),
        ({"id": "x"}, "upstream", "no output"),
        ({"output": None}, "upstream", "no output"),
        ({"choices": []}, "upstream", "no output"),
    ],
)
def test_what_is_no_answer_is_an_error(body: Object, kind: str, words: str) -> None:
    with pytest.raises(GatewayError) as raised:
        decode_reply(body)
    assert raised.value.kind == kind and words in raised.value.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "param"),
    [
        (400, {"error": {"message": "m", "code": "previous_response_not_found", "param": "p"}}, "invalid_request", "p"),
        (400, {"error": {"message": "m", "type": "BadRequestError", "code": 400}}, "invalid_request", None),
        (429, {"error": {"message": "m", "code": "insufficient_quota"}}, "billing", None),
        (
            404,
            {"error": {"message": "The model 'x' does not exist", "code": "model_not_found"}},
            "model_not_found",
            None,
        ),
        (503, {"error": {"message": "m", "code": "server_is_overloaded"}}, "overloaded", None),
    ],
)
def test_errors(status: int, body: Object, kind: str, param: str | None) -> None:
    error = decode_error(status, msgspec.json.encode(body), 3.0)
    assert (error.kind, error.param, error.retry_after) == (kind, param, 3.0)


@pytest.mark.parametrize(
    "usage",
    [Usage(input=9, output=5, cache_read=3, cache_write=2, thinking=1), Usage(input=1, output=1, cost=0.25)],
)
def test_usage_goes_both_ways(usage: Usage) -> None:
    told = encode_usage(usage, {"is_byok": True})
    assert decode_usage(told) == usage
    assert usage_rest(told) == {"is_byok": True}


REPLIES: dict[str, list[Part]] = {
    "text": [Text(text="a")],
    "citations": [
        Text(
            text="ab",
            citations=[
                Citation(
                    url="https://u",
                    title="t",
                    extra={"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "https://u"},
                ),
                Citation(title="a.pdf", extra=FILE),
            ],
        )
    ],
    "refusal": [Refusal(text="no")],
    "phases": [
        Text(text="a", extra={ITEM: {"phase": "commentary"}}),
        Text(text="b", extra={ITEM: {"phase": "final_answer"}}),
    ],
    "calls": [
        Text(text="a"),
        ToolCall(id="c1", name="ns__f", arguments='{"a":1}'),
        ToolCall(id="c2", name="sql", arguments="select 1", freeform=True),
    ],
    "a search": [Foreign(origin="openai_responses", extra=SEARCH), Text(text="a")],
}
_SPACE = {"type": "namespace", "name": "ns", "description": "", "tools": [{"type": "function", "name": "f"}]}


@pytest.mark.parametrize("name", REPLIES)
def test_an_answer_that_is_told_to_a_client_of_this_wire_reads_the_same(name: str, ask: Ask, stamp: Stamp) -> None:
    """Proofs are not among it: they go out in envelopes, see `sealed`."""
    content = REPLIES[name]
    reason: Reason = {"refusal": "refusal", "calls": "tool_calls"}.get(name, "stop")  # type: ignore[assignment]
    reply = Reply(
        origin="openai_responses", id="resp_1", model=stamp.model, content=content, reason=reason, usage=Usage(input=1)
    )
    request = ask(tools=[_SPACE, {"type": "custom", "name": "sql"}])
    told = msgspec.json.decode(msgspec.json.encode(encode_reply(reply, request, stamp)))
    assert decode_reply(told) == replace(reply, tier="standard")
