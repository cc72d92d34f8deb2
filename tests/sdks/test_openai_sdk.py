"""The official OpenAI SDK, 2.x and 3.x, against the running gateway: conversations, choices, usage, lists.

The Makefile runs the files `test_openai_sdk*.py` once under each major version.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import openai
import pytest

from tests.running import Gateway
from tests.sdks.asking_openai import HAIKU, OPUS, Asking, fold, read

LONG = "Remember this well. " * 600


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def test_this_is_the_sdk_that_was_to_be_tested() -> None:
    expected = os.environ.get("DRAGOMAN_EXPECT_OPENAI")
    if expected is None:
        pytest.skip(f"DRAGOMAN_EXPECT_OPENAI is not set; this is openai {openai.__version__}")
    assert openai.__version__.split(".")[0] == expected


# --- conversations ------------------------------------------------------------------------------


def test_plain_chat(ask: Asking) -> None:
    answer = ask("What is a dragoman?")
    assert "You said: What is a dragoman?" in answer.text
    assert (answer.finish, answer.refusal, answer.calls, answer.reasoning) == ("stop", "", [], "")
    assert answer.spent.completion_tokens > 5 and answer.spent.prompt_tokens > 3
    assert answer.spent.total_tokens == answer.spent.prompt_tokens + answer.spent.completion_tokens


def test_a_stream_comes_in_many_pieces(gateway: Gateway) -> None:
    ask = Asking(gateway.url, "streamed")
    ask("Hello there")
    assert sum(1 for chunk in ask.chunks if chunk.choices and chunk.choices[0].delta.content) > 5


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_become_the_system_prompt(ask: Asking, gateway: Gateway, role: str) -> None:
    ask([{"role": role, "content": "Be brief."}, user("Hello")])
    body = gateway.simulator.requests[-1].body
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_system_member_of_the_body(ask: Asking, gateway: Gateway) -> None:
    ask([{"role": "system", "content": "And kind."}, user("Hello")], extra_body={"system": "Be brief."})
    assert [block["text"] for block in gateway.simulator.requests[-1].body["system"]] == ["Be brief.", "And kind."]


def test_an_instruction_in_mid_conversation_keeps_its_place(ask: Asking, gateway: Gateway) -> None:
    answer = ask([user("Hello"), assistant("Hi!"), {"role": "system", "content": "Be brief."}, user("Go on")])
    last = gateway.simulator.requests[-1].body["messages"][-1]
    assert last["role"] == "user"
    assert "Be brief." in last["content"][0]["text"] and last["content"][1]["text"] == "Go on"
    assert answer.finish == "stop"


def test_several_turns(ask: Asking, gateway: Gateway) -> None:
    answer = ask([user("One"), assistant("First"), user([{"type": "text", "text": "Two"}])])
    messages = gateway.simulator.requests[-1].body["messages"]
    assert [(m["role"], m["content"][0]["text"]) for m in messages] == [
        ("user", "One"),
        ("assistant", "First"),
        ("user", "Two"),
    ]
    assert "You said: Two" in answer.text


def test_a_conversation_goes_on_from_its_own_answers(ask: Asking, gateway: Gateway) -> None:
    first = ask("One")
    ask([user("One"), first.message(), user("Two")])
    assert gateway.simulator.requests[-1].body["messages"][1]["content"] == [{"type": "text", "text": first.text}]


def test_many_conversations_at_once(gateway: Gateway) -> None:
    """Every answer goes to the one who asked, whole and in order."""
    count = 24

    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        wanted: Any = {"model": HAIKU, "messages": [user(f"Number {number} [[simulate: auto pace=1]]")], "stream": True}
        async with await client.chat.completions.create(**wanted) as stream:
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def everyone() -> list[str]:
        http_client = openai.DefaultAsyncHttpxClient(verify=False)
        options: Any = {"base_url": f"{gateway.url}/v1", "api_key": "any", "http_client": http_client}
        async with openai.AsyncOpenAI(**options) as client:
            return await asyncio.gather(*(one(client, number) for number in range(count)))

    texts = asyncio.run(everyone())
    assert [text.rpartition("You said: Number ")[2] for text in texts] == [str(number) for number in range(count)]


# --- limits and settings -------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["max_tokens", "max_completion_tokens"])
def test_an_output_limit_ends_the_answer(ask: Asking, member: str) -> None:
    answer = ask("Hello", **{member: 4})
    assert answer.finish == "length"
    assert answer.spent.completion_tokens == 4
    assert answer.text


def test_no_limit_is_all_the_model_can_write(ask: Asking, gateway: Gateway) -> None:
    ask("Hello")
    assert gateway.simulator.requests[-1].body["max_tokens"] == 64_000


@pytest.mark.parametrize("stop", ["real", ["never said", "real"]])
def test_stop_sequences(ask: Asking, stop: Any) -> None:
    answer = ask("Hello", stop=stop)
    assert answer.finish == "stop" and answer.stop == "real"
    assert answer.text.endswith("no ")


def test_settings_are_carried_or_reported(client: openai.OpenAI, gateway: Gateway) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=HAIKU,
        messages=[{"role": "user", "content": "Hello"}],
        temperature=1.5,
        top_p=0.5,
        seed=7,
        user="somebody",
        logprobs=True,
        frequency_penalty=0.5,
    )
    body = gateway.simulator.requests[-1].body
    assert (body["temperature"], body["metadata"]) == (1.0, {"user_id": "somebody"})
    dropped = raw.headers["x-dragoman-dropped"].split(", ")
    assert sorted(dropped) == ["frequency_penalty", "logprobs", "seed", "top_p"]
    assert raw.headers["x-dragoman-emulated"] == "temperature"
    assert raw.parse().choices[0].finish_reason == "stop"


# --- several choices -----------------------------------------------------------------------------


def test_two_choices(ask: Asking, gateway: Gateway) -> None:
    one = ask("Hello")
    gateway.simulator.requests.clear()  # it keeps only the last thousand, and others ask it too
    two = ask.choices("Hello", n=2)
    assert len(gateway.simulator.requests) == 2
    assert [answer.text for answer in two] == [one.text, one.text]
    assert [answer.finish for answer in two] == ["stop", "stop"]
    assert two[0].spent.prompt_tokens == one.spent.prompt_tokens, "one prompt, however many answers"
    assert two[0].spent.completion_tokens == 2 * one.spent.completion_tokens


def test_two_choices_that_call_tools(ask: Asking) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    two = ask.choices("Have a look", n=2, tools=[tool])
    assert [[call.name for call in answer.calls] for answer in two] == [["look"], ["look"]]
    assert [answer.finish for answer in two] == ["tool_calls", "tool_calls"]


# --- usage ---------------------------------------------------------------------------------------


def test_usage_in_a_stream_only_when_asked_for(client: openai.OpenAI) -> None:
    messages: Any = [user("Hello")]
    with client.chat.completions.create(model=HAIKU, messages=messages, stream=True) as stream:
        chunks = list(stream)
    assert all(chunk.usage is None for chunk in chunks)
    (answer,) = fold(chunks)
    assert answer.usage is None


def test_cached_tokens_of_a_growing_conversation(ask: Asking) -> None:
    """The first call of an agent marks its prompt, the second one reads it."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    start = [{"role": "system", "content": f"{ask.mode}: {LONG}"}, user("Have a look")]
    first = ask(start, model=OPUS, tools=[tool])
    result = {"role": "tool", "tool_call_id": first.calls[0].id, "content": "Nothing."}
    second = ask([*start, first.message(), result], model=OPUS, tools=[tool])
    written, read_back = first.spent.prompt_tokens_details, second.spent.prompt_tokens_details
    assert written is not None and read_back is not None
    assert written.cached_tokens == 0
    cached = read_back.cached_tokens or 0
    assert cached > 3000 and cached <= second.spent.prompt_tokens
    assert second.spent.prompt_tokens > first.spent.prompt_tokens, "the cached tokens count as part of the prompt"


