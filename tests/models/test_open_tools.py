"""Tools on local servers: names, schemas, and a choice that is honoured even where the server knows none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.conversation import (
    Event,
    Fault,
    Format,
    Object,
    Part,
    PartStart,
    Start,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from dragoman.errors import GatewayError
from dragoman.folding import Fold, unfold
from dragoman.models.cards import Card
from dragoman.models.open.forced import Forced
from dragoman.models.restore import Restore
from tests.models.building import assistant, call, result, say, user
from tests.models.open_building import BOTH, FORCED, OLLAMA, OPENAI, asked, opened, plain, restored

F = Tool(name="f", description="Does f.", schema={"type": "object", "properties": {"a": {"type": "integer"}}})
G = Tool(name="g", schema={"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]})
NOTHING = Tool(name="ping")
LONG = "mcp__" + "x" * 70
NAMES = (LONG, "fs.read", "a b", "ünï", "fs/read")


def functions(body: Object) -> list[Object]:
    return [tool["function"] for tool in body.get("tools", [])]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
@pytest.mark.parametrize("name", NAMES)
def test_cases_11_and_12_names_go_and_come_back(name: str, card: Card) -> None:
    history = [user("go"), assistant(call("c", name)), user(result("c", "done", name=name))]
    made, body, losses = opened(asked(*history, tools=[replace(F, name=name)], tool_choice=ToolChoice()), card)
    [tool] = functions(body)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["name"])
    [said] = body["messages"][1]["tool_calls"]
    assert said["function"]["name"] == tool["name"]
    assert body["messages"][2].get("tool_name", tool["name"]) == tool["name"]
    [back] = restored(made.restore, ToolCall(id="d", name=tool["name"], arguments="{}")).content
    assert isinstance(back, ToolCall)
    assert back.name == name
    assert not losses.dropped


def test_names_that_are_fine_need_no_way_back() -> None:
    assert opened(asked(tools=[F, G]), OLLAMA)[0].restore is None


# --- definitions ---------------------------------------------------------------------------------

DEFINITIONS: list[tuple[Tool, Object, list[str], list[str]]] = [
    (NOTHING, {"type": "object", "properties": {}}, [], []),
    (Tool(name="f", schema={"$schema": "x", "type": "object"}), {"type": "object", "properties": {}}, [], []),
    (
        Tool(name="f", schema={"anyOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {}}}]}),
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": []},
        [],
        ["tools.f"],
    ),
    (replace(F, strict=True), F.schema or {}, ["tools.f.strict"], []),
]


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
@pytest.mark.parametrize(("tool", "parameters", "dropped", "emulated"), DEFINITIONS)
def test_definitions(tool: Tool, parameters: Object, dropped: list[str], emulated: list[str], card: Card) -> None:
    _, body, losses = opened(asked(tools=[tool]), card)
    assert functions(body)[0]["parameters"] == parameters
    assert list(losses.dropped) == dropped
    assert list(losses.emulated) == emulated


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_the_first_of_two_tools_with_one_name_stays(card: Card) -> None:
    _, body, losses = opened(asked(tools=[F, replace(F, description="again", cache="5m")]), card)
    assert [tool["description"] for tool in functions(body)] == ["Does f."]
    assert list(losses.dropped) == ["tools.f"]
    _, body, losses = opened(asked(tools=[replace(F, cache="1h")]), card)
    assert body["tools"][0].keys() == {"type", "function"}
    assert not losses.dropped


def test_strict_stays_where_the_server_can_keep_it() -> None:
    closed: Object = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    _, body, losses = opened(asked(tools=[Tool(name="f", schema=closed, strict=True)]), OPENAI)
    assert functions(body)[0]["strict"] is True
    assert not losses.dropped


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_hosted_tools_stay_behind(card: Card) -> None:
    hosted = Tool(name="web_search", hosted=True, extra={"type": "web_search_20260318", "name": "web_search"})
    _, body, losses = opened(asked(tools=[hosted, F]), card)
    assert [tool["name"] for tool in functions(body)] == ["f"]
    assert list(losses.dropped) == ["tools.web_search"]


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_freeform_tools_are_wrapped_and_unwrapped(card: Card) -> None:
    tool = Tool(name="sh", freeform=True, extra={"format": {"type": "grammar", "syntax": "lark", "definition": "x"}})
    history = [user("go"), assistant(ToolCall(id="c", name="sh", arguments="ls", freeform=True)), user(result("c"))]
    made, body, losses = opened(asked(*history, tools=[tool], origin="x"), card)
    assert functions(body)[0]["parameters"]["required"] == ["input"]
    assert "lark" in functions(body)[0]["parameters"]["properties"]["input"]["description"]
    arguments = body["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert arguments in ({"input": "ls"}, '{"input":"ls"}')
    assert "tools.sh" in losses.emulated
    back = restored(made.restore, ToolCall(id="d", name="sh", arguments='{"input":"pwd"}')).content
    assert back == [ToolCall(id="d", name="sh", arguments="pwd", freeform=True)]


@pytest.mark.parametrize("dialect", ["ollama", "openai_chat"])
def test_case_59_a_model_without_tools_says_so(dialect: str) -> None:
    card = plain(dialect)
    with pytest.raises(GatewayError, match="plain does not support tools") as caught:
        opened(asked(tools=[F]), card)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "tools")
    with pytest.raises(GatewayError, match="does not support tools"):
        opened(asked(tools=[F], tool_choice=FORCED), replace(card, structured_outputs=False))
    for fine in (asked(), asked(tools=[F], tool_choice=ToolChoice(mode="none"))):
        _, body, losses = opened(fine, card)
        assert "tools" not in body
        assert "tool_choice" not in body
        assert not losses.dropped


@pytest.mark.parametrize("dialect", ["ollama", "openai_chat"])
def test_a_model_without_tools_can_still_be_forced(dialect: str) -> None:
    made, body, losses = opened(asked(tools=[F], tool_choice=FORCED), plain(dialect))
    assert "tools" not in body
    assert "format" in body or body["response_format"]["json_schema"]["schema"] == F.schema
    assert not losses.dropped
    [back] = restored(made.restore, Text(text='{"a":1}')).content
    assert isinstance(back, ToolCall)


# --- choice --------------------------------------------------------------------------------------

NATIVE: list[tuple[ToolChoice | None, Object]] = [
    (None, {}),
    (ToolChoice(), {}),
    (ToolChoice(parallel=True), {}),
    (ToolChoice(parallel=False), {"parallel_tool_calls": False}),
    (ToolChoice(mode="none"), {"tool_choice": "none"}),
    (FORCED, {"tool_choice": "required"}),
    (ToolChoice(mode="tool", name="g"), {"tool_choice": {"type": "function", "function": {"name": "g"}}}),
]


@pytest.mark.parametrize(("choice", "members"), NATIVE)
def test_a_choice_in_the_servers_own_words(choice: ToolChoice | None, members: Object) -> None:
    _, body, losses = opened(asked(tools=[F, G], tool_choice=choice), OPENAI)
    assert {k: v for k, v in body.items() if "tool_" in k} == members
    assert len(body["tools"]) == 2
    assert not losses.dropped
    assert not losses.emulated


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_what_is_not_allowed_is_left_out(card: Card) -> None:
    _, body, losses = opened(asked(tools=[F, G], tool_choice=ToolChoice(allowed=["g"])), card)
    assert [tool["name"] for tool in functions(body)] == ["g"]
    assert "tool_choice" not in body
    assert list(losses.emulated) == ["tool_choice"]


def test_none_leaves_the_tools_out() -> None:
    history = [user("go"), assistant(call("c")), user(result("c"))]
    _, body, losses = opened(asked(*history, tools=[F], tool_choice=ToolChoice(mode="none")), OLLAMA)
    assert "tools" not in body
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "tool"]
    assert list(losses.emulated) == ["tool_choice"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tool_choice": FORCED}, "there are no tools"),
        ({"tool_choice": ToolChoice(mode="tool", name="h"), "tools": [F]}, "names the tool 'h'"),
        ({"tool_choice": FORCED, "tools": [Tool(name="w", hosted=True, extra={"type": "w"})]}, "there are no tools"),
    ],
)
def test_a_choice_of_what_is_not_there(members: dict[str, Any], message: str) -> None:
    for card in BOTH:
        with pytest.raises(GatewayError, match=message):
            opened(asked(**members), card)


def test_one_call_at_a_time() -> None:
    wanted = asked(tools=[F, G], tool_choice=ToolChoice(parallel=False))
    made, body, losses = opened(wanted, OLLAMA)
    assert len(body["tools"]) == 2
    assert list(losses.emulated) == ["tool_choice.parallel"]
    content: list[Part] = [Text(text="a"), call("1", "f", '{"a":1}'), call("2", "g"), call("3", "f"), Text(text="b")]
    assert restored(made.restore, *content).content == [content[0], content[1], content[4]]
    events: list[Event] = []
    stream = made.restore.stream() if made.restore else None
    assert stream is not None
    for event in unfold(restored(Restore({"x": "y"}, frozenset(), ""), *content)):
        events += stream.feed([event])
    assert [event.index for event in events if isinstance(event, PartStart)] == [0, 1, 2]


# --- a forced call that the server cannot be told to make ---------------------------------------------


def test_one_tool_is_its_schema() -> None:
    for choice, tools in ((FORCED, [F]), (ToolChoice(mode="tool", name="f"), [F, G])):
        wanted = asked(say("system", "top"), user("hi"), tools=tools, tool_choice=choice)
        made, body, losses = opened(wanted, OLLAMA)
        assert body["format"] == F.schema
        assert "tools" not in body
        [system, question] = body["messages"]
        assert system["content"].startswith("top\n\n")
        assert "the tool f" in system["content"] and "Does f." in system["content"]
        assert question == {"role": "user", "content": "hi"}
        assert list(losses.emulated) == ["tool_choice"]
        assert not losses.dropped
        reply = restored(made.restore, Thinking(text="hm"), Text(text='{"a": 1}'))
        [thought, made_call] = reply.content
        assert thought == Thinking(text="hm")
        assert isinstance(made_call, ToolCall)
        assert (made_call.name, made_call.arguments, reply.reason) == ("f", '{"a":1}', "tool_calls")


def test_several_tools_are_branches() -> None:
    made, body, _ = opened(asked(tools=[F, G, NOTHING], tool_choice=FORCED), OLLAMA)
    branches = body["format"]["anyOf"]
    assert [branch["properties"]["name"]["enum"] for branch in branches] == [["f"], ["g"], ["ping"]]
    assert branches[1]["properties"]["arguments"] == G.schema
    assert branches[2]["properties"]["arguments"]["additionalProperties"] is False
    reply = restored(made.restore, Text(text='{"name": "g", "arguments": {"b": "x"}}'))
    [made_call] = reply.content
    assert isinstance(made_call, ToolCall)
    assert (made_call.name, made_call.arguments) == ("g", '{"b":"x"}')


def test_a_forced_call_has_an_id_of_its_own_at_every_turn() -> None:
    ids = set()
    for history in ([user("a")], [user("a"), assistant("b"), user("c")]):
        made, *_ = opened(asked(*history, tools=[F], tool_choice=FORCED), OLLAMA)
        [made_call] = restored(made.restore, Text(text='{"a":1}')).content
        assert isinstance(made_call, ToolCall)
        ids.add(made_call.id)
    assert len(ids) == 2


def test_names_and_freeform_tools_come_back_from_a_forced_call_too() -> None:
    sh = Tool(name="run.sh", freeform=True)
    made, *_ = opened(asked(tools=[sh], tool_choice=FORCED, origin="x"), OLLAMA)
    [made_call] = restored(made.restore, Text(text='{"input": "ls"}')).content
    assert isinstance(made_call, ToolCall)
    assert (made_call.name, made_call.arguments, made_call.freeform) == ("run.sh", "ls", True)


def test_a_forced_call_has_its_own_form() -> None:
    wanted = asked(tools=[F], tool_choice=FORCED, format=Format(kind="schema", schema={"type": "string"}))
    _, body, losses = opened(wanted, OLLAMA)
    assert body["format"] == F.schema
    assert "format" in losses.emulated


def test_a_server_that_cannot_be_held_to_anything_is_asked() -> None:
    card = replace(OLLAMA, structured_outputs=False)
    made, body, losses = opened(asked(tools=[F, G], tool_choice=ToolChoice(mode="tool", name="g")), card)
    assert [tool["name"] for tool in functions(body)] == ["g"]
    assert "calling the tool g" in body["messages"][0]["content"]
    assert list(losses.dropped) == ["tool_choice"]
    assert made.restore is None


ONE, TWO = Forced(("f",), "s"), Forced(("f", "g"), "s")
ANSWERS: list[tuple[Forced, str, str | None]] = [
    (ONE, '{"a":1}', '{"a":1}'),
    (ONE, ' {"a" : [1, {"b": "}"}]}\n', '{"a":[1,{"b":"}"}]}'),
    (ONE, '```json\n{"a":1}\n```', '{"a":1}'),
    (ONE, 'Here: {"a":1}', '{"a":1}'),
    (ONE, '{"a":', None),
    (ONE, "[1]", None),
    (ONE, "I cannot.", None),
    (ONE, "", None),
    (TWO, '{"name":"g","arguments":{}}', "{}"),
    (TWO, '{"name":"h","arguments":{}}', None),
    (TWO, '{"name":"g","arguments":"x"}', None),
    (TWO, '{"a":1}', None),
]


@pytest.mark.parametrize(("forced", "text", "arguments"), ANSWERS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_streamed_and_whole_answers_are_the_same(
    forced: Forced, text: str, arguments: str | None, data: st.DataObject
) -> None:
    restore = Restore({}, frozenset(), "", forced)
    whole = restored(restore, Thinking(text="hm"), Text(text=text))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    stream, fold = restore.stream(), Fold("x")
    events = unfold(restored(Restore({}, frozenset(), "-"), Thinking(text="hm"), Text(text="")))
    for event in events:
        fold.feed(stream.feed([event]))
        if isinstance(event, PartStart) and isinstance(event.part, Text):
            pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            for piece in pieces:
                fold.feed(stream.feed([TextDelta(event.index, piece)]))
    assert fold.reply == whole
    if arguments is None:
        assert whole.content == [Thinking(text="hm"), Text(text=text)]
        assert whole.reason == "stop"
    else:
        last = whole.content[-1]
        assert isinstance(last, ToolCall)
        assert last.arguments == arguments
        assert whole.reason == "tool_calls"


KEPT: list[tuple[list[Part], str]] = [
    ([Text(text='{"a":1}')], "length"),
    ([ToolCall(id="c", name="f", arguments="{}"), Text(text='{"a":1}')], "stop"),
]


@pytest.mark.parametrize(("content", "reason"), KEPT)
def test_what_is_not_undone(content: list[Part], reason: str) -> None:
    """A limit stays a limit; a server that makes real calls is believed."""
    reply = restored(Restore({}, frozenset(), "", ONE), *content, reason=reason)
    assert [type(part) for part in reply.content] == [ToolCall, Text][: len(content)]
    assert reply.reason == ("length" if reason == "length" else "tool_calls")


def test_a_broken_stream_shows_what_there_was() -> None:
    stream = Restore({}, frozenset(), "", ONE).stream()
    events: list[Event] = [Start("", "m"), PartStart(0, Text(text="")), TextDelta(0, '{"a"'), Fault("upstream", "gone")]
    assert stream.feed(events) == events


def test_every_schema_of_a_forced_call_is_json() -> None:
    recursive: Object = {
        "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/n"}},
    }
    _, body, _ = opened(asked(tools=[F, Tool(name="g", schema=recursive)], tool_choice=FORCED), OLLAMA)
    assert "$ref" not in json.dumps(body["format"])
    assert "$ref" in body["messages"][0]["content"]
