"""What the simulator says over Ollama's wire: thinking, formats, tools, limits, logprobs, vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import Serving, run_in_thread
from tests.simulator.ollama_judge import (
    CLOCK,
    CODER,
    GPT,
    NOMIC,
    PHI,
    QWEN,
    WEATHER,
    asked,
    judge,
    lines,
    post,
)

Server = Serving[OllamaSimulator]


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running


def answer(served: Server, **members: Any) -> Any:
    return judge("/api/chat", post(served.url, asked(**{"stream": False, **members})).content)


THINKS = [
    (QWEN, None, True),
    (QWEN, True, True),
    (QWEN, "high", True),
    (QWEN, False, False),
    (GPT, None, True),
    (GPT, "max", True),
    (GPT, False, True),  # cannot be kept from it
    (PHI, None, False),
    (PHI, False, False),
]


@pytest.mark.parametrize(("model", "think", "thinks"), THINKS)
def test_who_thinks(served: Server, model: str, think: Any, thinks: bool) -> None:
    body = answer(served, model=model, think=think)
    assert ("thinking" in body["message"]) is thinks
    assert body["message"]["content"].endswith("You said: hello")


def test_levels_are_heard(served: Server) -> None:
    low, high = (answer(served, model=GPT, think=level)["message"]["thinking"] for level in ("low", "high"))
    assert len(low) < len(high)


def test_thinking_comes_first(served: Server) -> None:
    stream = lines(post(served.url, asked()))
    kinds = ["thinking" if line["message"].get("thinking") else "content" for line in stream]
    assert kinds == sorted(kinds, reverse=True)
    assert {"thinking", "content"} == set(kinds)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


def test_a_format_is_obeyed(served: Server) -> None:
    words = answer(served, words="the weather in Paris", format=SCHEMA)["message"]["content"]
    jsonschema.validate(msgspec.json.decode(words), SCHEMA)
    assert isinstance(msgspec.json.decode(answer(served, format="json")["message"]["content"]), dict)
    generated = post(served.url, {"model": PHI, "prompt": "x", "format": SCHEMA, "stream": False}, "/api/generate")
    jsonschema.validate(msgspec.json.decode(generated.json()["response"]), SCHEMA)


def test_a_format_keeps_tools_from_being_called(served: Server) -> None:
    body = answer(served, words="the weather in Paris", format=SCHEMA, tools=[WEATHER])
    assert "tool_calls" not in body["message"]
    assert msgspec.json.decode(body["message"]["content"])["city"] == "Paris"


def test_thinking_before_a_format_is_not_counted(served: Server) -> None:
    free, formed = (answer(served, format=wanted) for wanted in (None, "json"))
    assert formed["message"]["thinking"] == free["message"]["thinking"]
    assert formed["eval_count"] < free["eval_count"] - 10


def test_arguments_fit_as_much_of_the_schema_as_the_server_keeps(served: Server) -> None:
    parameters = {
        "type": "object",
        "$defs": {"Count": {"type": "integer"}},
        "properties": {"n": {"$ref": "#/$defs/Count"}, "unit": {"enum": ["C", "F"]}, "m": {"type": "integer"}},
        "required": ["n", "unit", "m"],
    }
    tool = {"type": "function", "function": {"name": "measure", "parameters": parameters}}
    body = answer(served, words="measure it", tools=[tool])
    arguments = body["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments == {"n": "measure it", "unit": "C", "m": 1}  # the reference is lost


RESULTS = [
    ([{"tool_call_id": "b"}, {"tool_call_id": "a"}], ["clock", "get_weather"]),
    ([{"tool_name": "clock"}, {"tool_name": "get_weather"}], ["clock", "get_weather"]),
    ([{}, {}], ["get_weather", "clock"]),
]


@pytest.mark.parametrize(("keys", "names"), RESULTS)
def test_results_find_their_calls(served: Server, keys: list[dict[str, str]], names: list[str]) -> None:
    calls = [{"id": "a", "function": {"name": "get_weather", "arguments": {}}}]
    calls.append({"id": "b", "function": {"name": "clock", "arguments": {}}})
    results = [{"role": "tool", "content": f"result {at}"} | key for at, key in enumerate(keys)]
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": calls}, *results]
    words = answer(served, messages=messages, tools=[WEATHER, CLOCK])["message"]["content"]
    for at, name in enumerate(names):
        assert f"The tool {name} answered: result {at}" in words


def test_limits(served: Server) -> None:
    body = answer(served, model=PHI, options={"num_predict": 3})
    assert (body["done_reason"], body["eval_count"]) == ("length", 3)
    assert answer(served, model=PHI, options={"num_predict": -1})["done_reason"] == "stop"
    body = answer(served, model=PHI, words="one two three", options={"stop": ["two"]})
    assert body["done_reason"] == "stop"
    assert body["message"]["content"].endswith("You said: one ")
    cramped = {"model": PHI, "words": "one two three", "options": {"num_ctx": 20}}
    assert answer(served, **cramped)["done_reason"] == "stop"  # the window shifts
    assert answer(served, **cramped, shift=False)["done_reason"] == "length"


def test_a_call_cut_short_is_lost(served: Server) -> None:
    body = answer(
        served,
        model="mistral-small3.2:24b",
        words="weather in " + "x" * 60,
        tools=[WEATHER],
        options={"num_predict": 1},
    )
    assert (body["done_reason"], body["message"]) == ("length", {"role": "assistant", "content": ""})


@pytest.mark.parametrize("stream", [True, False])
def test_logprobs(served: Server, stream: bool) -> None:
    response = post(served.url, asked(model=PHI, logprobs=True, top_logprobs=2, stream=stream))
    if stream:
        found = [entry for line in lines(response) for entry in line.get("logprobs", [])]
    else:
        found = judge("/api/chat", response.content)["logprobs"]
    assert "".join(entry["token"] for entry in found).endswith("You said: hello")
    for entry in found:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert [top["logprob"] for top in entry["top_logprobs"]] == [entry["logprob"], entry["logprob"] - 1.5]


def test_a_system_prompt_of_the_model_itself(served: Server) -> None:
    simulator = served.simulator
    answer(served, model=CODER)
    answer(served, model=CODER, messages=[{"role": "system", "content": "Hi."}, {"role": "user", "content": "hello"}])
    own, given = simulator.posted()[-2:]
    assert own.prompt_tokens > given.prompt_tokens


def test_the_same_request_gets_the_same_answer(served: Server) -> None:
    body = {"words": "weather in Paris?", "tools": [WEATHER]}
    assert answer(served, **body)["message"] == answer(served, **body)["message"]


# --- vectors ------------------------------------------------------------------------------------------------


def embed(served: Server, **members: Any) -> Any:
    return judge("/api/embed", post(served.url, {"model": NOMIC, **members}, "/api/embed").content)


def test_vectors(served: Server) -> None:
    body = embed(served, input=["the cat sat", "the cat sat down", "entirely other words"])
    cat, sat, other = body["embeddings"]
    assert all(math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-9) for vector in (cat, sat, other))
    assert [len(vector) for vector in (cat, sat, other)] == [768] * 3
    assert dot(cat, sat) > 0.7
    assert dot(cat, other) < 0.3
    assert body["prompt_eval_count"] == 10
    assert embed(served, input="the cat sat")["embeddings"] == [cat]
    old = post(served.url, {"model": NOMIC, "prompt": "the cat sat"}, "/api/embeddings").content
    assert judge("/api/embeddings", old) == {"embedding": cat}


def dot(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


def test_vectors_can_be_shorter(served: Server) -> None:
    (vector,) = embed(served, input="x", dimensions=4)["embeddings"]
    assert len(vector) == 4
    assert math.isclose(dot(vector, vector), 1)
    assert len(embed(served, input="x", dimensions=4000)["embeddings"][0]) == 768


@pytest.mark.parametrize("members", [{"input": ""}, {"input": []}, {}, {"input": None}])
def test_nothing_to_embed_is_no_vector(served: Server, members: dict[str, Any]) -> None:
    assert embed(served, **members) == {"model": NOMIC, "embeddings": []}
    empty = post(served.url, {"model": NOMIC, "prompt": ""}, "/api/embeddings").content
    assert judge("/api/embeddings", empty) == {"embedding": []}


def test_a_long_text_is_cut_without_a_word(served: Server) -> None:
    assert embed(served, input="a " * 3000)["prompt_eval_count"] == 2048
    assert served.simulator.requests[-1].truncated == 3001 - 2048
