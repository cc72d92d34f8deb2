"""Rows of the matrix: tools, their calls and their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dragoman.conversation import Media, Part, Text, Tool
from tests.matrix.neutral import Answer, Ask, Object, Result, Results, Sent, user
from tests.matrix.rows_words import says
from tests.matrix.table import Meeting, Row, Step
from tests.sdks.media import PNG

_TOOLS = frozenset({"turns", "tools"})
_CHOICE = frozenset({"turns", "tools", "choice"})


def _schema(**properties: Object) -> Object:
    return {"type": "object", "properties": properties, "required": list(properties)}


WEATHER = Tool(name="get_weather", description="The weather now", schema=_schema(city={"type": "string"}))
CLOCK = Tool(name="clock", description="The time now", schema={"type": "object", "properties": {}})
SURVEY = Tool(
    name="survey",
    description="Ask around",
    schema=_schema(
        # Ollama's SDK knows no objects within objects, but anything within a list.
        places={"type": "array", "items": _schema(city={"type": "string"}, at=_schema(floor={"type": "number"}))},
        count={"type": "integer"},
        exact={"type": "boolean"},
        note={"type": ["string", "null"]},
    ),
)
CITIES = "What is the weather in Paris and London?"
STRANGE_CITY = "Zürich 7 – 世界 \\ <b> 🌍"
SURVEYED = {
    "places": [{"city": STRANGE_CITY, "at": {"floor": 7}}],
    "count": 7,
    "exact": True,
    "note": STRANGE_CITY,
}
SURVEY_QUESTION = f'Use survey and clock for "{STRANGE_CITY}"'


def _calls(*expected: tuple[str, Object]) -> Callable[[Answer, Meeting], None]:
    def check(answer: Answer, meeting: Meeting) -> None:
        assert [(call.name, call.arguments) for call in answer.calls] == list(expected)
        ids = [call.id for call in answer.calls if call.id]
        assert len(set(ids)) == len(ids)

    return check


def _offered(*tools: Tool) -> Callable[[Sent, Meeting], None]:
    def check(sent: Sent, meeting: Meeting) -> None:
        assert sent.tools == {tool.name: tool.schema for tool in tools}

    return check


def _results(question: str, *contents: list[Part], failed: bool = False) -> Callable[[Answer], Ask]:
    """The results of the calls in `answer`, in their order."""

    def ask(answer: Answer) -> Ask:
        results = [Result(call, content, failed) for call, content in zip(answer.calls, contents, strict=True)]
        return Ask(turns=[user(question), answer, Results(results)], tools=[WEATHER, CLOCK, SURVEY])

    return ask


def _received(calls: list[tuple[str, Object]], *results: tuple[str, str]) -> Callable[[Sent, Meeting], None]:
    def check(sent: Sent, meeting: Meeting) -> None:
        assert [(call.name, call.arguments) for call in sent.calls] == calls
        assert sent.results == list(results)
        assert sent.paired
        ids = [call.id for call in sent.calls if call.id]
        assert len(set(ids)) == len(ids)

    return check


def _failed(sent: Sent, meeting: Meeting) -> None:
    """A server without a flag reads it in the text."""
    mark = "ERROR " if "failed" in meeting.behind.can else "[tool error] "
    assert sent.results == [("get_weather", f"{mark}no such city")]


def _seen_picture(sent: Sent, meeting: Meeting) -> None:
    assert sent.images == ["image/png"]
    assert sent.paired
    ((name, text),) = sent.results
    assert name == "get_weather"
    assert "rain" in text


def _looked(answer: Answer, meeting: Meeting) -> None:
    assert "get_weather answered: rain" in answer.text
    assert "1 image" in answer.text or "[image]" in answer.text


def _told(answer: Answer, meeting: Meeting) -> None:
    assert "get_weather answered: 12 degrees" in answer.text
    assert "get_weather answered: rain, 雨" in answer.text
    assert not answer.calls


ROUND = (
    Step(
        Ask(turns=[user(CITIES)], tools=[WEATHER]),
        _calls(*(("get_weather", {"city": c}) for c in ("Paris", "London"))),
        _offered(WEATHER),
        "tools",
    ),
    Step(
        _results(CITIES, [Text(text="12 degrees")], [Text(text="rain, 雨")]),
        _told,
        _received(
            [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})],
            ("get_weather", "12 degrees"),
            ("get_weather", "rain, 雨"),
        ),
    ),
)

ONE = Step(
    Ask(turns=[user("What is the weather in Paris?")], tools=[WEATHER]),
    _calls(("get_weather", {"city": "Paris"})),
    end="tools",
)
PARIS = "What is the weather in Paris?"


# --- the choice among them ------------------------------------------------------------------------


def _chosen(choice: str) -> Callable[[Sent, Meeting], None]:
    """Where the server cannot be told, the answer is held to the schema of a call."""

    def check(sent: Sent, meeting: Meeting) -> None:
        if "choice" in meeting.behind.can:
            assert sent.choice == choice
            assert set(sent.tools) == {"get_weather", "clock"}
        else:
            assert sent.schema is not None
            assert not sent.tools

    return check


def _emulated(*expected: tuple[str, Object]) -> Callable[[Answer, Meeting], None]:
    """And the client is told how.  What is written into the schema of a call is the model's affair."""

    def check(answer: Answer, meeting: Meeting) -> None:
        if "choice" in meeting.behind.can:
            _calls(*expected)(answer, meeting)
        assert [(call.name, set(call.arguments)) for call in answer.calls] == [(n, set(a)) for n, a in expected]
        assert not answer.text
        emulated = "tool_choice" in answer.headers.get("x-dragoman-emulated", "")
        assert emulated is ("choice" not in meeting.behind.can)

    return check