def test_cached_tokens_of_a_chat(ask: Asking) -> None:
    """A long system prompt is read from the second call on, and what was said from the third."""
    turns: list[Any] = [{"role": "system", "content": f"{ask.mode} chat: {LONG}"}]
    cached = []
    for question in ("One", "Two", "Three"):
        turns.append(user(question))
        answer = ask(turns, model=OPUS)
        details = answer.spent.prompt_tokens_details
        cached.append(details.cached_tokens if details else None)
        turns.append(answer.message())
    assert cached[0] == 0
    assert 3000 < (cached[1] or 0) < (cached[2] or 0)


# --- the SDK's own accumulator --------------------------------------------------------------------


def test_the_stream_helper_agrees_with_the_whole_answer(client: openai.OpenAI) -> None:
    wanted: Any = {
        "model": HAIKU,
        "messages": [user("What is the weather in Paris and London?")],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "strict": True,
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                        "additionalProperties": False,
                    },
                },
            }
        ],
        "reasoning_effort": "low",
    }
    whole = client.chat.completions.create(**wanted)
    with client.chat.completions.stream(**wanted, stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert read(whole) == read(final)
    assert [call.function.parsed_arguments for call in final.choices[0].message.tool_calls or []] == [
        {"city": "Paris"},
        {"city": "London"},
    ]


def test_the_stream_helper_tells_the_text_as_it_grows(client: openai.OpenAI) -> None:
    wanted: Any = {"model": HAIKU, "messages": [user("Hello")]}
    whole = client.chat.completions.create(**wanted)
    with client.chat.completions.stream(**wanted) as stream:
        texts = [event.snapshot for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert texts[-1] == final.choices[0].message.content == whole.choices[0].message.content
    assert len(texts) > 5


def test_citations_become_annotations(ask: Asking) -> None:
    answer = ask("What was a dragoman? [[simulate: server_tool]]")
    (found,) = answer.annotations
    place = found["url_citation"]
    assert place["url"] == "https://example.com/dragoman" and place["title"] == "Dragoman"
    assert "interpreter" in answer.text[place["start_index"] : place["end_index"]]


# --- legacy completions ---------------------------------------------------------------------------


def test_a_completion(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=HAIKU, prompt="Once upon a time")
    assert whole.object == "text_completion" and whole.usage is not None
    assert "You said: Once upon a time" in whole.choices[0].text
    assert whole.choices[0].finish_reason == "stop"
    with client.completions.create(model=HAIKU, prompt="Once upon a time", stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]


def test_several_prompts(client: openai.OpenAI) -> None:
    prompts = ["Alpha", "Beta"]
    whole = client.completions.create(model=HAIKU, prompt=prompts, n=2, max_tokens=200)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    asked = [choice.text.rpartition("You said: ")[2] for choice in whole.choices]
    assert asked == ["Alpha", "Alpha", "Beta", "Beta"]
    wanted: Any = {"model": HAIKU, "prompt": prompts, "stream": True, "stream_options": {"include_usage": True}}
    texts, usages = {0: "", 1: ""}, []
    with client.completions.create(**wanted) as stream:
        for chunk in stream:
            usages += [chunk.usage] if chunk.usage else []
            for choice in chunk.choices:
                texts[choice.index] += choice.text
    assert [texts[0].rpartition(" ")[2], texts[1].rpartition(" ")[2]] == prompts
    (usage,) = usages
    assert whole.usage is not None and 2 * usage.completion_tokens == whole.usage.completion_tokens


def test_echo_suffix_and_length(client: openai.OpenAI, gateway: Gateway) -> None:
    answer = client.completions.create(model=HAIKU, prompt="def f(", suffix="    return 1", echo=True, max_tokens=3)
    assert answer.choices[0].text.startswith("def f(") and answer.choices[0].finish_reason == "length"
    body = gateway.simulator.requests[-1].body
    assert "<after>    return 1</after>" in body["messages"][0]["content"][0]["text"]
    assert "cursor" in body["system"][0]["text"]


# --- lists -----------------------------------------------------------------------------------------


def test_the_list_of_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {HAIKU, OPUS, "claude-haiku", "claude-sonnet-latest"} <= models.keys()
    assert "claude-3-5-sonnet-20241022" not in models, "a retired model cannot be called"
    assert all(model.object == "model" and model.created > 1_600_000_000 for model in models.values())


@pytest.mark.parametrize(
    "name", [HAIKU, "claude-haiku", "CLAUDE-HAIKU", "claude-haiku:latest", "anthropic/claude-haiku"]
)
def test_one_model_by_each_of_its_names(client: openai.OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == name
    assert client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hi"}]).model == name


def test_every_listed_model_answers(client: openai.OpenAI) -> None:
    for model in client.models.list():
        answer = client.chat.completions.create(model=model.id, messages=[{"role": "user", "content": "Hi"}])
        assert answer.model == model.id and answer.choices[0].message.content
