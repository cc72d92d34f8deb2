"""Requests that other gateways bent or lost on their way to an Ollama or OpenAI-compatible server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cases.bed import Object, Pair, case, pictures_of, text_of
from tests.relay.pdfs import in_base64, pdf, text
from tests.relay.scripted import response, scripted
from tests.sdks.media import JPEG, PNG, PNG_BYTES

LONG = "mcp__plugin_playwright_playwright__browser_take_screenshot_of_the_page"
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def use(id: str, name: str, **input: Any) -> Object:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def result(id: str, content: Any, **members: Any) -> Object:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **members}


def said(*contents: Any) -> list[Object]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


# --- tools -----------------------------------------------------------------------------------------------


@case(11, "A-C")
@case(11, "A-O")
def test_a_long_tool_name_is_shortened_there_and_whole_again_here(pair: Pair) -> None:
    tools = [pair.tool(LONG), pair.tool(f"{LONG}_2")]
    told = pair.ask(f"Please call {LONG}_2 for Paris", tools=tools)
    names = [tool["function"]["name"] for tool in told.only["tools"]]
    assert all(len(name) <= 64 for name in names)
    assert len(set(names)) == 2
    [call] = [block for block in told.body["content"] if block["type"] == "tool_use"]
    assert call["name"] in (LONG, f"{LONG}_2")
    replayed = said("Go", [call], [result(call["id"], "done")])
    again = pair.ask(replayed, tools=tools).only
    assert again["tools"] == told.only["tools"]
    [sent] = [each for message in again["messages"] for each in message.get("tool_calls") or []]
    assert sent["function"]["name"] == names[(LONG, f"{LONG}_2").index(call["name"])]


@case(38, "A-C")
@case(38, "A-O")
@pytest.mark.parametrize("input", [{}, None], ids=["empty", "missing"])
def test_a_call_without_arguments_is_replayed_as_an_empty_object(pair: Pair, input: Any) -> None:
    call = {name: value for name, value in use("toolu_1", "now").items() if name != "input"}
    if input is not None:
        call["input"] = input
    sent = pair.ask(said("Time?", [call], [result("toolu_1", "noon")]), tools=[pair.tool("now")]).only
    [called] = [each for message in sent["messages"] for each in message.get("tool_calls") or []]
    assert called["function"]["arguments"] == ({} if pair.kind == "O" else "{}")


@case(38, "C-A", "C-C", "C-O")
def test_empty_arguments_on_replay_are_an_empty_object(pair: Pair) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}
    messages: list[Object] = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]
    told = pair.ask(messages, tools=[pair.tool("now", {"type": "object", "properties": {}})])
    assert told.answer.status_code == 200, told.answer.text
    assert "noon" in told.answer.text
    if pair.kind == "A":
        [sent] = [b for b in told.only["messages"][1]["content"] if b["type"] == "tool_use"]
        assert sent["input"] == {}
    elif pair.kind == "O":
        assert told.only["messages"][1]["tool_calls"][0]["function"]["arguments"] == {}


@case(44, "O-C")
@case(44, "O-A")
def test_tool_results_without_ids_find_their_calls_and_the_same_ids_at_each_replay(pair: Pair) -> None:
    calls = [{"function": {"name": name, "arguments": {"city": "Paris"}}} for name in ("get_weather", "get_time")]
    messages: list[Object] = [
        {"role": "user", "content": "Weather and time?"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "noon", "tool_name": "get_time"},
        {"role": "tool", "content": "sunny"},
    ]
    tools = [pair.tool("get_weather"), pair.tool("get_time")]
    first = pair.ask(messages, tools=tools).only["messages"]
    longer = [*messages, {"role": "assistant", "content": "Fine."}, {"role": "user", "content": "Thanks"}]
    second = pair.ask(longer, tools=tools).only["messages"]
    assert json.dumps(second[: len(first) - 1]) == json.dumps(first[:-1])
    if pair.kind == "A":
        by_id = {block["id"]: block["name"] for block in first[1]["content"]}
        told = {by_id[block["tool_use_id"]]: json.dumps(block["content"]) for block in first[2]["content"]}
    else:
        by_id = {call["id"]: call["function"]["name"] for call in first[1]["tool_calls"]}
        told = {by_id[message["tool_call_id"]]: json.dumps(message["content"]) for message in first[2:]}
    assert "noon" in told["get_time"]
    assert "sunny" in told["get_weather"]


@case(43, "O-C")
@case(43, "O-A")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_ollama_program_gets_arguments_as_an_object_in_one_piece(pair: Pair, stream: bool) -> None:
    told = pair.ask("What is the weather in Paris?", tools=[pair.tool()], stream=stream)
    lines = told.events if stream else [told.body]
    calls = [call for line in lines for call in line["message"].get("tool_calls") or []]
    assert [call["function"]["arguments"] for call in calls] == [{"city": "Paris"}]


# --- pictures and documents ------------------------------------------------------------------------------


@case(45, "A-C")
@case(45, "A-O")
def test_pictures_in_tool_results_arrive_after_the_last_result(pair: Pair) -> None:
    messages = said(
        "Look at both",
        [use("toolu_1", "Read", file="a.png"), use("toolu_2", "Read", file="b.jpg")],
        [
            result("toolu_1", [{"type": "text", "text": "first"}, PICTURE]),
            result("toolu_2", [{**PICTURE, "source": {**PICTURE["source"], "data": JPEG}}]),  # type: ignore[dict-item]
            {"type": "text", "text": "What do you see?"},
        ],
    )
    told = pair.ask(messages, model=pair.seeing, tools=[pair.tool("Read")])
    assert told.answer.status_code == 200, told.answer.text
    sent = told.only["messages"]
    assert [picture for message in sent for picture in pictures_of(message)] == [PNG, JPEG]
    roles = [message["role"] for message in sent]
    assert roles[:4] == ["user", "assistant", "tool", "tool"]
    if pair.kind == "C":
        assert roles == ["user", "assistant", "tool", "tool", "user"]
        urls = [part["image_url"]["url"] for part in sent[4]["content"] if part["type"] == "image_url"]
        # The declared type of the second was wrong.
        assert [url.partition(";")[0] for url in urls] == ["data:image/png", "data:image/jpeg"]
    assert "first" in text_of(sent[2])


@case(46, "A-C")
@case(46, "A-O")
def test_a_picture_of_the_user_is_seen(pair: Pair) -> None:
    told = pair.ask([{"role": "user", "content": [PICTURE, {"type": "text", "text": "See?"}]}], model=pair.seeing)
    assert "I see 1 image" in told.answer.text
    assert pictures_of(told.only["messages"][0]) == [PNG]


@case(46, "C-O")
@case(26, "C-O", "O-C")
def test_a_picture_with_a_wrong_type_or_none_is_seen(pair: Pair) -> None:
    if pair.client == "C":
        url = {"url": f"data:image/png;base64,{JPEG}"}
        message: Object = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}
    else:
        message = {"role": "user", "content": "See?", "images": [JPEG]}
    told = pair.ask([message], model=pair.seeing)
    assert told.answer.status_code == 200, told.answer.text
    assert pictures_of(told.only["messages"][0]) == [JPEG]
    if pair.kind == "C":
        assert "data:image/jpeg;base64," in json.dumps(told.only)


@case(47, "A-C")
@case(47, "A-O")
@pytest.mark.parametrize("place", ["message", "result"])
def test_a_pdf_reaches_the_model_as_its_text(pair: Pair, place: str) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": in_base64(pdf(text("the answer is 4711")))}
    document = {"type": "document", "source": source, "title": "facts.pdf"}
    messages = said([document, {"type": "text", "text": "Well?"}])
    if place == "result":
        messages = said("Read it", [use("toolu_1", "Read")], [result("toolu_1", [document])])
    told = pair.ask(messages, tools=[pair.tool("Read")])
    assert told.answer.status_code == 200, told.answer.text
    assert "4711" in json.dumps(told.only["messages"])
    assert "document" in told.emulated or "content" in told.emulated


@case(47, "A-C")
@case(47, "A-O")
def test_a_text_document_is_text(pair: Pair) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "the answer is 4711"}
    told = pair.ask(said([{"type": "document", "source": source}, {"type": "text", "text": "Well?"}]))
    assert "4711" in json.dumps(told.only["messages"])


@case(48, "A-O", "C-O")
def test_a_picture_by_address_is_fetched_for_a_server_that_cannot(pair: Pair) -> None:
    with scripted() as web:
        web.listing = [response(PNG_BYTES, kind="image/png")]
        url = f"{web.url}/a.png"
        part: Object = {"type": "image_url", "image_url": {"url": url}}
        if pair.client == "A":
            part = {"type": "image", "source": {"type": "url", "url": url}}
        told = pair.ask([{"role": "user", "content": [part]}], model=pair.seeing)
    assert told.answer.status_code == 200, told.answer.text
    assert pictures_of(told.only["messages"][0]) == [PNG]


# --- members that other servers do not know --------------------------------------------------------------


@case(24, "A-C")
@case(24, "A-O")
def test_cache_marks_of_any_age_stay_behind(pair: Pair) -> None:
    hour = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    block = {"type": "text", "text": "Hi", "cache_control": hour}
    told = pair.ask(
        [{"role": "user", "content": [block]}],
        system=[{"type": "text", "text": "Be brief.", "cache_control": hour}],
        tools=[pair.tool() | {"cache_control": hour}],
        cache_control={"type": "ephemeral"},
    )
    assert told.answer.status_code == 200, told.answer.text
    assert "cache" not in json.dumps(told.only)
    assert told.dropped == ""  # nothing that was asked for is missing


@case(25, "A-C")
@case(25, "A-O")
def test_members_of_betas_ask_nothing_of_other_servers(pair: Pair) -> None:
    told = pair.ask(
        "Hi",
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        headers={"anthropic_beta": "context-management-2025-06-27,prompt-caching-scope-2026-01-05"},
        path="/v1/messages?beta=true",
    )
    assert told.answer.status_code == 200, told.answer.text
    assert "context_management" not in told.only
    assert told.dropped == ""


@case(25, "A-C")
@case(25, "A-O")
def test_a_member_that_asks_for_something_is_reported(pair: Pair) -> None:
    told = pair.ask("Hi", mcp_servers=[{"type": "url", "url": "https://example.com", "name": "x"}], novelty={"on": 1})
    assert told.answer.status_code == 200, told.answer.text
    assert set(told.dropped.split(", ")) == {"mcp_servers", "novelty"}
    assert "novelty" not in told.only


@case(31, "A-C")
@case(31, "A-O")
def test_a_system_message_in_the_middle_is_said_by_the_user_after_the_results(pair: Pair) -> None:
    messages = [
        *said("Go", [use("toolu_1", "Read")], [result("toolu_1", "contents")]),
        {"role": "system", "content": "The file was changed."},
    ]
    told = pair.ask(messages, system="Be brief.", tools=[pair.tool("Read")])
    assert told.answer.status_code == 200, told.answer.text
    sent = told.only["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "user"]
    assert re.search(r"<system-reminder>\s*The file was changed\.\s*</system-reminder>", text_of(sent[4]))
    assert "messages[3]" in told.emulated


@case(73, "A-C")
@case(73, "A-O")
def test_the_changing_billing_line_stays_behind(pair: Pair) -> None:
    bodies = []
    for seal in ("0a1b2", "ffff0"):
        line = f"x-anthropic-billing-header: cc_version=2.1.197.e4; cc_entrypoint=cli; cch={seal};"
        system = [{"type": "text", "text": line}, {"type": "text", "text": "You are Claude Code."}]
        told = pair.ask("Hi", system=system)
        bodies.append(json.dumps(told.only))
        assert told.emulated == "system"
    assert "billing" not in bodies[0]
    assert "You are Claude Code." in bodies[0]
    assert bodies[0] == bodies[1]


@case(75, "A-C", "A-O", "O-A", "O-C", "C-A", "C-O")
def test_the_same_history_gives_the_same_bytes(pair: Pair) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    tools = [pair.tool(name) for name in ("b", "a", "a" * 70)]
    bodies = [json.dumps(pair.ask([*messages, {"role": "user", "content": "Bye"}], tools=tools).only) for _ in range(2)]
    assert bodies[0] == bodies[1]
    names = [tool.get("function", tool)["name"] for tool in json.loads(bodies[0])["tools"]]
    assert names[:2] == ["b", "a"]