def _free(choice: str, seen: Callable[[Answer, Meeting], None], end: str) -> Step:
    return Step(Ask(turns=[user(PARIS)], tools=[WEATHER, CLOCK], choice=choice), seen, end=end)


def _forced(choice: str, *expected: tuple[str, Object]) -> Step:
    asked = Ask(turns=[user(PARIS)], tools=[WEATHER, CLOCK], choice=choice)
    return Step(asked, _emulated(*expected), _chosen(choice), "tools")


PARIS_CALL = ("get_weather", {"city": "Paris"})

TOOLS: Sequence[Row] = (
    Row("parallel calls and their results", ROUND, client=_TOOLS),
    Row(
        "exact arguments",
        [
            Step(
                Ask(turns=[user(SURVEY_QUESTION)], tools=[CLOCK, SURVEY]),
                _calls(("clock", {}), ("survey", SURVEYED)),
                _offered(CLOCK, SURVEY),
                "tools",
            ),
            Step(
                _results(SURVEY_QUESTION, [Text(text="noon")], [Text(text="seven")]),
                says(SURVEY_QUESTION),
                _received([("clock", {}), ("survey", SURVEYED)], ("clock", "noon"), ("survey", "seven")),
            ),
        ],
        client=_TOOLS,
    ),
    Row(
        "text before the calls",
        [
            Step(
                Ask(turns=[user("Do it [[simulate: tools calls=2]]")], tools=[WEATHER, CLOCK]),
                lambda answer, meeting: _spoke_first(answer),
                end="tools",
            )
        ],
        client=_TOOLS,
    ),
    Row(
        "a failed tool",
        [ONE, Step(_results(PARIS, [Text(text="no such city")], failed=True), says(PARIS), _failed)],
        client=_TOOLS | {"failed"},
    ),
    Row(
        "an empty result",
        [
            ONE,
            Step(
                _results(PARIS, []), says(PARIS), _received([("get_weather", {"city": "Paris"})], ("get_weather", ""))
            ),
        ],
        client=_TOOLS,
    ),
    Row(
        "a picture in a result",
        [
            ONE,
            Step(
                _results(PARIS, [Text(text="rain"), Media(kind="image", data=PNG, media_type="image/png")]),
                _looked,
                _seen_picture,
            ),
        ],
        client=_TOOLS | {"result images"},
    ),
    Row("choice auto", [_free("auto", _calls(PARIS_CALL), "tools")], client=_CHOICE),
    Row("choice none", [_free("none", says(PARIS), "stop")], client=_CHOICE),
    Row("choice any", [_forced("any", PARIS_CALL)], client=_CHOICE),
    Row("choice of one", [_forced("clock", ("clock", {}))], client=_CHOICE),
    Row(
        "one call at a time",
        [Step(Ask(turns=[user(CITIES)], tools=[WEATHER], single=True), _calls(PARIS_CALL), end="tools")],
        client=_TOOLS | {"single"},
    ),
)


def _spoke_first(answer: Answer) -> None:
    assert answer.text == "I will call the tools."
    assert [call.name for call in answer.calls] == ["get_weather", "clock"]
