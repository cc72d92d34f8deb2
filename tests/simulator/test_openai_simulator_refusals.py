"""What the simulators of OpenAI-compatible servers refuse, where they say it is, and in whose words."""

from __future__ import annotations

import asyncio
import base64
import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.simulator import OpenAISimulator
from dragoman.simulator.openai_flavors import Model
from dragoman.simulator.server import Serving
from tests.simulator.openai_bench import CHAT, FLAVORS, NOW, WEATHER, asked, post

USER = {"role": "user", "content": "hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


def said(*messages: Any) -> dict[str, Any]:
    return asked(messages=list(messages))


def part(value: Any, model: str = "gpt-4.1-mini") -> dict[str, Any]:
    return asked(messages=[{"role": "user", "content": [value]}], model=model)


def image(url: str, **members: Any) -> dict[str, Any]:
    return part({"type": "image_url", "image_url": {"url": url, **members}})


def function(**members: Any) -> dict[str, Any]:
    return asked(tools=[{"type": "function", "function": {"name": "f", **members}}])


def schema(**members: Any) -> dict[str, Any]:
    inner = {"name": "x", "schema": OPEN, **members}
    return asked(response_format={"type": "json_schema", "json_schema": inner})


PNG = "data:image/png;base64,"
NO_PICTURE = base64.b64encode(b"no picture at all").decode()

# (body, param, code) as OpenAI itself would refuse it.
STRICT: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"messages": [USER]}, "model", None),
    ({"model": "gpt-4.1-mini"}, "messages", "missing_required_parameter"),
    (asked(messages=[]), "messages", "empty_array"),
    (asked(messages="hello"), "messages", "invalid_type"),
    (asked(model="gone"), "model", "model_not_found"),
    (asked(model="gpt-3.5-turbo-instruct"), "model", None),
    # members nobody knows, at any depth
    (asked(top_k=3), "top_k", "unknown_parameter"),
    (asked(min_p=0.1), "min_p", "unknown_parameter"),
    (asked(reasoning={"effort": "low"}), "reasoning", "unknown_parameter"),
    (said({**USER, "images": []}), "messages[0].images", "unknown_parameter"),
    (said(USER, {"role": "assistant", "content": "x", "reasoning": "y"}), "messages[1].reasoning", "unknown_parameter"),
    (
        part({"type": "text", "text": "x", "cache_control": {}}),
        "messages[0].content[0].cache_control",
        "unknown_parameter",
    ),
    (function(input_schema={}), "tools[0].function.input_schema", "unknown_parameter"),
    # numbers and words
    (asked(temperature=3), "temperature", "decimal_above_max_value"),
    (asked(top_p=-1), "top_p", "decimal_below_min_value"),
    (asked(n=0), "n", "integer_below_min_value"),
    (asked(n="2"), "n", "invalid_type"),
    (asked(max_tokens=0), "max_tokens", "integer_below_min_value"),
    (asked(stop=["a", "b", "c", "d", "e"]), "stop", "array_above_max_length"),
    (asked(stream_options={"include_usage": True}), "stream_options", None),
    (asked(top_logprobs=2), "top_logprobs", None),
    (asked(reasoning_effort="huge"), "reasoning_effort", "invalid_value"),
    (asked(metadata={"a": 1}), "metadata", None),
    # models that reason
    (asked(model="gpt-5.6", max_tokens=5), "max_tokens", "unsupported_parameter"),
    (asked(model="gpt-5.6", temperature=0.5), "temperature", "unsupported_value"),
    (asked(model="gpt-5.6", top_p=0.5), "top_p", "unsupported_value"),
    # roles and their members
    (said({"role": "model", "content": "x"}), "messages[0].role", "invalid_value"),
    (said({"content": "x"}), "messages[0].role", "missing_required_parameter"),
    (said({"role": "user"}), "messages[0].content", "missing_required_parameter"),
    (said({"role": "user", "content": 5}), "messages[0].content", "invalid_type"),
    (said({"role": "user", "content": []}), "messages[0].content", "empty_array"),
    (said(USER, {"role": "assistant", "content": None}), "messages[1].content", "invalid_value"),
    (said({"role": "system", "content": [{"type": "image_url"}]}), "messages[0].content[0].type", "invalid_value"),
    (part({"type": "image", "source": {}}), "messages[0].content[0].type", "invalid_value"),
    # calls and results
    (said(USER, CALLED), "messages.[1].role", None),
    (said(USER, CALLED, USER), "messages.[1].role", None),
    (said(USER, RESULT), "messages.[1].role", None),
    (said(USER, CALLED, {**RESULT, "tool_call_id": "call_2"}), "messages.[2].role", None),
    (said(USER, CALLED, RESULT, RESULT), "messages.[3].role", None),
    (said(USER, CALLED, USER, RESULT), "messages.[1].role", None),
    (
        said(USER, {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}),
        "messages[1].tool_calls[0].function.arguments",
        "invalid_type",
    ),
    (said(USER, CALLED, {"role": "tool", "content": "x"}), "messages[2].tool_call_id", "missing_required_parameter"),
    # tools
    (asked(tools=[]), "tools", "empty_array"),
    (asked(tool_choice="auto"), "tool_choice", None),
    (asked(parallel_tool_calls=True), "parallel_tool_calls", None),
    (asked(tools=[NOW], tool_choice="any"), "tool_choice", "invalid_value"),
    (asked(tools=[NOW], tool_choice={"type": "function", "function": {"name": "f"}}), "tool_choice", None),
    (asked(tools=[NOW], tool_choice={"type": "tool", "name": "f"}), "tool_choice.type", "invalid_value"),
    (function(name="a b"), "tools[0].function.name", "invalid_value"),
    (function(name="a" * 65), "tools[0].function.name", "string_above_max_length"),
    (function(parameters={"type": "object", "properties": []}), "tools[0].function.parameters", "invalid_json_schema"),
    (function(parameters=OPEN, strict=True), "tools[0].function.parameters", "invalid_json_schema"),
    # formats
    (asked(response_format={"type": "json"}), "response_format.type", "invalid_value"),
    (asked(response_format={"type": "json_object"}), "messages", None),
    (schema(strict=True), "response_format.json_schema.schema", "invalid_json_schema"),
    (schema(name="a b"), "response_format.json_schema.name", "invalid_value"),
    # media
    (image("ftp://example.com/a.png"), "messages[0].content[0].image_url.url", "invalid_value"),
    (image("AAAA"), "messages[0].content[0].image_url.url", "invalid_value"),
    (image(PNG + "%%%"), "messages[0].content[0].image_url.url", "invalid_base64"),
    (image(PNG + NO_PICTURE), "messages[0].content[0].image_url.url", "invalid_image_format"),
    (image("https://example.com/a.png", detail="best"), "messages[0].content[0].image_url.detail", "invalid_value"),
    (
        part({"type": "image_url", "image_url": "https://example.com/a"}),
        "messages[0].content[0].image_url",
        "invalid_type",
    ),
    (
        part({"type": "image_url", "image_url": {"url": "https://a.b/c"}}, "gpt-audio"),
        "messages[0].content[0]",
        "invalid_value",
    ),
    (
        part({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}}),
        "messages[0].content[0].input_audio.format",
        "invalid_value",
    ),
    (
        part({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        "messages[0].content[0]",
        "invalid_value",
    ),
    (part({"type": "file", "file": {"file_id": "file_1"}}), "messages[0].content[0].file.file_id", None),
    (
        part({"type": "file", "file": {"filename": "a.pdf", "file_data": PNG + "AAAA"}}),
        "messages[0].content[0].file.file_data",
        "invalid_value",
    ),
    # too long
    (asked("word " * 130_000, model="gpt-audio"), "messages", "context_length_exceeded"),
]


@pytest.mark.parametrize("row", STRICT, ids=[f"{n}-{row[1]}" for n, row in enumerate(STRICT)])
def test_openai_refuses(openais: dict[str, str], row: tuple[dict[str, Any], str | None, str | None]) -> None:
    body, param, code = row
    answer = post(openais["openai"], body)
    error = answer.json()["error"]
    assert answer.status_code in (400, 404)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert (error["param"], error["code"]) == (param, code)


TAKEN: list[dict[str, Any]] = [
    said(USER, CALLED, RESULT),
    said({"role": "developer", "content": "x"}, USER, {"role": "assistant", "content": "y"}, USER),
    said({"role": "user", "content": "x", "name": "ann"}),
    said(USER, CALLED, RESULT, {"role": "system", "content": "late"}),
    said(USER, CALLED | {"refusal": None, "annotations": []}, RESULT | {"name": "get_weather"}),  # as SDKs send it back
    said({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, USER),
    asked(temperature=None, stop=None, tools=None, n=None, stream_options=None),
    asked(tools=[WEATHER], tool_choice="none", parallel_tool_calls=False, reasoning_effort="low", verbosity="low"),
    asked(stop="x", seed=1, logit_bias={"1": 1}, store=False, metadata={"a": "b"}, service_tier="auto", user="u"),
    asked(model="gpt-5.6", max_completion_tokens=50, temperature=1),
    schema(),
]


@pytest.mark.parametrize("body", TAKEN)
def test_openai_takes(openais: dict[str, str], body: dict[str, Any]) -> None:
    assert post(openais["openai"], body).status_code == 200


LENIENT = [
    asked(top_k=3, min_p=0.1, reasoning={"effort": "low"}, chat_template_kwargs={"enable_thinking": False}),
    said(USER, {"role": "assistant", "content": "x", "reasoning_content": "y", "reasoning": "z"}, USER),
    asked(parallel_tool_calls=True),
]


@pytest.mark.parametrize("flavor", [name for name, flavor in FLAVORS.items() if not flavor.strict])
@pytest.mark.parametrize("body", LENIENT)
def test_compatible_servers_do_not_look_at_what_they_do_not_know(
    openais: dict[str, str], flavor: str, body: dict[str, Any]
) -> None:
    assert post(openais[flavor], body | {"model": CHAT[flavor]}).status_code == 200


@pytest.mark.parametrize("flavor", FLAVORS)
def test_calls_without_results(openais: dict[str, str], flavor: str) -> None:
    body = said(USER, CALLED, USER) | {"model": CHAT[flavor]}
    assert post(openais[flavor], body).status_code == (400 if FLAVORS[flavor].pairs else 200)
    body = said(USER, RESULT) | {"model": CHAT[flavor]}
    assert post(openais[flavor], body).status_code == (400 if FLAVORS[flavor].pairs else 200)


def test_deepseek_wants_its_reasoning_back_in_tool_loops(openais: dict[str, str]) -> None:
    url, model = openais["deepseek"], {"model": "deepseek-reasoner"}
    refused = post(url, said(USER, CALLED, RESULT) | model)
    assert "`reasoning_content` in the thinking mode must be passed back" in refused.json()["error"]["message"]
    brought = said(USER, CALLED | {"reasoning_content": "I call."}, RESULT)
    assert post(url, brought | model).status_code == 200
    assert post(url, said(USER, CALLED, RESULT) | model | {"thinking": {"type": "disabled"}}).status_code == 200
    assert post(url, said(USER, {"role": "assistant", "content": "x"}, USER) | model).status_code == 200


def test_ollama_takes_no_remote_pictures_no_files_and_no_tools_for_every_model(openais: dict[str, str]) -> None:
    url = openais["ollama"]
    remote = image("https://example.com/a.png") | {"model": "phi4:latest"}
    assert post(url, remote).json()["error"] == {
        "message": "invalid image input",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    file = part({"type": "file", "file": {"file_id": "f"}}, "phi4:latest")
    assert post(url, file).json()["error"]["message"] == "invalid message format"
    tools = asked(tools=[NOW], model="gemma:2b")
    assert "does not support tools" in post(url, tools).json()["error"]["message"]
    assert (
        post(url, asked(messages=[], model="phi4:latest")).json()["error"]["message"] == "[] is too short - 'messages'"
    )
    # and what it does not look at
    ignored = asked(tools=[NOW], tool_choice="none", n=2, max_completion_tokens=1, model="phi4:latest")
    answer = post(url, ignored).json()
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["tool_calls"]


@pytest.mark.parametrize("own_openai", [{"flavor": "vllm", "models": [Model("m", system_first=True)]}], indirect=True)
def test_templates_may_want_the_system_message_first(own_openai: Serving[OpenAISimulator]) -> None:
    system = {"role": "system", "content": "x"}
    assert post(own_openai.url, said(system, USER) | {"model": "m"}).status_code == 200
    refused = post(own_openai.url, said(USER, system) | {"model": "m"})
    assert refused.json()["error"]["message"] == "System message must be at the beginning."


# --- the words of each server -------------------------------------------------------------------------

ERRORS: dict[str, dict[str, Any]] = {
    "openai": {"type": "invalid_request_error", "param": "model", "code": "model_not_found"},
    "vllm": {"type": "NotFoundError", "param": "model", "code": 404},
    "openrouter": {"code": 404, "metadata": {"provider_name": "Simulated"}},
    "ollama": {"type": "not_found_error", "param": None, "code": None},
}


@pytest.mark.parametrize("flavor", ERRORS)
def test_errors_have_the_shape_of_their_server(openais: dict[str, str], flavor: str) -> None:
    answer = post(openais[flavor], asked(model="gone"))
    assert answer.status_code == 404
    assert answer.json()["error"] == ERRORS[flavor] | {"message": "The model 'gone' does not exist"}


@pytest.mark.parametrize("own_openai", [{"flavor": "llamacpp", "models": [Model("m", context=50)]}], indirect=True)
def test_llamacpp_says_how_long_is_too_long(own_openai: Serving[OpenAISimulator]) -> None:
    answer = post(own_openai.url, asked("word " * 100, model="any name"))
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["n_ctx"]) == (400, "exceed_context_size_error", 50)
    assert error["n_prompt_tokens"] > 100
    assert "exceeds the available context size" in error["message"]


@pytest.mark.parametrize("own_openai", [{"flavor": "vllm", "models": [Model("m", context=50)]}], indirect=True)
def test_vllm_says_how_long_is_too_long(own_openai: Serving[OpenAISimulator]) -> None:
    error = post(own_openai.url, asked("word " * 100, model="m")).json()["error"]
    assert error["message"].startswith("This model's maximum context length is 50 tokens. However, ")
    assert (error["type"], error["code"]) == ("BadRequestError", 400)


# --- the other endpoints ------------------------------------------------------------------------------

OTHERS: list[tuple[str, dict[str, Any], int, str | None]] = [
    ("/v1/embeddings", {"model": "text-embedding-3-small"}, 400, "input"),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ""}, 400, "input"),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": []}, 400, "input"),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["x"] * 2049}, 400, "input"),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": [{"text": "x"}]}, 400, "input[0]"),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x", "dimensions": 9999}, 400, "dimensions"),
    (
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": "x", "encoding_format": "int8"},
        400,
        "encoding_format",
    ),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "word " * 9000}, 400, "messages"),
    ("/v1/embeddings", {"model": "gpt-4.1-mini", "input": "x"}, 403, None),
    ("/v1/completions", {"model": "gpt-4.1-mini", "prompt": "x"}, 404, "model"),
    ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": 5}, 400, "prompt"),
    ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "x", "logprobs": 9}, 400, "logprobs"),
    ("/v1/nowhere", {}, 404, None),
    ("/tokenize", {"prompt": "x"}, 404, None),
]


