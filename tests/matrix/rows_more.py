"""Rows of the matrix: pictures and documents, thinking, and answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import jsonschema
from pydantic import BaseModel

from dragoman.conversation import Media, Text
from tests.matrix.neutral import Answer, Ask, Object, Result, Results, Sent, user
from tests.matrix.rows_tools import PARIS, WEATHER
from tests.matrix.rows_words import says
from tests.matrix.table import Meeting, Row, Step
from tests.relay.pdfs import in_base64, pdf, text
from tests.sdks.media import JPEG, PNG

# --- pictures and documents -----------------------------------------------------------------------

PICTURE = Media(kind="image", data=PNG, media_type="image/png")
MISLABELLED = Media(kind="image", data=JPEG, media_type="image/png")
DOCUMENT = Media(
    kind="document",
    data=in_base64(pdf(text("The secret word is marzipan"))),
    media_type="application/pdf",
    name="a.pdf",
)


def _one_picture(answer: Answer, meeting: Meeting) -> None:
    assert "I see 1 image: " in answer.text
    assert answer.text.endswith("You said: What is this?")


def _read(sent: Sent, meeting: Meeting) -> None:
    if "documents" in meeting.behind.can:
        assert DOCUMENT.data in json.dumps(sent.body)
    else:
        assert "The secret word is marzipan" in sent.words


def _is(kind: str) -> Step:
    media = {"image/png": PICTURE, "image/jpeg": MISLABELLED}[kind]

    def sent(sent: Sent, meeting: Meeting) -> None:
        assert sent.images == [kind]
        assert media.data in json.dumps(sent.body)

    return Step(Ask(turns=[user(media, "What is this?")]), _one_picture, sent)


MEDIA: Sequence[Row] = (
    Row("a picture", [_is("image/png")], client=frozenset({"images"})),
    Row("a picture with a wrong label", [_is("image/jpeg")], client=frozenset({"images"}), translated=True),
    Row(
        "a document",
        [Step(Ask(turns=[user(DOCUMENT, "What is this?")]), says("What is this?"), _read)],
        client=frozenset({"documents"}),
        own=frozenset({"documents"}),
    ),
)

# --- thinking -------------------------------------------------------------------------------------


def _thought(answer: Answer, meeting: Meeting) -> None:
    assert answer.thinking
    assert answer.thinking not in answer.text
    if meeting.client.name == "anthropic":
        (seal,) = answer.seals
        assert seal.startswith("dragoman.") is (meeting.behind.name != "anthropic")
        assert seal


def _thought_and_called(answer: Answer, meeting: Meeting) -> None:
    _thought(answer, meeting)
    assert [(call.name, call.arguments) for call in answer.calls] == [("get_weather", {"city": "Paris"})]


def _did_not_think(answer: Answer, meeting: Meeting) -> None:
    assert not answer.thinking
    assert not answer.seals
    assert answer.text.endswith("You said: Hello")


def _told_not_to(sent: Sent, meeting: Meeting) -> None:
    assert sent.think in (False, "disabled", "none", None)


def _told_how_hard(sent: Sent, meeting: Meeting) -> None:
    told = (sent.body.get("output_config") or {}).get("effort") or sent.think
    assert told == "high"


def _results(answer: Answer) -> Ask:
    results = Results([Result(call, [Text(text="rain")]) for call in answer.calls])
    return Ask(turns=[user(PARIS), answer, results], tools=[WEATHER], think=True)


def _nothing_lost(answer: Answer, meeting: Meeting) -> None:
    says(PARIS)(answer, meeting)
    assert "thinking" not in answer.headers.get("x-dragoman-dropped", "")


def _thought_before(sent: Sent, meeting: Meeting) -> None:
    """Within a turn the model reads again what it thought."""
    (thought,) = sent.thoughts
    assert thought
    assert sent.results == [("get_weather", "rain")]
    assert "dragoman." not in json.dumps(sent.body)


_THINK = frozenset({"think"})

THINKING: Sequence[Row] = (
    Row("thinking on", [Step(Ask(turns=[user("Hello")], think=True), _thought)], model="thinks", client=_THINK),
    Row(
        "thinking off",
        [Step(Ask(turns=[user("Hello")], think=False), _did_not_think, _told_not_to)],
        model="thinks",
        client=_THINK,
    ),
    Row(
        "thinking hard",
        [Step(Ask(turns=[user("Hello")], think="high"), lambda answer, meeting: None, _told_how_hard)],
        model="levels",
        client=frozenset({"think", "levels"}),
    ),
    Row(
        "thinking sent back",
        [
            Step(Ask(turns=[user(PARIS)], tools=[WEATHER], think=True), _thought_and_called, end="tools"),
            Step(_results, _nothing_lost, _thought_before),
        ],
        model="thinks",
        client=frozenset({"think", "thoughts", "tools"}),
        server=frozenset({"thoughts"}),
    ),
)

# --- answers in JSON ------------------------------------------------------------------------------


class City(BaseModel):
    """A city, as a program wants it."""

    name: str
    people: int


SCHEMA: Object = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "people": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "people", "tags"],
    "additionalProperties": False,
}
CITY = Ask(turns=[user("Tell me about Paris")], schema=SCHEMA)


def _fits(answer: Answer, meeting: Meeting) -> None:
    jsonschema.validate(json.loads(answer.text), SCHEMA)


def _held(sent: Sent, meeting: Meeting) -> None:
    # Its name, which OpenAI's clients give, is its title where a server knows no other place for it.
    assert {key: value for key, value in (sent.schema or {}).items() if key != "title"} == SCHEMA


def _parsed(answer: Answer, meeting: Meeting) -> None:
    assert isinstance(answer.parsed, City)
    assert answer.parsed.name


def _is_object(answer: Answer, meeting: Meeting) -> None:
    assert isinstance(json.loads(answer.text), dict)


JSON: Sequence[Row] = (
    Row("a schema", [Step(CITY, _fits, _held)], client=frozenset({"schema"})),
    Row(
        "a schema after thinking",
        [Step(Ask(turns=CITY.turns, schema=SCHEMA), _fits)],
        model="thinks",
        client=frozenset({"schema"}),
    ),
    Row(
        "parsed by the SDK",
        [Step(Ask(turns=CITY.turns, parse=City), _parsed, lambda sent, meeting: _has_schema(sent))],
        client=frozenset({"parse"}),
    ),
    Row(
        "any JSON",
        [Step(Ask(turns=[user("Tell me about Paris in JSON")], json=True), _is_object)],
        client=frozenset({"json"}),
    ),
)


def _has_schema(sent: Sent) -> None:
    assert sent.schema is not None
    assert set(sent.schema["properties"]) == {"name", "people"}
