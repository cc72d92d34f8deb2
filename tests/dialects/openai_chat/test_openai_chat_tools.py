"""Tools and tool choice: wire ↔ value, both ways."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from dragoman.conversation import Object, Request, Tool, ToolChoice
from dragoman.dialects.openai_chat.tools import decode_choice, decode_tools, encode_choice, encode_tools, uses_functions
from dragoman.errors import GatewayError
from dragoman.losses import Losses

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
GRAMMAR = {"type": "grammar", "grammar": {"definition": "start: WORD", "syntax": "lark"}}
MARK = {"mode": "explicit"}


def function(**members: Any) -> Object:
    return {"type": "function", "function": {"name": "f", **members}}


TOOLS: list[tuple[Object, Tool]] = [
    (function(), Tool(name="f")),
    (
        function(description="d", parameters=SCHEMA, strict=True),
        Tool(name="f", description="d", schema=SCHEMA, strict=True),
    ),
    (function(parameters={}), Tool(name="f", schema={})),
    (function(vendor=1), Tool(name="f", extra={"function": {"vendor": 1}})),
    (function() | {"prompt_cache_breakpoint": MARK}, Tool(name="f", cache="5m")),
    (
        {"type": "custom", "custom": {"name": "c", "description": "d", "format": GRAMMAR}},
        Tool(name="c", description="d", freeform=True, extra={"custom": {"format": GRAMMAR}}),
    ),
    ({"type": "web_search", "x": 1}, Tool(name="web_search", hosted=True, extra={"type": "web_search", "x": 1})),
]


@pytest.mark.parametrize(("wire", "tool"), TOOLS)
def test_tools_both_ways(wire: Object, tool: Tool) -> None:
    assert decode_tools({"tools": [deepcopy(wire)]}) == [tool]
    request = Request(origin="openai_chat", model="m", messages=[], tools=[tool])
    assert encode_tools(request, Losses()) == [wire]


@pytest.mark.parametrize(
    ("wire", "tool"),
    [
        ({"type": "function", "name": "f", "parameters": SCHEMA}, Tool(name="f", schema=SCHEMA)),
        ({"function": {"name": "f", "description": None, "strict": None}}, Tool(name="f")),
        ({"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}, Tool(name="c", freeform=True)),
        (function(cache_control={"type": "ephemeral"}), Tool(name="f", cache="5m")),
    ],
)
def test_what_clients_send_instead(wire: Object, tool: Tool) -> None:
    assert decode_tools({"tools": [wire]}) == [tool]


def test_tools_of_other_origins_keep_their_extra_for_themselves() -> None:
    tools = [Tool(name="f", extra={"defer_loading": True}), Tool(name="web_search", hosted=True, extra={"type": "w"})]
    losses = Losses()
    wire = encode_tools(Request(origin="anthropic", model="m", messages=[], tools=tools), losses)
    assert wire == [{"type": "function", "function": {"name": "f"}}]
    assert list(losses.dropped) == ["tools[1]"]


def test_deprecated_functions_are_tools() -> None:
    body: Object = {"functions": [{"name": "f", "parameters": SCHEMA}], "function_call": {"name": "f"}}
    tools = decode_tools(body)
    choice = decode_choice(body, tools)
    assert not body
    assert (tools[0].name, tools[0].schema) == ("f", SCHEMA)
    assert choice == ToolChoice(mode="tool", name="f", parallel=False)
    request = Request(origin="openai_chat", model="m", messages=[], tools=tools)
    assert uses_functions(request)
    assert encode_tools(request, Losses()) == [function(parameters=SCHEMA)]


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("f", "tools"),
        (["f"], "tools[0]"),
        ([{"type": "function", "function": {}}], "tools[0].name"),
        ([function(name="")], "tools[0].function.name"),
        ([function(parameters="x")], "tools[0].function.parameters"),
        ([function(strict="yes")], "tools[0].function.strict"),
        ([function(), {"type": 1}], "tools[1].type"),
    ],
)
def test_wrong_tools(tools: Any, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_tools({"tools": tools})
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)


# --- tool choice --------------------------------------------------------------------------------

OFFERED = [Tool(name="f"), Tool(name="g"), Tool(name="c", freeform=True)]


def named(name: str, kind: str = "function") -> Object:
    return {"type": kind, kind: {"name": name}}


CHOICES: list[tuple[Object, ToolChoice | None]] = [
    ({}, None),
    ({"tool_choice": "none"}, ToolChoice(mode="none")),
    ({"tool_choice": "required"}, ToolChoice(mode="any")),
    ({"tool_choice": named("f")}, ToolChoice(mode="tool", name="f")),
    ({"tool_choice": named("c", "custom")}, ToolChoice(mode="tool", name="c")),
    (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [named("f"), named("c", "custom")]},
            }
        },
        ToolChoice(mode="auto", allowed=["f", "c"]),
    ),
    (
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("g")]}}},
        ToolChoice(mode="any", allowed=["g"]),
    ),
    ({"parallel_tool_calls": False}, ToolChoice(parallel=False)),
    ({"parallel_tool_calls": False, "tool_choice": "required"}, ToolChoice(mode="any", parallel=False)),
]


@pytest.mark.parametrize(("wire", "choice"), CHOICES)
def test_choices_both_ways(wire: Object, choice: ToolChoice | None) -> None:
    assert decode_choice(deepcopy(wire), OFFERED) == choice
    request = Request(origin="anthropic", model="m", messages=[], tools=OFFERED, tool_choice=choice)
    assert encode_choice(request) == wire


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": None, "function_call": None}, None),
        ({"parallel_tool_calls": True}, None),
        ({"tool_choice": "any"}, ToolChoice(mode="any")),
        ({"tool_choice": {"type": "any"}}, ToolChoice(mode="any")),
        ({"tool_choice": {"type": "function", "name": "f"}}, ToolChoice(mode="tool", name="f")),
        ({"tool_choice": {"type": "tool", "name": "f"}}, ToolChoice(mode="tool", name="f")),
        ({"function_call": "none"}, ToolChoice(mode="none")),
        ({"function_call": {"name": "f"}}, ToolChoice(mode="tool", name="f")),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
            ToolChoice(allowed=["f"]),
        ),
    ],
)
def test_choices_in_other_words(wire: Object, choice: ToolChoice | None) -> None:
    assert decode_choice(wire, OFFERED) == choice
    assert not wire


@pytest.mark.parametrize("wire", [{"tool_choice": "auto"}, {"tool_choice": "none"}, {"parallel_tool_calls": False}])
def test_without_tools_a_choice_says_nothing(wire: Object) -> None:
    assert decode_choice(wire, []) is None


@pytest.mark.parametrize(
    ("wire", "tools", "param"),
    [
        ({"tool_choice": "required"}, [], "tool_choice"),
        ({"tool_choice": named("nope")}, OFFERED, "tool_choice"),
        ({"tool_choice": "sometimes"}, OFFERED, "tool_choice"),
        ({"tool_choice": {"type": "mcp"}}, OFFERED, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {}}}, OFFERED, "tool_choice.function.name"),
        ({"tool_choice": 7}, OFFERED, "tool_choice"),
        ({"function_call": {"name": "nope"}}, OFFERED, "function_call"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": []}}},
            OFFERED,
            "tool_choice.allowed_tools.tools",
        ),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": [named("f")]}}},
            OFFERED,
            "tool_choice.allowed_tools.mode",
        ),
    ],
)
def test_wrong_choices(wire: Object, tools: list[Tool], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_choice(wire, tools)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)


def test_every_tool_is_read(ask: Callable[..., Request]) -> None:
    request = ask(tools=[function(), {"type": "custom", "custom": {"name": "c"}}], functions=[{"name": "old"}])
    assert [tool.name for tool in request.tools] == ["f", "c", "old"]
