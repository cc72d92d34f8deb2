"""The scenarios of the OpenAI wire as the SDK meets them, what each server has of its own, and the books."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import openai
import pytest

from dragoman.simulator import OpenAISimulator
from dragoman.simulator.openai_flavors import Model
from dragoman.simulator.scenario import AUTO
from dragoman.simulator.server import Serving
from tests.simulator.openai_bench import CHAT, HEADERS, SDKS, asked, chunks, client, deltas, post, text_of, told

Own = Serving[OpenAISimulator]

FAILURES: list[tuple[str, type[openai.APIStatusError], int, str, str | None, str | None]] = [
    ("rate_limit", openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded", "1"),
    ("rate_limit retry_after=7", openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded", "7"),
    ("overloaded", openai.InternalServerError, 503, "service_unavailable_error", "server_is_overloaded", None),
    ("error", openai.InternalServerError, 500, "server_error", None, None),
    ("error status=403", openai.PermissionDeniedError, 403, "permission_error", None, None),
    ("error status=409", openai.ConflictError, 409, "invalid_request_error", None, None),
    ("error status=422", openai.UnprocessableEntityError, 422, "invalid_request_error", None, None),
    ("error status=504", openai.InternalServerError, 504, "server_error", None, None),
    ("error status=418 type=teapot code=short", openai.APIStatusError, 418, "teapot", "short", None),
    ("invalid_key", openai.AuthenticationError, 401, "invalid_request_error", "invalid_api_key", None),
    ("billing", openai.RateLimitError, 429, "insufficient_quota", "insufficient_quota", None),
    ("model_not_found", openai.NotFoundError, 404, "invalid_request_error", "model_not_found", None),
    ("context_length", openai.BadRequestError, 400, "invalid_request_error", "context_length_exceeded", None),
]


@pytest.mark.parametrize("row", FAILURES, ids=[row[0] for row in FAILURES])
@pytest.mark.parametrize("stream", [False, True])
def test_failures(sdks: SDKS, row: tuple[str, Any, int, str, str | None, str | None], stream: bool) -> None:
    scenario, kind, status, error_type, code, retry_after = row
    with pytest.raises(kind) as caught:
        sdks["openai"].chat.completions.create(**told(scenario), stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (status, error_type, code)
    assert error.response.headers.get("retry-after") == retry_after
    retried = status in (409, 429) or status >= 500
    assert error.response.headers["x-should-retry"] == str(retried and scenario != "billing").lower()
    assert error.request_id.startswith("req_")


def test_embeddings_and_completions_fail_too(sdks: SDKS) -> None:
    with pytest.raises(openai.RateLimitError):
        sdks["openai"].embeddings.create(model="text-embedding-3-small", input=["a", "b [[simulate: rate_limit]]"])
    with pytest.raises(openai.InternalServerError):
        sdks["openai"].completions.create(model="gpt-3.5-turbo-instruct", prompt="a [[simulate: overloaded]]")


SHAPES: list[tuple[str, Any]] = [
    ("openai", "error"),
    ("vllm", "error"),
    ("object", "object"),
    ("llamacpp", "error"),
    ("openrouter", "error"),
    ("ollama", "error"),
    ("string", "error"),
    ("detail", "detail"),
    ("detail_list", "detail"),
]


@pytest.mark.parametrize(("shape", "member"), SHAPES)
def test_errors_of_every_shape(openais: dict[str, str], shape: str, member: str) -> None:
    answer = post(openais["openai"], told(f"error status=404 shape={shape} message=Gone"))
    assert answer.status_code == 404
    assert member in answer.json()
    assert "Gone" in answer.text


def test_a_page_of_html(openais: dict[str, str], sdks: SDKS) -> None:
    for scenario, status in (("html", 502), ("html status=503", 503), ("error status=500 shape=html", 500)):
        answer = post(openais["vllm"], told(scenario, model=CHAT["vllm"]))
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html")
        assert answer.text.startswith("<html>")
    with pytest.raises(openai.InternalServerError, match="502"):
        sdks["openai"].chat.completions.create(**told("html"))


def test_times_lets_a_retry_succeed(own_openai: Own) -> None:
    with client(own_openai.url) as sdk:
        answer = sdk.with_options(max_retries=2).chat.completions.create(**told("overloaded times=2 retry_after=0.01"))
    assert answer.choices[0].finish_reason == "stop"
    assert len(own_openai.simulator.requests) == 3


def test_a_header_or_the_system_prompt_says_it_as_well(openais: dict[str, str]) -> None:
    header = {"x-simulator-scenario": "text; text=header"}
    assert post(openais["openai"], told("overloaded"), **header).json()["choices"][0]["message"]["content"] == "header"
    system = {"role": "system", "content": "[[simulate: text text=system]] be kind"}
    body = asked(messages=[system, {"role": "user", "content": [{"type": "text", "text": "hello"}]}])
    assert post(openais["openai"], body).json()["choices"][0]["message"]["content"] == "system"


@pytest.mark.parametrize("own_openai", [{"scenario": "text tokens=3"}], indirect=True)
def test_a_server_may_be_fixed_to_a_scenario(own_openai: Own) -> None:
    assert post(own_openai.url, asked()).json()["choices"][0]["message"]["content"] == "token1 token2 token3"
    with pytest.raises(ValueError, match="unknown scenario"):
        OpenAISimulator(scenario="nothing")
    with pytest.raises(ValueError, match="unknown flavor"):
        OpenAISimulator(flavor="nothing")


# --- breaking off -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_before_the_headers(sdks: SDKS, stream: bool) -> None:
    with pytest.raises(openai.APIConnectionError):
        sdks["openai"].chat.completions.create(**told("reset"), stream=stream)


def test_a_reset_after_some_chunks(sdks: SDKS) -> None:
    got = []
    with pytest.raises(openai.APIConnectionError):
        for chunk in sdks["openai"].chat.completions.create(**told("reset after=4"), stream=True):
            got.append(chunk)
    assert len(got) == 4


def test_truncation_is_a_clean_end_without_a_finish(openais: dict[str, str]) -> None:
    raw = post(openais["openai"], told("truncation after=5", stream=True)).content
    assert len(chunks(raw)) == 5
    assert b"[DONE]" not in raw
    with pytest.raises(httpx.HTTPError):
        post(openais["openai"], told("truncation"))


@pytest.mark.parametrize("stream", [True, False])
def test_a_stall_lasts_until_the_client_leaves(own_openai: Own, stream: bool) -> None:
    simulator = own_openai.simulator
    read = b""
    request = httpx.Request(
        "POST", f"{own_openai.url}/v1/chat/completions", json=told("stall after=2", stream=stream), headers=HEADERS
    )
    with httpx.Client(timeout=0.3) as http, pytest.raises(httpx.ReadTimeout):
        for data in http.send(request, stream=True).iter_raw():
            assert simulator.open == 1
            read += data
    assert simulator.departed.wait(10)
    assert len(chunks(read)) == (2 if stream else 0)
    assert simulator.idle.wait(10)
    assert len(simulator.departures) == 1


def test_slow_starts_and_pace(own_openai: Own) -> None:
    begun = time.monotonic()
    post(own_openai.url, told("slow_start delay=0.2"))
    assert time.monotonic() - begun >= 0.2
    begun = time.monotonic()
    raw = post(own_openai.url, told("text tokens=10 pace=20 chunk=7", stream=True)).content
    assert time.monotonic() - begun >= 10 * 0.02
    assert text_of(raw) == " ".join(f"token{number}" for number in range(1, 11))


# --- the books ----------------------------------------------------------------------------------------


def test_requests_are_recorded(own_openai: Own) -> None:
    raw = b'{"model": "gpt-4.1-mini",  "messages": [{"role": "user", "content": "hi"}]}'
    httpx.post(f"{own_openai.url}/v1/chat/completions", content=raw, headers=HEADERS | {"X-Custom": "Yes"})
    with client(own_openai.url) as sdk:
        sdk.models.list()
    first, second = own_openai.simulator.requests
    assert (first.method, first.path, first.raw) == ("POST", "/v1/chat/completions", raw)
    assert (first.headers["x-custom"], first.body["messages"][0]["content"]) == ("Yes", "hi")
    assert (second.method, second.path, second.raw, second.body) == ("GET", "/v1/models", b"", None)
    assert own_openai.simulator.in_force(AUTO) is AUTO


def test_many_at_once(own_openai: Own) -> None:
    done: list[int] = []

    def read() -> None:
        done.append(len(chunks(post(own_openai.url, told("text tokens=20 pace=5", stream=True)).content)))

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [22] * 20
    assert own_openai.simulator.idle.wait(10)
    assert own_openai.simulator.departures == []


@pytest.mark.parametrize("own_openai", [{"keys": ["right"]}], indirect=True)
def test_keys(own_openai: Own) -> None:
    assert post(own_openai.url, asked()).json()["error"]["code"] == "invalid_api_key"
    assert post(own_openai.url, asked(), authorization="Bearer right").status_code == 200
    assert httpx.get(f"{own_openai.url}/v1/models").status_code == 401


def test_local_servers_want_no_key(openais: dict[str, str]) -> None:
    assert httpx.get(f"{openais['vllm']}/v1/models").status_code == 200
    assert httpx.get(f"{openais['openai']}/v1/models").status_code == 401


@pytest.mark.parametrize("own_openai", [{"flavor": "ollama", "models": []}], indirect=True)
def test_ollama_without_models_lists_null(own_openai: Own) -> None:
    assert httpx.get(f"{own_openai.url}/v1/models").json() == {"object": "list", "data": None}


@pytest.mark.parametrize("own_openai", [{"models": ["gpt-5.6", "mine", Model("tiny", context=9)]}], indirect=True)
def test_models_may_be_named(own_openai: Own) -> None:
    with client(own_openai.url) as sdk:
        assert [model.id for model in sdk.models.list()] == ["gpt-5.6", "mine", "tiny"]
        assert sdk.chat.completions.create(**asked(model="mine")).model == "mine"
        with pytest.raises(openai.BadRequestError, match="maximum context length is 9 tokens"):
            sdk.chat.completions.create(**asked(model="tiny"))


# --- what each server has of its own ------------------------------------------------------------------


def counted(url: str, model: str) -> int:
    tokens: int = post(url, asked(model=model, max_tokens=1)).json()["usage"]["prompt_tokens"]
    return tokens


def test_vllm(openais: dict[str, str]) -> None:
    url, model = openais["vllm"], CHAT["vllm"]
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["max_model_len"] == 40_960
    assert httpx.get(f"{url}/health").status_code == 200
    told_tokens = post(url, {"model": model, "messages": asked()["messages"]}, "/tokenize").json()
    assert told_tokens["count"] == len(told_tokens["tokens"]) == counted(url, model)
    assert told_tokens["max_model_len"] == 40_960
    assert post(url, {"prompt": "one two"}, "/tokenize").json()["count"] == 2
    assert post(url, {"model": "gone", "prompt": "x"}, "/tokenize").status_code == 404
    assert post(url, {"messages": "x"}, "/tokenize").status_code == 400
    stopped = post(url, asked(model=model, stop=["simulator"])).json()["choices"][0]
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", "simulator")
    raw = post(url, asked(model=model, stream=True)).content
    assert any(delta.get("content") and delta["tool_calls"] == [] for delta in deltas(raw))
    quiet = post(url, asked(model=model, chat_template_kwargs={"enable_thinking": False})).json()
    assert "reasoning" not in quiet["choices"][0]["message"]
    assert "reasoning" in post(url, asked(model=model)).json()["choices"][0]["message"]


def test_llamacpp(openais: dict[str, str]) -> None:
    url, model = openais["llamacpp"], CHAT["llamacpp"]
    prompt = post(url, {"messages": asked()["messages"]}, "/apply-template").json()["prompt"]
    tokens = post(url, {"content": prompt}, "/tokenize").json()["tokens"]
    assert len(tokens) == counted(url, model)
    assert post(url, {}, "/tokenize").status_code == 400
    assert httpx.get(f"{url}/props").json()["default_generation_settings"]["n_ctx"] == 8_192
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    raw = post(url, asked(model="whatever", stream=True)).content
    assert chunks(raw)[-1]["timings"]["prompt_n"] == len(tokens)
    assert deltas(raw)[0] == {"role": "assistant", "content": None}
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    answer = post(url, asked(response_format={"type": "json_object", "schema": schema}))
    assert answer.json()["choices"][0]["message"]["content"] == '{"a":1}'
    loading = post(url, told("overloaded")).json()["error"]
    assert (loading["code"], loading["type"]) == (503, "unavailable_error")


def test_lmstudio(openais: dict[str, str]) -> None:
    url = openais["lmstudio"]
    lost = post(url, {}, "/v1/nowhere")
    assert (lost.status_code, lost.json()) == (200, {"error": "Unexpected endpoint or method. (POST /v1/nowhere)"})
    assert set(post(url, asked(model=CHAT["lmstudio"])).json()) >= {"stats", "model_info"}


def test_openrouter(openais: dict[str, str]) -> None:
    url, model = openais["openrouter"], CHAT["openrouter"]
    answer = post(url, asked(model=model, stream=True))
    assert answer.headers["x-generation-id"].startswith("gen-")
    assert answer.content.startswith(b": OPENROUTER PROCESSING\n\n")
    assert {chunk["provider"] for chunk in chunks(answer.content)} == {"Simulated"}
    whole = post(url, asked(model=model)).json()
    assert whole["choices"][0]["native_finish_reason"] == "end_turn"
    assert whole["usage"]["cost"] > 0
    listed = httpx.get(f"{url}/v1/models", headers=HEADERS).json()["data"][0]
    assert (listed["context_length"], listed["architecture"]["input_modalities"]) == (
        1_000_000,
        ["text", "image", "file"],
    )


def test_deepseek_and_groq(openais: dict[str, str]) -> None:
    usage = post(openais["deepseek"], asked(model="deepseek-chat")).json()["usage"]
    assert usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
    thought = post(openais["deepseek"], asked(model="deepseek-reasoner")).json()["choices"][0]["message"]
    assert thought["reasoning_content"]
    assert post(openais["groq"], asked(model=CHAT["groq"])).json()["choices"][0]["message"]["reasoning"]


def test_ollamas_own_openai_wire(openais: dict[str, str]) -> None:
    url = openais["ollama"]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    other = {"type": "function", "function": {"name": "g"}}
    raw = post(url, asked("call f and g", model="phi4:latest", tools=[tool, other], stream=True)).content
    calls = [call for delta in deltas(raw) for call in delta.get("tool_calls") or []]
    assert [(call["index"], call["function"]["name"], call["function"]["arguments"]) for call in calls] == [
        (0, "f", "{}"),
        (0, "g", "{}"),
    ]
    assert chunks(raw)[-1]["choices"][0]["finish_reason"] == "stop"
    whole = post(url, asked(model="phi4:latest")).json()
    assert whole["system_fingerprint"] == "fp_ollama"
    assert int(whole["id"].removeprefix("chatcmpl-")) < 999
    assert set(whole["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
