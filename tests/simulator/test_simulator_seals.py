"""Thinking that comes back: honest signatures pass, altered and foreign ones do not."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

ALWAYS = "claude-opus-5-5"  # thinks always, checks the prefix
PLAIN = "claude-opus-5"  # thinks, does not check the prefix
MANUAL = "claude-opus-4-5"
BINDING = "thinking-binding-controls-2026-08-01"
SHOWN = {"type": "adaptive", "display": "summarized"}
TOOLS = [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}]
ASKED = {"role": "user", "content": 'call f with "x"'}


def body(model: str, *messages: Any, **members: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 3000, "messages": list(messages), "tools": TOOLS} | members


def first_turn(sdk: anthropic.Anthropic, model: str, **members: Any) -> list[dict[str, Any]]:
    """The assistant's blocks as a client sends them back."""
    answer = sdk.messages.create(**body(model, ASKED, **members))
    return [block.model_dump() for block in answer.content]


def with_results(blocks: list[dict[str, Any]]) -> tuple[Any, Any, Any]:
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": "ok"} for call in calls]
    return ASKED, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}


CASES = [
    (ALWAYS, SHOWN),
    (ALWAYS, {"type": "adaptive"}),
    (PLAIN, SHOWN),
    (MANUAL, {"type": "enabled", "budget_tokens": 2000}),
]


@pytest.mark.parametrize(("model", "thinking"), CASES)
def test_what_was_issued_is_taken_back(sdk: anthropic.Anthropic, model: str, thinking: dict[str, Any]) -> None:
    blocks = first_turn(sdk, model, thinking=thinking)
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    answer = sdk.messages.create(**body(model, *with_results(blocks), thinking=thinking))
    assert answer.stop_reason == "end_turn"
    # and once more, with the answer's own thinking in the history and another question after it
    history = [*with_results(blocks), {"role": "assistant", "content": answer.content}, ASKED]
    assert sdk.messages.create(**body(model, *history, thinking=thinking)).stop_reason == "tool_use"


def refused(sdk: anthropic.Anthropic, request: dict[str, Any]) -> str:
    with pytest.raises(anthropic.BadRequestError) as caught:
        sdk.messages.create(**request)
    return str(caught.value)


@pytest.mark.parametrize("model", [ALWAYS, PLAIN])
def test_altered_thinking_is_refused(sdk: anthropic.Anthropic, model: str) -> None:
    blocks = first_turn(sdk, model, thinking=SHOWN)
    blocks[0]["thinking"] += " And more."
    words = refused(sdk, body(model, *with_results(blocks), thinking=SHOWN))
    assert "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message" in words


def test_an_altered_signature_is_refused(sdk: anthropic.Anthropic) -> None:
    blocks = first_turn(sdk, PLAIN, thinking=SHOWN)
    signature = blocks[0]["signature"]
    for forged in ("", signature[:-8], signature[:40] + "AAAA" + signature[44:], "not base64"):
        blocks[0]["signature"] = forged
        words = refused(sdk, body(PLAIN, *with_results(blocks)))
        assert "messages.1.content.0: Invalid `signature` in `thinking` block" in words


def test_text_put_into_an_omitted_block_is_ignored(sdk: anthropic.Anthropic) -> None:
    blocks = first_turn(sdk, ALWAYS)
    assert blocks[0]["thinking"] == ""
    blocks[0]["thinking"] = "anything"
    assert sdk.messages.create(**body(ALWAYS, *with_results(blocks))).stop_reason == "end_turn"


def test_redacted_thinking_makes_the_round_trip(sdk: anthropic.Anthropic) -> None:
    question = {"role": "user", "content": "[[simulate: redacted_thinking]] hi"}
    content = sdk.messages.create(**body(ALWAYS, question)).content
    assert content[0].type == "redacted_thinking"
    again = body(ALWAYS, question, {"role": "assistant", "content": content}, {"role": "user", "content": "and?"})
    assert sdk.messages.create(**again)
    forged = [{"type": "redacted_thinking", "data": content[0].data[:-4] + "AAAA"}, *content[1:]]
    again["messages"][1] = {"role": "assistant", "content": forged}
    assert "Invalid `data` in `redacted_thinking` block" in refused(sdk, again)


MOVED: list[dict[str, Any]] = [
    {"system": "another system prompt"},
    {"tools": [*TOOLS, {"name": "g", "input_schema": {"type": "object"}}]},
    {"messages": [{"role": "user", "content": "another question"}]},
]


