"""What a client asks of a local model besides words: thinking, a form, limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.conversation import Effort, Format, Object, Reasoning, Text, Tool, ToolChoice
from dragoman.models.cards import Card
from dragoman.models.open.card import ALWAYS_ON, generic
from dragoman.models.restore import Restore
from tests.models.building import assistant, say, user
from tests.models.open_building import BOTH, OLLAMA, OPENAI, asked, opened, plain, restored

# --- thinking ------------------------------------------------------------------------------------

SWITCH = plain("ollama", "thinking", levels=[])
LEVELS = plain("ollama", "thinking", levels=["low", "medium", "high"], thinking=ALWAYS_ON)
NEVER = plain("ollama")
FEW = plain("openai_chat", "thinking", levels=["low", "high"])
ADAPTIVE = Reasoning(enabled=True, mode="adaptive", effort="high")
BUDGET = Reasoning(enabled=True, mode="enabled", budget=4000)
OFF = Reasoning(enabled=False, mode="disabled")

WISHES: list[tuple[Card, Reasoning | None, object, list[str], list[str]]] = [
    (SWITCH, None, None, [], []),
    (SWITCH, Reasoning(enabled=True), True, [], []),
    (SWITCH, Reasoning(visible=True), True, [], []),
    (SWITCH, ADAPTIVE, True, [], ["reasoning.effort"]),
    (SWITCH, BUDGET, True, [], ["reasoning.budget"]),
    (SWITCH, OFF, False, [], []),
    (SWITCH, Reasoning(effort="high"), None, [], ["reasoning.effort"]),
    (LEVELS, ADAPTIVE, "high", [], []),
    (LEVELS, Reasoning(enabled=True, effort="max"), "high", [], ["reasoning.effort"]),
    (LEVELS, Reasoning(enabled=True, effort="minimal"), "low", [], ["reasoning.effort"]),
    (LEVELS, Reasoning(effort="low"), "low", [], []),
    (LEVELS, OFF, "low", ["reasoning"], []),
    (NEVER, None, None, [], []),
    (NEVER, ADAPTIVE, None, ["reasoning", "reasoning.effort"], []),
    (NEVER, BUDGET, None, ["reasoning"], []),
    (NEVER, Reasoning(effort="high"), None, ["reasoning.effort"], []),
    (NEVER, OFF, None, [], []),
    (OPENAI, Reasoning(enabled=True, effort="medium"), "medium", [], []),
    (OPENAI, OFF, "none", [], []),
    (OPENAI, None, None, [], []),
    (FEW, Reasoning(enabled=True, effort="medium"), "low", [], ["reasoning.effort"]),
]


@pytest.mark.parametrize(("card", "wish", "told", "dropped", "emulated"), WISHES)
def test_thinking(card: Card, wish: Reasoning | None, told: object, dropped: list[str], emulated: list[str]) -> None:
    _, body, losses = opened(asked(reasoning=wish), card)
    assert body.get("think", body.get("reasoning_effort")) == told
    assert list(losses.dropped) == dropped
    assert list(losses.emulated) == emulated


BUDGETS: list[tuple[int, Effort]] = [(1024, "low"), (2048, "low"), (2049, "medium"), (16384, "high"), (99999, "high")]


@pytest.mark.parametrize(("budget", "effort"), BUDGETS)
def test_a_budget_is_a_level(budget: int, effort: Effort) -> None:
    _, body, losses = opened(asked(reasoning=Reasoning(enabled=True, budget=budget)), LEVELS)
    assert body["think"] == effort
    assert "reasoning.budget" in losses.emulated
    assert not losses.dropped


def test_case_29_few_tokens_are_not_spent_on_thoughts_nobody_asked_for() -> None:
    assert opened(asked(max_tokens=256), SWITCH)[1]["think"] is False
    assert "think" not in opened(asked(max_tokens=8000), SWITCH)[1]
    assert "think" not in opened(asked(max_tokens=256), LEVELS)[1]
    assert "think" not in opened(asked(max_tokens=256), NEVER)[1]
    assert opened(asked(max_tokens=256, reasoning=ADAPTIVE), SWITCH)[1]["think"] is True


# --- form ----------------------------------------------------------------------------------------

SCHEMA: Object = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CLOSED: Object = {**SCHEMA, "additionalProperties": False}
FORM = Format(kind="schema", schema=SCHEMA)
JSON_MODE = Format(kind="json")


def test_a_schema_is_the_servers_own() -> None:
    made, body, losses = opened(asked(format=FORM), OLLAMA)
    assert body["format"] == SCHEMA
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert made.restore == Restore({}, frozenset(), "object")
    assert not losses.emulated
    assert opened(asked(format=FORM), OPENAI)[1]["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": SCHEMA,
    }


NOT_CLOSED: list[Object] = [
    SCHEMA,
    {**CLOSED, "required": []},
    {**CLOSED, "properties": {"n": SCHEMA}},
    {**CLOSED, "properties": {"n": {"oneOf": [{"type": "string"}]}}},
    {**CLOSED, "properties": {"n": {"type": "string", "not": {"const": "a"}}}},
    {"type": "array", "items": CLOSED},
]


def test_a_schema_is_strict_where_it_can_be() -> None:
    for schema, strict in [(CLOSED, True), *((schema, None) for schema in NOT_CLOSED)]:
        wanted = asked(format=Format(kind="schema", schema=schema))
        assert opened(wanted, OPENAI)[1]["response_format"]["json_schema"].get("strict") is strict


HARD: list[tuple[Object, object, bool]] = [
    (
        {"$defs": {"n": {"type": "integer"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}},
        {"type": "object", "properties": {"a": {"type": "integer"}}},
        False,
    ),
    ({"type": "string", "pattern": "a|b"}, {"type": "string"}, True),
    ({"type": "string", "pattern": "^[a-z]+$"}, {"type": "string", "pattern": "^[a-z]+$"}, False),
    ({"type": "array", "items": {}, "uniqueItems": True}, {"type": "array", "items": {}}, True),
    ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
    ({"type": "number", "minimum": 0}, {"type": "number"}, True),
    ({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 0}, False),
    ({"type": "object", "properties": {"a": True}}, {"type": "object", "properties": {"a": {}}}, False),
    ({"type": "object", "properties": {"a": False}}, {"type": "object", "properties": {}}, True),
    ({"type": "string", "nullable": True}, {"type": ["string", "null"]}, False),
    (
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/n", "nullable": True}},
            "$defs": {"n": {"type": "STRING"}},
        },
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
        False,
    ),
    ({"type": "string", "nullable": False}, {"type": "string"}, False),
    ({"const": {"not": 1, "$ref": "x"}}, {"const": {"not": 1, "$ref": "x"}}, False),
    (
        {"properties": {"not": {"type": "null"}, "pattern": {}}},
        {"properties": {"not": {"type": "null"}, "pattern": {}}},
        False,
    ),
    ({"$ref": "#/$defs/gone"}, "json", True),
    ({"$ref": "https://example.org/s.json"}, "json", True),
]


# What contains itself: the grammar comes back to it by a reference, wherever something stands before it.
_KID: Object = {"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}]}
_PERSON: Object = {"type": "object", "properties": {"name": {"type": "string"}, "kid": _KID}}
_HELD: Object = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kid": {"anyOf": [{"$ref": "#/$defs/r0"}, {"type": "null"}]}},
}
_LIST: Object = {"type": "array", "items": {"$ref": "#", "description": "a list again"}}
_EVEN: Object = {
    "even": {"type": "object", "properties": {"odd": {"$ref": "#/$defs/odd"}}},
    "odd": {"type": "array", "items": {"$ref": "#/$defs/even"}},
}
HARD += [
    ({"$ref": "#/$defs/P", "$defs": {"P": _PERSON}}, {**_HELD, "$defs": {"r0": _HELD}}, False),
    (
        {"$ref": "#/$defs/even", "$defs": _EVEN},
        {
            "type": "object",
            "properties": {"odd": {"type": "array", "items": {"$ref": "#/$defs/r0"}}},
            "$defs": {
                "r0": {"type": "object", "properties": {"odd": {"type": "array", "items": {"$ref": "#/$defs/r0"}}}}
            },
        },
        False,
    ),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "json", True),
    (
        {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        {"type": "array", "items": {"anyOf": [{}]}},
        True,
    ),
    (
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a", "minItems": 1}}}},
        {"type": "array", "items": {}},
        True,
    ),
]


def test_a_grammar_comes_back_to_the_whole_schema() -> None:
    _, body, losses = opened(asked(format=Format(kind="schema", schema=_LIST)), OLLAMA)
    inner = {"type": "array", "items": {"$ref": "#/$defs/r0"}}
    first = {**inner, "description": "a list again"}
    assert body["format"] == {"type": "array", "items": first, "$defs": {"r0": inner}}
    assert not losses.emulated  # a description is only told


@pytest.mark.parametrize(("schema", "grammar", "emulated"), HARD)
def test_what_a_grammar_cannot_hold_is_told(schema: Object, grammar: object, emulated: bool) -> None:
    _, body, losses = opened(asked(format=Format(kind="schema", schema=schema)), OLLAMA)
    assert body["format"] == grammar
    assert list(losses.emulated) == ["format"] * emulated
    assert ("JSON Schema" in body["messages"][0]["content"]) is emulated
    assert not losses.dropped


def test_descriptions_reach_the_model() -> None:
    """A grammar holds the answer's form; what its members mean has to be said."""
    schema = {**SCHEMA, "properties": {"n": {"type": "integer", "description": "how many geese"}}}
    for form in (Format(kind="schema", schema=schema), replace(FORM, description="how many geese")):
        _, body, losses = opened(asked(say("system", "top"), user("hi"), format=form), OLLAMA)
        [system, _] = body["messages"]
        assert system["content"].startswith("top\n\n") and "how many geese" in system["content"]
        assert not losses.dropped


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_json_mode_wants_the_word(card: Card) -> None:
    _, body, losses = opened(asked(user("hi"), format=JSON_MODE), card)
    assert body.get("format") == "json" or body["response_format"] == {"type": "json_object"}
    assert "JSON" in body["messages"][0]["content"]
    assert not losses.dropped and not losses.emulated
    _, body, _ = opened(asked(user("hi, as json"), format=JSON_MODE), card)
    assert [message["role"] for message in body["messages"]] == ["user"]
    later = asked(user("hi"), assistant("json?"), user("json!"), format=JSON_MODE)
    assert "JSON" in opened(later, card)[1]["messages"][0]["content"]


