"""Calls and thinking of local servers that other gateways bent on their way to the client."""

from __future__ import annotations

import json

import anthropic
import pytest

from tests.cases.bed import Object, Pair, blocks, case, read

STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
ASK = "What is the weather in Paris and London?"
PARIS, LONDON = {"city": "Paris"}, {"city": "London"}
# How each dialect says that a tool is to be called, and that the output limit was met.
CALLS = {"A": "tool_use", "C": "tool_calls", "O": "stop"}
CUT = {"A": "max_tokens", "C": "length", "O": "length"}


def marked(pair: Pair, ollama: str, chat: str) -> str:
    """A scenario in the words of the server behind."""
    return f"[[simulate: {ollama if pair.kind == 'O' else chat}]]"


# --- tool calls ------------------------------------------------------------------------------------------


@case(35, "A-C", "A-O")
def test_arguments_come_as_deltas_and_not_in_the_start_of_a_block(pair: Pair) -> None:
    told = pair.ask(ASK, tools=[pair.tool()], stream=True)
    starts = [event["content_block"] for event in told.events if event["type"] == "content_block_start"]
    assert [start["input"] for start in starts if start["type"] == "tool_use"] == [{}, {}]
    assert [call[2] for call in read(told, "A").calls] == [PARIS, LONDON]


@case(35, "A-C", "A-O")
def test_the_official_sdk_puts_the_arguments_together(pair: Pair, anthropic_sdk: anthropic.Anthropic) -> None:
    asked: Object = {"model": pair.model, "max_tokens": 900, "messages": [{"role": "user", "content": ASK}]}
    with anthropic_sdk.messages.stream(**asked, tools=[pair.tool()]) as stream:  # type: ignore[list-item]
        final = stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [PARIS, LONDON]
    assert final.stop_reason == "tool_use"


@case(37, "A-C", "O-C")
def test_an_empty_list_of_calls_is_no_call(pair: Pair) -> None:
    told = pair.ask("[[simulate: text quirk=empty_calls]] Hi", tools=[pair.tool()], stream=True)
    said = read(told, pair.client)
    assert "You said: Hi" in said.text
    assert said.calls == []
    assert said.reason == {"A": "end_turn", "O": "stop"}[pair.client]
    assert b"input_json_delta" not in told.answer.content


@case(38, "A-C", "O-C")
@STREAMED
@pytest.mark.parametrize("quirk", ["empty_args", "missing_args"])
def test_a_tool_without_parameters_is_called_with_an_empty_object(pair: Pair, quirk: str, stream: bool) -> None:
    words = f"[[simulate: tools calls=1 quirk={quirk}]] Time?"
    told = pair.ask(words, tools=[pair.tool("now", {"type": "object", "properties": {}})], stream=stream)
    assert [call[1:] for call in read(told, pair.client).calls] == [("now", {})]


@case(38, "C-A", "C-O")
@STREAMED
def test_a_call_without_arguments_streams_as_an_empty_object(pair: Pair, stream: bool) -> None:
    told = pair.ask("Time, now?", tools=[pair.tool("now", {"type": "object", "properties": {}})], stream=stream)
    assert [call[1:] for call in read(told, "C").calls] == [("now", {})]


@case(39, "C-O", "A-O", "A-C", "O-C")
@STREAMED
def test_parallel_calls_that_all_have_index_0_stay_apart(pair: Pair, stream: bool) -> None:
    words = marked(pair, "tools_same_index calls=3", "tools calls=3 quirk=index_zero,whole_calls")
    calls = read(pair.ask(f"{words} Paris", tools=[pair.tool()], stream=stream), pair.client).calls
    assert [call[2] for call in calls] == [PARIS] * 3
    assert len({call[0] for call in calls}) == 3


@case(41, "C-O", "A-O", "A-C", "O-C")
@STREAMED
@pytest.mark.parametrize("quirk", ["finish_stop", "object_args", "changing_ids"])
def test_a_call_is_a_call_however_the_server_spells_and_ends_it(pair: Pair, stream: bool, quirk: str) -> None:
    words = marked(pair, "tools_without_ids calls=1", f"tools calls=1 quirk={quirk}")
    said = read(pair.ask(f"{words} Paris", tools=[pair.tool()], stream=stream), pair.client)
    [(id, name, arguments)] = said.calls
    assert (name, arguments) == ("get_weather", PARIS)
    assert id
    assert said.reason == CALLS[pair.client]