@pytest.mark.parametrize("row", OTHERS)
def test_other_endpoints_refuse(openais: dict[str, str], row: tuple[str, dict[str, Any], int, str | None]) -> None:
    path, body, status, param = row
    answer = post(openais["openai"], body, path)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


# --- never a crash ------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SEEDS = [
    *TAKEN,
    said(USER, {**CALLED, "reasoning_details": [{"type": "reasoning.text", "text": "x", "signature": "y"}]}, RESULT),
    asked(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "get_weather"}}),
    schema(strict=True, schema={**OPEN, "required": ["a"], "additionalProperties": False}),
    asked(reasoning={"effort": "low"}, chat_template_kwargs={"enable_thinking": False}, functions=[NOW["function"]]),
    asked(logprobs=True, top_logprobs=2, stream=True, stream_options={"include_usage": True}),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[Any] = list(value.items()) if isinstance(value, dict) else []
    inner += list(enumerate(value)) if isinstance(value, list) else []
    return [at] * bool(at) + [place for key, item in inner for place in places(item, (*at, key))]


def changed(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    out = copy.deepcopy(body)
    here = out
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = value
    return out


def through(simulator: OpenAISimulator, path: str, raw: bytes) -> tuple[int, bytes]:
    """One request through the ASGI application itself."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"authorization", b"Bearer k")]}
    asyncio.run(simulator(scope, receive, send))
    return sent[0]["status"], b"".join(event.get("body", b"") for event in sent[1:])


@pytest.mark.parametrize("flavor", ["openai", "openrouter", "llamacpp"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_whatever_arrives_is_answered_or_refused(flavor: str, data: st.DataObject) -> None:
    simulator = SIMULATORS[flavor]
    seed = data.draw(st.sampled_from(SEEDS)) | {"model": CHAT[flavor]}
    body = changed(seed, data.draw(st.sampled_from(places(seed))), data.draw(JSON))
    path = data.draw(st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize"]))
    status, answer = through(simulator, path, msgspec.json.encode(body))
    assert status in (200, 400, 403, 404)
    if status != 200:
        assert msgspec.json.decode(answer)["error"]["message"]


SIMULATORS = {name: OpenAISimulator(flavor=name) for name in ("openai", "openrouter", "llamacpp")}


def test_what_is_no_json_object_is_refused(openais: dict[str, str]) -> None:
    for raw in (b"", b"{", b"[]", b"\xff", b'{"a":' * 5000):
        status, answer = through(SIMULATORS["openai"], "/v1/chat/completions", raw)
        assert status == 400
        assert "could not parse the JSON body" in msgspec.json.decode(answer)["error"]["message"]
