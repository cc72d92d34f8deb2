"""Requests to build rows from: one that is right, and the pieces to make it wrong with."""

from __future__ import annotations

from datetime import date
from typing import Any

from dragoman.models.cards import Card, bundled

TODAY = date(2026, 11, 22)
CARDS: dict[str, Card] = dict(bundled().cards)
CARDS |= {alias: card for card in bundled().cards.values() for alias in card.aliases}

SONNET_45 = "claude-sonnet-4-5"  # manual thinking, prefill, temperature or top_p, no effort
OPUS_46 = "claude-opus-4-6"  # manual and adaptive thinking, no prefill
OPUS_48 = "claude-opus-4-8"  # adaptive, no sampling, mid-conversation system
SONNET_55 = "claude-sonnet-5-5"  # between_tools
OPUS_55 = "claude-opus-5-5"  # always thinks, no forced tools
ASK = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
TOOL = {"name": "clock", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:00"}
CACHED = {"cache_control": {"type": "ephemeral"}}
FORGED = {"type": "thinking", "thinking": "hm", "signature": "EqQBCkYIBxgC"}


def body(**members: Any) -> dict[str, Any]:
    """A request Sonnet 4.5 takes, changed by `members`; a member given as None is left out."""
    base = {"model": SONNET_45, "max_tokens": 100, "messages": [ASK]}
    return {name: value for name, value in (base | members).items() if value is not None}


def said(*contents: Any, **members: Any) -> dict[str, Any]:
    """A conversation of user and assistant in turn."""
    roles = ("user", "assistant")
    return body(messages=[{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)], **members)


def text(words: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **members}


def system(words: str) -> dict[str, Any]:
    return {"role": "system", "content": words}


SEARCHED = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
]
BUDGET = {"type": "enabled", "budget_tokens": 1024}

TAKEN = [
    body(),
    body(model=OPUS_48, messages=[ASK, system("be brief")]),
    body(model=OPUS_48, messages=[ASK, system("x"), {"role": "assistant", "content": "a"}, ASK]),
    body(messages=[ASK, ASK]),
    said("q", "a"),
    said("q", ""),
    said("q", [CALL], [{"type": "tool_result", "tool_use_id": "toolu_1"}]),
    said("q", [CALL], [RESULT, text("and?")]),
    said("q", [FORGED, text("a")], "q", "a", "q"),  # an older turn's thinking is not looked at
    body(tools=[TOOL], tool_choice={"type": "any"}),
    body(tools=[{**TOOL, "type": None}]),
    body(temperature=0.5, top_k=3),
    body(model=OPUS_46, max_tokens=2000, thinking=BUDGET),
    body(model=SONNET_55, thinking={"type": "between_tools"}, output_config={"effort": "high"}),
    body(model="claude-opus-5", output_config={"effort": "max"}),
    said("q", [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}], model=OPUS_48),
    said([text("x", **CACHED)] * 4),
    said("q", SEARCHED, model=OPUS_48),
    said("q", [SEARCHED[0], CALL], [RESULT], [SEARCHED[1], text("so")], "q"),
    said("q", [*SEARCHED, text("so")], "q"),
]
