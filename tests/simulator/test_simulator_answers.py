"""What the unscripted simulator answers, as an SDK's user sees it."""

from __future__ import annotations

from typing import Any

import anthropic
import msgspec
import pytest
from anthropic.types import Message

MODEL = "claude-opus-4-8"


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": name, "input_schema": schema}


WEATHER = tool("get_weather", city={"type": "string"}, unit={"enum": ["C", "F"]})
CLOCK = tool("clock", zone={"type": "string"}, offset={"type": "integer"})


def ask(sdk: anthropic.Anthropic, *contents: Any, **members: Any) -> Message:
    roles = ("user", "assistant")
    messages: Any = [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]
    answer: Message = sdk.messages.create(**{"model": MODEL, "max_tokens": 1000, "messages": messages} | members)
    return answer


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Message) -> list[tuple[str, dict[str, object]]]:
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


def test_it_says_who_it_is_and_echoes(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "Good morning, how are you?")
    assert text_of(answer).startswith("Hello! This is dragoman's simulator standing in for Claude Opus 4.8")
    assert text_of(answer).endswith("You said: Good morning, how are you?")
    assert (answer.stop_reason, answer.model) == ("end_turn", MODEL)


def test_an_alias_is_answered_with_the_canonical_id(sdk: anthropic.Anthropic) -> None:
    assert ask(sdk, "x", model="claude-haiku-4-5").model == "claude-haiku-4-5-20251001"


CALLS: list[tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]]]] = [
    ("weather in berlin?", {}, [("get_weather", {"city": "berlin", "unit": "C"})]),
    (
        "What is the weather in Paris and London?",
        {},
        [("get_weather", {"city": "Paris", "unit": "C"}), ("get_weather", {"city": "London", "unit": "C"})],
    ),
    (
        "the weather in New York, Rome and Oslo",
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        [("get_weather", {"city": "New York", "unit": "C"})],
    ),
    (
        'use get weather and the clock for "Kiel"',
        {},
        [("get_weather", {"city": "Kiel", "unit": "C"}), ("clock", {"zone": "Kiel", "offset": 1})],
    ),
    ("the clock 3", {}, [("clock", {"zone": "the clock 3", "offset": 3})]),
    (
        "weather in Rome",
        {"tool_choice": {"type": "tool", "name": "clock"}},
        [("clock", {"zone": "Rome", "offset": 1})],
    ),
    ("weather in Rome", {"tool_choice": {"type": "none"}}, []),
]


@pytest.mark.parametrize(("words", "members", "calls"), CALLS, ids=[words for words, _, _ in CALLS])
def test_which_tools_are_called(
    sdk: anthropic.Anthropic, words: str, members: dict[str, Any], calls: list[tuple[str, dict[str, Any]]]
) -> None:
    answer = ask(sdk, words, tools=[WEATHER, CLOCK], **members)
    assert calls_of(answer) == calls
    assert answer.stop_reason == ("tool_use" if calls else "end_turn")


def test_results_are_quoted(sdk: anthropic.Anthropic) -> None:
    first = ask(sdk, "weather in Paris and London", tools=[WEATHER])
    ids = [block.id for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": ids[0], "content": "18 °C"},
        {"type": "tool_result", "tool_use_id": ids[1], "content": [{"type": "text", "text": "fog"}], "is_error": True},
    ]
    answer = ask(sdk, "weather in Paris and London", first.content, results, tools=[WEATHER])
    assert "The tool get_weather answered: 18 °C" in text_of(answer)
    assert "The tool get_weather failed with: fog" in text_of(answer)
    assert answer.stop_reason == "end_turn"
    split = ask(sdk, "weather in Paris and London", first.content, [*results, {"type": "text", "text": "so?"}],
                tools=[WEATHER])  # fmt: skip
    assert text_of(split).endswith("You said: so?")


@pytest.mark.parametrize(
    ("members", "calls"),
    [
        ({"tool_choice": {"type": "any"}}, ["clock"]),
        ({"tool_choice": {"type": "tool", "name": "get_weather"}}, ["get_weather"]),
        ({"system": "You must answer by calling one of the tools, not with text."}, ["clock"]),
        ({"system": "You must answer by calling the tool get_weather, not with text."}, ["get_weather"]),
        ({"tool_choice": {"type": "none"}, "system": "You must answer by calling one of the tools."}, []),
        ({"tool_choice": {"type": "auto"}}, []),
    ],
)
def test_forced_to_call_it_calls_after_results_too(
    sdk: anthropic.Anthropic, members: dict[str, Any], calls: list[str]
) -> None:
    first = ask(sdk, "weather in Rome", tools=[WEATHER, CLOCK])
    (call,) = (block for block in first.content if block.type == "tool_use")
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "18 °C"}]
    answer = ask(sdk, "weather in Rome", first.content, results, tools=[WEATHER, CLOCK], **members)
    assert [name for name, _ in calls_of(answer)] == calls


@pytest.mark.parametrize(
    ("members", "calls"),
    [
        ({"tool_choice": {"type": "any"}}, ["get_weather"]),
        ({"system": "You must answer by calling one of the tools, not with text."}, []),
    ],
)
def test_told_to_call_it_ends_when_it_has_called_them_all(
    sdk: anthropic.Anthropic, members: dict[str, Any], calls: list[str]
) -> None:
    first = ask(sdk, "weather in Rome and Oslo", tools=[WEATHER])
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "18 °C"}
        for block in first.content
        if block.type == "tool_use"
    ]
    answer = ask(sdk, "weather in Rome and Oslo", first.content, results, tools=[WEATHER], **members)
    assert [name for name, _ in calls_of(answer)] == calls


