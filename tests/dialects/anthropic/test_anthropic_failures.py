"""Errors as Anthropic says them, for programs that act on the type, the status and the wording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import anthropic as sdk
import msgspec
import pytest
from anthropic import beta_tool
from anthropic.types import ErrorResponse

from dragoman.conversation import Object, Reply, Request, Text, ToolCall, ToolResult
from dragoman.dialects import anthropic
from dragoman.errors import TABLE, GatewayError, Kind, too_long
from dragoman.framing import SSE
from tests.dialects.anthropic.serving import Served, serve

TYPES: dict[Kind, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"),
    "context_length": (400, "invalid_request_error"),
    "unverified_thinking": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "billing": (402, "billing_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "model_not_found": (404, "not_found_error"),
    "method_not_allowed": (405, "invalid_request_error"),
    "conflict": (409, "conflict_error"),
    "too_large": (413, "request_too_large"),
    "slow_request": (408, "invalid_request_error"),
    "url_too_long": (414, "invalid_request_error"),
    "unsupported_encoding": (415, "invalid_request_error"),
    "headers_too_large": (431, "invalid_request_error"),
    "rate_limit": (429, "rate_limit_error"),
    "internal": (500, "api_error"),
    "not_implemented": (501, "api_error"),
    "unreachable": (502, "api_error"),
    "upstream": (500, "api_error"),
    "overloaded": (529, "overloaded_error"),
    "timeout": (504, "timeout_error"),
    "format_unmet": (502, "api_error"),
}


_UNTYPED = ("conflict", "too_large")
"""Documented, but not among the SDK's types."""


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_its_status_and_type(kind: Kind) -> None:
    document = anthropic.encode_error(GatewayError(kind, "why"), "req_9")
    if kind not in _UNTYPED:
        ErrorResponse.model_validate(document)
    assert (TABLE[kind].anthropic, document["error"]["type"]) == TYPES[kind]
    assert document["request_id"] == "req_9"
    assert "why" in document["error"]["message"]
    assert "details" not in document["error"]


WORDINGS: list[tuple[str, str]] = [
    ("prompt is too long: 9 tokens > 8 maximum", "prompt is too long: 9 tokens > 8 maximum"),
    (
        "This model's maximum context length is 4097 tokens. However, your messages resulted in 5,012 tokens.",
        "prompt is too long: 5012 tokens > 4097 maximum",
    ),
    (
        "the request exceeds the available context size (8192 tokens), try increasing it",
        "prompt is too long: the request exceeds the available context size (8192 tokens), try increasing it",
    ),
    (
        "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it",
        "prompt is too long: 9001 tokens > 8192 maximum",
    ),
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context "
        "length of only 4096 tokens, which is not enough.",
        "prompt is too long: 5000 tokens > 4096 maximum",
    ),
    (
        "This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens "
        "(149000 of text input, 1000 in the output).",
        "prompt is too long: 150000 tokens > 131072 maximum",
    ),
    (
        "This model's maximum context length is 2048 tokens. However, you requested 2065 tokens "
        "(17 in the messages, 2048 in the completion). Please reduce the length of the messages or completion.",
        "input length and `max_tokens` exceed context limit: 17 + 2048 > 2048, "
        "decrease input length or `max_tokens` and try again",
    ),
    (
        "This model's maximum context length is 8192 tokens. However, you requested 4096 output tokens and your prompt "
        "contains at least 4097 input tokens, for a total of at least 8193 tokens.",
        "input length and `max_tokens` exceed context limit: 4097 + 4096 > 8192, "
        "decrease input length or `max_tokens` and try again",
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192 "
        "tokens and your request has 500 input tokens (9000 > 8192 - 500).",
        "input length and `max_tokens` exceed context limit: 500 + 9000 > 8192, "
        "decrease input length or `max_tokens` and try again",
    ),
    ("the input is too big", "prompt is too long: the input is too big"),
]


