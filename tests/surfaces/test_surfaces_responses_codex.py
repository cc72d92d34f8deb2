"""A coding agent at work: the shapes Codex sends, a loop of tools with its reasoning, over every kind of server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.dialects.openai_responses.streams import check_stream
from tests.dialects.openai_responses.test_responses_codex import FIRST
from tests.surfaces.responding import TRANSLATED, Behind, Object, before_all, events, named, post


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with before_all() as running:
        yield running


def asking(server: str, question: str, **members: Any) -> Object:
    body = deepcopy(FIRST) | {"model": named(server)} | members
    body["input"][1]["content"][0]["text"] = question
    return body


def read(told: list[Any]) -> tuple[list[Object], Object]:
    """What the agent goes by: the finished items, and the end."""
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert told[-1]["type"] == "response.completed"
    response = told[-1]["response"]
    assert response["id"]
    assert min(response["usage"][name] for name in ("input_tokens", "output_tokens", "total_tokens")) > 0
    return done, response


def sent_back(items: list[Object], outputs: dict[str, str]) -> list[Object]:
    """The turn and its results as the agent sends them: reasoning with an empty `content`, no statuses."""
    turn = [{k: v for k, v in item.items() if k != "status"} for item in items]
    for item in turn:
        if item["type"] == "reasoning":
            item["content"] = None
        if item["type"] == "message":
            item.pop("id")
    calls = [item for item in items if item["type"] == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": outputs[call["name"]]} for call in calls
    ]
    return [*turn, *results]


@pytest.mark.parametrize("server", ["anthropic", "ollama", "vllm", "openai", "responses"])
def test_a_loop_with_tools_and_reasoning(bed: Behind, server: str) -> None:
    question = "Use shell and multi_agent_v1__spawn_agent, please."
    body = asking(server, question, reasoning={"effort": "low", "summary": "auto"})
    told = events(post(bed.url, body))
    if server in TRANSLATED:
        check_stream(told)
    items, _ = read(told)
    calls = {(item.get("namespace"), item["name"]) for item in items if item["type"] == "function_call"}
    assert calls == {(None, "shell"), ("multi_agent_v1", "spawn_agent")}
    assert all("." not in item["name"] for item in items if item["type"] == "function_call")
    thoughts = [item for item in items if item["type"] == "reasoning"]
    assert thoughts
    assert thoughts[0]["summary"]
    if server in ("anthropic", "openai", "responses"):  # the others seal nothing
        assert thoughts[0]["encrypted_content"]
    body["input"] += sent_back(items, {"shell": "a.txt", "spawn_agent": "done"})
    told = events(post(bed.url, body))
    items, response = read(told)
    assert "a.txt" in str(items)
    assert response["store"] is False
    if server == "anthropic":
        (turn,) = [m for m in bed.sent(server)["messages"] if m["role"] == "assistant"]
        kinds = [part["type"] for part in turn["content"]]
        assert kinds[0] == "thinking"
        assert turn["content"][0]["signature"]
        assert kinds.count("tool_use") == 2
    if server == "ollama":
        assert any(message.get("thinking") for message in bed.sent(server)["messages"])


def test_a_model_is_changed_on_the_way(bed: Behind) -> None:
    """What Claude sealed does not reach OpenAI, and is reported; nor the other way round."""
    for first, second in (("anthropic", "openai"), ("openai", "anthropic"), ("ollama", "responses")):
        body = asking(first, "Use shell, please.", reasoning={"effort": "low", "summary": "auto"})
        items, _ = read(events(post(bed.url, body)))
        body["input"] += sent_back(items, {"shell": "a.txt", "spawn_agent": "done"})
        answer = post(bed.url, body | {"model": named(second)})
        read(events(answer))
        assert "thinking" in answer.headers["x-dragoman-dropped"] or "input[2]" in answer.headers["x-dragoman-dropped"]
        sent = json.dumps(bed.sent(second))
        assert "dragoman." not in sent
        assert "gAAAA" not in sent


def test_the_bytes_pass_where_nothing_is_kept(bed: Behind) -> None:
    """To OpenAI's own API an agent's request goes as it is, but for the name of the model."""
    body = asking("openai", "Hello", strange_member={"a": [1, 2.50]})
    del body["client_metadata"]
    body = {name: value for name, value in body.items() if name != "strange_member"}
    post(bed.url, body)
    assert bed.sent("openai") == body | {"model": "gpt-5.6"}
    assert bed.simulators["openai"].requests[-1].headers[":path"] == "/v1/responses"


FAILURES: dict[str, tuple[int, str]] = {
    "rate_limit": (429, "rate_limit_exceeded"),
    "overloaded": (503, "server_is_overloaded"),
    'error status=400 message="prompt is too long: 210000 tokens > 200000 maximum"': (400, "context_length_exceeded"),
}


@pytest.mark.parametrize("scenario", FAILURES)
def test_claudes_failures_in_words_it_acts_on(bed: Behind, scenario: str) -> None:
    status, code = FAILURES[scenario]
    answer = post(bed.url, asking("anthropic", f"[[simulate: {scenario}]]"))
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == code
    if status != 400:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("server", ["anthropic", "openai", "responses"])
@pytest.mark.parametrize("type", ["rate_limit_error", "overloaded_error"])
def test_a_failure_after_the_start(bed: Behind, server: str, type: str) -> None:
    told = events(post(bed.url, asking(server, f"[[simulate: error_event after=5 type={type}]]")))
    assert [event["type"] for event in told].count("response.failed") == 1
    assert told[-1]["type"] == "response.failed"
    error = told[-1]["response"]["error"]
    assert error["message"]
    assert error["code"] in ("rate_limit_exceeded", "server_error") or server != "anthropic"


def test_its_own_way_to_shorten_a_conversation(bed: Behind) -> None:
    words = "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary."
    body = asking("anthropic", words, parallel_tool_calls=False, tools=[])
    items, _ = read(events(post(bed.url, body)))
    assert items[-1]["type"] == "message"
    assert {item["type"] for item in items} <= {"reasoning", "message"}
