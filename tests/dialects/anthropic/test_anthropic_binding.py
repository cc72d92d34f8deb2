"""Thinking that may no longer hold: what is asked of the server, and what it says it left out."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.dialects import anthropic
from dragoman.dialects.anthropic import BETA, bind, refuses_binding, unbind
from dragoman.dialects.anthropic.binding import decode_dropped
from dragoman.folding import Fold, unfold

DROP = {"prefix_mismatch_behavior": "drop_block"}
SEALED = {"type": "thinking", "thinking": "", "signature": "x"}
REDACTED = {"type": "redacted_thinking", "data": "x"}
TEXT = {"type": "text", "text": "x"}


def body(*blocks: dict[str, Any], **members: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": [TEXT]}, {"role": "assistant", "content": [*blocks, TEXT]}]
    return {"model": "m", **members, "messages": messages}


@pytest.mark.parametrize("block", [SEALED, REDACTED])
@pytest.mark.parametrize(
    ("thinking", "bound"),
    [
        (None, {"type": "adaptive", "block_binding": DROP}),
        ({"type": "adaptive"}, {"type": "adaptive", "block_binding": DROP}),
        (
            {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
            {"type": "enabled", "budget_tokens": 2000, "display": "omitted", "block_binding": DROP},
        ),
    ],
)
def test_thinking_that_goes_back_is_bound(block: Any, thinking: Any, bound: Any) -> None:
    it = body(block, **({"thinking": thinking} if thinking else {}))
    before = dict(it)
    assert bind(it)
    assert it["thinking"] == bound
    assert list(it)[-1] == "messages"
    plain = unbind(it)
    assert plain == before | {"thinking": thinking or {"type": "adaptive"}}


@pytest.mark.parametrize(
    "it",
    [
        body(),
        body(thinking={"type": "adaptive"}),
        body(SEALED, thinking={"type": "disabled"}),
        body(SEALED, thinking={"type": "between_tools"}),
        body(SEALED, thinking={"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}),
        body(SEALED, thinking={"type": "adaptive", "block_binding": None}),
        body(SEALED, thinking={"type": "adaptive", "block_binding": {}}),
    ],
    ids=["no thinking", "none goes back", "off", "between", "the client's own", "its null", "its default"],
)
def test_nothing_is_asked_where_there_is_nothing_to_ask(it: dict[str, Any]) -> None:
    before = repr(it)
    assert not bind(it)
    assert repr(it) == before


@pytest.mark.parametrize(
    ("message", "refuses"),
    [
        (f"Unexpected value(s) `{BETA}` for the `anthropic-beta` header.", True),
        ("thinking.adaptive.block_binding: Extra inputs are not permitted", True),
        ("thinking.adaptive.display: Extra inputs are not permitted", False),
        ("Unexpected value(s) `other-2026-01-01` for the `anthropic-beta` header.", False),
    ],
)
def test_a_refusal_is_known(message: str, refuses: bool) -> None:
    assert refuses_binding(message) is refuses


def _dropped(reason: str) -> dict[str, Any]:
    return {"type": "thinking_dropped", "path": "messages.1.content.0", "reason": reason}


@pytest.mark.parametrize(
    ("value", "dropped"),
    [
        (None, {}),
        ([], {}),
        ("nonsense", {}),
        ([None, 1, {}, {"type": 1}], {}),
        ([{"type": "thinking_mismatch_allowed", "path": "messages.1.content.0"}], {}),
        (
            [_dropped("prefix_binding_mismatch")],
            {"thinking": "what came before it has changed since the model signed it"},
        ),
        (
            [_dropped("model_binding_mismatch"), _dropped("prefix_binding_mismatch")],
            {"thinking": "it is another model's, which this one cannot read"},
        ),
        ([_dropped("organization_binding_mismatch")], {"thinking": "it was signed for another account"}),
        ([_dropped("new_reason")], {"thinking": "new_reason"}),
        ([{"type": "thinking_dropped"}], {"thinking": "the model's server left it out"}),
        ([{"type": "image_dropped", "path": "messages.0.content.1"}], {"messages.0.content.1": "image_dropped"}),
    ],
)
def test_what_was_left_out_is_read(value: Any, dropped: dict[str, str]) -> None:
    assert decode_dropped(value) == dropped


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [TEXT],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
    "input_transformations": [_dropped("prefix_binding_mismatch")],
}
TOLD = {"thinking": "what came before it has changed since the model signed it"}


def test_a_whole_answer_and_a_stream_tell_it() -> None:
    reply = anthropic.decode_reply(dict(MESSAGE))
    assert reply.dropped == TOLD
    fold = Fold("anthropic")
    fold.feed(unfold(reply))
    assert fold.reply.dropped == TOLD


def test_a_stream_tells_it_at_its_start() -> None:
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":{},"input_transformations":'
    )
    events = anthropic.Decoder().feed(
        start + b'[{"type":"thinking_dropped","path":"x","reason":"prefix_binding_mismatch"}]}}\n\n'
    )
    assert [getattr(event, "dropped", None) for event in events] == [TOLD]
