"""Rows of the matrix: who says what, in whatever characters, and how an answer ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from tests.matrix.neutral import Answer, Ask, Sent, assistant, developer, system, user
from tests.matrix.table import Meeting, Row, Step

STRANGE = 'Grüße an 世界 🌍 und 👩‍👩‍👧: <b>&amp;</b> "x" \\n \u2028 e\u0301 \u200d.'


def says(words: str) -> Callable[[Answer, Meeting], None]:
    """The answer ends in these words and calls nothing."""

    def check(answer: Answer, meeting: Meeting) -> None:
        assert answer.text.endswith(words)
        assert not answer.calls

    return check


def _in_pieces(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith("You said: Hello there, this is a longer question")
    assert not answer.thinking
    assert not answer.refusal
    assert answer.pieces > 5 if meeting.streamed else answer.pieces == 1


def _plain(sent: Sent, meeting: Meeting) -> None:
    assert sent.turns == [("user", "Hello there, this is a longer question")]
    assert not sent.system
    assert sent.limit == 2000


def _told_first(sent: Sent, meeting: Meeting) -> None:
    assert sent.system == "Be brief."
    assert sent.turns == [("user", "Hello")]


def _three_turns(sent: Sent, meeting: Meeting) -> None:
    assert sent.turns == [("user", "Hello"), ("assistant", "Hi."), ("user", "And now?")]


def _own_answer(sent: Sent, meeting: Meeting) -> None:
    (_, first), (role, second), (_, third) = sent.turns
    assert (first, role, third) == ("Hello", "assistant", "And now?")
    assert second.endswith("You said: Hello")


def _told_late(sent: Sent, meeting: Meeting) -> None:
    said = json.dumps(sent.body)
    assert said.index("Hi.") < said.index("Answer in French.")
    assert "Be brief." in sent.system


def _strange(sent: Sent, meeting: Meeting) -> None:
    assert sent.turns[-1][1].startswith(STRANGE)


def _only_strange(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith(f"You said: {STRANGE}")


WORDS: Sequence[Row] = (
    Row("text", [Step(Ask(turns=[user("Hello there, this is a longer question")]), _in_pieces, _plain)]),
    Row("system prompt", [Step(Ask(turns=[system("Be brief."), user("Hello")]), says("You said: Hello"), _told_first)]),
    Row(
        "several turns",
        [
            Step(
                Ask(turns=[user("Hello"), assistant("Hi."), user("And now?")]),
                says("You said: And now?"),
                _three_turns,
            )
        ],
        client=frozenset({"turns"}),
    ),
    Row(
        "its own answer sent back",
        [
            Step(Ask(turns=[user("Hello")]), says("You said: Hello")),
            Step(
                lambda answer: Ask(turns=[user("Hello"), answer, user("And now?")]),
                says("You said: And now?"),
                _own_answer,
            ),
        ],
        client=frozenset({"turns"}),
    ),
    Row(
        "late developer message",
        [
            Step(
                Ask(
                    turns=[
                        system("Be brief."),
                        user("Hello"),
                        assistant("Hi."),
                        developer("Answer in French."),
                        user("And now?"),
                    ]
                ),
                says("And now?"),
                _told_late,
            )
        ],
        client=frozenset({"developer"}),
    ),
    Row(
        "late system message",
        [
            Step(
                Ask(turns=[system("Be brief."), user("Hello"), system("Answer in French.")]),
                lambda answer, meeting: None,
                lambda sent, meeting: _french(sent),
            )
        ],
        model="levels",
        client=frozenset({"late system"}),
    ),
    Row(
        "characters cut by the network",
        [Step(Ask(turns=[user(f"{STRANGE} [[simulate: auto chunk=3]]")]), _only_strange, _strange)],
    ),
)


def _french(sent: Sent) -> None:
    assert "Be brief." in sent.system
    assert "Answer in French." in json.dumps(sent.body)


# --- how an answer ends ---------------------------------------------------------------------------


def _limited(sent: Sent, meeting: Meeting) -> None:
    assert sent.limit == 16


def _short(answer: Answer, meeting: Meeting) -> None:
    assert answer.output == 16
    assert answer.text
    assert "You said" not in answer.text


def _stops(sent: Sent, meeting: Meeting) -> None:
    assert sent.stop == ["Paris", "London"]


def _told_of_stop(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith("You said: Tell me of Paris now")
    assert "stop" in answer.headers["x-dragoman-dropped"]


def _stopped(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith("You said: Tell me of ")
    assert answer.stop == ("Paris" if meeting.both_can("stop_sequence") else None)


def _knows_stop(meeting: Meeting) -> str:
    return "stop_sequence" if meeting.both_can("stop_sequence") else "stop"


def _refused(answer: Answer, meeting: Meeting) -> None:
    """Where client and server have no common word for it, it is plain text; Anthropic's own bytes stay as they are."""
    if meeting.both_can("refusal"):
        assert answer.refusal == "The simulator was asked to refuse."
    elif meeting.client.name == meeting.behind.name:
        assert not answer.text
    else:
        assert "refuse" in answer.text or "can't help" in answer.text


def _how_refused(meeting: Meeting) -> str:
    """OpenAI's own refusals are a text of their own, and no other end."""
    own = meeting.client.name == "openai chat" and meeting.behind.dialect == "openai_chat"
    return "refusal" if "refusal" in meeting.behind.can and not own else "stop"


def _no_room(answer: Answer, meeting: Meeting) -> None:
    assert answer.text
    assert "rest" not in answer.text


def _how_full(meeting: Meeting) -> str:
    return "context" if meeting.behind.name == "anthropic" else "length"


ENDS: Sequence[Row] = (
    Row("length", [Step(Ask(turns=[user("Hello there")], limit=16), _short, _limited, "length")]),
    Row(
        "stop sequence",
        [Step(Ask(turns=[user("Tell me of Paris now")], stop=["Paris", "London"]), _stopped, _stops, _knows_stop)],
        client=frozenset({"stop"}),
        server=frozenset({"stop"}),
    ),
    Row(
        "stop sequence that cannot be said",
        [Step(Ask(turns=[user("Tell me of Paris now")], stop=["Paris"]), _told_of_stop)],
        client=frozenset({"stop"}),
        server=frozenset({"no stop"}),
    ),
    Row("refusal", [Step(Ask(turns=[user("Hello [[simulate: refusal]]")]), _refused, end=_how_refused)]),
    Row(
        "no room left in the window",
        [Step(Ask(turns=[user("Hello [[simulate: context_window_exceeded after=5]]")]), _no_room, end=_how_full)],
    ),
    Row(
        "members nobody knows yet",
        [Step(Ask(turns=[user("Hello [[simulate: unknown_event]]")]), says("You said: Hello"))],
    ),
)
