"""Searches that Anthropic's servers run, through a gateway: asked for, told, gone on with, and sent back later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest

from dragoman.config import Override
from dragoman.conversation import Object
from dragoman.framing import NDJSON, SSE
from tests.running import Gateway, run_with_simulator, simulate

SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-4-5-20251001"
CITED = "A dragoman was an interpreter who stood between a traveller and a court."
URL = "https://example.com/dragoman"
LISTED = f"\n\nSources:\n- [Dragoman]({URL})"
ANTHROPICS: Object = {"type": "web_search_20250305", "name": "web_search"}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    overrides = {HAIKU: Override(server_tools=("web_search",))}
    with run_with_simulator(simulate(), overrides=overrides) as running:
        yield running


class Said:
    """An answer, added up: `message` is what a client sends back of it."""

    def __init__(self, text: str, thinking: str, message: Object, usage: Object, headers: httpx.Headers) -> None:
        self.text, self.thinking, self.message, self.usage, self.headers = text, thinking, message, usage, headers


def lost(said: Said, how: str = "dropped") -> list[str]:
    """What is reported of the request; of the answer, the steps are told in other words, and some counts not at all."""
    names = said.headers.get(f"x-dragoman-{how}", "").split(", ")
    return [name for name in names if name and not name.startswith("reply.")]


def post(gateway: Gateway, path: str, body: Object) -> httpx.Response:
    answer = httpx.post(f"{gateway.url}{path}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def by_openai(gateway: Gateway, body: Object) -> Said:
    answer = post(gateway, "/v1/chat/completions", {"stream_options": {"include_usage": True}, **body})
    if not body.get("stream"):
        whole = answer.json()
        message = whole["choices"][0]["message"]
        return Said(message["content"], message.get("reasoning_content", ""), message, whole["usage"], answer.headers)
    chunks = [msgspec.json.decode(frame) for frame in SSE().feed(answer.content) if frame != b"[DONE]"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    message = {"role": "assistant", "content": "".join(delta.get("content") or "" for delta in deltas)}
    message["annotations"] = [each for delta in deltas for each in delta.get("annotations", [])]
    message["reasoning_details"] = [each for delta in deltas for each in delta.get("reasoning_details", [])]
    thinking = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    return Said(message["content"], thinking, message, chunks[-1]["usage"], answer.headers)


def by_ollama(gateway: Gateway, body: Object) -> Said:
    answer = post(gateway, "/api/chat", {"stream": False, **body})
    lines = [msgspec.json.decode(line) for line in NDJSON().feed(answer.content + b"\n")]
    text = "".join(line["message"]["content"] for line in lines)
    thinking = "".join(line["message"].get("thinking", "") for line in lines)
    counts = {"prompt_tokens": lines[-1]["prompt_eval_count"], "completion_tokens": lines[-1]["eval_count"]}
    return Said(text, thinking, {"role": "assistant", "content": text}, counts, answer.headers)


ASK = {"openai": by_openai, "ollama": by_ollama}
WISH: dict[str, Object] = {"openai": {"web_search_options": {}}, "ollama": {"tools": [ANTHROPICS]}}


def user(text: str) -> Object:
    return {"role": "user", "content": text}


def asked(gateway: Gateway, count: int) -> list[Any]:
    """The bodies of the last `count` requests upstream."""
    return [body for _, body in gateway.simulator.requests][-count:]


def native(gateway: Gateway, text: str, **members: Any) -> list[Object]:
    """The blocks of the same turn as Anthropic's own client gets them, a paused turn gone on with."""
    messages = [user(text)]
    content: list[Object] = []
    body = {"model": SONNET, "max_tokens": 1000, "tools": [ANTHROPICS], **members}
    for _ in range(5):
        said = [*messages, {"role": "assistant", "content": content}] if content else messages
        answer = post(gateway, "/v1/messages", {**body, "messages": said}).json()
        content += answer["content"]
        if answer["stop_reason"] != "pause_turn":
            return content
    raise AssertionError("the turn never ended")


def bare(blocks: list[Object]) -> list[Object]:
    """Without what differs between two conversations: ids made from the request, signatures, cache marks."""
    fickle = ("id", "tool_use_id", "signature", "cache_control")
    return [{name: value for name, value in block.items() if name not in fickle} for block in blocks]


# --- asking and reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_search_through_an_openai_client(gateway: Gateway, stream: bool) -> None:
    place = {"type": "approximate", "approximate": {"city": "Paris"}}
    options = {"user_location": place}
    messages = [user("What is a dragoman?")]
    said = by_openai(gateway, {"model": SONNET, "stream": stream, "messages": messages, "web_search_options": options})
    (sent,) = asked(gateway, 1)
    location = {"type": "approximate", "city": "Paris"}
    assert sent["tools"] == [{"type": "web_search_20260318", "name": "web_search", "user_location": location}]
    assert lost(said) == []
    (annotation,) = said.message["annotations"]
    place = annotation["url_citation"]
    assert said.text[place["start_index"] : place["end_index"]] == CITED
    assert (place["url"], place["title"]) == (URL, "Dragoman")
    assert "Sources" not in said.text
    assert "Searching the web: What is a dragoman?\nFound:\n- [Dragoman](" in said.thinking


@pytest.mark.parametrize("stream", [False, True])
def test_a_search_through_an_ollama_client_that_cannot_ask(gateway: Gateway, stream: bool) -> None:
    said = by_ollama(gateway, {"model": HAIKU, "stream": stream, "messages": [user("What is a dragoman?")]})
    (sent,) = asked(gateway, 1)
    assert sent["tools"] == [ANTHROPICS]
    assert said.text.endswith(LISTED)
    assert "Searching the web: What is a dragoman?" in said.thinking


