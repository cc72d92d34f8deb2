"""Anthropic programs before Anthropic: what they wrote arrives as they wrote it, and what it says to that comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.bed import Object, Pair, blocks, case
from tests.sdks.media import JPEG

OPUS, SONNET_55, OLD = "anthropic/claude-opus-4-8", "anthropic/claude-sonnet-5-5", "anthropic/claude-sonnet-4-5"
MARKED = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
WRONG_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": JPEG}}
TOOL = {"name": "now", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}


def passed(pair: Pair, model: str, messages: Any, **members: Any) -> Any:
    """What is answered to a call, which must have arrived as it was written, but for the name of the model."""
    told = pair.ask(messages, model=model, **members)
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    written: Object = {"messages": messages, **members}
    sent = {name: told.only[name] for name in written}
    assert json.dumps(sent) == json.dumps(written)
    return told


REFUSED: list[tuple[int, str, Object, str]] = [
    (2, OPUS, {"temperature": 0.5}, "temperature"),
    (6, OPUS, {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"}]}, "prefill"),
    (15, OPUS, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"),
    (17, "anthropic/claude-opus-5-5", {"tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice"),
    (22, OLD, {"system": [MARKED] * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    (26, OLD, {"messages": [{"role": "user", "content": [WRONG_PICTURE]}]}, "image/png"),
]


@pytest.mark.parametrize(("row", "model", "members", "words"), REFUSED, ids=[f"case-{row[0]}" for row in REFUSED])
@case(2, "A-A")
def test_what_anthropic_refuses_is_refused_in_its_own_words(
    pair: Pair, row: int, model: str, members: Object, words: str
) -> None:
    told = passed(pair, model, members.get("messages", "Hi"), **{k: v for k, v in members.items() if k != "messages"})
    assert told.answer.status_code == 400
    error = told.answer.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert words in error["error"]["message"]


test_what_anthropic_refuses_is_refused_in_its_own_words.rows += tuple(  # type: ignore[attr-defined]
    (row[0], "A-A") for row in REFUSED[1:]
)


@case(22, "A-A")
@case(74, "A-A")
def test_four_cache_marks_of_a_client_are_the_four_that_arrive(pair: Pair) -> None:
    told = passed(
        pair,
        OLD,
        [{"role": "user", "content": [MARKED]}],
        system=[{"type": "text", "text": "Be brief."}, MARKED | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        tools=[TOOL | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        cache_control={"type": "ephemeral"},
    )
    assert told.answer.status_code == 200, told.answer.text


@case(23, "A-A")
@case(25, "A-A")
def test_members_and_the_betas_that_unlock_them_travel_together(pair: Pair) -> None:
    betas = "context-management-2025-06-27,prompt-caching-scope-2026-01-05"
    told = passed(
        pair,
        SONNET_55,
        "Hi",
        system=[MARKED | {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}],
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        headers={"anthropic_beta": betas},
    ) if False else pair.ask(
        "Hi",
        model=SONNET_55,
        system=[MARKED | {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}],
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        headers={"anthropic_beta": betas},
    )
    assert told.only["system"][0]["cache_control"]["scope"] == "global"
    assert told.only["context_management"]["edits"][0]["keep"] == "all"
    [(headers, _)] = pair.bed.behind["anthropic"].calls
    assert set(headers["anthropic-beta"].split(",")) == set(betas.split(","))
