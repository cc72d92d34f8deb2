"""Every line and every answer in the official SDK's types, and the SDK itself against the simulator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.ollama_models import DEFAULT_MODELS
from dragoman.simulator.ollama_script import OLLAMA
from dragoman.simulator.server import Serving, run_in_thread
from tests.simulator.ollama_judge import CLOCK, GPT, NOMIC, PHI, PLAIN, QWEN, WEATHER, asked, judge, lines, post, told

Server = Serving[OllamaSimulator]
SPELLINGS = [name for name in OLLAMA.answers if name not in ("load", "unknown_event", "slow_start")]
METRICS = (
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
    "prompt_eval_count",
    "eval_count",
)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running


@pytest.fixture(scope="module")
def sdk(served: Server) -> Iterator[ollama.Client]:
    with ollama.Client(host=served.url, verify=PLAIN) as client:
        yield client


@pytest.mark.parametrize("scenario", SPELLINGS)
@pytest.mark.parametrize("model", [QWEN, GPT])
def test_the_judge_takes_both_spellings_and_they_say_the_same(served: Server, scenario: str, model: str) -> None:
    body = asked(scenario, "weather in Paris and London?", model=model, tools=[WEATHER, CLOCK])
    response = post(served.url, body)
    stream = lines(response)
    unstreamed = post(served.url, body | {"stream": False})
    assert unstreamed.headers["content-type"] == "application/json; charset=utf-8"
    whole = judge("/api/chat", unstreamed.content)
    assert whole["message"]["content"] == told(stream)
    assert whole["message"].get("thinking", "") == "".join(line["message"].get("thinking", "") for line in stream)
    calls = [call for line in stream for call in line["message"].get("tool_calls", [])]
    assert whole["message"].get("tool_calls", []) == calls
    assert [line["done"] for line in stream] == [False] * (len(stream) - 1) + [True]
    assert stream[-1]["done_reason"] == whole["done_reason"]
    assert stream[-1].get("eval_count") == whole.get("eval_count")
    for line in [*stream, whole]:
        assert line["model"] == model
        assert STAMP.fullmatch(line["created_at"])
        assert line["message"]["role"] == "assistant"
        assert isinstance(line["message"]["content"], str)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("more", [{}, {"raw": True}, {"format": "json"}, {"logprobs": True, "top_logprobs": 2}])
def test_the_judge_takes_generate(served: Server, stream: bool, more: dict[str, Any]) -> None:
    response = post(served.url, {"model": QWEN, "prompt": "hello", "stream": stream} | more, "/api/generate")
    stream_lines = lines(response, "/api/generate") if stream else [judge("/api/generate", response.content)]
    assert "hello" in "".join(line["response"] for line in stream_lines)
    final = stream_lines[-1]
    assert final["done"] is True
    assert ("context" in final) is ("raw" not in more)
    assert any("thinking" in line for line in stream_lines) is ("raw" not in more)
    assert all(("logprobs" in line) is ("logprobs" in more) for line in stream_lines if not (stream and line["done"]))


def test_the_judge_takes_everything_else(served: Server) -> None:
    url = served.url
    listed = judge("/api/tags", httpx.get(f"{url}/api/tags").content)["models"]
    assert len(listed) == len(DEFAULT_MODELS)
    assert [one["modified_at"] for one in listed] == sorted((one["modified_at"] for one in listed), reverse=True)
    for one in listed:
        assert re.fullmatch(r"[0-9a-f]{64}", one["digest"])
        shown = judge("/api/show", post(url, {"model": one["name"]}, "/api/show").content)
        arch = shown["model_info"]["general.architecture"]
        assert shown["model_info"][f"{arch}.context_length"] == one["details"]["context_length"]
        assert shown["capabilities"] == one["capabilities"]
        verbose = judge("/api/show", post(url, {"name": one["name"], "verbose": True}, "/api/show").content)
        assert "tensors" in verbose
        assert "tensors" not in shown
    post(url, asked(model=PHI))
    assert judge("/api/ps", httpx.get(f"{url}/api/ps").content)["models"]
    judge("/api/embed", post(url, {"model": NOMIC, "input": ["a", "b"]}, "/api/embed").content)
    judge("/api/embeddings", post(url, {"model": NOMIC, "prompt": "a"}, "/api/embeddings").content)
    pulled = lines(post(url, {"model": PHI}, "/api/pull"), "/api/pull")
    assert (pulled[0], pulled[-1]) == ({"status": "pulling manifest"}, {"status": "success"})
    layers = [line for line in pulled if line.get("completed")]
    assert layers[-1]["completed"] == layers[-1]["total"]


def test_metrics_are_whole_numbers_and_none_is_nought(served: Server) -> None:
    final = lines(post(served.url, asked()))[-1]
    assert [type(final[name]) for name in METRICS] == [int] * 6
    assert min(final[name] for name in METRICS) > 0
    assert final["total_duration"] > final["load_duration"] + final["prompt_eval_duration"] + final["eval_duration"]


def test_a_call_comes_whole_in_a_line_of_its_own(served: Server) -> None:
    stream = lines(post(served.url, asked(words="weather in Paris and London?", tools=[WEATHER])))
    calling = [line for line in stream if "tool_calls" in line["message"]]
    assert [line["message"]["content"] for line in calling] == ["", ""]
    first, second = (line["message"]["tool_calls"][0] for line in calling)
    assert first["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}
    assert second["function"] == {"index": 1, "name": "get_weather", "arguments": {"city": "London"}}
    assert all(re.fullmatch(r"call_[a-z0-9]{8}", call["id"]) for call in (first, second))
    assert first["id"] != second["id"]
    assert stream[-1]["done_reason"] == "stop"  # there is no word for calls
    assert calling[-1] is not stream[-1]


def test_markup_is_escaped_as_go_does(served: Server) -> None:
    response = post(served.url, asked(words="<b> & \u2028.", stream=False))
    assert b"\\u003cb\\u003e \\u0026 \\u2028." in response.content
    assert response.json()["message"]["content"].endswith("<b> & \u2028.")


def test_doors(served: Server) -> None:
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/").text == "Ollama is running"
        for path in ("/", "/api/version", "/api/tags"):
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert int(head.headers["content-length"]) == len(client.get(path).content)
        assert re.fullmatch(r"\d+\.\d+\.\d+", client.get("/api/version").json()["version"])
        assert (client.get("/nowhere").status_code, client.get("/nowhere").text) == (404, "404 page not found")
        for method, path in (("GET", "/api/chat"), ("POST", "/api/tags"), ("HEAD", "/api/ps")):
            assert client.request(method, path).status_code == 405


# --- the SDK ------------------------------------------------------------------------------------------------


def test_the_sdk_chats(sdk: ollama.Client) -> None:
    whole = sdk.chat(QWEN, messages=[{"role": "user", "content": "hello"}])
    assert whole.message.content is not None
    assert whole.message.content.endswith("You said: hello")
    assert whole.message.thinking
    stream = list(sdk.chat(QWEN, messages=[{"role": "user", "content": "hello"}], stream=True))
    assert "".join(line.message.content or "" for line in stream) == whole.message.content
    assert stream[-1].done_reason == "stop"


def test_the_sdk_runs_a_tool_loop(sdk: ollama.Client) -> None:
    def get_weather(city: str) -> str:
        """The weather.

        Args:
            city: where
        """
        return f"rain in {city}"

    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris and London?"}]
    first = sdk.chat(QWEN, messages=messages, tools=[get_weather])
    assert first.message.tool_calls is not None
    messages.append(first.message)
    for call in first.message.tool_calls:
        messages.append(
            {"role": "tool", "tool_name": call.function.name, "content": get_weather(**call.function.arguments)}
        )
    second = sdk.chat(QWEN, messages=messages, tools=[get_weather])
    assert not second.message.tool_calls
    assert "get_weather answered: rain in Paris" in (second.message.content or "")
    assert "get_weather answered: rain in London" in (second.message.content or "")


def test_the_sdk_does_the_rest(sdk: ollama.Client) -> None:
    assert (sdk.generate(PHI, "hello").response or "").endswith("You said: hello")
    parts = [part.response or "" for part in sdk.generate(PHI, "hello", stream=True)]
    assert "".join(parts).endswith("You said: hello")
    assert len(sdk.list().models) == len(DEFAULT_MODELS)
    shown = sdk.show("qwen3:8b")
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["qwen3.context_length"] == 40960
    assert shown.parameters is not None
    assert re.search(r"^stop {27}\"<\|im_start\|>\"$", shown.parameters, re.MULTILINE)
    assert PHI in [model.name for model in sdk.ps().models]
    assert len(sdk.embed(NOMIC, input=["a", "b"]).embeddings) == 2
    assert len(sdk.embeddings(NOMIC, prompt="a").embedding) == 768
    assert sdk.pull(PHI).status == "success"
    assert [step.status for step in sdk.pull(PHI, stream=True)][-1] == "success"


def test_the_sdk_reads_errors(sdk: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nobody' not found") as caught:
        sdk.chat("nobody", messages=[{"role": "user", "content": "x"}])
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="model 'nobody:latest' not found"):
        sdk.show("nobody")
    with pytest.raises(ollama.ResponseError, match="does not support tools"):
        list(sdk.chat(PHI, messages=[{"role": "user", "content": "x"}], tools=[WEATHER], stream=True))
    with pytest.raises(ollama.ResponseError, match="unexpected EOF") as caught:
        list(sdk.chat(**asked("error_event"), stream=True))
    assert caught.value.status_code == -1
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        list(sdk.pull("nobody", stream=True))
    with pytest.raises(ollama.ResponseError, match="file does not exist") as caught:
        sdk.pull("nobody")
    assert caught.value.status_code == 500