@case(41, "C-O", "A-O", "O-O")
@STREAMED
def test_an_answer_that_was_cut_off_says_so(pair: Pair, stream: bool) -> None:
    assert read(pair.ask("[[simulate: length after=3]] Hi", stream=stream), pair.client).reason == CUT[pair.client]


# --- thinking --------------------------------------------------------------------------------------------


@case(49, "A-C", "A-O")
@pytest.mark.parametrize("form", ["reasoning_content", "reasoning", "both", "details", "think"])
def test_one_block_is_open_at_a_time_and_has_deltas_of_its_kind(pair: Pair, form: str) -> None:
    words = marked(pair, "think_tags" if form == "think" else "thinking", f"thinking reasoning={form}")
    told = pair.ask(f"{words} Hi", stream=True)
    fits = {"thinking": ("thinking_delta", "signature_delta"), "text": ("text_delta",)}
    opened: list[str] = []
    now = ""
    for event in told.events:
        match event:
            case {"type": "content_block_start", "index": index, "content_block": {"type": kind}}:
                assert index == len(opened)
                opened.append(kind)
                now = kind
            case {"type": "content_block_delta", "index": index, "delta": {"type": kind}}:
                assert index == len(opened) - 1
                assert kind in fits[now]
            case {"type": "content_block_stop", "index": index}:
                assert index == len(opened) - 1
                now = ""
            case _:
                pass
    assert opened == ["thinking", "text"]
    said = read(told, "A")
    assert said.thinking.startswith("First I think about it")
    assert said.text.startswith(("That was the thinking; ", "Hello! This is "))
    assert "First I think" not in said.text and "<" not in said.text


@case(49, "A-C", "A-O", "C-C", "C-O", "O-C", "O-O")
@STREAMED
def test_thinking_between_tags_is_thinking(pair: Pair, stream: bool) -> None:
    words = marked(pair, "think_tags", 'thinking reasoning=think text="First I think about it."')
    told = pair.ask(f"{words} Hi", stream=stream)
    if (pair.client, pair.kind) in (("C", "C"), ("O", "O")):
        assert "<think>" in read(told, pair.client).text  # what comes in the client's own dialect is not touched
        return
    said = read(told, pair.client)
    assert said.thinking.strip() == "First I think about it."
    assert "<" not in said.text
    assert said.text == said.text.lstrip()


@case(51, "A-C", "A-O")
@STREAMED
def test_thinking_is_signed_and_may_come_back(pair: Pair, stream: bool) -> None:
    told = pair.ask("[[simulate: thinking]] Hi", stream=stream)
    thought = blocks(told)[0]
    assert thought["type"] == "thinking"
    assert thought["signature"].startswith("dragoman.")
    if stream:
        kinds = [event.get("delta", event)["type"] for event in told.events if event.get("index") == 0]
        assert kinds[-2:] == ["signature_delta", "content_block_stop"]
    history: list[Object] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": blocks(told)},
        {"role": "user", "content": "Bye"},
    ]
    sent = pair.ask(history).only["messages"][1]
    assert thought["thinking"] in (sent.get("thinking"), sent.get("reasoning"), sent.get("reasoning_content"))
    assert "dragoman." not in json.dumps(sent)
    to_claude = {"model": "anthropic/claude-sonnet-4-5", "max_tokens": 99, "messages": history}
    [spared] = pair.bed.ask("A", to_claude).sent
    assert [block["type"] for block in spared["messages"][1]["content"]] == ["text"]


@case(57, "C-O", "O-O", "A-O", "A-C", "O-C")
@STREAMED
def test_an_answer_that_is_all_thinking_stays_thinking(pair: Pair, stream: bool) -> None:
    words = marked(pair, "only_thinking", "thinking tokens=40")
    limit: Object = {"options": {"num_predict": 12}} if pair.client == "O" else {"max_tokens": 12}
    told = pair.ask(f"{words} Hi", stream=stream, **limit)
    said = read(told, pair.client)
    assert said.text == ""
    assert said.thinking
    assert said.reason == CUT[pair.client]
    counts = {"A": "output_tokens", "C": "completion_tokens", "O": "eval_count"}
    assert f'"{counts[pair.client]}":12' in told.answer.text.replace(" ", "") or stream
