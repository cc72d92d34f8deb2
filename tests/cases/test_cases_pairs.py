"""Rows of the table for pairs they were not reported for, where the same would go wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cases.bed import Object, Pair, Told, blocks, case, pictures_of, read, text_of
from tests.cases.test_cases_streaming import ASK, PARIS, STREAMED, marked
from tests.cases.test_cases_to_claude import ALWAYS, HI, SCHEMA, accepted, thinking
from tests.relay.pdfs import in_base64, pdf, text
from tests.sdks.media import JPEG, PNG

OPUS_5 = "anthropic/claude-sonnet-5-5"
SYSTEM: list[Object] = [{"role": "system", "content": "One."}, {"role": "system", "content": "Two."}]
MARK = {"cache_control": {"type": "ephemeral"}}


def called(pair: Pair, id: str = "call_1", name: str = "get_weather") -> Object:
    """What the assistant said, with one call, in the client's words."""
    if pair.client == "A":
        use = {"type": "tool_use", "id": id, "name": name, "input": PARIS}
        return {"role": "assistant", "content": [use]}
    arguments: object = PARIS if pair.client == "O" else json.dumps(PARIS)
    call: Object = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def returned(pair: Pair, content: Any, id: str = "call_1", **members: Any) -> Object:
    """What the tool returned, in the client's words."""
    if pair.client == "A":
        result = {"type": "tool_result", "tool_use_id": id, "content": content, **members}
        return {"role": "user", "content": [result]}
    return {"role": "tool", "tool_call_id": id, "content": content, **members}


def lost(told: Told) -> set[str]:
    """What of the request was lost; an answer may have members of its own that are."""
    return {name for name in told.dropped.split(", ") if name and not name.startswith("reply.")}


# --- the order of a conversation -------------------------------------------------------------------------


@case(7, "A-C", "A-O", "C-O", "O-C")
def test_a_result_without_its_call_is_told_in_words(pair: Pair) -> None:
    told = pair.ask([*HI, returned(pair, "sunny", "call_9")], tools=[pair.tool()])
    assert told.answer.status_code == 200, told.answer.text
    assert [message["role"] for message in told.only["messages"]] == ["user"]
    assert "sunny" in text_of(told.only["messages"][0])


