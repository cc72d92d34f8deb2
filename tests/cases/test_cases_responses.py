"""Rows of the table with a server of the Responses API behind, or a client of it in front."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from openai.types.responses import ResponseInputItem, ResponseOutputItem
from pydantic import TypeAdapter, ValidationError

from tests.cases.bed import Object, Pair, case, read
from tests.cases.test_cases_streaming import ASK, LONDON, PARIS, STREAMED
from tests.dialects.openai_responses.streams import check_stream
from tests.dialects.openai_responses.strict import check_response

HI: Object = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}


def strings(value: Any) -> list[str]:
    """Every text in a body."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]


# --- a server of the Responses API -----------------------------------------------------------------------


@case(36, "A-R", "C-R", "O-R")
@pytest.mark.parametrize("quirk", ["no_deltas", "only_done", "only_end", "no_added"])
def test_arguments_that_only_the_end_tells_arrive(pair: Pair, quirk: str) -> None:
    told = pair.ask(f"[[simulate: auto quirk={quirk}]] {ASK}", tools=[pair.tool()], stream=True)
    assert [(name, arguments) for _, name, arguments in read(told, pair.client).calls] == [
        ("get_weather", PARIS),
        ("get_weather", LONDON),
    ]


@case(40, "A-R", "C-R", "O-R")
@STREAMED
@pytest.mark.parametrize("quirk", ["", "quirk=no_output_index", "quirk=no_item_id"])
def test_each_call_is_numbered_by_itself(pair: Pair, quirk: str, stream: bool) -> None:
    told = pair.ask(f"[[simulate: auto {quirk}]] {ASK}", tools=[pair.tool()], stream=stream)
    calls = read(told, pair.client).calls
    assert [arguments for _, _, arguments in calls] == [PARIS, LONDON]
    if pair.client == "C" and stream:
        deltas = [choice["delta"] for event in told.events for choice in event["choices"]]
        numbers = [call["index"] for delta in deltas for call in delta.get("tool_calls") or [] if call.get("id")]
        assert numbers == [0, 1]
    if pair.client == "A" and stream:
        starts = [event for event in told.events if event["type"] == "content_block_start"]
        assert [event["index"] for event in starts] == list(range(len(starts)))


# --- a client of it --------------------------------------------------------------------------------------

SPACE: Object = {
    "type": "namespace",
    "name": "multi_agent_v1",
    "description": "Other agents",
    "tools": [
        {"type": "function", "name": "spawn_agent", "parameters": {"type": "object", "properties": {}}},
    ],
}
PATCH: Object = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
ADDED: Object = {"type": "additional_tools", "role": "developer", "tools": [SPACE, PATCH]}


@case(92, "R-A", "R-C", "R-O")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_tools_of_the_input_are_offered_and_called_back_as_they_are(pair: Pair, stream: bool) -> None:
    ask = deepcopy(HI)
    ask["content"][0]["text"] = "Use multi_agent_v1__spawn_agent and apply_patch, please."
    told = pair.ask([ADDED, ask], tools=[pair.tool()], stream=stream)
    offered = strings(told.only["tools"])
    assert {"get_weather", "multi_agent_v1__spawn_agent", "apply_patch"} <= set(offered)
    response = told.events[-1]["response"] if stream else told.body
    calls = [item for item in response["output"] if item["type"].endswith("_call")]
    assert [(call["type"], call.get("namespace"), call["name"]) for call in calls] == [
        ("function_call", "multi_agent_v1", "spawn_agent"),
        ("custom_tool_call", None, "apply_patch"),
    ]
    results = [
        {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "spawned"},
        {"type": "custom_tool_call_output", "call_id": calls[1]["call_id"], "output": "patched"},
    ]
    again = pair.ask([ADDED, ask, *response["output"], *results], tools=[pair.tool()], stream=stream)
    assert again.answer.status_code == 200, again.answer.text
    assert {"spawned", "patched"} <= set(strings(again.only))