def test_the_prompt_in_an_ollama_models_own_file_stays() -> None:
    """It counts only while the first message is not a system message."""
    wanted = asked(user("hi"), assistant("a"), user("b"), format=JSON_MODE)
    assert [m["role"] for m in opened(wanted, OLLAMA)[1]["messages"]] == ["user", "assistant", "user"]
    assert [m["role"] for m in opened(wanted, OPENAI)[1]["messages"]] == ["system", "user", "assistant", "user"]


TOOL = Tool(name="f", description="Does f.")


@pytest.mark.parametrize("form", [FORM, JSON_MODE])
def test_beside_tools_ollama_is_asked_for_the_form(form: Format) -> None:
    made, body, losses = opened(asked(tools=[TOOL], format=form), OLLAMA)
    assert "format" not in body
    assert len(body["tools"]) == 1
    assert "JSON" in body["messages"][0]["content"]
    assert list(losses.emulated) == ["format"]
    assert restored(made.restore, Text(text='```json\n{"n": 1}\n```')).content == [Text(text='{"n": 1}')]
    none = asked(tools=[TOOL], tool_choice=ToolChoice(mode="none"), format=form)
    assert "format" in opened(none, OLLAMA)[1]


def test_elsewhere_both_go() -> None:
    _, body, losses = opened(asked(tools=[TOOL], format=FORM), OPENAI)
    assert body["response_format"]["type"] == "json_schema"
    assert len(body["tools"]) == 1
    assert not losses.emulated