@case(8, "A-C", "A-O", "C-O", "O-C")
def test_a_call_without_its_result_is_given_one(pair: Pair) -> None:
    told = pair.ask([*HI, called(pair), {"role": "user", "content": "Never mind"}], tools=[pair.tool()])
    assert told.answer.status_code == 200, told.answer.text
    sent = told.only["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
    assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"]


@case(34, "A-C", "A-O", "C-O", "O-C")
def test_the_user_speaks_first_and_in_turns(pair: Pair) -> None:
    told = pair.ask([{"role": "assistant", "content": "Welcome."}, *HI, *HI])
    roles = [message["role"] for message in told.only["messages"]]
    assert roles == (["user", "assistant", "user"] if pair.kind == "C" else ["assistant", "user"])
    assert read(told, pair.client).text


@case(30, "C-O", "O-C")
def test_every_system_message_arrives(pair: Pair) -> None:
    told = pair.ask([*SYSTEM, *HI, {"role": "assistant", "content": "Ho"}, {"role": "system", "content": "Three."}])
    sent = told.only["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert text_of(sent[0]) == "One.\n\nTwo."
    assert "Three." in text_of(sent[3])


# --- ids and names of calls ------------------------------------------------------------------------------


@case(9, "O-A")
def test_an_id_of_ollamas_that_claude_does_not_take_is_another_in_both_places(pair: Pair) -> None:
    history = [*HI, called(pair, "functions.f:0"), returned(pair, "sunny", "functions.f:0")]
    sent = accepted(pair, history, tools=[pair.tool()])
    made = sent["messages"][1]["content"][0]["id"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", made)
    assert sent["messages"][2]["content"][0]["tool_use_id"] == made


@case(9, "A-C", "A-O")
@STREAMED
def test_the_ids_an_anthropic_program_is_given_are_ids_that_claude_takes(pair: Pair, stream: bool) -> None:
    """So that the same conversation can go on with Claude, where nothing of it is touched."""
    words = marked(pair, "tools calls=2", "tools calls=2 quirk=no_id")
    told = pair.ask(f"{words} Paris", tools=[pair.tool()], stream=stream)
    content = blocks(told)
    ids = [block["id"] for block in content if block["type"] == "tool_use"]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", id) for id in ids)
    results = [{"type": "tool_result", "tool_use_id": id, "content": "sunny"} for id in ids]
    asked = [{"role": "user", "content": "Paris"}, {"role": "assistant", "content": content}]
    to_claude = pair.bed.ask(
        "A",
        {
            "model": "anthropic/claude-sonnet-4-5",
            "max_tokens": 99,
            "messages": [*asked, {"role": "user", "content": results}],
            "tools": [pair.tool()],
        },
    )
    assert to_claude.answer.status_code == 200, to_claude.answer.text


@case(11, "O-C", "A-C", "A-O")
@case(12, "C-A", "O-A")
@STREAMED
def test_a_name_that_the_server_does_not_take_comes_back_whole(pair: Pair, stream: bool) -> None:
    long = "mcp__files.read/all of it" + "_and_more" * 12
    told = pair.ask("Paris", tools=[pair.tool(long)], stream=stream)
    [sent] = told.only["tools"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", sent.get("function", sent)["name"])
    assert [call[1] for call in read(told, pair.client).calls] == [long]


@case(38, "O-A", "A-O", "C-C")
@STREAMED
def test_a_call_without_arguments_is_called_with_an_empty_object(pair: Pair, stream: bool) -> None:
    told = pair.ask("Time, now?", tools=[pair.tool("now", {"type": "object", "properties": {}})], stream=stream)
    assert [call[1:] for call in read(told, pair.client).calls] == [("now", {})]


# --- schemas and forced calls ----------------------------------------------------------------------------


def wanted(pair: Pair, schema: Object) -> Object:
    """A schema for the answer, in the client's words."""
    match pair.client:
        case "A":
            return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
        case "C":
            return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
        case _:
            return {"format": schema}


@case(20, "A-C", "A-O", "C-O", "O-C", "C-A", "O-A")
@STREAMED
def test_a_schema_reaches_the_servers_own_constraint(pair: Pair, stream: bool) -> None:
    told = pair.ask("Hi", **wanted(pair, SCHEMA), stream=stream)
    sent = told.only
    held = {
        "A": lambda: sent["output_config"]["format"]["schema"],
        "C": lambda: sent["response_format"]["json_schema"]["schema"],
        "O": lambda: sent["format"],
    }[pair.kind]()
    assert set(held["properties"]) == {"tags", "n"}
    assert set(json.loads(read(told, pair.client).text)) == {"tags", "n"}


@case(16, "O-A")
@case(17, "O-A")
def test_a_call_that_cannot_be_forced_is_asked_for(pair: Pair) -> None:
    members: Object = {"tools": [pair.tool()], "tool_choice": "required", "options": {"num_predict": 9000}}
    for model, more in (("anthropic/claude-sonnet-4-5", thinking(pair)), (ALWAYS, {})):
        told = pair.ask("Paris", model=model, **members, **more)
        assert read(told, "O").calls
        assert told.only.get("tool_choice", {}).get("type") != "any"
        assert lost(told) == {"tool_choice"}


@case(16, "C-A", "O-A")
def test_a_schema_needs_no_forced_call(pair: Pair) -> None:
    sent = accepted(pair, HI, **wanted(pair, SCHEMA), **thinking(pair))
    assert "tool_choice" not in sent
    assert sent["thinking"]["type"] == "enabled"


# --- cache marks -----------------------------------------------------------------------------------------


def marked_text(words: str) -> Object:
    return {"type": "text", "text": words, **MARK}


@case(22, "C-A")
@case(74, "C-A")
def test_the_cache_marks_of_a_chat_arrive_where_they_stood_and_four_at_most(pair: Pair) -> None:
    for count in (4, 5):
        words = [marked_text(f"{number}") for number in range(count - 2)]
        messages: list[Object] = [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}, marked_text("Be kind.")]},
            {"role": "user", "content": [marked_text("Hi")]},
            {"role": "assistant", "content": "Ho"},
            {"role": "user", "content": words},
        ]
        told = pair.ask(messages)
        assert told.answer.status_code == 200, told.answer.text
        placed = [*told.only["system"], *(block for m in told.only["messages"] for block in m["content"])]
        assert sum("cache_control" in block for block in placed) == 4
        assert ("cache_control" in placed[1]) == (count == 4)  # the oldest goes first
        assert lost(told) == (set() if count == 4 else {"cache"})


@case(23, "C-A")
def test_a_cache_mark_on_what_cannot_bear_it_is_no_error(pair: Pair) -> None:
    empty = {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": " ", **MARK}]}
    assert accepted(pair, [empty])["messages"][0]["content"][0]["text"] == "Hi"


@case(24, "C-O")
def test_the_cache_marks_of_a_chat_stay_behind(pair: Pair) -> None:
    told = pair.ask([{"role": "user", "content": [marked_text("Hi")]}])
    assert told.answer.status_code == 200, told.answer.text
    assert "cache" not in json.dumps(told.only)


# --- pictures and documents ------------------------------------------------------------------------------


def picture(pair: Pair, data: str) -> Object:
    """A picture that says it is a PNG, as a part of a message."""
    if pair.client == "A":
        return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def shown(told: Told, kind: str) -> list[str]:
    """The base64 of every picture that arrived."""
    if kind != "A":
        return [each for message in told.only["messages"] for each in pictures_of(message)]
    found = [block for message in told.only["messages"] for block in message["content"]]
    inner = [each for block in found for each in block.get("content", []) if isinstance(each, dict)]
    return [block["source"]["data"] for block in [*found, *inner] if block["type"] == "image"]


@case(26, "A-C", "A-O")
def test_the_type_of_a_picture_is_read_from_its_bytes(pair: Pair) -> None:
    told = pair.ask([{"role": "user", "content": [picture(pair, JPEG)]}], model=pair.seeing)
    assert "image" in read(told, "A").text
    assert shown(told, pair.kind) == [JPEG]
    assert pair.kind == "O" or "data:image/jpeg;base64," in json.dumps(told.only)


@case(46, "C-A", "C-O", "O-A", "O-C")
def test_a_picture_of_the_user_is_seen(pair: Pair) -> None:
    message: Object = {"role": "user", "content": "See?", "images": [PNG]}
    if pair.client == "C":
        message = {"role": "user", "content": [picture(pair, PNG), {"type": "text", "text": "See?"}]}
    told = pair.ask([message], model=pair.seeing)
    assert "I see 1 image" in told.answer.text
    assert shown(told, pair.kind) == [PNG]


@case(45, "C-A", "C-O", "O-A", "O-C")
def test_a_picture_in_a_tools_result_is_seen(pair: Pair) -> None:
    result = returned(pair, "first", images=[PNG])
    if pair.client == "C":
        result = returned(pair, [{"type": "text", "text": "first"}, picture(pair, PNG)])
    told = pair.ask([*HI, called(pair), result], model=pair.seeing, tools=[pair.tool()])
    assert told.answer.status_code == 200, told.answer.text
    assert shown(told, pair.kind) == [PNG]
    assert "first" in json.dumps(told.only["messages"])


@case(47, "C-A", "C-O")
def test_a_pdf_of_a_chat_reaches_the_model(pair: Pair) -> None:
    data = in_base64(pdf(text("the answer is 4711")))
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{data}"}}
    told = pair.ask([{"role": "user", "content": [file, {"type": "text", "text": "Well?"}]}])
    assert told.answer.status_code == 200, told.answer.text
    if pair.kind == "A":
        assert told.only["messages"][0]["content"][0]["source"]["data"] == data
    else:
        assert "4711" in text_of(told.only["messages"][0])


@case(47, "O-A", "O-C")
def test_a_pdf_among_the_images_of_ollama_reaches_the_model(pair: Pair) -> None:
    data = in_base64(pdf(text("the answer is 4711")))
    told = pair.ask([{"role": "user", "content": "Well?", "images": [data]}])
    assert told.answer.status_code == 200, told.answer.text
    assert (data if pair.kind == "A" else "4711") in json.dumps(told.only["messages"])


# --- thinking --------------------------------------------------------------------------------------------


def looped(pair: Pair, system: str, stream: bool, **members: Any) -> tuple[Told, Told]:
    """A question that ends in a call, and what was said of its result, by a model that seals its thoughts."""
    lead: list[Object] = [{"role": "system", "content": "Be brief."}]
    ask: Object = {"model": OPUS_5, "tools": [pair.tool()], "stream": stream, **members}
    first = pair.ask([*lead, {"role": "user", "content": ASK}], **ask)
    said = read(first, pair.client)
    assert said.calls
    calls: list[Object] = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for id, name, given in said.calls
    ]
    message: Object = {"role": "assistant", "content": said.text, "tool_calls": calls}
    if pair.client == "O":
        message["tool_calls"] = [{"function": {"name": name, "arguments": given}} for _, name, given in said.calls]
    results = [returned(pair, "sunny", id) for id, _, _ in said.calls]
    again = [{"role": "system", "content": system}, {"role": "user", "content": ASK}, message, *results]
    return first, pair.ask(again, **ask)


@case(52, "C-A", "O-A")
@case(54, "C-A", "O-A")
@STREAMED
def test_a_client_that_keeps_no_signatures_goes_on_in_a_loop_of_tools(pair: Pair, stream: bool) -> None:
    """The simulator checks every seal, and refuses a loop that does not begin with its thoughts."""
    _, later = looped(pair, "Be brief.", stream, **thinking(pair))
    assert later.answer.status_code == 200, later.answer.text
    assert "sunny" in read(later, pair.client).text
    [turn] = [message for message in later.only["messages"] if message["role"] == "assistant"]
    assert turn["content"][0]["type"] == "thinking"
    assert turn["content"][0]["signature"]


@case(52, "C-A", "O-A")
@case(55, "O-A")
@STREAMED
def test_a_loop_whose_beginning_was_rewritten_goes_on_without_its_thoughts(pair: Pair, stream: bool) -> None:
    _, later = looped(pair, "It is one.", stream, **thinking(pair))
    assert later.answer.status_code == 200, later.answer.text
    assert "sunny" in read(later, pair.client).text


@case(53, "C-A")
@STREAMED
def test_thinking_that_has_a_signature_and_no_words_is_kept_by_a_chat(pair: Pair, stream: bool) -> None:
    ask: Object = {"model": OPUS_5, "tools": [pair.tool()], "reasoning": {"effort": "high", "exclude": True}}
    told = pair.ask("What is the weather in Paris?", stream=stream, **ask)
    said = read(told, "C")
    assert said.thinking == ""
    choices = [choice for document in (told.events if stream else [told.body]) for choice in document["choices"]]
    owners = [choice["delta"] if stream else choice["message"] for choice in choices]
    details = [detail for owner in owners for detail in owner.get("reasoning_details") or []]
    [(id, name, given)] = said.calls
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
    message: Object = {"role": "assistant", "content": None, "tool_calls": [call]}
    message |= {"reasoning_details": details} if details else {}
    asked = {"role": "user", "content": "What is the weather in Paris?"}
    later = pair.ask([asked, message, returned(pair, "sunny", id)], **ask)
    assert later.answer.status_code == 200, later.answer.text
    [turn] = [message for message in later.only["messages"] if message["role"] == "assistant"]
    assert turn["content"][0]["type"] == "thinking"
    assert turn["content"][0]["thinking"] == ""
    assert turn["content"][0]["signature"]


@case(56, "C-A", "C-O")
@pytest.mark.parametrize("member", ["reasoning_details", "thinking_blocks"])
def test_thinking_that_is_told_twice_is_sent_once(pair: Pair, member: str) -> None:
    thought = "The sky is often grey."
    twice = {
        "reasoning_details": [{"type": "reasoning.text", "text": thought, "signature": "c2ln", "index": 0}],
        "thinking_blocks": [{"type": "thinking", "thinking": thought, "signature": "c2lo"}],
    }[member]
    message = {"role": "assistant", "content": "Rain.", "reasoning_content": thought, member: twice}
    told = pair.ask([*HI, message, *HI], model="anthropic/claude-sonnet-4-5" if pair.kind == "A" else pair.model)
    times = [json.dumps(sent).count(thought) for sent in told.sent]
    assert times[0] == 1
    assert told.answer.status_code == 200 or pair.kind == "A"  # Claude knows that it never signed this


# --- counting --------------------------------------------------------------------------------------------


@case(65, "O-C")
@STREAMED
def test_a_prompt_that_the_server_has_cached_is_counted_whole(pair: Pair, stream: bool) -> None:
    history = [
        {"role": "user", "content": "word " * 3000},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "And?"},
    ]
    told = [pair.ask(history, model="openai/gpt-4.1-mini", stream=stream) for _ in range(2)]
    counts = [(each.events[-1] if stream else each.body)["prompt_eval_count"] for each in told]
    assert counts[0] == counts[1] > 3000


@case(66, "A-A")
def test_claude_counts_for_itself(pair: Pair) -> None:
    ask: Object = {"model": pair.model, "messages": [{"role": "user", "content": "word " * 900}]}
    counted = pair.bed.ask("A", ask, "/v1/messages/count_tokens")
    assert counted.body["input_tokens"] > 900
    assert counted.answer.headers["x-dragoman-token-count"] == "upstream"


@case(76, "O-C", "C-O", "O-O", "C-C")
def test_vectors_come_from_every_server_that_makes_them(pair: Pair) -> None:
    path = "/v1/embeddings" if pair.client == "C" else "/api/embed"
    model = "ollama/nomic-embed-text" if pair.kind == "O" else "vllm/BAAI/bge-m3"
    body = pair.bed.ask(pair.client, {"model": model, "input": ["Hi", "Ho"]}, path).body
    vectors = [each["embedding"] for each in body["data"]] if pair.client == "C" else body["embeddings"]
    assert [len(vector) for vector in vectors] == [768 if pair.kind == "O" else 1024] * 2
