"""Every object and event the simulator emits is one the official SDK's types allow, in the order the real API keeps."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import msgspec
import pytest

from dragoman.framing import SSE
from dragoman.simulator.server import Running
from tests.simulator.judge import HEADERS, ask, events, judge_event, judge_message

TOOLS = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
ANSWERS = [
    "auto",
    "text",
    "text tokens=7",
    "thinking",
    "redacted_thinking",
    "tools",
    "tools calls=3",
    "refusal",
    "refusal after=4",
    "pause_turn",
    "context_window_exceeded",
    "server_tool",
]
MODELS = ["claude-opus-4-8", "claude-opus-5-5", "claude-opus-4-5"]


def asked(scenario: str, **members: Any) -> dict[str, Any]:
    words = f"[[simulate: {scenario}]] What is the weather in Paris and London?"
    base = {"model": "claude-opus-4-8", "max_tokens": 500, "messages": [{"role": "user", "content": words}]}
    return base | {"tools": TOOLS} | members


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", ANSWERS)
def test_the_judge_takes_the_message(served: Running, scenario: str, model: str) -> None:
    answer = ask(served.url, asked(scenario, model=model))
    assert answer.status_code == 200, answer.text
    message = judge_message(answer.content)
    details = message.usage.output_tokens_details
    assert details is not None
    assert details.thinking_tokens <= message.usage.output_tokens
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["request-id"].startswith("req_")
    assert int(answer.headers["anthropic-ratelimit-requests-remaining"]) > 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", ANSWERS)
def test_the_judge_takes_the_stream(served: Running, scenario: str, model: str) -> None:
    answer = ask(served.url, asked(scenario, model=model, stream=True))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    for frame in SSE().feed(answer.content):
        judge_event(frame)
    _judge_order(events(answer.content))


def _judge_order(stream: list[dict[str, Any]]) -> None:
    kinds = [event["type"] for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("ping") == 1
    assert stream[0]["message"]["content"] == []
    assert stream[0]["message"]["stop_reason"] is None
    opened: int | None = None
    following = 0
    for event in stream:
        if event["type"] == "content_block_start":
            assert (opened, event["index"]) == (None, following)
            opened = event["index"]
        elif event["type"] == "content_block_delta":
            assert event["index"] == opened
        elif event["type"] == "content_block_stop":
            assert event["index"] == opened
            opened, following = None, following + 1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", ANSWERS)
def test_streamed_and_unstreamed_are_the_same_answer(sdk: anthropic.Anthropic, scenario: str, model: str) -> None:
    body = asked(scenario, model=model)
    whole = sdk.messages.create(**body)
    with sdk.messages.stream(**body) as stream:
        folded = stream.get_final_message()
    names = ("content", "stop_reason", "stop_sequence", "stop_details", "usage", "model", "role")
    assert {name: _plain(getattr(whole, name)) for name in names} == {
        name: _plain(getattr(folded, name)) for name in names
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.model_dump(exclude={"parsed_output"}) if hasattr(value, "model_dump") else value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario", ANSWERS)
def test_the_same_request_gets_the_same_content(served: Running, scenario: str, stream: bool) -> None:
    def once() -> Any:
        raw = ask(served.url, asked(scenario, stream=stream)).content
        whole = events(raw) if stream else [{"message": msgspec.json.decode(raw)}]
        whole[0]["message"].pop("id")
        return whole

    assert once() == once()


def test_ids_are_real_ids(served: Running) -> None:
    first, second = (ask(served.url, asked("tools")).json() for _ in range(2))
    assert first["id"].startswith("msg_01")
    assert first["id"] != second["id"]
    calls = [block["id"] for block in first["content"] if block["type"] == "tool_use"]
    assert len(set(calls)) == 2
    assert all(call.startswith("toolu_01") and call.isidentifier() for call in calls)


def test_unknown_things_come_between_the_known(served: Running, sdk: anthropic.Anthropic) -> None:
    body = asked("unknown_event", tools=[])
    kinds = [event["type"] for event in events(ask(served.url, body | {"stream": True}).content)]
    assert "future_event" in kinds
    blocks = ask(served.url, body).json()["content"]
    assert [block["type"] for block in blocks] == ["text", "future_block"]
    with sdk.messages.stream(**body) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert message.content[0].text == blocks[0]["text"]  # type: ignore[union-attr]


def test_frames_may_be_split_anywhere(served: Running) -> None:
    whole = events(ask(served.url, asked("text", stream=True)).content)
    for size in (1, 7, 64):
        split = events(ask(served.url, asked(f"text chunk={size}", stream=True)).content)
        assert [event["type"] for event in split] == [event["type"] for event in whole]


def test_the_beta_client_reads_it_too(sdk: anthropic.Anthropic) -> None:
    answer = sdk.beta.messages.create(betas=["context-management-2025-06-27"], **asked("thinking"))
    assert [block.type for block in answer.content] == ["thinking", "text"]


def test_head_is_tolerated(served: Running) -> None:
    for path in ("/", "/api/hello"):
        answer = httpx.head(served.url + path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_wrong_method_is_said(served: Running) -> None:
    assert httpx.get(f"{served.url}/v1/messages", headers=HEADERS).status_code == 405


def test_query_parameters_are_ignored(served: Running) -> None:
    body = {name: value for name, value in asked("auto").items() if name != "max_tokens"}
    answer = httpx.post(f"{served.url}/v1/messages/count_tokens?beta=true", json=body, headers=HEADERS)
    assert answer.json() == {"input_tokens": ask(served.url, asked("text")).json()["usage"]["input_tokens"]}
