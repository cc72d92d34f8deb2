"""Each step of `fit`: what goes in, what goes out, what is reported.  Models are named by what they can do."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.conversation import (
    Format,
    Media,
    Message,
    Object,
    Reasoning,
    Request,
    Seal,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from tests.models.building import assistant, call, card_with, fitted, request, result, say, user

MODERN = card_with(sampling="omit", thinks="adaptive", off="disabled", default_on=True, forced_tool_choice=True)
QUIET = card_with(sampling="omit", default_on=False, prefill=False)
ALWAYS = card_with(off="never", default_on=True, mid_conversation_system=True)
BETWEEN = card_with(off="between_tools")
MANUAL = card_with(thinks="enabled", levels=False, prefill=True)
MANUAL_WITH_EFFORT = card_with(thinks="enabled", levels=True)
ONE_SAMPLING = card_with(sampling="one", thinks="adaptive")
UNFORCED = card_with(forced_tool_choice=False)


# --- sampling, limit, stop ----------------------------------------------------------------------

SAMPLING: list[tuple[Card, dict[str, Any], Object, list[str]]] = [
    (QUIET, {"temperature": 0.2, "top_p": 0.5, "top_k": 7}, {}, ["temperature", "top_p", "top_k"]),
    (QUIET, {"temperature": 1.0, "top_p": 1.0}, {}, []),
    (ONE_SAMPLING, {"temperature": 0.2, "top_p": 0.5, "top_k": 7}, {"temperature": 0.2, "top_k": 7}, ["top_p"]),
    (ONE_SAMPLING, {"top_p": 0.5}, {"top_p": 0.5}, []),
    (ONE_SAMPLING, {"temperature": 0.0}, {"temperature": 0.0}, []),
    (ONE_SAMPLING, {"temperature": 1.7}, {"temperature": 1.0}, []),
    (ONE_SAMPLING, {"top_p": 2.0}, {"top_p": 1.0}, []),
    (ONE_SAMPLING, {"top_p": -1.0}, {"top_p": 0.0}, []),
    (
        ONE_SAMPLING,
        {"temperature": 0.2, "reasoning": Reasoning(enabled=True)},
        {"thinking": {"type": "adaptive"}},
        ["temperature"],
    ),
    (
        MANUAL,
        {"top_p": 0.97, "top_k": 4, "reasoning": Reasoning(enabled=True, budget=2000)},
        {"top_p": 0.97, "thinking": {"type": "enabled", "budget_tokens": 2000}},
        ["top_k"],
    ),
    (MODERN, {"stop": ["END", " \n"]}, {"stop_sequences": ["END"]}, ["stop"]),
    (MODERN, {"seed": 1, "min_p": 0.1, "logprobs": True}, {}, ["min_p", "seed", "logprobs"]),
    (MODERN, {"frequency_penalty": 1.0}, {}, ["frequency_penalty"]),
]


@pytest.mark.parametrize(("card", "members", "wire", "dropped"), SAMPLING)
def test_sampling(card: Card, members: dict[str, Any], wire: Object, dropped: list[str]) -> None:
    _, body, losses = fitted(request(**members), card)
    settings = {k: v for k, v in body.items() if k not in ("model", "messages", "max_tokens")}
    assert settings == wire
    assert sorted(losses.dropped) == sorted(dropped)


LIMITS: list[tuple[int | None, int, list[str]]] = [
    (None, MODERN.max_output_tokens, []),
    (-1, MODERN.max_output_tokens, []),
    (5000, 5000, []),
    (MODERN.max_output_tokens + 1, MODERN.max_output_tokens, ["max_tokens"]),
]


@pytest.mark.parametrize(("asked", "sent", "emulated"), LIMITS)
def test_output_limit(asked: int | None, sent: int, emulated: list[str]) -> None:
    _, body, losses = fitted(request(max_tokens=asked), MODERN)
    assert body["max_tokens"] == sent
    assert list(losses.emulated) == emulated


# --- thinking ------------------------------------------------------------------------------------

ON = Reasoning(enabled=True, visible=True)
OFF = Reasoning(enabled=False)


def effort(level: Any) -> Reasoning:
    return Reasoning(enabled=True, visible=True, effort=level)


ADAPTIVE_SHOWN = {"type": "adaptive", "display": "summarized"}
THINKING: list[tuple[str, Card, Reasoning | None, int | None, Object, str]] = [
    ("unsaid", MODERN, None, None, {}, ""),
    ("on", MODERN, ON, None, {"thinking": ADAPTIVE_SHOWN}, ""),
    ("effort", MODERN, effort("high"), None, {"thinking": ADAPTIVE_SHOWN, "effort": "high"}, ""),
    ("minimal", MODERN, effort("minimal"), None, {"thinking": ADAPTIVE_SHOWN, "effort": "low"}, "emulated"),
    ("off", MODERN, OFF, None, {"thinking": {"type": "disabled"}}, ""),
    ("off where off is the default", QUIET, OFF, None, {}, ""),
    ("off between tools", BETWEEN, OFF, None, {"thinking": {"type": "between_tools"}}, ""),
    ("off is impossible", ALWAYS, OFF, None, {"effort": "low"}, "dropped"),
    ("a budget where there are none", MODERN, Reasoning(enabled=True, budget=9000), None,
     {"thinking": {"type": "adaptive"}, "effort": "high"}, "emulated"),
    ("xhigh on a model without it", ONE_SAMPLING, effort("xhigh"), None,
     {"thinking": {"type": "adaptive", "display": "summarized"}, "effort": "high"}, "emulated"),
    ("manual on", MANUAL, ON, None, {"thinking": {"type": "enabled", "budget_tokens": 8192}}, ""),
    ("manual effort", MANUAL, effort("low"), None, {"thinking": {"type": "enabled", "budget_tokens": 2048}}, ""),
    ("manual and effort", MANUAL_WITH_EFFORT, effort("max"), None,
     {"thinking": {"type": "enabled", "budget_tokens": 32768}, "effort": "high"}, ""),
    ("manual in a small limit", MANUAL, ON, 3000, {"thinking": {"type": "enabled", "budget_tokens": 2999}}, ""),
    ("manual without room", MANUAL, ON, 800, {}, "dropped"),
    ("unsaid in a small limit", MODERN, None, 256, {"thinking": {"type": "disabled"}}, ""),
    ("asked for in a small limit", MODERN, ON, 256, {"thinking": ADAPTIVE_SHOWN}, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("card", "asked", "limit", "wire", "report"), [row[1:] for row in THINKING], ids=[row[0] for row in THINKING]
)
def test_thinking(card: Card, asked: Reasoning | None, limit: int | None, wire: Object, report: str) -> None:
    _, body, losses = fitted(request(reasoning=asked, max_tokens=limit), card)
    said = {"thinking": body["thinking"]} if "thinking" in body else {}
    said |= {"effort": body["output_config"]["effort"]} if "output_config" in body else {}
    assert said == wire
    told = [any(name.startswith("reasoning") for name in names) for names in (losses.dropped, losses.emulated)]
    assert told == [
        report == "dropped",
        report == "emulated",
    ]


def test_a_model_that_always_thinks_gets_room_for_it() -> None:
    _, body, losses = fitted(request(max_tokens=256), ALWAYS)
    assert body["max_tokens"] > 256
    assert body["output_config"] == {"effort": "low"}
    assert list(losses.emulated) == ["max_tokens"]
    assert not losses.dropped


LOOP = (user("go"), assistant(call("toolu_1")), user(result("toolu_1")))
SEALED = Thinking(text="hm", seal=Seal("anthropic", "sig"))


def test_a_tool_loop_without_its_signed_thoughts_goes_on_without_thinking() -> None:
    _, body, losses = fitted(request(*LOOP, tools=[Tool(name="f")], reasoning=ON), MANUAL)
    assert "thinking" not in body
    assert list(losses.dropped) == ["reasoning"]


def test_a_tool_loop_with_them_keeps_thinking() -> None:
    loop = (LOOP[0], assistant(SEALED, call("toolu_1")), LOOP[2])
    _, body, losses = fitted(request(*loop, tools=[Tool(name="f")], reasoning=ON), MANUAL)
    assert body["thinking"]["type"] == "enabled"
    assert body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert not losses.dropped


# --- turns ---------------------------------------------------------------------------------------


def turns(body: Object) -> list[tuple[str, list[Any]]]:
    """Role and content, texts as they are and other blocks as (type, id)."""
    return [(turn["role"], [_short(block) for block in turn["content"]]) for turn in body["messages"]]


def _short(block: Object) -> Any:
    match block["type"]:
        case "text":
            return block["text"]
        case "tool_use":
            return ("call", block["id"])
        case "tool_result":
            return ("result", block["tool_use_id"], bool(block.get("is_error")))
        case other:
            return other


OPENING = "(The conversation begins.)"
CONTINUE = "Continue your last message from exactly where it stopped."
IMAGE = Media(kind="image", data="iVBORw0KGgo=", media_type="image/png")

ORDER: list[tuple[str, Card, list[Message], list[tuple[str, list[Any]]]]] = [
    ("neighbours merge", MODERN, [user("a"), user("b")], [("user", ["a", "b"])]),
    ("empty text goes", MODERN, [user("a", " ", ""), assistant("\n"), user("b")], [("user", ["a", "b"])]),
    ("the user begins", MODERN, [assistant("a"), user("b")],
     [("user", [OPENING]), ("assistant", ["a"]), ("user", ["b"])]),
    ("nobody said anything", MODERN, [say("system", "s")], [("user", [OPENING])]),
    ("prefill is kept", MANUAL, [user("a"), assistant("b  ")], [("user", ["a"]), ("assistant", ["b"])]),
    ("prefill is asked for", MODERN, [user("a"), assistant("b")],
     [("user", ["a"]), ("assistant", ["b"]), ("user", [CONTINUE])]),
    ("results come first", MODERN, [user("a"), assistant(call("x")), user("b", result("x"))],
     [("user", ["a"]), ("assistant", [("call", "x")]), ("user", [("result", "x", False), "b"])]),
    ("results of one turn are one turn", MODERN,
     [user("a"), assistant(call("x"), call("y")), user(result("x")), user(result("y")), user("b")],
     [("user", ["a"]), ("assistant", [("call", "x"), ("call", "y")]),
      ("user", [("result", "x", False), ("result", "y", False), "b"])]),
    ("a missing result is made up", MODERN, [user("a"), assistant(call("x"), call("y")), user(result("y"), "b")],
     [("user", ["a"]), ("assistant", [("call", "x"), ("call", "y")]),
      ("user", [("result", "x", True), ("result", "y", False), "b"])]),
    ("an unanswered call at the end", MODERN, [user("a"), assistant(call("x"))],
     [("user", ["a"]), ("assistant", [("call", "x")]), ("user", [("result", "x", True)])]),
    ("an orphan becomes text", MODERN, [user("a"), user(result("x", "42", name="f"))],
     [("user", ["a", "Result of the tool f:\n42"])]),
    ("the last of two answers counts", MODERN,
     [user("a"), assistant(call("x")), user(result("x", "1"), result("x", "2"))],
     [("user", ["a"]), ("assistant", [("call", "x")]), ("user", [("result", "x", False)])]),
    ("pictures leave an error", MODERN,
     [user("a"), assistant(call("x")), user(result("x", "no", is_error=True)), user(IMAGE)],
     [("user", ["a"]), ("assistant", [("call", "x")]), ("user", [("result", "x", True), "image"])]),
    ("a late instruction, spoken by the user", QUIET, [user("a"), say("system", "s"), user("b")],
     [("user", ["a", "<system-reminder>\ns\n</system-reminder>", "b"])]),
    ("a late instruction in its own voice", ALWAYS, [user("a"), say("developer", "s"), assistant("b"), user("c")],
     [("user", ["a"]), ("system", ["s"]), ("assistant", ["b"]), ("user", ["c"])]),
    ("a late instruction out of place", ALWAYS, [user("a"), assistant("b"), say("system", "s"), user("c")],
     [("user", ["a"]), ("assistant", ["b"]), ("user", ["<system-reminder>\ns\n</system-reminder>", "c"])]),
]  # fmt: skip


@pytest.mark.parametrize(("card", "messages", "wire"), [row[1:] for row in ORDER], ids=[row[0] for row in ORDER])
def test_order(card: Card, messages: list[Message], wire: list[tuple[str, list[Any]]]) -> None:
    _, body, _ = fitted(request(*messages, tools=[Tool(name="f")]), card)
    assert turns(body) == wire


def test_leading_system_messages_become_blocks_in_order() -> None:
    _, body, _ = fitted(request(say("system", "a"), say("developer", "b"), user("hi")), MODERN)
    assert [block["text"] for block in body["system"]] == ["a", "b"]


def test_unsigned_thoughts_of_earlier_turns_are_reported() -> None:
    _, body, losses = fitted(request(user("a"), assistant(Thinking(text="hm"), "b"), user("c")), MODERN)
    assert turns(body) == [("user", ["a"]), ("assistant", ["b"]), ("user", ["c"])]
    assert list(losses.dropped) == ["thinking"]


IDS: list[tuple[list[str], int]] = [
    (["ok_1-A"], 0),
    (["functions.Bash:0"], 1),
    ([""], 1),
    (["a", "a"], 1),
    (["a.b", "a.b"], 2),
]


@pytest.mark.parametrize(("known", "changed"), IDS)
def test_call_ids_fit_the_pattern_and_are_unique(known: list[str], changed: int) -> None:
    messages = [user("a"), assistant(*[call(id) for id in known]), user(*[result(id, id) for id in known])]
    _, body, _ = fitted(request(*messages, tools=[Tool(name="f")]), MODERN)
    sent = [block["id"] for block in body["messages"][1]["content"]]
    assert len(set(sent)) == len(sent)
    assert sum(new != old for new, old in zip(sent, known, strict=True)) == changed
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == sent


# --- tools ---------------------------------------------------------------------------------------

LONG = "mcp__" + "plugin" * 20


def test_names_the_wire_refuses_are_mapped_everywhere_and_back() -> None:
    tools = [Tool(name="fs.read"), Tool(name="fs/read"), Tool(name=LONG), Tool(name="plain")]
    messages = [user("a"), assistant(call("x", "fs.read")), user(result("x"))]
    asked = request(*messages, tools=tools, tool_choice=ToolChoice(mode="tool", name="fs.read"))
    made, body, _ = fitted(asked, MODERN)
    sent = [tool["name"] for tool in body["tools"]]
    assert sent[3] == "plain"
    assert len(set(sent)) == 4
    assert all(len(name) <= 64 for name in sent)
    assert body["messages"][1]["content"][0]["name"] == body["tool_choice"]["name"] == sent[0]
    assert made.restore is not None


CHOICES: list[tuple[Card, ToolChoice, Object, bool]] = [
    (MODERN, ToolChoice(mode="any"), {"type": "any"}, False),
    (MODERN, ToolChoice(mode="tool", name="f"), {"type": "tool", "name": "f"}, False),
    (MODERN, ToolChoice(mode="none"), {"type": "none"}, False),
    (MODERN, ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}, False),
    (UNFORCED, ToolChoice(mode="any"), {"type": "auto"}, True),
    (
        UNFORCED,
        ToolChoice(mode="tool", name="f", parallel=False),
        {"type": "auto", "disable_parallel_tool_use": True},
        True,
    ),
]


@pytest.mark.parametrize(("card", "choice", "wire", "lost"), CHOICES)
def test_choice(card: Card, choice: ToolChoice, wire: Object, lost: bool) -> None:
    _, body, losses = fitted(request(tools=[Tool(name="f"), Tool(name="g")], tool_choice=choice), card)
    assert body["tool_choice"] == wire
    assert ("tool_choice" in losses.dropped) == lost
    assert ("system" in body) == lost


def test_a_forced_call_gives_way_to_thinking_where_they_exclude_each_other() -> None:
    asked = request(tools=[Tool(name="f")], tool_choice=ToolChoice(mode="any"), reasoning=ON)
    _, body, losses = fitted(asked, MANUAL)
    assert (body["tool_choice"], body["thinking"]["type"]) == ({"type": "auto"}, "enabled")
    assert list(losses.dropped) == ["tool_choice"]


def test_only_allowed_tools_are_offered() -> None:
    choice = ToolChoice(mode="any", allowed=["g"])
    _, body, _ = fitted(request(tools=[Tool(name="f"), Tool(name="g")], tool_choice=choice), MODERN)
    assert [tool["name"] for tool in body["tools"]] == ["g"]


@pytest.mark.parametrize("choice", [ToolChoice(mode="any"), ToolChoice(mode="tool", name="f")])
@pytest.mark.parametrize("tools", [[], [Tool(name="g")]])
def test_a_choice_of_what_is_not_there_is_an_error(choice: ToolChoice, tools: list[Tool]) -> None:
    if tools and choice.mode == "any":
        return
    with pytest.raises(GatewayError) as caught:
        fitted(request(tools=tools, tool_choice=choice), MODERN)
    assert caught.value.param == "tool_choice"


def test_a_history_of_calls_has_its_tools_defined() -> None:
    _, body, _ = fitted(request(*LOOP), MODERN)
    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == {"type": "none"}


def test_a_freeform_tool_is_wrapped_in_definition_and_history() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    tools = [Tool(name="sh", freeform=True, extra={"format": grammar})]
    written = ToolCall(id="x", name="sh", arguments='echo "hi"', freeform=True)
    made, body, losses = fitted(request(user("a"), assistant(written), user(result("x")), tools=tools), MODERN)
    assert body["tools"][0]["input_schema"]["required"] == ["input"]
    assert "start: X" in body["tools"][0]["input_schema"]["properties"]["input"]["description"]
    assert body["messages"][1]["content"][0]["input"] == {"input": 'echo "hi"'}
    assert list(losses.emulated) == ["tools.sh"]
    assert made.restore is not None


def test_a_strict_tool_is_strict_where_it_can_be() -> None:
    good: Object = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    free: Object = {"type": "object", "properties": {"a": {"type": "object"}}}
    tools = [Tool(name="good", schema=good, strict=True), Tool(name="free", schema=free, strict=True)]
    _, body, losses = fitted(request(tools=tools), MODERN)
    assert body["tools"][0]["strict"] is True
    assert body["tools"][0]["input_schema"]["additionalProperties"] is False
    assert "strict" not in body["tools"][1]
    assert list(losses.dropped) == ["tools.free.strict"]


# --- structured output ---------------------------------------------------------------------------


def test_a_schema_becomes_the_models_own_constraint() -> None:
    schema: Object = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    made, body, losses = fitted(request(format=Format(kind="schema", schema=schema)), MODERN)
    sent = body["output_config"]["format"]["schema"]
    assert sent["properties"]["a"] == {"type": "integer", "description": "minimum: 1"}
    assert sent["additionalProperties"] is False
    assert made.restore is None
    assert "minimum" in losses.emulated["format"]


def test_a_schema_that_is_no_object_is_wrapped() -> None:
    made, body, _ = fitted(request(format=Format(kind="schema", schema={"type": "string"})), MODERN)
    assert body["output_config"]["format"]["schema"]["required"] == ["value"]
    assert made.restore is not None


@pytest.mark.parametrize("wanted", [Format(kind="json"), Format(kind="schema", schema={"type": "object"})])
def test_what_no_constraint_can_hold_is_asked_for(wanted: Format) -> None:
    made, body, losses = fitted(request(say("system", "s"), user("hi"), format=wanted), MODERN)
    assert "output_config" not in body
    first, second = [block["text"] for block in body["system"]]
    assert first == "s"
    assert "JSON" in second
    assert made.restore is not None
    assert list(losses.emulated) == ["format"]


def test_fit_names_the_model_that_answers() -> None:
    made, _, _ = fitted(Request(origin="ollama", model="alias", messages=[user("hi")]), MODERN)
    assert made.request.model == MODERN.id
