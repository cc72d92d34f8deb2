"""The conversation as local servers get it: systems, order, results, thoughts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dragoman.conversation import (
    Foreign,
    Message,
    Object,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.models.cards import Card
from tests.models.building import assistant, call, result, say, user
from tests.models.open_building import BOTH, OLLAMA, OPENAI, asked, opened, plain, sent

BILLING = "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli; cch=%s;"


def lines(messages: list[Object]) -> list[tuple[str, object]]:
    return [(message["role"], message["content"]) for message in messages]


# --- system --------------------------------------------------------------------------------------

SYSTEM: list[tuple[list[Message], list[tuple[str, object]]]] = [
    ([say("system", "a", "b"), user("hi")], [("system", "a\n\nb"), ("user", "hi")]),
    ([say("system", "a"), say("developer", "b"), user("hi")], [("system", "a\n\nb"), ("user", "hi")]),
    ([say("developer", "b"), user("hi")], [("system", "b"), ("user", "hi")]),
    ([say("system", ""), user("hi")], [("user", "hi")]),
    (
        [user("hi"), say("system", "late"), assistant("yes"), user("go")],
        [("user", "hi\n\n<system-reminder>\nlate\n</system-reminder>"), ("assistant", "yes"), ("user", "go")],
    ),
    (
        [user("hi"), assistant("yes"), say("developer", "late"), user("go")],
        [("user", "hi"), ("assistant", "yes"), ("user", "<system-reminder>\nlate\n</system-reminder>\n\ngo")],
    ),
]


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
@pytest.mark.parametrize(("messages", "wire"), SYSTEM)
def test_system_messages(messages: list[Message], wire: list[tuple[str, object]], card: Card) -> None:
    assert lines(sent(asked(*messages), card)) == wire


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_case_31_a_late_instruction_stands_after_the_tool_results(card: Card) -> None:
    messages = [user("go"), assistant(call("c")), say("system", "late"), user(result("c", "done"))]
    wanted = asked(replace(say("system", "top"), at="system"), *messages)
    _, body, losses = opened(wanted, card)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert body["messages"][-1]["content"] == "<system-reminder>\nlate\n</system-reminder>"
    assert losses.emulated == {"messages[2]": "a late instruction is passed on in the user's turn"}
    assert not losses.dropped


def test_a_model_that_takes_late_instructions_gets_them() -> None:
    card = replace(OLLAMA, mid_conversation_system=True)
    messages = [user("hi"), say("system", "late"), assistant("yes"), user("go")]
    assert [message["role"] for message in sent(asked(*messages), card)] == ["user", "system", "assistant", "user"]
    between = [user("go"), assistant(call("c")), say("system", "late"), user(result("c"))]
    assert [message["role"] for message in sent(asked(*between), card)] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
@pytest.mark.parametrize("parts", [(BILLING, "You are Claude Code"), (BILLING + "\nYou are Claude Code",)])
def test_case_73_the_billing_line_stays_behind(parts: tuple[str, ...], card: Card) -> None:
    first, second = (
        opened(asked(say("system", *(part.replace("%s", mark) for part in parts)), user("hi")), card)
        for mark in ("1a2b3", "ffff0")
    )
    assert first[1] == second[1]
    assert first[1]["messages"][0] == {"role": "system", "content": "You are Claude Code"}
    assert "system" in first[2].emulated
    assert not first[2].dropped


def test_only_the_head_is_a_billing_line() -> None:
    text = "Never write x-anthropic-billing-header: yourself"
    assert sent(asked(say("system", text), user("hi")), OLLAMA)[0]["content"] == text
    assert sent(asked(user(BILLING)), OLLAMA)[0]["content"] == BILLING
    assert [m["role"] for m in sent(asked(say("system", BILLING), user("hi")), OLLAMA)] == ["user"]


# --- order ---------------------------------------------------------------------------------------

ORDER: list[tuple[Card, list[Message], list[str]]] = [
    (OPENAI, [assistant("hello"), user("hi")], ["user", "assistant", "user"]),
    (OLLAMA, [assistant("hello"), user("hi")], ["assistant", "user"]),
    (OLLAMA, [say("system", "a")], ["system", "user"]),
    (OPENAI, [say("system", "a")], ["system", "user"]),
    (OLLAMA, [user("a"), user("b")], ["user"]),
    (OPENAI, [user("a"), assistant("x"), assistant("y"), user("b")], ["user", "assistant", "user"]),
    (OPENAI, [user("a"), assistant(""), user("b")], ["user"]),
    (OPENAI, [user("a"), assistant(call("c")), user("b")], ["user", "assistant", "tool", "user"]),
    (OLLAMA, [user("a"), user(result("c", "orphan"))], ["user"]),
    (OPENAI, [user("a"), assistant("b"), user(" "), assistant("c"), user("d")], ["user", "assistant"] * 2 + ["user"]),
    (OPENAI, [user("")], ["user"]),
]


@pytest.mark.parametrize(("card", "messages", "roles"), ORDER)
def test_order(card: Card, messages: list[Message], roles: list[str]) -> None:
    assert [message["role"] for message in sent(asked(*messages), card)] == roles


def test_speakers_with_names_are_not_merged() -> None:
    ann, bob = (Message(role="user", content=[Text(text="hi")], name=name) for name in ("ann", "bob"))
    assert [m["name"] for m in sent(asked(ann, bob, origin="x"), OPENAI)] == ["ann", "bob"]
    _, body, losses = opened(asked(ann, bob, origin="x"), OLLAMA)
    assert len(body["messages"]) == 1
    assert sorted(losses.dropped) == ["messages[0].name", "messages[1].name"]


def test_ids_are_kept_as_they_are() -> None:
    """Some models read meaning out of theirs."""
    messages = [user("a"), assistant(call("functions.f:0")), user(result("functions.f:0"))]
    wire = sent(asked(*messages), OPENAI)
    assert wire[1]["tool_calls"][0]["id"] == wire[2]["tool_call_id"] == "functions.f:0"
    twice = [*messages, assistant(call("functions.f:0")), user(result("functions.f:0"))]
    ids = [m["tool_call_id"] for m in sent(asked(*twice), OPENAI) if m["role"] == "tool"]
    assert len(set(ids)) == 2


def test_a_model_without_tools_is_told_what_they_did() -> None:
    messages = [user("a"), assistant(call("c", "f", '{"a":1}')), user(result("c", "done", name="f"), "go on")]
    _, body, losses = opened(asked(*messages), plain("ollama"))
    assert lines(body["messages"]) == [
        ("user", "a"),
        ("assistant", '(Called the tool f with {"a":1})'),
        ("user", "Result of the tool f:\ndone\n\ngo on"),
    ]
    assert "messages" in losses.emulated


def test_what_the_client_wrote_for_this_very_api_is_not_touched() -> None:
    messages = [
        say("system", "a"),
        say("system", "b"),
        assistant("x"),
        Message(role="user", content=[], extra={"w": 1}),
    ]
    wanted = asked(*messages, origin="openai_chat")
    made, body, losses = opened(wanted, OPENAI)
    assert made.request.messages == wanted.messages
    assert made.restore is None
    assert body["model"] == "gpt"
    assert not losses.dropped
    assert not losses.emulated


# --- parts ---------------------------------------------------------------------------------------


def test_texts_are_one_text() -> None:
    cited = Text(text="seen", citations=[])
    wire = sent(asked(user("a", "b"), assistant("x", cited), user(result("", "y"), "c")), OPENAI)
    assert [message["content"] for message in wire[:2]] == ["a\n\nb", "x\n\nseen"]


def test_cache_marks_ask_nothing() -> None:
    marked = Text(text="hi", cache="1h")
    wanted = asked(say("system", Text(text="s", cache="5m")), user(marked), cache="5m")
    for card in BOTH:
        _, body, losses = opened(wanted, card)
        assert lines(body["messages"]) == [("system", "s"), ("user", "hi")]
        assert not losses.dropped
        assert not losses.emulated


THOUGHTS: list[tuple[Card, Thinking, dict[str, object], list[str]]] = [
    (OLLAMA, Thinking(text="hm"), {"thinking": "hm"}, []),
    (OPENAI, Thinking(text="hm"), {"reasoning_content": "hm"}, []),
    (OPENAI, Thinking(text="hm", seal=Seal("anthropic", "s")), {"reasoning_content": "hm"}, []),
    (OLLAMA, Thinking(text="hm", seal=Seal("anthropic", "s")), {"thinking": "hm"}, []),
    (OPENAI, Thinking(text=""), {}, []),
    (OLLAMA, Thinking(text="", seal=Seal("anthropic", "s")), {}, ["thinking"]),
    (OPENAI, Thinking(text="", redacted=True, seal=Seal("anthropic", "s")), {}, ["thinking"]),
    (plain("openai_chat"), Thinking(text="hm"), {}, ["thinking"]),
    (plain("ollama"), Thinking(text="hm"), {"thinking": "hm"}, []),
]


@pytest.mark.parametrize(("card", "thought", "members", "dropped"), THOUGHTS)
def test_earlier_reasoning(card: Card, thought: Thinking, members: dict[str, object], dropped: list[str]) -> None:
    messages = [user("a"), assistant(thought, "b"), user("c"), assistant(thought, "d"), user("e")]
    _, body, losses = opened(asked(*messages), card)
    for message in (body["messages"][1], body["messages"][3]):
        assert {k: v for k, v in message.items() if k not in ("role", "content")} == members
    assert list(losses.dropped) == dropped


PARTS: list[tuple[list[Part], str, list[str]]] = [
    ([Refusal(text="no")], "no", []),
    ([Text(text="a"), Foreign(origin="anthropic", extra={"type": "odd"})], "a", ["messages[1].content[1]"]),
    ([Text(text="a"), Text(text="  \n")], "a", []),
]


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
@pytest.mark.parametrize(("content", "text", "dropped"), PARTS)
def test_parts(content: list[Part], text: str, dropped: list[str], card: Card) -> None:
    _, body, losses = opened(asked(user("q"), assistant(*content), user("go")), card)
    assert body["messages"][1] == {"role": "assistant", "content": text}
    assert list(losses.dropped) == dropped


# --- the last message ----------------------------------------------------------------------------


def test_a_prefill_is_continued_or_asked_for() -> None:
    wanted = asked(user("Name a colour."), assistant("The colour is "))
    assert lines(sent(wanted, OLLAMA))[-1] == ("assistant", "The colour is")
    _, body, losses = opened(wanted, OPENAI)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert "messages" in losses.emulated


def test_parts_of_results_are_cleaned_too() -> None:
    odd = Foreign(origin="anthropic", extra={"type": "odd"})
    back = ToolResult(id="c", content=[Text(text="a"), Text(text=""), odd, Text(text="b", cache="5m")])
    _, body, losses = opened(asked(user("q"), assistant(ToolCall(id="c", name="f", arguments="")), user(back)), OPENAI)
    assert body["messages"][-1] == {"role": "tool", "tool_call_id": "c", "content": "a\n\nb"}
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"  # case 38
    assert list(losses.dropped) == ["messages[2].content[0].content[2]"]
