"""Tools through the official OpenAI SDK: calls and results, every `tool_choice`, custom tools, thinking in a loop."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.running import Gateway
from tests.sdks.asking_openai import HAIKU, OPUS, SONNET, Answer, Asking, Object

QUESTION: list[Object] = [{"role": "user", "content": "What is the weather in Paris and London?"}]
WEATHER: Object = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK: Object = {"type": "function", "function": {"name": "clock", "description": "The time now"}}
BARE: Object = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
SHELL: Object = {"type": "custom", "custom": {"name": "shell", "description": "Runs a command"}}


def results(answer: Answer, *texts: str) -> list[Object]:
    """The turn and its results, as a program sends them back."""
    return [
        answer.message(),
        *(
            {"role": "tool", "tool_call_id": call.id, "content": text}
            for call, text in zip(answer.calls, texts, strict=True)
        ),
    ]


def blocks(gateway: Gateway, kind: str) -> list[Object]:
    """Every content block of a kind in the last request that went upstream."""
    messages = gateway.simulator.requests[-1].body["messages"]
    return [block for message in messages for block in message["content"] if block["type"] == kind]


# --- calls and results ----------------------------------------------------------------------------


def test_two_parallel_calls_and_their_results(ask: Asking, gateway: Gateway) -> None:
    answer = ask(QUESTION, tools=[WEATHER])
    assert answer.finish == "tool_calls"
    assert [(call.type, call.name) for call in answer.calls] == [("function", "get_weather")] * 2
    assert [json.loads(call.words) for call in answer.calls] == [{"city": "Paris"}, {"city": "London"}]
    assert len({call.id for call in answer.calls}) == 2

    after = ask([*QUESTION, *results(answer, "12 degrees", "rain")], tools=[WEATHER])
    assert after.finish == "stop" and not after.calls
    assert "get_weather answered: 12 degrees" in after.text and "get_weather answered: rain" in after.text
    messages = gateway.simulator.requests[-1].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["id"] for block in blocks(gateway, "tool_use")] == [call.id for call in answer.calls]
    assert [block["tool_use_id"] for block in blocks(gateway, "tool_result")] == [call.id for call in answer.calls]


def test_results_in_any_order_find_their_calls(ask: Asking, gateway: Gateway) -> None:
    answer = ask(QUESTION, tools=[WEATHER])
    turn, first, second = results(answer, "12 degrees", "rain")
    ask([*QUESTION, turn, second, first], tools=[WEATHER])
    got = {block["tool_use_id"]: block["content"][0]["text"] for block in blocks(gateway, "tool_result")}
    assert got == {answer.calls[0].id: "12 degrees", answer.calls[1].id: "rain"}


def test_a_missing_result_does_not_break_the_conversation(ask: Asking, gateway: Gateway) -> None:
    answer = ask(QUESTION, tools=[WEATHER])
    turn, first, _ = results(answer, "12 degrees", "rain")
    after = ask([*QUESTION, turn, first, {"role": "user", "content": "Never mind."}], tools=[WEATHER])
    assert after.finish
    assert [block.get("is_error", False) for block in blocks(gateway, "tool_result")] == [False, True]


@pytest.mark.parametrize("tool", [CLOCK, BARE], ids=["no parameters at all", "no properties"])
def test_a_tool_without_parameters(ask: Asking, gateway: Gateway, tool: Object) -> None:
    """Its arguments are an empty object, not an empty string."""
    answer = ask("What does the clock say?", tools=[tool])
    (call,) = answer.calls
    assert (call.name, json.loads(call.words)) == ("clock", {})
    after = ask([{"role": "user", "content": "What does the clock say?"}, *results(answer, "noon")], tools=[tool])
    assert "clock answered: noon" in after.text
    (use,) = blocks(gateway, "tool_use")
    assert use["input"] == {}


def test_text_before_the_calls_comes_home(ask: Asking, gateway: Gateway) -> None:
    question = [{"role": "user", "content": "Do it [[simulate: tools calls=2]]"}]
    answer = ask(question, tools=[WEATHER])
    assert answer.text == "I will call the tools." and len(answer.calls) == 2
    ask([*question, *results(answer, "a", "b")], tools=[WEATHER])
    turn = gateway.simulator.requests[-1].body["messages"][1]["content"]
    assert [block["type"] for block in turn] == ["text", "tool_use", "tool_use"]


def test_names_that_claude_refuses_come_back_as_they_were(ask: Asking) -> None:
    name = "mcp.server/look up the weather, please"
    tool = {"type": "function", "function": {**WEATHER["function"], "name": name}}
    answer = ask(QUESTION, tools=[tool])
    assert [call.name for call in answer.calls] == [name, name]
    after = ask([*QUESTION, *results(answer, "12 degrees", "rain")], tools=[tool])
    assert "12 degrees" in after.text


def test_a_call_cut_by_the_limit_is_not_handed_out(gateway: Gateway) -> None:
    answer = Asking(gateway.url, "whole")(
        "What is the weather in Constantinople of old?", tools=[WEATHER], max_tokens=1
    )
    assert answer.finish == "length" and not answer.calls


# --- tool_choice -----------------------------------------------------------------------------------

FORMS: list[tuple[str, Any, Object | None, list[str]]] = [
    ("auto", "auto", {"type": "auto"}, ["get_weather", "get_weather"]),
    ("none", "none", {"type": "none"}, []),
    ("required", "required", {"type": "any"}, ["get_weather", "get_weather"]),
    (
        "named",
        {"type": "function", "function": {"name": "clock"}},
        {"type": "tool", "name": "clock"},
        ["clock", "clock"],
    ),
    (
        "allowed, may",
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CLOCK]}},
        {"type": "auto"},
        ["clock", "clock"],
    ),
    (
        "allowed, must",
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CLOCK]}},
        {"type": "any"},
        ["clock", "clock"],
    ),
    ("custom", {"type": "custom", "custom": {"name": "shell"}}, {"type": "tool", "name": "shell"}, ["shell", "shell"]),
]


@pytest.mark.parametrize(("choice", "sent", "called"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_every_tool_choice(ask: Asking, gateway: Gateway, choice: Any, sent: Object, called: list[str]) -> None:
    answer = ask(QUESTION, tools=[WEATHER, CLOCK, SHELL], tool_choice=choice)
    assert gateway.simulator.requests[-1].body.get("tool_choice", {"type": "auto"}) == sent
    assert [call.name for call in answer.calls] == called
    assert answer.finish == ("tool_calls" if called else "stop")


def test_one_call_at_a_time(ask: Asking, gateway: Gateway) -> None:
    answer = ask(QUESTION, tools=[WEATHER], parallel_tool_calls=False)
    assert gateway.simulator.requests[-1].body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert len(answer.calls) == 1


def test_a_model_that_cannot_be_forced_is_asked(client: openai.OpenAI, gateway: Gateway) -> None:
    wanted: Any = {"model": SONNET, "messages": QUESTION, "tools": [WEATHER], "tool_choice": "required"}
    raw = client.chat.completions.with_raw_response.create(**wanted)
    body = gateway.simulator.requests[-1].body
    assert body.get("tool_choice", {"type": "auto"}) == {"type": "auto"}
    assert "must answer by calling" in body["system"][0]["text"]
    assert raw.headers["x-dragoman-dropped"] == "tool_choice"


def test_a_choice_of_a_tool_that_is_not_there(ask: Asking) -> None:
    with pytest.raises(openai.BadRequestError, match="tool_choice") as caught:
        ask(QUESTION, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "nothing"}})
    assert caught.value.param == "tool_choice"


# --- custom tools ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        None,
        {"type": "text"},
        {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z ]+"}},
    ],
    ids=["bare", "text", "grammar"],
)
def test_a_custom_tool_takes_and_gives_text(ask: Asking, gateway: Gateway, form: Object | None) -> None:
    tool = {"type": "custom", "custom": SHELL["custom"] | ({"format": form} if form else {})}
    question = [{"role": "user", "content": 'Run "ls -l" in the shell'}]
    answer = ask(question, tools=[tool])
    (call,) = answer.calls
    assert (call.type, call.name, call.words) == ("custom", "shell", "ls -l")
    assert answer.finish == "tool_calls"
    after = ask([*question, *results(answer, "total 0")], tools=[tool])
    (use,) = blocks(gateway, "tool_use")
    assert use["input"] == {"input": "ls -l"}
    assert "shell answered: total 0" in after.text


def test_the_deprecated_functions(client: openai.OpenAI) -> None:
    wanted: Any = {"model": HAIKU, "messages": QUESTION, "functions": [WEATHER["function"]]}
    whole = client.chat.completions.create(**wanted).choices[0]
    assert whole.finish_reason == "function_call" and whole.message.function_call is not None
    assert json.loads(whole.message.function_call.arguments) == {"city": "Paris"}
    back = [
        {"role": "assistant", "content": None, "function_call": whole.message.function_call.model_dump()},
        {"role": "function", "name": "get_weather", "content": "12 degrees"},
    ]
    after = client.chat.completions.create(**wanted | {"messages": [*QUESTION, *back]})
    assert "12 degrees" in (after.choices[0].message.content or "")


# --- the SDK's own helpers -----------------------------------------------------------------------------


class GetWeather(BaseModel):
    city: str
    days: int = 1


def test_a_tool_made_of_a_pydantic_model(client: openai.OpenAI) -> None:
    tool = openai.pydantic_function_tool(GetWeather)
    wanted: Any = {"model": HAIKU, "messages": [{"role": "user", "content": 'Call GetWeather for "Paris"'}]}
    whole = client.chat.completions.parse(**wanted, tools=[tool]).choices[0].message
    with client.chat.completions.stream(**wanted, tools=[tool]) as stream:
        streamed = stream.get_final_completion().choices[0].message
    for message in (whole, streamed):
        (call,) = message.tool_calls or []
        assert isinstance(call.function.parsed_arguments, GetWeather)
        assert call.function.parsed_arguments.city == "Paris"


# --- thinking in a tool loop -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [HAIKU, OPUS, SONNET])
@pytest.mark.parametrize("keeps", [True, False], ids=["sent back", "thrown away"])
def test_thinking_survives_a_tool_loop(ask: Asking, gateway: Gateway, model: str, keeps: bool) -> None:
    """The signature comes home: from a client that sends `reasoning_details` back, else from the gateway's memory.

    The simulator refuses a turn whose thinking is missing or altered, as Claude does.
    """
    question = [{"role": "user", "content": f"What is the weather in Paris and London? {ask.mode} {keeps}"}]
    wanted: Any = {"model": model, "tools": [WEATHER], "reasoning_effort": "high"}
    answer = ask(question, **wanted)
    assert len(answer.calls) == 2 and answer.reasoning
    (detail,) = answer.details
    assert detail["text"] == answer.reasoning and detail["signature"] and detail["type"] == "reasoning.text"
    thinking_tokens = answer.spent.completion_tokens_details
    assert thinking_tokens is not None and (thinking_tokens.reasoning_tokens or 0) > 10

    _, *rest = results(answer, "12 degrees", "rain")
    history = [*question, answer.message(reasoning=keeps), *rest]
    after = ask(history, **wanted)
    assert "12 degrees" in after.text
    body = gateway.simulator.requests[-1].body
    assert body["thinking"]["type"] == ("enabled" if model == HAIKU else "adaptive")
    first = body["messages"][1]["content"][0]
    assert first == {"type": "thinking", "thinking": answer.reasoning, "signature": detail["signature"]}


def test_thinking_goes_through_two_rounds(ask: Asking, gateway: Gateway) -> None:
    """The signatures of this model hold for one history only: every turn before them must come back unchanged."""
    history: list[Object] = []
    wanted: Any = {"model": SONNET, "tools": [WEATHER], "reasoning_effort": "high"}
    signatures = []
    for cities in ("Paris and London", "Rome and Oslo"):
        history.append({"role": "user", "content": f"{ask.mode}: what is the weather in {cities}?"})
        answer = ask(history, **wanted)
        signatures += [detail["signature"] for detail in answer.details]
        _, *rest = results(answer, "12 degrees", "rain")
        history += [answer.message(reasoning=False), *rest]
        answer = ask(history, **wanted)
        signatures += [detail["signature"] for detail in answer.details]
        history.append(answer.message(reasoning=False))
    assert len(signatures) == 4
    history.append({"role": "user", "content": "Thanks"})
    ask(history, **wanted, tool_choice="none")
    assert [block["signature"] for block in blocks(gateway, "thinking")] == signatures


@pytest.mark.parametrize("model", [HAIKU, OPUS, SONNET])
def test_thinking_goes_through_a_loop_of_several_steps(ask: Asking, gateway: Gateway, model: str) -> None:
    """A model that does not think between its calls has thought at the start of the turn, and that is enough."""
    question = f"What is the weather in Paris and London? {ask.mode}, step by step"
    history: list[Object] = [{"role": "user", "content": question}]
    wanted: Any = {"model": model, "tools": [WEATHER], "reasoning_effort": "high"}
    answer = ask(history, **wanted)
    _, *rest = results(answer, "12 degrees", "rain")
    function = {"name": "get_weather", "arguments": '{"city":"Rome"}'}
    second = {"role": "assistant", "tool_calls": [{"id": "toolu_2", "type": "function", "function": function}]}
    history += [answer.message(reasoning=False), *rest, second]
    history.append({"role": "tool", "tool_call_id": "toolu_2", "content": "sun"})
    assert "get_weather answered: sun" in ask(history, **wanted, extra_headers={"x-dragoman-strict": "1"}).text
    body = gateway.simulator.requests[-1].body
    assert body["thinking"]["type"] == ("enabled" if model == HAIKU else "adaptive")
    kinds = [block["type"] for message in body["messages"] for block in message["content"]]
    assert kinds == ["text", "thinking", *["tool_use"] * 2, *["tool_result"] * 2, "tool_use", "tool_result"]


@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        ("more tools", True),
        ("more tools", False),
        ("forced first", True),
        ("forced first", False),
        ("another system prompt", True),
    ],
)
def test_thinking_bound_to_another_prompt_is_let_go(gateway: Gateway, change: str, keeps: bool) -> None:
    """Agents add tools as they go, force the first call only, or write the time into their prompt."""
    ask = Asking(gateway.url, "whole")
    question: Object = {"role": "user", "content": f"Weather in Rome? {change} {keeps}"}
    wanted: Any = {"model": SONNET, "reasoning_effort": "high"}
    forced = {"tool_choice": "required"} if change == "forced first" else {}
    answer = ask([{"role": "system", "content": "It is noon."}, question], tools=[WEATHER], **wanted, **forced)
    now = "It is a minute past noon." if change == "another system prompt" else "It is noon."
    tools = [WEATHER, CLOCK] if change == "more tools" else [WEATHER]
    _, *rest = results(answer, "sun")
    history: list[Object] = [{"role": "system", "content": now}, question, answer.message(reasoning=keeps), *rest]
    assert "sun" in ask(history, tools=tools, **wanted).text


@pytest.mark.parametrize("keeps", [True, False])
def test_strict_mode_does_not_refuse_what_the_client_never_sent(gateway: Gateway, keeps: bool) -> None:
    """The gateway remembered the thinking; an agent that has one more tool now could do nothing about a refusal."""
    ask = Asking(gateway.url, "whole")
    wanted: Any = {"model": SONNET, "extra_headers": {"x-dragoman-strict": "1"}}
    question: Object = {"role": "user", "content": f"Weather in Rome? strictly {keeps}"}
    answer = ask([question], tools=[WEATHER], **wanted)
    _, *rest = results(answer, "sun")
    history = [question, answer.message(reasoning=keeps), *rest]
    if keeps:
        with pytest.raises(openai.BadRequestError, match=r"strict mode.*thinking"):
            ask(history, tools=[WEATHER, CLOCK], **wanted)
    else:
        assert "sun" in ask(history, tools=[WEATHER, CLOCK], **wanted).text
    assert "sun" in ask(history, tools=[WEATHER, CLOCK], model=SONNET).text


def test_thinking_that_nobody_remembers_is_left_out(ask: Asking, gateway: Gateway) -> None:
    """A manual thinker whose tool loop lost its signature goes on without thinking, rather than fail."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
    history = [
        {"role": "user", "content": f"Rome? {ask.mode}, forgotten"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
    ]
    answer = ask(history, tools=[WEATHER], reasoning_effort="high")
    assert "get_weather answered: sun" in answer.text
    assert "thinking" not in gateway.simulator.requests[-1].body
