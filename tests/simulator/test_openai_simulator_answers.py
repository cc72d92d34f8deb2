"""What the simulators of OpenAI-compatible servers answer, judged by the official SDK's types and read by the SDK."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from tests.simulator.openai_bench import (
    CHAT,
    FLAVORS,
    NOW,
    SDKS,
    WEATHER,
    WELL_BEHAVED,
    asked,
    chunks,
    judge,
    judge_stream,
    post,
    text_of,
    told,
)

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
CLOSED = SCHEMA | {"required": ["name", "age"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": CLOSED, "strict": True}}

REQUESTS: dict[str, dict[str, Any]] = {
    "text": asked(),
    "system": asked(messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]),
    "parallel tools": asked("weather in Paris and London?", tools=[WEATHER, NOW]),
    "a tool without arguments": asked("get_time please", tools=[WEATHER, NOW]),
    "schema": asked("Ada is 36", response_format=FORMAT),
    "two choices": asked(n=2),
    "logprobs": asked(logprobs=True, top_logprobs=2),
    "stop": asked(stop=["simulator"]),
    "length": told("text tokens=9", max_tokens=4),
    "thinking": told("thinking"),
    "refusal": told("refusal after=3"),
    "content_filter": told("content_filter after=2"),
    "context_window_exceeded": told("context_window_exceeded"),
}


@pytest.mark.parametrize("flavor", WELL_BEHAVED)
@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_of_the_sdks_types_and_streams_add_up_to_them(
    openais: dict[str, str], flavor: str, name: str
) -> None:
    url = openais[flavor]
    body = REQUESTS[name] | {"model": CHAT[flavor]}
    whole = judge(ChatCompletion, post(url, body).content)
    raw = post(url, body | {"stream": True, "stream_options": {"include_usage": True}}).content
    if name == "context_window_exceeded" and FLAVORS[flavor].overflow == "no_finish":
        assert not any(choice["finish_reason"] for chunk in chunks(raw) for choice in chunk["choices"])
        return
    judged = judge_stream(raw)
    assert judged[-1].choices == []
    assert judged[-1].usage == whole.usage
    for index, choice in enumerate(whole.choices):
        mine = [c for chunk in judged for c in chunk.choices if c.index == index]
        message = choice.message
        assert "".join(c.delta.content or "" for c in mine) == (message.content or "")
        assert "".join(c.delta.refusal or "" for c in mine) == (message.refusal or "")
        calls = [call for c in mine for call in c.delta.tool_calls or []]
        for number, call in enumerate(message.tool_calls or []):
            assert call.type == "function"
            pieces = [part.function for part in calls if part.index == number]
            assert "".join(piece.arguments or "" for piece in pieces if piece) == call.function.arguments
        assert mine[-1].finish_reason == choice.finish_reason


FINISHES = {
    "text": "stop",
    "parallel tools": "tool_calls",
    "stop": "stop",
    "length": "length",
    "refusal": "stop",
    "content_filter": "content_filter",
    "context_window_exceeded": "length",
}


@pytest.mark.parametrize("name", FINISHES)
def test_finish_reasons(sdks: SDKS, name: str) -> None:
    answer = sdks["openai"].chat.completions.create(**REQUESTS[name])
    assert answer.choices[0].finish_reason == FINISHES[name]


def test_a_refusal_is_told_in_its_own_member(sdks: SDKS) -> None:
    message = sdks["openai"].chat.completions.create(**told("refusal explanation=No.")).choices[0].message
    assert (message.content, message.refusal) == (None, "No.")


# --- the SDK's helpers --------------------------------------------------------------------------------


@pytest.mark.parametrize("flavor", WELL_BEHAVED)
def test_the_sdks_stream_helper_reads_every_well_behaved_server(sdks: SDKS, flavor: str) -> None:
    body = REQUESTS["parallel tools"] | {"model": CHAT[flavor]}
    with sdks[flavor].chat.completions.stream(**body) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls] == ['{"city":"Paris"}', '{"city":"London"}']
    assert final.choices[0].finish_reason == "tool_calls"


class Person(BaseModel):
    name: str
    age: int


def test_parse(sdks: SDKS) -> None:
    answer = sdks["openai"].chat.completions.parse(
        model="gpt-4.1-mini", messages=[{"role": "user", "content": "Ada is 36"}], response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Ada is 36", age=36)


def test_a_tool_loop(sdks: SDKS) -> None:
    sdk = sdks["openai"]
    messages: list[Any] = [{"role": "user", "content": "weather in Paris and London?"}]
    first = sdk.chat.completions.create(model="gpt-4.1-mini", messages=messages, tools=[WEATHER])
    assert first.choices[0].message.tool_calls is not None
    messages.append(first.choices[0].message.to_dict(mode="json"))
    for call, words in zip(first.choices[0].message.tool_calls, ("sunny", "rainy"), strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": words})
    for message in messages:
        message.pop("annotations", None)
    last = sdk.chat.completions.create(model="gpt-4.1-mini", messages=messages, tools=[WEATHER])
    assert "get_weather answered: sunny" in (last.choices[0].message.content or "")
    assert "get_weather answered: rainy" in (last.choices[0].message.content or "")
    assert last.choices[0].finish_reason == "stop"


def called(url: str, flavor: str = "openai", **members: Any) -> list[str]:
    body = asked("weather in Paris and London?", tools=[WEATHER, NOW], model=CHAT[flavor]) | members
    answer = post(url, body).json()["choices"][0]["message"]
    return [call["function"]["name"] for call in answer.get("tool_calls") or []]


CHOICES: list[tuple[Any, list[str]]] = [
    ("none", []),
    ("auto", ["get_weather", "get_weather"]),
    ("required", ["get_weather", "get_weather"]),
    ({"type": "function", "function": {"name": "get_time"}}, ["get_time", "get_time"]),
    (
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NOW]}},
        ["get_time", "get_time"],
    ),
]


@pytest.mark.parametrize(("choice", "names"), CHOICES)
def test_tool_choice(openais: dict[str, str], choice: Any, names: list[str]) -> None:
    assert called(openais["openai"], tool_choice=choice) == names


def test_one_call_at_a_time(openais: dict[str, str]) -> None:
    assert called(openais["openai"], parallel_tool_calls=False) == ["get_weather"]


def test_custom_tools_and_functions(openais: dict[str, str]) -> None:
    custom = {"type": "custom", "custom": {"name": "shell"}}
    message = post(openais["openai"], asked('shell "ls"', tools=[custom])).json()["choices"][0]["message"]
    assert message["tool_calls"][0]["custom"] == {"name": "shell", "input": "ls"}
    raw = post(openais["openai"], asked('shell "ls"', tools=[custom], stream=True)).content
    pieces = [call["custom"] for chunk in chunks(raw) for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert pieces == [{"name": "shell", "input": ""}, {"input": "ls"}]
    old = asked("weather in Paris", functions=[WEATHER["function"]])
    choice = post(openais["openai"], old).json()["choices"][0]
    assert choice["message"]["function_call"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert choice["finish_reason"] == "function_call"
    raw = post(openais["openai"], old | {"stream": True}).content
    bits = [chunk["choices"][0]["delta"].get("function_call") for chunk in chunks(raw)]
    assert "".join(bit["arguments"] for bit in bits if bit) == '{"city":"Paris"}'


def test_pictures_files_and_sounds_are_seen(openais: dict[str, str], png: Callable[[int, int], str]) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(3, 2)}"}}
    remote = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    pdf = base64.b64encode(b"%PDF-1.4\n/Type /Page\n").decode()
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}}
    parts = [{"type": "text", "text": "look"}, picture, remote, file]
    body = asked(messages=[{"role": "user", "content": parts}])
    words = post(openais["openai"], body).json()["choices"][0]["message"]["content"]
    assert "I see 2 images: image/png, 3 × 2 pixels; at https://example.com/a.png." in words
    assert "I see 1 document: application/pdf, 1 page." in words
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    body = asked(messages=[{"role": "user", "content": [sound]}], model="gpt-audio")
    assert "(a wav sound, 4 characters)" in post(openais["openai"], body).json()["choices"][0]["message"]["content"]


def test_json_mode(sdks: SDKS) -> None:
    answer = sdks["openai"].chat.completions.create(
        **asked("hello, say it as JSON", response_format={"type": "json_object"})
    )
    assert (answer.choices[0].message.content or "").startswith("{")


def test_a_trailing_answer_is_history(openais: dict[str, str]) -> None:
    history = [*asked()["messages"], {"role": "assistant", "content": "Well"}]
    words = post(openais["openai"], asked(messages=history)).json()["choices"][0]["message"]["content"]
    assert words.endswith("You said: hello")


# --- usage --------------------------------------------------------------------------------------------


def test_usage_is_told_in_a_stream_only_when_asked_for(openais: dict[str, str]) -> None:
    plain = chunks(post(openais["openai"], asked(stream=True)).content)
    assert not any("usage" in chunk for chunk in plain)
    always = chunks(post(openais["openrouter"], asked(stream=True, model=CHAT["openrouter"])).content)
    assert always[-1]["usage"]["is_byok"] is False


def test_obfuscation_is_on_unless_refused(openais: dict[str, str]) -> None:
    body = asked(stream=True)
    assert all(chunk["obfuscation"] for chunk in chunks(post(openais["openai"], body).content))
    body |= {"stream_options": {"include_obfuscation": False}}
    assert not any("obfuscation" in chunk for chunk in chunks(post(openais["openai"], body).content))


def test_longer_prompts_cost_more(openais: dict[str, str]) -> None:
    counts = [post(openais["openai"], asked("word " * n)).json()["usage"]["prompt_tokens"] for n in (1, 100, 1000)]
    assert counts[1] - counts[0] == 99
    assert counts[2] - counts[1] == 900


def test_thinking_is_billed_though_it_is_not_told(openais: dict[str, str]) -> None:
    answer = post(openais["openai"], asked(model="gpt-5.6")).json()
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    assert not any("reasoning" in key for key in answer["choices"][0]["message"])
    off = post(openais["openai"], asked(model="gpt-5.6", reasoning_effort="none")).json()
    assert off["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


# --- the other endpoints ------------------------------------------------------------------------------


def test_models(sdks: SDKS) -> None:
    sdk = sdks["openai"]
    assert [model.id for model in sdk.models.list()] == [model.id for model in FLAVORS["openai"].models]
    assert sdk.models.retrieve("gpt-5.6").owned_by == "system"
    assert sdks["openrouter"].models.retrieve("openai/gpt-5.6").id == "openai/gpt-5.6"
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.models.retrieve("gone")
    assert caught.value.code == "model_not_found"


def test_embeddings(openais: dict[str, str], sdks: SDKS) -> None:
    sdk = sdks["openai"]
    packed = sdk.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    plain = sdk.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    assert packed.data[0].embedding == plain.data[0].embedding
    assert packed.data[0].embedding != packed.data[1].embedding
    assert abs(sum(value * value for value in plain.data[0].embedding) - 1) < 1e-5
    short = sdk.embeddings.create(model="text-embedding-3-small", input=[[1, 2], [3]], dimensions=8)
    assert [len(item.embedding) for item in short.data] == [8, 8]
    body = {"model": "text-embedding-3-small", "input": "one", "encoding_format": "base64"}
    raw = post(openais["openai"], body, "/v1/embeddings").json()["data"][0]["embedding"]
    assert list(struct.unpack("<1536f", base64.b64decode(raw))) == plain.data[0].embedding
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 2


def test_legacy_completions(openais: dict[str, str], sdks: SDKS) -> None:
    sdk = sdks["openai"]
    body: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": ["Say it", "Or not"], "n": 2, "max_tokens": 5}
    whole = sdk.completions.create(**body)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert {choice.finish_reason for choice in whole.choices} == {"length"}
    judge(Completion, post(openais["openai"], body, "/v1/completions").content)
    streamed = list(sdk.completions.create(**body, stream=True, stream_options={"include_usage": True}))
    assert streamed[-1].usage == whole.usage
    texts = ["".join(c.text for chunk in streamed for c in chunk.choices if c.index == n) for n in range(4)]
    assert texts == [choice.text for choice in whole.choices]
    echo = sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="Say it", echo=True, logprobs=1, max_tokens=50)
    assert echo.choices[0].text.startswith("Say it")
    assert echo.choices[0].text.endswith("You said: Say it")
    logprobs = echo.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == echo.choices[0].text


def test_text_by_the_scenario(openais: dict[str, str]) -> None:
    raw = post(openais["openai"], told('text text="two words"', stream=True)).content
    assert text_of(raw) == "two words"
