"""Tools through the official Ollama SDK, which keeps no ids, and through programs that do."""

from __future__ import annotations

from typing import Any

import httpx
import ollama
import pytest

from tests.running import Gateway
from tests.sdks.asking_ollama import HAIKU, SONNET, Asking

QUESTION = {"role": "user", "content": "What is the weather in Paris and London?"}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> str:
    """The weather now.

    Args:
      city: Where
    """
    return f"fine in {city}"


def clock() -> str:
    """The time now."""
    return "noon"


def blocks(gateway: Gateway, kind: str) -> list[dict[str, Any]]:
    """Every content block of a kind in the last request that went upstream."""
    messages = gateway.simulator.requests[-1].body["messages"]
    return [block for message in messages for block in message["content"] if block["type"] == kind]


def paired(gateway: Gateway) -> dict[str, str]:
    """The result of each call by what it was called with, as they went upstream."""
    texts = {block["tool_use_id"]: block["content"][0]["text"] for block in blocks(gateway, "tool_result")}
    return {next(iter(use["input"].values()), use["name"]): texts[use["id"]] for use in blocks(gateway, "tool_use")}


# --- the SDK -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True], ids=["no id and no name", "tool_name"])
def test_two_parallel_calls_and_their_results(chat: Asking, gateway: Gateway, named: bool) -> None:
    answer = chat([QUESTION], tools=[WEATHER])
    assert answer.arguments() == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})]
    assert answer.done_reason == "stop"
    name = {"tool_name": "get_weather"} if named else {}
    results = [{"role": "tool", "content": text, **name} for text in ("12 degrees", "rain")]
    after = chat([QUESTION, answer.message(), *results], tools=[WEATHER])
    assert "get_weather answered: 12 degrees" in after.text and "get_weather answered: rain" in after.text
    assert not after.calls
    assert paired(gateway) == {"Paris": "12 degrees", "London": "rain"}
    assert len({use["id"] for use in blocks(gateway, "tool_use")}) == 2


def test_results_find_their_calls_by_name(chat: Asking, gateway: Gateway) -> None:
    question = {"role": "user", "content": "Use get_weather and clock for Paris"}
    answer = chat([question], tools=[get_weather, clock])
    assert answer.arguments() == [("get_weather", {"city": "Paris"}), ("clock", {})]
    results = [
        {"role": "tool", "content": "noon", "tool_name": "clock"},
        {"role": "tool", "content": "rain", "tool_name": "get_weather"},
    ]
    chat([question, answer.message(), *results], tools=[get_weather, clock])
    assert paired(gateway) == {"Paris": "rain", "clock": "noon"}


def test_functions_as_tools(chat: Asking, gateway: Gateway) -> None:
    """The loop of Ollama's own documentation."""
    functions: dict[str, Any] = {"get_weather": get_weather}
    messages: list[Any] = [QUESTION]
    answer = chat(messages, tools=[get_weather])
    messages.append(answer.message())
    for call in answer.calls:
        result = functions[call.function.name](**call.function.arguments)
        messages.append({"role": "tool", "tool_name": call.function.name, "content": result})
    assert "fine in Paris" in chat(messages, tools=[get_weather]).text
    (tool,) = gateway.simulator.requests[-1].body["tools"]
    assert tool["description"] == "The weather now."
    assert tool["input_schema"]["properties"]["city"]["description"].strip() == "Where"


def test_a_tool_without_parameters(chat: Asking, gateway: Gateway) -> None:
    question = {"role": "user", "content": "What does the clock say?"}
    answer = chat([question], tools=[clock])
    assert answer.arguments() == [("clock", {})]
    after = chat([question, answer.message(), {"role": "tool", "content": "noon"}], tools=[clock])
    assert "clock answered: noon" in after.text
    assert blocks(gateway, "tool_use")[0]["input"] == {}


def test_text_before_the_calls(chat: Asking) -> None:
    answer = chat("Do it [[simulate: tools calls=2]]", tools=[WEATHER])
    assert answer.text == "I will call the tools." and len(answer.calls) == 2