PRIVATE: dict[str, Object] = {
    "agent_message": {"type": "agent_message", "id": "am_1", "content": [{"type": "text", "text": "secret"}]},
    "compaction": {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAA-of-another"},
    "web_search_call": {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    "of tomorrow": {"type": "thing_of_tomorrow", "id": "x_1", "arguments": "{}"},
}


@case(93, "R-A", "R-C", "R-O")
@STREAMED
@pytest.mark.parametrize("kind", PRIVATE)
def test_an_item_that_only_openai_knows_is_told_of_and_not_fatal(pair: Pair, kind: str, stream: bool) -> None:
    told = pair.ask([HI, PRIVATE[kind], HI], stream=stream)
    assert told.answer.status_code == 200, told.answer.text
    assert "You said" in read(told, "R").text
    assert "input[1]" in told.dropped + told.emulated
    assert "gAAAAA" not in json.dumps(told.only)


@case(93, "R-A", "R-C", "R-O")
@STREAMED
def test_a_reference_leads_to_what_was_kept(pair: Pair, stream: bool) -> None:
    first = pair.ask([HI]).body
    reference = {"type": "item_reference", "id": first["output"][-1]["id"]}
    told = pair.ask([HI, reference, HI], stream=stream)
    said = first["output"][-1]["content"][0]["text"]
    assert said in "\n".join(strings(told.only))
    gone = pair.ask([HI, {"type": "item_reference", "id": "msg_of_nobody"}], stream=stream)
    assert (gone.answer.status_code, gone.answer.json()["error"]["param"]) == (404, "input[1]")


@case(93, "R-A", "R-C", "R-O")
@STREAMED
def test_reasoning_goes_round_with_its_proof(pair: Pair, stream: bool) -> None:
    wish: Object = {"store": False, "include": ["reasoning.encrypted_content"], "stream": stream}
    wish |= {"reasoning": {"effort": "low", "summary": "auto"}, "tools": [pair.tool()]}
    ask = [{"type": "message", "role": "user", "content": ASK}]
    told = pair.ask(ask, **wish)
    items = (told.events[-1]["response"] if stream else told.body)["output"]
    calls = [item for item in items if item["type"] == "function_call"]
    thought = next(item for item in items if item["type"] == "reasoning")
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "12"} for call in calls]
    again = pair.ask([*ask, *items, *results], **wish)
    assert again.answer.status_code == 200, again.answer.text
    sent = json.dumps(again.only, ensure_ascii=False)
    assert thought["summary"][0]["text"] in "\n".join(strings(again.only)) or "thinking" in again.dropped
    assert "dragoman." not in sent
    if pair.kind == "A":
        turn = again.only["messages"][1]["content"]
        assert [part["type"] for part in turn if part["type"] == "thinking"] == ["thinking"]
        assert turn[0]["signature"]
    # A proof of somebody else's is left out, not refused.
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA" + "x" * 64}
    left = pair.ask([*ask, foreign, *calls, *results], **wish)
    assert left.answer.status_code == 200, left.answer.text
    assert "gAAAA" not in json.dumps(left.only)
    assert "thinking" in left.dropped or "input[1]" in left.dropped


# --- `phase` ---------------------------------------------------------------------------------------------

_IN: TypeAdapter[Any] = TypeAdapter(ResponseInputItem)
_OUT: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)


@pytest.mark.parametrize(
    ("phase", "fits"), [(None, True), ("commentary", True), ("final_answer", True), ("thinking", False), (1, False)]
)
def test_the_schema_of_phase(phase: Any, fits: bool) -> None:
    """`response-output-phase-schema` of the Open Responses compliance tests: a fixture, and no call."""
    part = {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    for judge in (_IN, _OUT):
        if fits:
            assert judge.validate_python({**item, "phase": phase}, strict=True)
        else:
            with pytest.raises(ValidationError):
                judge.validate_python({**item, "phase": phase}, strict=True)


@pytest.mark.parametrize("phase", ["commentary", "final_answer"])
@pytest.mark.parametrize("server", ["anthropic", "ollama", "vllm", "responses"])
def test_a_message_with_a_phase_goes_round(shared: Any, server: str, phase: str) -> None:
    pair = Pair("R", server, shared)
    part = {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    told = pair.ask([HI, {**item, "phase": phase}, HI], stream=True)
    response = told.events[-1]["response"]
    check_response(response)
    if server != "responses":
        check_stream(told.events)
    assert "I look." in strings(told.only)
    # The server that knows the word is told it; of others it is said that they were not.
    if server == "responses":
        assert phase in strings(told.only)
    else:
        assert "input[1]" in told.dropped
