"""Conversations of nothing but words: what is one, and that the steps which are left out for it would do nothing."""

from __future__ import annotations

from datetime import date

import pytest

from dragoman.conversation import Citation, Media, Message, Part, Refusal, Request, Text, Thinking, ToolCall
from dragoman.losses import Losses
from dragoman.models import catalogue, turns
from dragoman.models.open import turns as open_turns
from dragoman.models.open.card import generic
from dragoman.models.plain import is_plain

CLAUDE = catalogue.build().resolve("claude-sonnet-4-5", date(2026, 1, 1)).card


def said(*messages: Message) -> Request:
    return Request(origin="openai_chat", model="m", messages=list(messages))


PLAIN = [
    said(Message(role="user", content=[Text(text="Hello")])),
    said(
        Message(role="system", content=[Text(text="Be brief.")], at="system"),
        Message(role="user", content=[Text(text=" Hello "), Text(text="again")]),
        Message(role="user", content=[Text(text="and again")]),
        Message(role="assistant", content=[Text(text="Hi")]),
        Message(role="system", content=[Text(text="Be rude.")]),
    ),
    said(Message(role="assistant", content=[Text(text="Hi")])),
]


@pytest.mark.parametrize("request_", PLAIN)
def test_words_are_plain(request_: Request) -> None:
    assert is_plain(request_)


@pytest.mark.parametrize(
    "part",
    [
        Text(text=""),
        Text(text=" \n\u2003"),
        Text(text="x", cache="5m"),
        Text(text="x", extra={"annotations": []}),
        Text(text="x", citations=[Citation(url="https://example.com")]),
        Refusal(text="x"),
        Thinking(text="x"),
        Media(kind="image", data="aGk="),
        ToolCall(id="c", name="f", arguments="{}"),
    ],
)
def test_any_other_part_is_not(part: Part) -> None:
    words = Text(text="x")
    assert not is_plain(said(Message(role="user", content=[words]), Message(role="assistant", content=[words, part])))


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", content=[]),
        Message(role="user", content=[Text(text="x")], name="Ann"),
        Message(role="user", content=[Text(text="x")], extra={"weight": 1}),
    ],
)
def test_a_message_that_says_more_or_nothing_is_not(message: Message) -> None:
    assert not is_plain(said(message))


@pytest.mark.parametrize("request_", PLAIN)
def test_the_turns_are_the_same_with_all_steps(request_: Request) -> None:
    for fit_turns, card in (
        (turns.fit_turns, CLAUDE),
        (open_turns.fit_turns, generic("m", "ollama", "ollama")),
        (open_turns.fit_turns, generic("m", "openai_chat", "openai_chat")),
    ):
        short, whole = Losses(), Losses()
        assert fit_turns(request_, card, short, plain=True) == fit_turns(request_, card, whole)
        assert (short.dropped, short.emulated) == (whole.dropped, whole.emulated)