@pytest.mark.parametrize(("theirs", "ours"), WORDINGS)
def test_a_full_context_is_told_in_the_words_that_make_programs_act(theirs: str, ours: str) -> None:
    document = anthropic.encode_error(GatewayError("context_length", theirs))
    assert document["error"]["message"] == ours
    again = anthropic.decode_error(400, msgspec.json.encode(document), None)
    assert (again.kind, again.message) == ("context_length", ours)
    (frame,) = SSE().feed(anthropic.encode_fault("context_length", theirs))
    assert msgspec.json.decode(frame)["error"] == document["error"]


def test_our_own_count_speaks_the_same_way() -> None:
    error = too_long(9001, 8192)
    assert anthropic.encode_error(error)["error"]["message"] == "prompt is too long: 9001 tokens > 8192 maximum"


def test_a_model_that_is_not_there() -> None:
    error = GatewayError("model_not_found", "model 'x' not found")
    assert anthropic.encode_error(error)["error"]["message"] == "model: model 'x' not found"
    assert anthropic.encode_error(GatewayError("model_not_found", "model: x"))["error"]["message"] == "model: x"


def test_a_code_that_only_says_the_kind_again_is_left_out() -> None:
    error = GatewayError("context_length", "m", code="context_length_exceeded")
    assert "details" not in anthropic.encode_error(error)["error"]


@pytest.mark.parametrize(("kind", "name"), [("overloaded", "overloaded_error"), ("nonsense", "api_error")])
def test_a_fault_is_framed_with_its_name(kind: str, name: str) -> None:
    data = anthropic.encode_fault(kind, "busy", "req_9")
    document: Object = {"type": "error", "error": {"type": name, "message": "busy"}, "request_id": "req_9"}
    assert data == b"event: error\ndata: " + msgspec.json.encode(document) + b"\n\n"


# --- threads --------------------------------------------------------------------------------------

ASK: Object = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}])
def test_a_thread_is_refused_with_the_code_the_sdks_know(thread: Object) -> None:
    with pytest.raises(GatewayError) as caught:
        anthropic.decode_request(ASK | {"thread": thread})
    document = anthropic.encode_error(caught.value)
    assert caught.value.row.anthropic == 400
    assert document["error"]["type"] == "invalid_request_error"
    assert document["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_no_thread_is_no_thread() -> None:
    assert anthropic.decode_request(ASK | {"thread": None}).model == "m"


def _answer(request: Request) -> Reply:
    results = [part for message in request.messages for part in message.content if isinstance(part, ToolResult)]
    content: Any = [Text(text="done")] if results else [ToolCall(id="a.b", name="clock", arguments='{"zone":"UTC"}')]
    return Reply(origin="ollama", id="", model="m", content=content, reason="stop" if results else "tool_calls")


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(_answer) as served:
        yield served


@beta_tool
def clock(zone: str) -> str:
    """The time."""
    return f"noon in {zone}"


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_tool_runner_falls_back_to_the_whole_history(served: Served, stream: bool) -> None:
    question = "What is the time?"
    with sdk.Anthropic(base_url=served.url, api_key="any", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model="m",
            max_tokens=99,
            messages=[{"role": "user", "content": question}],
            tools=[clock],
            stream=stream,
        )
        last = runner.until_done()
    assert last.content[0].to_dict()["text"] == "done"
    assert served.bodies[0]["thread"] == {"type": "create"}
    assert all("thread" not in body for body in served.bodies[1:])
    first, second = served.requests
    assert len(served.bodies) == 3
    assert first.messages[0].content == second.messages[0].content == [Text(text=question)]
    assert second.messages[1].content == [ToolCall(id="a.b", name="clock", arguments='{"zone":"UTC"}')]
    result = second.messages[2].content[0]
    assert isinstance(result, ToolResult)
    assert (result.id, result.content) == ("a.b", [Text(text="noon in UTC")])