def test_the_same_history_is_the_same_request(chat: Asking, gateway: Gateway) -> None:
    """Ids that are made up come from the history alone: prompt caches depend on it."""
    answer = chat([QUESTION], tools=[WEATHER])
    history = [QUESTION, answer.message(), {"role": "tool", "content": "a"}, {"role": "tool", "content": "b"}]
    after = chat(history, tools=[WEATHER])
    first = gateway.simulator.requests[-1].body["messages"]
    chat([*history, after.message(), {"role": "user", "content": "Thanks"}], tools=[WEATHER])
    assert gateway.simulator.requests[-1].body["messages"][: len(first)] == first


@pytest.mark.parametrize("model", [HAIKU, SONNET])
@pytest.mark.parametrize("keeps", [True, False], ids=["thinking sent back", "thinking thrown away"])
def test_thinking_survives_a_tool_loop(chat: Asking, gateway: Gateway, model: str, keeps: bool) -> None:
    """No signature fits into this wire: the gateway remembers it, and the simulator would refuse without."""
    question = {"role": "user", "content": f"What is the weather in Paris and London? {chat.mode} {keeps}"}
    wanted: Any = {"model": model, "tools": [WEATHER], "think": True}
    answer = chat([question], **wanted)
    assert len(answer.calls) == 2 and answer.thinking
    turn = answer.message()
    if not keeps:
        turn.thinking = None
    results = [{"role": "tool", "content": text} for text in ("12 degrees", "rain")]
    after = chat([question, turn, *results], **wanted)
    assert "12 degrees" in after.text
    body = gateway.simulator.requests[-1].body
    assert body["thinking"]["type"] == ("enabled" if model == HAIKU else "adaptive")
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["thinking", "tool_use", "tool_use"]
    first = body["messages"][1]["content"][0]
    assert first["thinking"] == answer.thinking and len(first["signature"]) > 50


def test_thinking_goes_through_two_rounds(chat: Asking, gateway: Gateway) -> None:
    history: list[Any] = []
    wanted: Any = {"model": SONNET, "tools": [WEATHER], "think": True}
    for cities in ("Paris and London", "Rome and Oslo"):
        history.append({"role": "user", "content": f"{chat.mode}: what is the weather in {cities}?"})
        answer = chat(history, **wanted)
        assert len(answer.calls) == 2
        history += [answer.message(), {"role": "tool", "content": "fine"}, {"role": "tool", "content": "rain"}]
        history.append(chat(history, **wanted).message())
    history.append({"role": "user", "content": "Thanks"})
    chat(history, **wanted)
    assert len(blocks(gateway, "thinking")) == 4, "of each call and of each answer"


def test_thinking_that_nobody_remembers_is_left_out(chat: Asking, gateway: Gateway) -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    history = [
        {"role": "user", "content": f"Rome? {chat.mode}, forgotten"},
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
        {"role": "tool", "content": "sun"},
    ]
    assert "get_weather answered: sun" in chat(history, tools=[WEATHER], think=True).text
    assert "thinking" not in gateway.simulator.requests[-1].body


# --- programs that keep ids ----------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_results_with_ids(gateway: Gateway, backwards: bool) -> None:
    """The JavaScript providers send `tool_call_id`; whole calls with ids and arguments as an object come first."""
    with httpx.Client(base_url=gateway.url, timeout=20.0, verify=False) as client:  # noqa: S501
        wanted: Any = {"model": HAIKU, "tools": [WEATHER], "stream": False}
        turn = client.post("/api/chat", json=wanted | {"messages": [QUESTION]}).json()["message"]
        calls = turn["tool_calls"]
        assert [call["function"]["index"] for call in calls] == [0, 1]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": f"fine in {call['function']['arguments']['city']}"}
            for call in calls
        ]
        history = [QUESTION, turn, *(reversed(results) if backwards else results)]
        after = client.post("/api/chat", json=wanted | {"messages": history}).json()
    assert after["done_reason"] == "stop" and "fine in London" in after["message"]["content"]
    assert paired(gateway) == {"Paris": "fine in Paris", "London": "fine in London"}
    assert [use["id"] for use in blocks(gateway, "tool_use")] == [call["id"] for call in calls]


def test_a_call_comes_whole_in_one_line(gateway: Gateway) -> None:
    chat = Asking(gateway.url, "streamed")
    chat([QUESTION], tools=[WEATHER])
    lines = [part for part in chat.parts if isinstance(part, ollama.ChatResponse) and part.message.tool_calls]
    assert len(lines) == 2 and all(line.message.content == "" and not line.done for line in lines)
