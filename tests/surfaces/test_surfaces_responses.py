"""The compliance tests of Open Responses, re-made, over every kind of server; and what official SDKs make of answers.

https://www.openresponses.org/compliance.  The tests of WebSockets have one answer here: there is none, go on without.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from pydantic import BaseModel

from dragoman.dialects.openai_responses.sealed import disclose_summary
from tests.dialects.openai_responses.streams import check_stream
from tests.dialects.openai_responses.strict import check_item, check_response
from tests.sdks.media import PNG
from tests.surfaces.responding import MODELS, TRANSLATED, Behind, Object, before_all, events, named, post

PHASED = {"role": "assistant", "phase": "commentary", "content": [{"type": "output_text", "text": "I look."}]}
WEATHER: Object = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather now",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with before_all() as running:
        yield running


def user(text: str) -> Object:
    return {"type": "message", "role": "user", "content": text}


CASES: dict[str, Object] = {
    "basic-response": {"input": [user("Say hello.")]},
    "assistant-phase": {"input": [user("Look."), PHASED, user("And?")]},
    "system-prompt": {"input": [{"type": "message", "role": "system", "content": "Be brief."}, user("Hello.")]},
    "multi-turn": {
        "input": [user("I am Ann."), {"type": "message", "role": "assistant", "content": "Hi Ann."}, user("My name?")]
    },
}


@pytest.mark.parametrize("server", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_a_case(bed: Behind, server: str, case: str) -> None:
    answer = post(bed.url, {"model": named(server), **CASES[case]})
    assert answer.status_code == 200, answer.text
    response = answer.json()
    check_response(response)
    assert response["status"] == "completed"
    assert response["store"] is True
    assert response["model"]
    texts = [part["text"] for item in response["output"] for part in item.get("content", ())]
    assert "You said" in "".join(texts)


@pytest.mark.parametrize("server", MODELS)
def test_streaming_response(bed: Behind, server: str) -> None:
    told = events(post(bed.url, {"model": named(server), "input": "Say hello.", "stream": True}))
    if server in TRANSLATED:
        check_stream(told)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert told[0]["type"] == "response.created"
    assert told[-1]["type"] == "response.completed"
    check_response(told[-1]["response"])
    assert {event["response"]["id"] for event in told if "response" in event} == {told[-1]["response"]["id"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("server", MODELS)
def test_tool_calling(bed: Behind, server: str, stream: bool) -> None:
    body: Object = {
        "model": named(server),
        "input": "What is the weather in Paris?",
        "tools": [WEATHER],
        "stream": stream,
    }
    answer = post(bed.url, body)
    response = events(answer)[-1]["response"] if stream else answer.json()
    check_response(response)
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert [(call["name"], call["arguments"], call["status"]) for call in calls] == [
        ("get_weather", '{"city":"Paris"}', "completed")
    ]
    after = [user("What is the weather in Paris?"), *response["output"]]
    after.append({"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "12 degrees"})
    answer = post(bed.url, {"model": named(server), "input": after, "tools": [WEATHER]})
    assert answer.status_code == 200, answer.text
    assert "12 degrees" in answer.text


@pytest.mark.parametrize("server", MODELS)
def test_image_input(bed: Behind, server: str) -> None:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    content = [{"type": "input_text", "text": "What is it?"}, picture]
    answer = post(bed.url, {"model": named(server, sees=True), "input": [{"role": "user", "content": content}]})
    assert answer.status_code == 200, answer.text
    check_response(answer.json())
    assert PNG in str(bed.sent(server))


@pytest.mark.parametrize("server", MODELS)
def test_compact_response(bed: Behind, server: str) -> None:
    body = {"model": named(server), "input": [user("I am Ann.")], "prompt_cache_key": "k", "tools": [WEATHER]}
    answer = post(bed.url, body, "/v1/responses/compact")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["object"] == "response.compaction"
    assert told["usage"]["total_tokens"] > 0
    (item,) = told["output"]
    assert item["type"] == "compaction"
    check_item(item)
    # What stands for the conversation is read by the model of the next call.
    after = post(bed.url, {"model": named(server), "input": [*told["output"], user("My name?")]})
    assert after.status_code == 200, after.text
    summary = disclose_summary(item["encrypted_content"])
    assert summary
    assert summary in "\n".join(_strings(bed.sent(server)))


def _strings(value: Any) -> Iterator[str]:
    """Every text in a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def test_compact_missing_model(bed: Behind) -> None:
    answer = post(bed.url, {"input": [user("Hi")]}, "/v1/responses/compact")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_a_websocket_is_answered_at_once(bed: Behind, path: str) -> None:
    parts = urlsplit(bed.url)
    lines = [f"GET {path} HTTP/1.1", f"host: {parts.netloc}", "connection: Upgrade", "upgrade: websocket"]
    lines += ["sec-websocket-version: 13", "sec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==", "", ""]
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 426 ")


