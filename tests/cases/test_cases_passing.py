"""Anthropic programs before Anthropic: what they wrote arrives as they wrote it, and its answer comes back as it is."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.cases import captured
from tests.cases.bed import Object, Pair, Told, blocks, case
from tests.sdks.media import JPEG

OPUS, SONNET_55, OLD = "anthropic/claude-opus-4-8", "anthropic/claude-sonnet-5-5", "anthropic/claude-sonnet-4-5"
MARKED = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
WRONG_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": JPEG}}
TOOL = {"name": "now", "input_schema": {"type": "object"}}
THINK = {"type": "adaptive", "display": "summarized"}


def passed(pair: Pair, model: str, messages: Any, headers: Object | None = None, **members: Any) -> Told:
    """What is answered to a call, which must have arrived as it was written, but for the name of the model."""
    told = pair.ask(messages, model=model, headers=headers, **members)
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    written: Object = {"messages": messages, **members}
    sent = {name: told.only[name] for name in written}
    assert json.dumps(sent) == json.dumps(written)
    return told


def refused(pair: Pair, words: str, model: str, messages: Any, **members: Any) -> None:
    """A call that must have arrived as it was written, and been refused by the server in its own words."""
    answer = passed(pair, model, messages, **members).answer
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert words in answer.json()["error"]["message"]


# Rows where the client asks for what the model refuses.
@case(2, "A-A")
def test_sampling_that_a_model_does_not_take_is_refused_by_anthropic(pair: Pair) -> None:
    refused(pair, "`temperature` is deprecated for this model.", OPUS, "Hi", temperature=0.5)


@case(6, "A-A")
def test_a_prefill_that_a_model_does_not_take_is_refused_by_anthropic(pair: Pair) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"}]
    refused(pair, "This model does not support assistant message prefill.", OPUS, messages)


@case(15, "A-A")
def test_a_thinking_budget_that_a_model_does_not_take_is_refused_by_anthropic(pair: Pair) -> None:
    refused(pair, '"thinking.type.enabled"', OPUS, "Hi", thinking={"type": "enabled", "budget_tokens": 2000})


@case(17, "A-A")
def test_a_forced_call_that_a_model_does_not_take_is_refused_by_anthropic(pair: Pair) -> None:
    refused(pair, "tool_choice", "anthropic/claude-opus-5-5", "Hi", tools=[TOOL], tool_choice={"type": "any"})


@case(22, "A-A")
def test_a_fifth_cache_mark_is_refused_by_anthropic(pair: Pair) -> None:
    words = "A maximum of 4 blocks with cache_control may be provided. Found 5."
    refused(pair, words, OLD, "Hi", system=[MARKED] * 5)


@case(26, "A-A")
def test_a_picture_of_another_type_is_refused_by_anthropic(pair: Pair) -> None:
    refused(pair, "image/png", OLD, [{"role": "user", "content": [WRONG_PICTURE]}])


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
def test_the_scope_of_a_mark_needs_its_beta_and_both_are_the_clients(pair: Pair) -> None:
    scoped = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    members: Object = {"system": [MARKED | {"cache_control": scoped}]}
    beta = {"anthropic_beta": "prompt-caching-scope-2026-01-05"}
    told = passed(pair, SONNET_55, "Hi", headers=beta, **members)
    assert told.answer.status_code == 200, told.answer.text
    refused(pair, "cache_control.ephemeral.scope: Extra inputs are not permitted", SONNET_55, "Hi", **members)


@case(25, "A-A")
def test_claude_codes_main_call_arrives_whole(pair: Pair) -> None:
    written = captured.claude_code(SONNET_55, captured.opening("Please use Bash"), 3)
    told = pair.bed.ask("A", written, "/v1/messages?beta=true", **captured.CLAUDE_CODE)
    assert [block["type"] for block in blocks(told)][-1] == "tool_use"
    assert json.dumps(told.only) == json.dumps(written | {"model": "claude-sonnet-5-5"})
    [call] = pair.bed.behind["anthropic"].calls
    assert call[0]["anthropic-beta"] == captured.BETAS


@case(25, "A-A")
def test_a_member_and_the_beta_that_unlocks_it_travel_together(pair: Pair) -> None:
    management = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    betas = "context-management-2025-06-27,prompt-caching-scope-2026-01-05"
    told = passed(
        pair, SONNET_55, "Hi", thinking=THINK, context_management=management, headers={"anthropic_beta": betas}
    )
    assert told.answer.status_code == 200, told.answer.text
    [call] = pair.bed.behind["anthropic"].calls
    assert call[0]["anthropic-beta"] == betas


# --- thinking ----------------------------------------------------------------------------------------------


def history(pair: Pair, display: str) -> list[Object]:
    """A conversation in the middle of a tool loop, with thinking that Claude has signed."""
    messages: list[Object] = [{"role": "user", "content": "What time is it now?"}]
    thinking = {"type": "adaptive", "display": display}
    content = blocks(pair.ask(messages, model=SONNET_55, tools=[TOOL], thinking=thinking, stream=True))
    assert content[0]["type"] == "thinking"
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "noon"}
    return [*messages, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]


@case(53, "A-A")
def test_thinking_that_has_a_signature_and_no_words_is_kept(pair: Pair) -> None:
    messages = history(pair, "omitted")
    assert messages[1]["content"][0]["thinking"] == ""
    told = passed(pair, SONNET_55, messages, tools=[TOOL], thinking=THINK)
    assert told.answer.status_code == 200, told.answer.text
    assert "noon" in told.answer.text


@case(54, "A-A")
def test_thinking_arrives_as_it_was_signed(pair: Pair) -> None:
    messages = history(pair, "summarized")
    assert messages[1]["content"][0]["thinking"]
    told = passed(pair, SONNET_55, messages, tools=[TOOL], thinking=THINK)
    assert told.answer.status_code == 200, told.answer.text
    messages[1]["content"][0]["thinking"] = "Something else."
    refused(pair, "cannot be modified", SONNET_55, messages, tools=[TOOL], thinking=THINK)


@case(55, "A-A")
def test_a_system_prompt_is_not_touched_and_a_client_that_changes_it_is_told(pair: Pair) -> None:
    messages = history(pair, "summarized")
    words = "The block is bound to a different conversation."
    refused(pair, words, SONNET_55, messages, tools=[TOOL], thinking=THINK, system="It is 12:01.")


@case(64, "A-A")
def test_a_stream_leaves_as_it_came(pair: Pair) -> None:
    """Usage and all: the very bytes the server sent."""
    ask: Object = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 900, "stream": True}
    ask |= {"messages": [{"role": "user", "content": "Hi"}]}
    through = pair.bed.ask("A", ask).answer
    direct = pair.bed.http.post(
        pair.bed.behind["anthropic"].url + "/v1/messages",
        json=ask,
        headers={"anthropic-version": "2023-06-01", "x-api-key": "k"},
    )
    assert direct.status_code == through.status_code == 200
    changing = re.compile(r'"msg_\w+"')
    assert changing.sub("", direct.text) == changing.sub("", through.text)
