"""Requests of OpenAI and Ollama programs that Claude would refuse as they are; the simulator refuses what it does."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.cases.bed import Object, Pair, case, read
from tests.sdks.media import JPEG

OPUS, ALWAYS, OLD = "anthropic/claude-opus-4-8", "anthropic/claude-opus-5-5", "anthropic/claude-sonnet-4-5"
HI: list[Object] = [{"role": "user", "content": "Hi"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "n": {"type": "integer", "minimum": 1},
    },
    "required": ["tags", "n"],
    "additionalProperties": True,
}


def options(pair: Pair, **members: object) -> Object:
    """Sampling and limits, where the dialect has them."""
    if pair.client == "C":
        return dict(members)
    return {"options": {"num_predict" if name == "max_tokens" else name: value for name, value in members.items()}}


def thinking(pair: Pair) -> Object:
    return {"reasoning_effort": "high"} if pair.client == "C" else {"think": True}


def accepted(pair: Pair, messages: list[Object], **members: Any) -> Object:
    """The body that Claude was sent, and took."""
    told = pair.ask(messages, **members)
    assert told.answer.status_code == 200, told.answer.text
    sent: Object = told.only
    return sent


@case(1, "C-A", "O-A")
def test_of_temperature_and_top_p_one_is_sent(pair: Pair) -> None:
    sent = accepted(pair, HI, model=OLD, **options(pair, temperature=0.5, top_p=0.9))
    assert sent["temperature"] == 0.5
    assert "top_p" not in sent


@case(2, "C-A", "O-A")
def test_a_model_that_takes_no_sampling_is_sent_none(pair: Pair) -> None:
    sent = accepted(pair, HI, model=OPUS, **options(pair, temperature=0.5, top_p=1, top_k=0))
    assert not {"temperature", "top_p", "top_k"} & sent.keys()


@case(3, "C-A", "O-A")
def test_a_model_that_thinks_is_sent_no_temperature(pair: Pair) -> None:
    sent = accepted(pair, HI, model=OLD, **thinking(pair), **options(pair, temperature=0.5, max_tokens=9000))
    assert sent["thinking"]["type"] == "enabled"
    assert "temperature" not in sent


@case(4, "C-A", "O-A")
@case(5, "C-A", "O-A")
def test_text_that_is_empty_is_left_out(pair: Pair) -> None:
    empty = [*HI, {"role": "assistant", "content": ""}, {"role": "user", "content": " \n"}, *HI]
    sent = accepted(pair, empty)
    assert [block["text"] for message in sent["messages"] for block in message["content"]] == ["Hi", "Hi"]


@case(6, "C-A", "O-A")
def test_a_conversation_that_ends_with_the_assistant_goes_on(pair: Pair) -> None:
    messages = [*HI, {"role": "assistant", "content": "I was"}]
    assert accepted(pair, messages, model=OPUS)["messages"][-1]["role"] == "user"
    assert accepted(pair, messages, model=OLD)["messages"][-1]["role"] == "assistant"


@case(7, "C-A", "O-A")
def test_a_result_without_its_call_is_told_in_words(pair: Pair) -> None:
    result = {"role": "tool", "content": "sunny", **({"tool_call_id": "call_1"} if pair.client == "C" else {})}
    assert "sunny" in json.dumps(accepted(pair, [*HI, result], tools=[pair.tool()]))


@case(8, "C-A", "O-A")
def test_a_call_without_its_result_is_given_one(pair: Pair) -> None:
    sent = accepted(pair, [*HI, called(pair), {"role": "user", "content": "Never mind"}], tools=[pair.tool()])
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "text"]


def called(pair: Pair, id: str = "functions.get_weather:0") -> Object:
    arguments: object = {"city": "Paris"} if pair.client == "O" else '{"city": "Paris"}'
    call: Object = {"id": id, "function": {"name": "get_weather", "arguments": arguments}}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [call | ({"type": "function"} if pair.client == "C" else {})],
    }


@case(9, "C-A")
def test_an_id_that_claude_does_not_take_is_another_in_both_places(pair: Pair) -> None:
    result = {"role": "tool", "tool_call_id": "functions.get_weather:0", "content": "sunny"}
    sent = accepted(pair, [*HI, called(pair), result], tools=[pair.tool()])
    made = sent["messages"][1]["content"][0]["id"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", made)
    assert sent["messages"][2]["content"][0]["tool_use_id"] == made


@case(12, "C-A", "O-A")
def test_tool_names_that_claude_does_not_take_come_back_whole(pair: Pair) -> None:
    names = ["files.read/all of it", "files.read all/of it", "x" * 150]
    told = pair.ask("Paris", tools=[pair.tool(name) for name in names])
    sent = [tool["name"] for tool in told.only["tools"]]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) for name in sent)
    assert len(set(sent)) == 3
    assert read(told, pair.client).calls[0][1] in names


@case(14, "C-A", "O-A")
@case(29, "C-A", "O-A")
def test_a_small_limit_leaves_room_for_an_answer(pair: Pair) -> None:
    told = pair.ask(HI, model=OLD, **thinking(pair), **options(pair, max_tokens=800))
    assert read(told, pair.client).text
    assert told.only.get("thinking", {}).get("budget_tokens", 0) < told.only["max_tokens"]


@case(15, "C-A", "O-A")
def test_a_model_that_chooses_its_own_budget_is_asked_to_think_adaptively(pair: Pair) -> None:
    assert accepted(pair, HI, model=OPUS, **thinking(pair))["thinking"]["type"] == "adaptive"
    off: Object = {"reasoning_effort": "none"} if pair.client == "C" else {"think": False}
    assert accepted(pair, HI, model=ALWAYS, **off).get("thinking", {}).get("type") != "disabled"


@case(16, "C-A")
@case(17, "C-A")
def test_a_call_that_cannot_be_forced_is_asked_for(pair: Pair) -> None:
    tools: Object = {"tools": [pair.tool()], "tool_choice": "required"}
    for model, more in ((OLD, thinking(pair)), (ALWAYS, {})):
        told = pair.ask("Paris", model=model, **tools, **more)
        assert read(told, "C").calls
        assert told.only.get("tool_choice", {}).get("type") != "any" or "thinking" not in told.only


@case(18, "C-A", "O-A")
@case(19, "C-A", "O-A")
@case(20, "C-A", "O-A")
def test_a_schema_reaches_claude_as_a_schema_it_takes(pair: Pair) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    told = pair.ask("Hi", **({"response_format": wanted} if pair.client == "C" else {"format": SCHEMA}))
    form = told.only["output_config"]["format"]["schema"]
    assert form["additionalProperties"] is False
    assert "maxItems" not in form["properties"]["tags"]
    assert "minimum" not in form["properties"]["n"]
    assert set(json.loads(read(told, pair.client).text)) == {"tags", "n"}


@case(21, "C-A", "O-A")
def test_json_without_a_schema_is_asked_for_in_words(pair: Pair) -> None:
    told = pair.ask(
        "Hi", **({"response_format": {"type": "json_object"}} if pair.client == "C" else {"format": "json"})
    )
    assert isinstance(json.loads(read(told, pair.client).text), dict)
    assert "format" in told.emulated


@case(26, "C-A", "O-A")
def test_the_type_of_a_picture_is_read_from_its_bytes(pair: Pair) -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{JPEG}"}}
    chat: list[Object] = [{"role": "user", "content": [part]}]
    lines: list[Object] = [{"role": "user", "content": "See", "images": [JPEG]}]
    sent = accepted(pair, chat if pair.client == "C" else lines)
    [picture] = [block for block in sent["messages"][0]["content"] if block["type"] == "image"]
    assert picture["source"]["media_type"] == "image/jpeg"


@case(28, "C-A", "O-A")
def test_no_limit_is_the_models_own(pair: Pair) -> None:
    for limit in (None, -1, 10_000_000):
        members = {} if limit is None or (limit < 0 and pair.client == "C") else options(pair, max_tokens=limit)
        assert accepted(pair, HI, model=OLD, **members)["max_tokens"] == 64_000


@case(30, "C-A", "O-A")
@case(34, "C-A", "O-A")
def test_every_system_message_arrives_and_the_user_speaks_first(pair: Pair) -> None:
    system: list[Object] = [{"role": "system", "content": "One."}, {"role": "system", "content": "Two."}]
    messages = [
        *system,
        {"role": "assistant", "content": "Welcome."},
        *HI,
        *HI,
        {"role": "system", "content": "Three."},
    ]
    for model in (OLD, OPUS):
        sent = accepted(pair, messages, model=model)
        assert "One." in json.dumps(sent["system"])
        assert "Two." in json.dumps(sent["system"])
        assert "Three." in json.dumps(sent["messages"])
        assert sent["messages"][0]["role"] == "user"


@case(55, "C-A")
def test_thinking_of_a_changed_conversation_is_left_out_by_the_server(pair: Pair) -> None:
    ask: Object = {"model": "anthropic/claude-sonnet-5-5", "tools": [pair.tool()], "reasoning_effort": "high"}
    first = pair.ask([{"role": "system", "content": "It is noon."}, *HI], **ask)
    message = first.body["choices"][0]["message"]
    assert message["reasoning_details"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"}
    later = pair.ask([{"role": "system", "content": "It is one."}, *HI, message, result], **ask)
    assert "sunny" in read(later, "C").text
    assert len(later.sent) == 1