def test_a_server_without_schemas_is_asked() -> None:
    card = replace(OPENAI, structured_outputs=False)
    made, body, losses = opened(asked(format=FORM), card)
    assert "response_format" not in body
    assert json.dumps(SCHEMA, separators=(",", ":")) in body["messages"][0]["content"]
    assert list(losses.emulated) == ["format"]
    assert made.restore is not None
    assert opened(asked(format=JSON_MODE), card)[1]["response_format"] == {"type": "json_object"}


def test_a_server_that_knows_only_json_mode_is_held_to_that_and_asked_for_the_rest() -> None:
    card = replace(OPENAI, structured_outputs=False, flavor="deepseek")
    _, body, losses = opened(asked(format=FORM), card)
    assert body["response_format"] == {"type": "json_object"}
    assert "JSON Schema" in body["messages"][0]["content"]
    assert list(losses.emulated) == ["format"]
    for wanted in (
        asked(format=Format(kind="schema", schema={"type": "array"})),
        asked(format=FORM, tools=[TOOL]),
    ):
        assert "response_format" not in opened(wanted, card)[1]


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
@pytest.mark.parametrize("form", [FORM, JSON_MODE])
def test_what_a_server_lets_through_beside_the_answer_is_taken_away(card: Card, form: Format) -> None:
    """Some say they hold an answer to a form and do not."""
    made, _, _ = opened(asked(user("json"), format=form), card)
    said = Text(text='As in [1] and {x}:\n```json\n{"n": 1}\n```\nor {"n": 2}')
    assert restored(made.restore, said).content == [Text(text='{"n": 1}')]