def test_a_client_with_a_tool_of_that_name_keeps_it(gateway: Gateway) -> None:
    tool = {"type": "function", "function": {"name": "web_search", "parameters": {"type": "object", "properties": {}}}}
    post(gateway, "/api/chat", {"model": HAIKU, "stream": False, "messages": [user("hi")], "tools": [tool]})
    (sent,) = asked(gateway, 1)
    assert [(tool.get("type"), tool["name"]) for tool in sent["tools"]] == [(None, "web_search")]


def test_json_stays_json(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    body = {"model": HAIKU, "messages": [user("What is a dragoman?")], "format": schema}
    said = by_ollama(gateway, body)
    assert list(msgspec.json.decode(said.text)) == ["n"]
    assert "Searching the web" in said.thinking


# --- on the next turn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SONNET, HAIKU])
@pytest.mark.parametrize("scenario", ["server_tool", "pause_turn rounds=2"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["openai", "ollama"])
def test_what_was_found_is_there_on_the_next_turn(
    gateway: Gateway, client: str, stream: bool, scenario: str, model: str
) -> None:
    """The client sends back what it has room for; Claude gets its own blocks back, encrypted members and all."""
    question = f"[[simulate: {scenario}]] {client} {stream} {model}"
    body = {"model": model, "stream": stream, **WISH[client]}
    said = ASK[client](gateway, {**body, "messages": [user(question)]})
    text = {"role": "assistant", "content": said.text}
    again = ASK[client](gateway, {**body, "messages": [user(question), text, user("Thank you.")]})
    (sent,) = asked(gateway, 1)
    tools = sent["tools"]
    assert bare(sent["messages"][1]["content"]) == bare(native(gateway, question, model=model, tools=tools))
    results = [block for block in sent["messages"][1]["content"] if block["type"] == "web_search_tool_result"]
    assert results[0]["content"][0]["encrypted_content"]
    assert any(block.get("citations") for block in sent["messages"][1]["content"])
    assert lost(again) == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_keeps_reasoning_details_finds_its_search_too(gateway: Gateway, stream: bool) -> None:
    question = f"[[simulate: server_tool]] kept {stream}"
    body = {"model": SONNET, "stream": stream, "reasoning_effort": "high", **WISH["openai"]}
    said = by_openai(gateway, {**body, "messages": [user(question)]})
    assert said.message["reasoning_details"], "nothing that was signed reached the client"
    again = by_openai(gateway, {**body, "messages": [user(question), said.message, user("Thank you.")]})
    (sent,) = asked(gateway, 1)
    kinds = [block["type"] for block in sent["messages"][1]["content"]]
    assert kinds == ["thinking", "text", "server_tool_use", "web_search_tool_result", "text", "text"]
    assert lost(again) == lost(again, "emulated") == []


@pytest.mark.parametrize("client", ["openai", "ollama"])
def test_what_nobody_remembers_stays_text(gateway: Gateway, client: str) -> None:
    said = {"role": "assistant", "content": f"It is so.{LISTED}"}
    messages = [user("A question of long ago."), said, user("Are you sure?")]
    ASK[client](gateway, {"model": SONNET, "messages": messages, **WISH[client]})
    (sent,) = asked(gateway, 1)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": said["content"]}]


# --- a turn that is paused ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SONNET, HAIKU])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["openai", "ollama"])
def test_a_paused_turn_is_taken_up_again(gateway: Gateway, client: str, stream: bool, model: str) -> None:
    question = f"[[simulate: pause_turn rounds=3]] Go on, {client} {stream} {model}"
    body = {"model": model, "stream": stream, "messages": [user(question)], **WISH[client]}
    said = ASK[client](gateway, body)
    bodies = asked(gateway, 4)
    assert [each["messages"][-1]["role"] for each in bodies] == ["user", "assistant", "assistant", "assistant"]
    listed = LISTED if client == "ollama" else ""
    assert said.text == f"I am still searching.\n\nI look further.\n\nI look further.\n\n{CITED}{listed}"
    assert said.thinking.count("Searching the web") == 3
    assert said.thinking.count("Found:") == 3
    assert said.usage["completion_tokens"] > 30
    # What was said grows at its end, and only there.
    for shorter, longer in pairwise(bodies[1:]):
        before, after = shorter["messages"][-1]["content"], longer["messages"][-1]["content"]
        unmarked = [{k: v for k, v in block.items() if k != "cache_control"} for block in before]
        assert [{k: v for k, v in block.items() if k != "cache_control"} for block in after[: len(before)]] == unmarked


def test_a_paused_turn_with_thinking_goes_back_with_it(gateway: Gateway) -> None:
    question = "[[simulate: pause_turn]] Think."
    body = {"model": SONNET, "messages": [user(question)], "reasoning_effort": "high", **WISH["openai"]}
    said = by_openai(gateway, body)
    _, second = asked(gateway, 2)
    assert second["messages"][-1]["content"][0]["type"] == "thinking"
    assert said.text.endswith(CITED)


def test_an_anthropic_client_goes_on_by_itself(gateway: Gateway) -> None:
    """It sees the pause, whichever way its request goes."""
    for model in (SONNET, HAIKU):  # HAIKU's is translated: something is configured for it
        body = {
            "model": model,
            "max_tokens": 100,
            "messages": [user("[[simulate: pause_turn]] hi")],
            "tools": [ANTHROPICS],
        }
        assert post(gateway, "/v1/messages", body).json()["stop_reason"] == "pause_turn"
    assert [block["type"] for block in native(gateway, "[[simulate: pause_turn]] hi", model=HAIKU)] == [
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]