def test_without_an_upgrade_there_is_nothing_to_get(bed: Behind) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        bed.client().get("/responses", cast_to=object)
    assert refused.value.status_code == 405
    assert refused.value.response.headers["allow"] == "POST"


# --- the official SDK ------------------------------------------------------------------------------------


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("server", MODELS)
def test_a_stream_adds_up_to_the_whole_answer(bed: Behind, server: str) -> None:
    asked: Object = {"model": named(server), "input": "What is the weather in Paris and London?", "tools": [WEATHER]}
    asked |= {"reasoning": {"effort": "low", "summary": "auto"}, "instructions": "Be brief."}
    client = bed.client()
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_response()
    assert _told(streamed) == _told(whole)
    assert [item.type for item in whole.output].count("function_call") == 2


def _told(response: Any) -> Any:
    """Without ids and times, which no two answers have in common."""
    told = response.model_dump(exclude_none=True)
    told["output"] = [
        {
            k: v
            for k, v in item.items()
            if k not in ("id", "call_id", "parsed_arguments", "encrypted_content", "content")
        }
        | {"said": [part.get("text") for part in item.get("content") or ()]}
        for item in told["output"]
    ]
    for name in ("id", "created_at", "completed_at"):
        told.pop(name, None)
    return told


@pytest.mark.parametrize("server", MODELS)
def test_parse(bed: Behind, server: str) -> None:
    parsed = bed.client().responses.parse(model=named(server), input="A city, please.", text_format=City)
    assert isinstance(parsed.output_parsed, City)
    with bed.client().responses.stream(model=named(server), input="A city, please.", text_format=City) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed, City)


@pytest.mark.parametrize("server", MODELS)
def test_tokens_are_counted(bed: Behind, server: str) -> None:
    client = bed.client()
    few = client.responses.input_tokens.count(model=named(server), input="Hello")
    many = client.responses.input_tokens.count(model=named(server), input="Hello " * 200, instructions="Be brief.")
    assert 0 < few.input_tokens < 100 < many.input_tokens


def test_every_member_of_a_count_may_be_left_out(bed: Behind) -> None:
    assert bed.client().responses.input_tokens.count().input_tokens > 0


# --- failures --------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[int, str | None]] = {
    "rate_limit": (429, "rate_limit_exceeded"),
    "overloaded": (503, "server_is_overloaded"),
    "context_length": (400, "context_length_exceeded"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("server", ["vllm", "openai", "responses"])
@pytest.mark.parametrize("scenario", REFUSED)
def test_what_agents_act_on(bed: Behind, server: str, scenario: str, stream: bool) -> None:
    answer = post(bed.url, {"model": named(server), "input": f"[[simulate: {scenario}]]", "stream": stream})
    status, code = REFUSED[scenario]
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("server", MODELS)
def test_what_breaks_in_the_middle_has_failed(bed: Behind, server: str) -> None:
    words = "[[simulate: truncation after=6]]" if server != "ollama" else "[[simulate: truncation after=3]]"
    told = events(post(bed.url, {"model": named(server), "input": words, "stream": True}))
    assert told[-1]["type"] == "response.failed"
    failed = told[-1]["response"]
    assert failed["status"] == "failed"
    assert failed["error"]["message"]
    assert failed["id"] == told[0]["response"]["id"]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))


BAD: dict[str, tuple[Object, str]] = {
    "no input": ({}, "input"),
    "input of another kind": ({"input": 5}, "input"),
    "store": ({"input": "x", "store": "yes"}, "store"),
    "background": ({"input": "x", "background": 1}, "background"),
    "background, and nothing kept": ({"input": "x", "background": True, "store": False}, "background"),
    "conversation": ({"input": "x", "conversation": {"id": 7}}, "conversation.id"),
    "previous": ({"input": "x", "previous_response_id": 7}, "previous_response_id"),
    "an id of nothing": ({"input": "x", "previous_response_id": "resp_\0x"}, "previous_response_id"),
    "both": ({"input": "x", "previous_response_id": "resp_x", "conversation": "conv_x"}, "previous_response_id"),
    "a reference to nothing": ({"input": [user("x"), {"type": "item_reference", "id": "msg_x"}]}, "input[1]"),
    "a reference without an id": ({"input": [{"type": "item_reference"}]}, "input[0]"),
    "a place": ({"input": [user("x"), {"type": "message", "role": "nobody", "content": "y"}]}, "input[1].role"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(bed: Behind, case: str) -> None:
    body, param = BAD[case]
    answer = post(bed.url, {"model": named("anthropic"), **body})
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["type"] == "invalid_request_error"