# --- limits, sampling, users ---------------------------------------------------------------------

SETTINGS: dict[str, Any] = {"temperature": 1.5, "top_p": 0.9, "seed": 7, "stop": ["END", "\n"]}


def test_settings_are_carried() -> None:
    _, body, losses = opened(asked(max_tokens=5000, top_k=5, min_p=0.1, **SETTINGS), OLLAMA)
    assert body["options"] == {"num_predict": 5000, "top_k": 5, "min_p": 0.1, **SETTINGS}
    _, body, more = opened(asked(max_tokens=5000, **SETTINGS), OPENAI)
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == {"max_tokens": 5000, **SETTINGS}
    assert not losses.dropped and not more.dropped


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_no_limit_stays_no_limit(card: Card) -> None:
    _, body, losses = opened(asked(), card)
    assert "max_tokens" not in body
    assert "options" not in body
    assert not losses.emulated
    _, body, losses = opened(asked(max_tokens=0), card)
    assert body.get("max_tokens", body.get("options", {}).get("num_predict")) == 1
    assert list(losses.emulated) == ["max_tokens"]


def test_a_model_without_sampling() -> None:
    card = replace(OPENAI, sampling="omit")
    _, body, losses = opened(asked(temperature=0.5, top_p=1.0), card)
    assert not body.keys() & {"temperature", "top_p"}
    assert list(losses.dropped) == ["temperature"]


def test_users() -> None:
    for card, sent in ((OLLAMA, None), (OPENAI, "u-1")):
        _, body, losses = opened(asked(user="u-1"), card)
        assert body.get("user") == sent
        assert not losses.dropped and not losses.emulated


# --- cards ---------------------------------------------------------------------------------------


def test_a_generic_card_can_do_what_its_server_can() -> None:
    assert OLLAMA.capabilities == ["completion", "tools", "vision", "thinking"] == OPENAI.capabilities
    assert (OLLAMA.prefill, OLLAMA.forced_tool_choice, OLLAMA.pdf_input) == (True, False, False)
    assert (OPENAI.prefill, OPENAI.forced_tool_choice, OPENAI.pdf_input) == (False, True, True)


def test_a_card_from_what_is_known() -> None:
    card = generic("e", "ollama", "box", capabilities=["embedding"], context_window=2048, flavor="x", native={"a": 1})
    assert card.capabilities == ["embedding"]
    assert (card.id, card.upstream, card.flavor, card.native) == ("e", "box", "x", {"a": 1})
    assert (card.context_window, card.max_output_tokens, card.effort.levels) == (2048, 2048, [])
    assert generic("claude-x", "anthropic", "mine").dialect == "anthropic"
