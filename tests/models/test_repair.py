"""Which answers are checked, what a model is told to mend, and the end of a stream that does not fit."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from dragoman.conversation import (
    Event,
    Fault,
    Finish,
    Format,
    Message,
    Object,
    PartEnd,
    PartStart,
    Reason,
    Refusal,
    Reply,
    Request,
    Seal,
    Start,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
)
from dragoman.dialects import registry
from dragoman.folding import unfold
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.fit import fit
from dragoman.models.repair import (
    CheckStream,
    check_stream,
    is_checked,
    is_excused,
    needs_check,
    repair_request,
    reply_complaint,
    report_unchecked,
    report_unmet,
    unmet,
)
from tests.models.building import assistant, card_with, request, say, user
from tests.models.open_building import OLLAMA, OPENAI

SCHEMA: Object = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
FORM = Format(kind="schema", schema=SCHEMA)
WRONG = '{"n": 0}'
WHY = "$.n: 0 is less than the minimum of 1"


def replied(*content: Any, origin: str = "anthropic", reason: Reason = "stop") -> Reply:
    parts = [Text(text=part) if isinstance(part, str) else part for part in content]
    return Reply(origin=origin, id="r", model="m", content=parts, reason=reason)


@pytest.mark.parametrize("reason", get_args(Reason))
def test_only_an_answer_that_says_it_is_whole_is_checked(reason: Reason) -> None:
    assert needs_check(request(format=FORM), replied(WRONG, reason=reason)) is (reason == "stop")


@pytest.mark.parametrize("part", [ToolCall(id="x", name="f", arguments="{}"), Refusal(text="no")])
def test_a_call_and_a_refusal_are_no_answer(part: ToolCall | Refusal) -> None:
    assert not needs_check(request(format=FORM), replied("Let me see.", part))


WHO: list[tuple[str, str, bool]] = [
    ("ollama", "anthropic", True),
    ("ollama", "openai_chat", True),
    ("openai_chat", "ollama", True),
    ("anthropic", "ollama", True),
    ("anthropic", "anthropic", True),  # what is translated is fitted to the model
    ("ollama", "ollama", False),
    ("openai_chat", "openai_chat", False),
]


@pytest.mark.parametrize(("client", "target", "checked"), WHO)
def test_what_was_written_for_the_server_itself_is_left_to_it(client: str, target: str, checked: bool) -> None:
    wanted = request(origin=client, format=FORM)
    assert is_checked(wanted, target) is checked
    assert needs_check(wanted, replied(WRONG, origin=target)) is checked
    assert (check_stream(wanted, target) is not None) is checked
    assert not is_checked(request(origin=client), target)
    assert check_stream(request(origin=client), target) is None


def test_an_answer_whose_beginning_the_client_wrote_is_not_checked() -> None:
    assert not is_checked(request(user("hi"), assistant("{"), format=FORM), "anthropic")


def test_thinking_is_no_part_of_the_answer() -> None:
    reply = replied(Thinking(text="hm"), '{"n":', " 1}")
    assert reply_complaint(request(format=FORM), reply) is None
    assert reply_complaint(request(format=FORM), replied(WRONG)) == WHY
    assert reply_complaint(request(), replied(WRONG)) is None


# --- mending -------------------------------------------------------------------------------------


def test_the_model_sees_what_it_said_and_what_is_wrong_with_it() -> None:
    thought = Thinking(text="hm", seal=Seal("anthropic", "S"))
    wanted = request(say("system", "s"), user("hi"), format=FORM, max_tokens=50)
    again = repair_request(wanted, replied(thought, WRONG), WHY)
    assert again.messages[:2] == wanted.messages and len(wanted.messages) == 2
    said, told = again.messages[2:]
    assert said == Message(role="assistant", content=[thought, Text(text=WRONG)])
    assert told.role == "user" and isinstance(told.content[0], Text) and WHY in told.content[0].text
    assert (again.format, again.max_tokens, again.model) == (FORM, 50, wanted.model)
    assert [message.role for message in repair_request(wanted, replied(), WHY).messages] == ["system", "user", "user"]


CLAUDE = card_with(structured_outputs=True)
OLD = replace(CLAUDE, id="old", structured_outputs=False)
SHAPES: list[Format] = [
    FORM,
    Format(kind="json"),
    Format(kind="schema", schema={"type": "array", "items": SCHEMA}),
    Format(kind="schema", schema={"type": "object"}),
]
TOOL = Tool(name="f", schema={"type": "object", "properties": {}})


@pytest.mark.parametrize("card", [CLAUDE, OLD, OLLAMA, OPENAI], ids=lambda card: card.id)
@pytest.mark.parametrize("form", SHAPES)
@pytest.mark.parametrize("tools", [[], [TOOL]])
def test_what_came_before_is_sent_again_byte_for_byte(card: Card, form: Format, tools: list[Tool]) -> None:
    """Prompt caches and seals depend on it."""
    wanted = request(say("system", "s"), user("hi"), assistant("a"), user("go"), format=form, tools=tools)
    if card.dialect == wanted.origin:
        wanted.origin = "anthropic"
    first = written(wanted, card)
    again = written(repair_request(wanted, replied(WRONG), WHY), card)
    before, after = first.pop("messages"), again.pop("messages")
    assert first == again
    assert after[: len(before)] == before and len(after) == len(before) + 2


def written(wanted: Request, card: Card) -> Any:
    losses = Losses()
    made = fit(wanted, card, losses, prompt_cache="off")
    return json.loads(json.dumps(registry()[card.dialect].encode_request(made.request, losses)))


def test_the_error_says_what_was_tried() -> None:
    assert WHY in unmet(WHY, repaired=False).message and "repair" not in unmet(WHY, repaired=False).message
    error = unmet(WHY, repaired=True)
    assert WHY in error.message and "one repair" in error.message
    assert error.kind == "format_unmet"
    assert (error.row.anthropic, error.row.openai, error.row.ollama) == (502, 502, 502)


# --- who minds -----------------------------------------------------------------------------------


def test_who_says_that_it_need_not_be_strict_gets_the_answer_and_the_report() -> None:
    lax = request(format=Format(kind="schema", schema=SCHEMA, strict=False))
    assert is_excused(lax) and not is_excused(request(format=FORM)) and not is_excused(request())
    assert check_stream(lax, "anthropic") is None
    losses = Losses({"format": "response_format"})
    report_unmet(WHY, losses)
    assert losses.dropped == {"response_format": f"the answer does not fit: {WHY}"}


def test_a_schema_that_cannot_be_checked_is_reported() -> None:
    odd = request(format=Format(kind="schema", schema={"$ref": "https://example.org/s.json"}))
    for wanted, target, told in (
        (odd, "anthropic", ["format.schema"]),
        (odd, "ollama", []),  # of its own dialect
        (request(format=FORM), "anthropic", []),
        (request(), "anthropic", []),
    ):
        losses = Losses()
        report_unchecked(wanted, target, losses)
        assert list(losses.emulated) == told and not losses.dropped


# --- streams -------------------------------------------------------------------------------------


def ended(*content: Any, reason: Reason = "stop") -> Event:
    events = unfold(replied(*content, reason=reason))
    out: list[Event] = []
    machine = CheckStream(FORM)
    for event in events:
        out += machine.feed([event])
    assert out[:-1] == events[:-1]
    return out[-1]


def test_a_stream_that_fits_ends_as_it_did() -> None:
    for content in (
        ['{"n": 1}'],
        [Thinking(text="{"), '{"n":', "2}"],
        ["```", ToolCall(id="x", name="f", arguments="")],
    ):
        assert isinstance(ended(*content), Finish)
    assert isinstance(ended(WRONG, reason="length"), Finish)
    assert isinstance(ended("no", Refusal(text="I will not")), Finish)


def test_one_that_does_not_is_never_a_finished_answer() -> None:
    for content in ([WRONG], [], ["", "hello"], [Thinking(text='{"n": 1}'), "{"]):
        last = ended(*content)
        assert isinstance(last, Fault) and last.kind == "format_unmet"
    assert WHY in getattr(ended(WRONG), "message", "")


def test_text_in_a_parts_beginning_counts() -> None:
    events: list[Event] = [
        Start("x", "m"),
        PartStart(0, Text(text='{"n"')),
        TextDelta(0, ": 3}"),
        PartEnd(0),
        Finish("stop"),
    ]
    assert CheckStream(FORM).feed(events) == events