@pytest.mark.parametrize("change", MOVED, ids=["system", "tools", "messages"])
def test_thinking_is_bound_to_what_stands_before_it(sdk: anthropic.Anthropic, change: dict[str, Any]) -> None:
    for model in (ALWAYS, PLAIN):
        messages = list(with_results(first_turn(sdk, model)))
        if "messages" in change:
            messages[0] = change["messages"][0]
        request = body(model, *messages, **{k: v for k, v in change.items() if k != "messages"})
        if model == PLAIN:
            assert sdk.messages.create(**request)
            continue
        words = refused(sdk, request)
        assert (
            "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different" in words
        )
        with pytest.raises(anthropic.BadRequestError, match="bound to a different conversation"):
            sdk.messages.count_tokens(**{k: v for k, v in request.items() if k != "max_tokens"})


@pytest.mark.parametrize("stream", [False, True])
def test_a_misplaced_block_can_be_dropped_instead(sdk: anthropic.Anthropic, stream: bool) -> None:
    messages = with_results(first_turn(sdk, ALWAYS))
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    request = body(ALWAYS, *messages, system="new", thinking=thinking)
    if stream:
        with sdk.beta.messages.stream(betas=[BINDING], **request) as events:
            answer: Any = events.get_final_message()
    else:
        answer = sdk.beta.messages.create(betas=[BINDING], **request)
    assert [item.model_dump() for item in answer.input_transformations] == [
        {"type": "thinking_dropped", "path": "messages.1.content.0", "reason": "prefix_binding_mismatch"}
    ]


def test_spelling_does_not_move_a_block(sdk: anthropic.Anthropic) -> None:
    """Text or a block of text, cache marks, order of keys, null members: the conversation is the same."""
    asked, said, results = with_results(first_turn(sdk, ALWAYS, system="s"))
    asked = {
        "content": [{"text": asked["content"], "type": "text", "cache_control": {"type": "ephemeral"}}],
        "role": "user",
    }
    for block in said["content"]:
        block.pop("caller", None)
    cached = [{**TOOLS[0], "cache_control": {"type": "ephemeral"}}]
    system = [{"type": "text", "text": "s"}]
    assert sdk.messages.create(**body(ALWAYS, asked, said, results, system=system, tools=cached))


def test_order_inside_a_tool_input_does(sdk: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "required": ["a", "b"],
    }
    tools = [{"name": "f", "input_schema": schema}]
    asked, said, results = with_results(first_turn(sdk, ALWAYS, tools=tools))
    second = sdk.messages.create(**body(ALWAYS, asked, said, results, tools=tools))
    later = [{"role": "assistant", "content": second.content}, {"role": "user", "content": "and?"}]
    assert sdk.messages.create(**body(ALWAYS, asked, said, results, *later, tools=tools))
    said["content"][1]["input"] = dict(reversed(said["content"][1]["input"].items()))
    assert "messages.3.content.0: Invalid `signature`" in refused(
        sdk, body(ALWAYS, asked, said, results, *later, tools=tools)
    )


def test_another_models_thinking_is_dropped_without_a_word(sdk: anthropic.Anthropic) -> None:
    messages = with_results(first_turn(sdk, PLAIN))
    assert sdk.messages.create(**body(ALWAYS, *messages))
    answer = sdk.beta.messages.create(betas=[BINDING], **body(ALWAYS, *messages))
    assert answer.input_transformations is not None
    assert answer.input_transformations[0].reason == "model_binding_mismatch"


def test_manual_thinking_must_lead_a_tool_loop(sdk: anthropic.Anthropic) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    blocks = first_turn(sdk, MANUAL, thinking=thinking)
    without = with_results(blocks[1:])
    words = refused(sdk, body(MANUAL, *without, thinking=thinking))
    assert "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`." in words
    assert sdk.messages.create(**body(MANUAL, *without))
    assert sdk.messages.create(**body(ALWAYS, *without)).content[0].type == "thinking"


def test_manual_thinking_goes_on_after_results_only_when_interleaved(sdk: anthropic.Anthropic) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    request = body(MANUAL, *with_results(first_turn(sdk, MANUAL, thinking=thinking)), thinking=thinking)
    assert sdk.messages.create(**request).content[0].type == "text"
    header = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    assert sdk.messages.create(**request, extra_headers=header).content[0].type == "thinking"
