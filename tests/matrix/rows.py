"""The scenarios of an answer, once for all clients and servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
from pydantic import BaseModel

from dragoman.conversation import Media, Text, Tool
from tests.matrix.neutral import Answer, Ask, Call, Result, Results, Sent, assistant, developer, system, user
from tests.matrix.table import Meeting, Row, Step
from tests.relay.pdfs import pdf
from tests.sdks.media import JPEG, PNG

Seen = Callable[[Answer, Meeting], None]
Received = Callable[[Sent, Meeting], None]


def _any(sent: Sent, meeting: Meeting) -> None:
    """Nothing special is received."""


def _says(words: str) -> Seen:
    def check(answer: Answer, meeting: Meeting) -> None:
        assert words in answer.text
        assert not answer.calls

    return check


def _turns(*turns: tuple[str, str]) -> Received:
    def check(sent: Sent, meeting: Meeting) -> None:
        assert sent.turns == list(turns)

    return check


# --- words ------------------------------------------------------------------------------------------

STRANGE = "Grüße an 世界 🌍 und 👩‍👩‍👧: <b>&amp;</b> \"x\" \\n \u2028 e\u0301 end"
_CHUNKED = "[[simulate: auto chunk=3]]"


def _in_pieces(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith("You said: Hello there, this is a longer question")
    assert not answer.thinking and not answer.refusal
    assert answer.pieces > 5 if meeting.streamed else answer.pieces == 1


def _told_first(sent: Sent, meeting: Meeting) -> None:
    assert sent.system == "Be brief."
    assert sent.turns == [("user", "Hello")]


def _told_late(sent: Sent, meeting: Meeting) -> None:
    said = json.dumps(sent.body)
    assert said.index("Hello") < said.index("Answer in French.") < said.index("And now?")
    assert sent.system.startswith("Be brief.")


def _strange(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith(f"You said: {STRANGE}")


def _limited(sent: Sent, meeting: Meeting) -> None:
    assert sent.limit == 5


def _short(answer: Answer, meeting: Meeting) -> None:
    assert answer.output == 5
    assert answer.text and "You said" not in answer.text


def _stopped(answer: Answer, meeting: Meeting) -> None:
    assert answer.text.endswith("You said: Tell me of ")
    known = meeting.both_can("stop_sequence")
    assert answer.stop == ("Paris" if known else None)


def _stops(sent: Sent, meeting: Meeting) -> None:
    assert sent.stop == ["Paris"]


TEXT: Sequence[Row] = (
    Row("text", [Step(Ask(turns=[user("Hello there, this is a longer question")]), _any, _in_pieces)]),
    Row(
        "system prompt",
        [Step(Ask(turns=[system("Be brief."), user("Hello")]), _told_first, _says("You said: Hello"))],
    ),
    Row(
        "several turns",
        [
            Step(
                Ask(turns=[user("Hello"), assistant("Hi."), user("And now?")]),
                _turns(("user", "Hello"), ("assistant", "Hi."), ("user", "And now?")),
                _says("You said: And now?"),
            ),
        ],
        client=frozenset({"turns"}),
    ),
    Row(
        "its own answer sent back",
        [
            Step(Ask(turns=[user("Hello")]), _any, _says("You said: Hello")),
            Step(
                lambda answer: Ask(turns=[user("Hello"), answer, user("And now?")]),
                lambda sent, meeting: _same("assistant", "You said: Hello", sent),
                _says("You said: And now?"),
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
                _told_late,
                _says("And now?"),
            ),
        ],
        client=frozenset({"developer"}),
        translated=True,
    ),
    Row(
        "late system message",
        [
            Step(
                Ask(
                    turns=[
                        system("Be brief."),
                        user("Hello"),
                        assistant("Hi."),
                        user("And now?"),
                        system("Answer in French."),
                    ]
                ),
                lambda sent, meeting: _same("", "Answer in French.", sent),
                _says("And now?"),
            ),
        ],
        model="levels",
        client=frozenset({"late system"}),
    ),
    Row(
        "characters cut by the network",
        [Step(Ask(turns=[user(f"{STRANGE} {_CHUNKED}".replace(" end", "")+ " end")]), _any, _says("end"))],
    ),
    Row("length", [Step(Ask(turns=[user("Hello there")], limit=5), _limited, _short, "length")]),
)


def _same(role: str, words: str, sent: Sent) -> None:
    assert any(words in text for who, text in [("system", sent.system), *sent.turns] if role in ("", who))
