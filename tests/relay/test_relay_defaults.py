"""What the configuration gives a model: only what the client did not say."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from dragoman.config.settings import Override
from dragoman.conversation import Message, Reasoning, Request, Text, Tool
from dragoman.losses import Losses
from dragoman.models.catalogue import build
from dragoman.relay.defaults import apply_override

TODAY = date(2026, 11, 22)
SYSTEM = Message(role="system", content=[Text(text="Be brief.")])
SEARCH = Tool(name="web_search", hosted=True, extra={"type": "web_search_20250305", "name": "web_search"})
USER = Message(role="user", content=[Text(text="Hi")])


def asked(name: str = "claude-sonnet-4.5", **members: Any) -> Request:
    return Request(**({"origin": "ollama", "model": name, "messages": [USER]} | members))


def applied(request: Request, overrides: dict[str, Override]) -> Request:
    return apply_override(request, overrides, build().resolve(request.model, TODAY), Losses())


@pytest.mark.parametrize(
    ("override", "change"),
    [
        (Override(max_tokens=99), {"max_tokens": 99}),
        (Override(temperature=0.0), {"temperature": 0.0}),
        (Override(top_p=0.5, top_k=3), {"top_p": 0.5, "top_k": 3}),
        (Override(think=True), {"reasoning": Reasoning(enabled=True, visible=True)}),
        (Override(think=False), {"reasoning": Reasoning(enabled=False)}),
        (Override(effort="low"), {"reasoning": Reasoning(effort="low")}),
        (Override(system="Be brief."), {"messages": [SYSTEM, USER]}),
        (Override(server_tools=("web_search",)), {"tools": [SEARCH]}),
        (Override(context_window=5, hidden=True), {}),
    ],
)
def test_what_the_client_did_not_say_is_given(override: Override, change: dict[str, Any]) -> None:
    assert applied(asked(), {"claude-sonnet-4.5": override}) == asked(**change)


@pytest.mark.parametrize(
    "said",
    [
        {"max_tokens": 7},
        {"temperature": 1.0},
        {"top_p": 1.0},
        {"top_k": 0},
        {"reasoning": Reasoning(enabled=False)},
        {"messages": [SYSTEM, USER]},
        {"messages": [USER, Message(role="developer", content=[Text(text="x")])]},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_the_client_said_stands(said: dict[str, Any]) -> None:
    override = Override(max_tokens=99, temperature=0.1, top_p=0.1, top_k=9, think=True, system="Be long.")
    given = applied(asked(**said), {"claude-sonnet-4.5": override})
    (name,) = said
    assert getattr(given, name) == said[name]
    assert given != asked(**said), "the other members of the override were not applied"


@pytest.mark.parametrize("name", ["claude-sonnet-4.5", "CLAUDE-SONNET-4.5", "claude-sonnet-4.5:latest"])
@pytest.mark.parametrize("key", ["claude-sonnet-4.5", "Claude-Sonnet-4.5:latest", "claude-sonnet-4-5-20250929"])
def test_names_are_compared_as_everywhere(name: str, key: str) -> None:
    assert applied(asked(name), {key: Override(max_tokens=99)}).max_tokens == 99


def test_the_name_asked_for_comes_before_the_model() -> None:
    overrides = {"claude-sonnet-4-5-20250929": Override(max_tokens=1), "claude-sonnet-4.5": Override(max_tokens=2)}
    assert applied(asked(), overrides).max_tokens == 2
    assert applied(asked("claude-sonnet"), overrides).max_tokens == 1


def test_other_models_are_not_touched() -> None:
    request = asked()
    assert applied(request, {"claude-haiku": Override(max_tokens=1)}) is request
    assert applied(request, {}) is request
