"""Members of a request, and the same as the Response object repeats them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dragoman.conversation import Format, Object, Reasoning, Request, ToolChoice, WebSearch
from dragoman.dialects import openai_responses
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import count_body, response_object, told_error
from dragoman.errors import GatewayError
from tests.dialects.openai_responses.strict import check_response
from tests.dialects.openai_responses.told import CUSTOM, FUNCTION, SPACE

Ask = Callable[..., Request]


def decode_request(body: Object) -> Request:
    """Of a copy: a request is taken apart."""
    return openai_responses.decode_request(msgspec.json.decode(msgspec.json.encode(body)))


SCHEMA: Object = {"type": "object", "properties": {"a": {"type": "string"}}}

REASONING: list[tuple[Object | None, Reasoning | None, Object]] = [
    (None, None, {"effort": None, "summary": None}),
    ({}, None, {"effort": None, "summary": None}),
    ({"effort": None, "summary": None}, None, {"effort": None, "summary": None}),
    ({"summary": "auto"}, Reasoning(visible=True), {"effort": None, "summary": "auto"}),
    ({"generate_summary": "concise"}, Reasoning(visible=True), {"effort": None, "summary": "concise"}),
    ({"effort": "low"}, Reasoning(enabled=True, effort="low", visible=False), {"effort": "low", "summary": None}),
    (
        {"effort": "minimal", "summary": "detailed"},
        Reasoning(enabled=True, effort="minimal", visible=True),
        {"effort": "low", "summary": "detailed"},
    ),
    ({"effort": "max"}, Reasoning(enabled=True, effort="max", visible=False), {"effort": "xhigh", "summary": None}),
    ({"effort": "none"}, Reasoning(enabled=False), {"effort": "none", "summary": None}),
]


@pytest.mark.parametrize(("wire", "wish", "told"), REASONING)
def test_reasoning(wire: Any, wish: Reasoning | None, told: Object, ask: Ask, stamp: Stamp) -> None:
    request = ask(reasoning=wire)
    assert request.reasoning == wish
    assert response_object(request, stamp, "in_progress")["reasoning"] == told


def test_what_else_is_said_of_reasoning_stays() -> None:
    body = {"model": "m", "input": "x", "reasoning": {"effort": "low", "context": "all_turns", "mode": "standard"}}
    assert decode_request(body).extra == {"reasoning": {"context": "all_turns"}}


FORMATS: list[tuple[Object | None, Format | None, Object]] = [
    (None, None, {"type": "text"}),
    ({"type": "text"}, None, {"type": "text"}),
    ({"type": "json_object"}, Format(kind="json"), {"type": "json_object"}),
    (
        {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
        Format(kind="schema", name="n", schema=SCHEMA, strict=True, description="d"),
        {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
    ),
    (
        {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        Format(kind="schema", name="n", schema=SCHEMA),
        {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": False, "description": None},
    ),
]


@pytest.mark.parametrize(("wire", "wanted", "told"), FORMATS)
def test_format(wire: Any, wanted: Format | None, told: Object, ask: Ask, stamp: Stamp) -> None:
    request = ask(text={"format": wire, "verbosity": "low"})
    assert request.format == wanted
    response = response_object(request, stamp, "in_progress")
    assert response["text"] == {"format": told, "verbosity": "low"}
    check_response(response)


def test_a_change_of_settings_on_the_way_counts() -> None:
    update = {
        "type": "configuration_update",
        "reasoning": {"effort": "high"},
        "text": {"format": {"type": "json_object"}},
    }
    asked = {"effort": "low", "summary": "auto"}
    request = decode_request({"model": "m", "input": [{"role": "user", "content": "a"}, update], "reasoning": asked})
    assert request.reasoning == Reasoning(enabled=True, effort="high", visible=True)
    assert request.format == Format(kind="json")
    assert len(request.messages) == 1


# --- tools --------------------------------------------------------------------------------------


def test_tools_flat_custom_and_in_namespaces(ask: Ask, stamp: Stamp) -> None:
    request = ask(tools=[{**FUNCTION, "strict": True, "description": None}, CUSTOM, SPACE])
    weather, sql, spawn = request.tools
    assert (weather.name, weather.strict, weather.extra) == ("weather", True, {})
    assert (sql.name, sql.freeform, sql.extra) == ("sql", True, {"format": CUSTOM["format"]})
    assert spawn.name == "multi_agent_v1__spawn_agent"
    assert spawn.description == "Start one.\n\n(multi_agent_v1: Other agents.)"
    told = response_object(request, stamp, "in_progress")["tools"]
    assert told[0] == {**FUNCTION, "strict": True, "description": None}
    assert told[1] == {**CUSTOM, "description": None}
    assert told[2]["tools"] == [{**SPACE["tools"][0], "strict": None}]
    assert told[2]["description"] == "Other agents."


def test_a_namespace_never_hides_another_tool() -> None:
    inner = {"type": "function", "name": "b"}
    plain = {"type": "function", "name": "a__b"}
    body = {"model": "m", "input": "x", "tools": [{"type": "namespace", "name": "a", "tools": [inner]}, plain]}
    names = [tool.name for tool in decode_request(body).tools]
    assert len(set(names)) == 2
    assert "a__b" in names


def test_tools_of_chat_completions_are_understood(ask: Ask) -> None:
    (tool,) = ask(tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}]).tools
    assert (tool.name, tool.schema, tool.strict, tool.extra) == ("f", SCHEMA, True, {})


def test_tools_that_the_input_adds_replace_those_of_their_name() -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "description": "New."}, SPACE]}
    body = {"model": "m", "input": [added, {"role": "user", "content": "x"}], "tools": [FUNCTION]}
    request = decode_request(body)
    assert [(tool.name, tool.description[:4]) for tool in request.tools] == [
        ("weather", "New."),
        ("multi_agent_v1__spawn_agent", "Star"),
    ]
    assert len(request.messages) == 1


def test_a_search_of_the_web_is_a_wish_of_its_own(ask: Ask, stamp: Stamp) -> None:
    place = {"type": "approximate", "city": "Oslo", "country": None}
    asked = {"type": "web_search_preview", "search_context_size": "low", "user_location": place, "filters": {"x": 1}}
    request = ask(tools=[asked, FUNCTION, {"type": "file_search", "vector_store_ids": ["v"]}])
    assert request.web_search == WebSearch(
        at="tools.web_search", size="low", location={"city": "Oslo"}, extra={"filters": {"x": 1}}
    )
    assert [tool.hosted for tool in request.tools] == [False, True]
    assert response_object(request, stamp, "in_progress")["tools"][-1] == {
        "type": "web_search",
        "search_context_size": "low",
        "user_location": {"type": "approximate", "city": "Oslo"},
        "filters": {"x": 1},
    }


CHOICES: list[tuple[Any, ToolChoice | None, Any]] = [
    (None, None, "auto"),
    ("auto", None, "auto"),
    ("none", ToolChoice(mode="none"), "none"),
    ("required", ToolChoice(mode="any"), "required"),
    ({"type": "function", "name": "weather"}, ToolChoice(mode="tool", name="weather"), None),
    ({"type": "custom", "name": "sql"}, ToolChoice(mode="tool", name="sql"), None),
    (
        {"type": "function", "name": "spawn_agent"},
        ToolChoice(mode="tool", name="multi_agent_v1__spawn_agent"),
        None,
    ),
    (
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]},
        ToolChoice(mode="any", allowed=["weather"]),
        None,
    ),
    ({"type": "file_search"}, None, None),
]


@pytest.mark.parametrize(("wire", "choice", "told"), CHOICES)
def test_tool_choice(wire: Any, choice: ToolChoice | None, told: Any, ask: Ask, stamp: Stamp) -> None:
    request = ask(tool_choice=wire, tools=[FUNCTION, CUSTOM, SPACE])
    assert request.tool_choice == choice
    assert response_object(request, stamp, "in_progress")["tool_choice"] == (told or wire)


def test_one_call_at_a_time(ask: Ask, stamp: Stamp) -> None:
    request = ask(parallel_tool_calls=False, tools=[FUNCTION])
    assert request.tool_choice == ToolChoice(parallel=False)
    assert response_object(request, stamp, "in_progress")["parallel_tool_calls"] is False


def test_a_choice_of_a_servers_own_tool_is_kept_for_it(ask: Ask) -> None:
    assert ask(tool_choice={"type": "file_search"}, tools=[FUNCTION]).extra["tool_choice"] == {"type": "file_search"}
    assert ask(tool_choice="required", tools=[{"type": "web_search"}]).extra["tool_choice"] == "required"


# --- the response -------------------------------------------------------------------------------


def test_the_response_repeats_what_was_asked(ask: Ask, stamp: Stamp) -> None:
    request = ask(
        instructions="Be brief.",
        max_output_tokens=99,
        temperature=0.5,
        top_p=0.9,
        metadata={"a": "b"},
        store=False,
        background=True,
        previous_response_id="resp_0",
        conversation="conv_1",
        truncation="auto",
        user="u",
        max_tool_calls=2,
        prompt_cache_key="k",
    )
    told = response_object(request, stamp, "queued")
    check_response(told)
    expected = {
        "instructions": "Be brief.",
        "max_output_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "metadata": {"a": "b"},
        "store": False,
        "background": True,
        "previous_response_id": "resp_0",
        "conversation": {"id": "conv_1"},
        "truncation": "auto",
        "user": "u",
        "max_tool_calls": 2,
        "prompt_cache_key": "k",
        "created_at": 1_795_327_200,
        "completed_at": None,
        "status": "queued",
    }
    assert {key: told[key] for key in expected} == expected


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "cancelled"])
def test_every_status_has_every_member(status: str, ask: Ask, stamp: Stamp) -> None:
    told = response_object(ask(), stamp, status)
    check_response(told)
    assert told["completed_at"] == (1_795_327_200 if status == "completed" else None)


def test_a_failed_response_says_why(ask: Ask, stamp: Stamp) -> None:
    told = response_object(ask(), stamp, "failed", error=told_error(GatewayError("internal", "Sorry.")))
    check_response(told)
    assert told["error"] == {"code": "server_error", "message": "Sorry."}


def test_members_that_say_nothing_are_nothing() -> None:
    nothing: Object = {
        "service_tier": "auto",
        "truncation": "disabled",
        "background": False,
        "metadata": {},
        "prompt": None,
        "stream_options": {"include_obfuscation": False},
        "include": [],
        "text": {"verbosity": "medium"},
        "reasoning": {"mode": "standard", "context": "auto"},
        "context_management": [],
    }
    assert decode_request({"model": "m", "input": "x", **nothing}).extra == {}


def test_a_count() -> None:
    assert count_body(11) == {"object": "response.input_tokens", "input_tokens": 11}