def test_tools_anthropic_defines_get_their_own_input(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "list the files", tools=[{"type": "bash_20250124", "name": "bash"}])
    assert calls_of(answer) == [("bash", {"command": "echo hello"})]


def test_json_that_is_asked_for_in_words_stays_json_after_a_search(sdk: anthropic.Anthropic) -> None:
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    answer = ask(sdk, "who was a dragoman?", tools=[search], system="Answer with one JSON object.")
    assert [block.type for block in answer.content] == ["server_tool_use", "web_search_tool_result", "text"]
    assert msgspec.json.decode("".join(block.text for block in answer.content if block.type == "text"))


def test_the_hosted_search_is_run_here(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "who was a dragoman?", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    kinds = [block.type for block in answer.content]
    assert kinds == ["text", "server_tool_use", "web_search_tool_result", "text", "text"]
    assert answer.usage.server_tool_use is not None
    assert answer.usage.server_tool_use.web_search_requests == 1
    cited = [block for block in answer.content if block.type == "text" and block.citations]
    assert cited[0].citations[0].url == "https://example.com/dragoman"  # type: ignore[union-attr, index]


THINKING = [
    (MODEL, None, []),
    (MODEL, {"type": "adaptive"}, [""]),
    (MODEL, {"type": "adaptive", "display": "summarized"}, ["words"]),
    ("claude-opus-5-5", None, [""]),
    ("claude-sonnet-5-5", {"type": "between_tools"}, []),
    ("claude-opus-4-5", {"type": "enabled", "budget_tokens": 1024}, ["words"]),
    ("claude-opus-4-5", {"type": "disabled"}, []),
]


@pytest.mark.parametrize(("model", "config", "shown"), THINKING)
def test_when_it_thinks_and_what_it_shows(
    sdk: anthropic.Anthropic, model: str, config: dict[str, Any] | None, shown: list[str]
) -> None:
    members = {"thinking": config} if config else {}
    answer = ask(sdk, "x", model=model, max_tokens=2000, **members)
    thinking = [block for block in answer.content if block.type == "thinking"]
    assert [bool(block.thinking) for block in thinking] == [bool(words) for words in shown]
    assert all(len(block.signature) > 100 for block in thinking)
    details = answer.usage.output_tokens_details
    assert details is not None
    assert (details.thinking_tokens > 0) == bool(shown)


def test_effort_costs(sdk: anthropic.Anthropic) -> None:
    efforts = ("low", "medium", "high")
    spent = [ask(sdk, "x", model="claude-opus-5-5", output_config={"effort": e}).usage.output_tokens for e in efforts]
    assert spent == sorted(set(spent))


@pytest.mark.parametrize("limit", [1, 5, 12, 19])
def test_max_tokens_cuts(sdk: anthropic.Anthropic, limit: int) -> None:
    answer = ask(sdk, "one two three four five", max_tokens=limit)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", limit)
    assert ask(sdk, "one two three four five").content[0].text.startswith(text_of(answer))  # type: ignore[union-attr]


def test_thinking_can_eat_all_of_max_tokens(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "x", model="claude-opus-5-5", max_tokens=5)
    assert [block.type for block in answer.content] == ["thinking"]
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 5)


def test_a_cut_call_has_no_input(sdk: anthropic.Anthropic) -> None:
    body: dict[str, Any] = {"tools": [WEATHER], "max_tokens": 1}
    answer = ask(sdk, "weather in Rome", **body)
    assert (answer.stop_reason, calls_of(answer)) == ("max_tokens", [("get_weather", {})])


def test_no_tokens_at_all(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "x", max_tokens=0)
    assert (answer.content, answer.stop_reason, answer.usage.output_tokens) == ([], "max_tokens", 0)


def test_stop_sequences_stop(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "one two END three", stop_sequences=["never", "END"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "END")
    assert text_of(answer).endswith("one two ")


def test_prefill_is_continued(sdk: anthropic.Anthropic) -> None:
    old = "claude-opus-4-5"
    assert text_of(ask(sdk, "q?", "Well,", model=old)) == " and so the simulator goes on. You said: q?"
    brace = text_of(ask(sdk, 'say "q"', "{", model=old))
    assert msgspec.json.decode("{" + brace) == {"simulator": True, "you_said": 'say "q"'}
    assert msgspec.json.decode("[" + text_of(ask(sdk, "q?", "[", model=old))) == ["q?"]


def test_an_instruction_to_answer_in_json_is_followed(sdk: anthropic.Anthropic) -> None:
    answer = ask(sdk, "q?", system="Reply with one JSON object and nothing else.")
    assert msgspec.json.decode(text_of(answer)) == {"simulator": MODEL, "you_said": "q?"}


def test_counting_counts_more_for_more(sdk: anthropic.Anthropic) -> None:
    def count(words: str, **members: Any) -> int:
        body: Any = {"model": MODEL, "messages": [{"role": "user", "content": words}]} | members
        return sdk.messages.count_tokens(**body).input_tokens

    assert 0 < count("a b c") < count("a b c " * 50) < count("a b c " * 50, system="s " * 500)
    assert count("x", tools=[WEATHER]) > count("x") + 300
    assert count("word " * 500, model="claude-opus-4-5") < count("word " * 500)
