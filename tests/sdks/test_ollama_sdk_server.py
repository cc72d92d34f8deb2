"""The rest of what the official Ollama SDK can call: lists, descriptions, loading, pulling; and all that goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import ollama
import pytest

from dragoman.config import Secret, Timeouts
from tests.conftest import GatewayMaker
from tests.running import Gateway
from tests.sdks.asking_ollama import HAIKU, MODES, Asking

# --- models -----------------------------------------------------------------------------------------


def test_the_list_of_models(ollama_client: ollama.Client) -> None:
    models = {model.model: model for model in ollama_client.list().models}
    assert {f"{HAIKU}:latest", "claude-haiku:latest", "claude-sonnet-latest:latest"} <= models.keys()
    for model in models.values():
        assert len(model.digest or "") == 64 and model.size is not None and model.size >= 0
        assert model.modified_at is not None and model.modified_at.tzinfo is not None
        details = model.details
        assert details is not None and details.family and details.format is not None
        assert details.parameter_size is not None and details.quantization_level is not None


def test_every_listed_model_answers(ollama_client: ollama.Client) -> None:
    for model in ollama_client.list().models:
        answer = ollama_client.chat(str(model.model), [{"role": "user", "content": "Hi"}])
        assert answer.model == model.model and answer.message.content


@pytest.mark.parametrize("name", ["claude-haiku", "claude-haiku:latest"])
def test_a_model_described(ollama_client: ollama.Client, name: str) -> None:
    shown = ollama_client.show(name)
    assert {"completion", "tools", "vision", "thinking"} <= set(shown.capabilities or [])
    info = shown.modelinfo or {}
    assert info[f"{info['general.architecture']}.context_length"] == 200_000
    assert shown.template and "num_ctx" in (shown.parameters or "")
    assert isinstance(shown.modified_at, datetime)


def test_loading_and_unloading(other_gateway: GatewayMaker) -> None:
    gateway = other_gateway("loading")
    before = len(gateway.simulator.requests)
    with ollama.Client(gateway.url, verify=False) as client:
        assert client.ps().models == []
        loaded = client.generate("claude-haiku", keep_alive="10m")
        assert (loaded.done, loaded.done_reason, loaded.response) == (True, "load", "")
        (running,) = client.ps().models
        assert running.model == running.name == "claude-haiku:latest"
        left = (running.expires_at or datetime.now(UTC)) - datetime.now(UTC)
        assert 590 < left.total_seconds() <= 600
        assert client.chat("claude-opus-5", [], keep_alive=-1).done_reason == "load"
        assert [model.model for model in client.ps().models] == ["claude-opus-5:latest", "claude-haiku:latest"]
        assert client.chat("claude-opus-5", [], keep_alive=0).done_reason == "unload"
        unloaded = client.generate("claude-haiku", "", keep_alive=0)
        assert (unloaded.done, unloaded.done_reason) == (True, "unload")
        assert client.ps().models == []
        assert len(gateway.simulator.requests) == before, "nobody was called"
        client.chat("claude-haiku", [{"role": "user", "content": "Hi"}])
        assert [model.model for model in client.ps().models] == ["claude-haiku:latest"]
        client.generate("claude-haiku", keep_alive=0)


def test_loading_in_a_stream(chat: Asking) -> None:
    answer = chat.generate("")
    assert (answer.done_reason, answer.text, answer.lines) == ("load", "", 1)
    assert chat([]).done_reason == "load"
    assert chat([], keep_alive=0).done_reason == "unload"


def test_pulling_a_model_that_is_here(ollama_client: ollama.Client) -> None:
    assert ollama_client.pull("claude-haiku").status == "success"
    steps = [progress.status for progress in ollama_client.pull("claude-haiku", stream=True)]
    assert steps[0] == "pulling manifest" and steps[-1] == "success"


def test_pulling_a_model_that_is_not(ollama_client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        ollama_client.pull("llama3.2")
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        list(ollama_client.pull("llama3.2", stream=True))


def test_what_clients_may_not_do_is_said(ollama_client: ollama.Client) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("stays", lambda: ollama_client.delete("claude-haiku")),
        ("manage_models", lambda: ollama_client.push("claude-haiku")),
        ("manage_models", lambda: ollama_client.create("mine", files={"a.gguf": "sha256:00"})),
    ]
    for words, call in calls:
        with pytest.raises(ollama.ResponseError, match=words) as refused:
            call()
        assert refused.value.status_code == 403


def test_embeddings_and_what_to_do_instead(ollama_client: ollama.Client) -> None:
    for call in (
        lambda: ollama_client.embed("claude-haiku", "Hello"),
        lambda: ollama_client.embeddings("claude-haiku", "Hello"),
    ):
        with pytest.raises(
            ollama.ResponseError, match=r"does not support embedding.*Ollama or OpenAI-compatible"
        ) as bad:
            call()
        assert bad.value.status_code == 400


def test_the_asynchronous_client(gateway: Gateway) -> None:
    async def all_of_it() -> tuple[Any, ...]:
        async with ollama.AsyncClient(gateway.url, verify=False) as client:
            listed, shown = await client.list(), await client.show("claude-haiku")
            steps = [progress.status async for progress in await client.pull("claude-haiku", stream=True)]
            return listed, shown, steps, await client.ps()

    listed, shown, steps, running = asyncio.run(all_of_it())
    assert listed.models and shown.modelinfo and steps[-1] == "success" and running.models is not None


# --- failures before the first byte ---------------------------------------------------------------

REFUSED: list[tuple[str, int, str]] = [
    ("rate_limit retry_after=7", 429, "rate limit"),
    ("overloaded", 503, "Overloaded"),
    ("error", 500, "Internal server error"),
    ("invalid_key", 401, "key this gateway is configured with"),
    ("billing", 402, "credit balance is too low"),
    ("reset", 502, "closed the connection"),
    ("error_event after=1", 503, "Overloaded"),
]


@pytest.mark.parametrize(("scenario", "status", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_failure_before_the_first_byte(chat: Asking, scenario: str, status: int, words: str) -> None:
    for ask in (chat, chat.generate):
        with pytest.raises(ollama.ResponseError, match=words) as caught:
            ask(f"Hello [[simulate: {scenario}]]")
        assert caught.value.status_code == status
        assert not chat.parts


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_model_where_that_is_an_error(other_gateway: GatewayMaker, mode: str) -> None:
    chat = Asking(other_gateway("no default", default_model=None).url, mode)
    for ask in (chat, chat.generate):
        with pytest.raises(ollama.ResponseError, match=r"model 'llama3.2' not found") as caught:
            ask("Hello", model="llama3.2")
        assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="not found"):
        chat([], model="llama3.2", keep_alive=0)


def test_a_description_of_an_unknown_model(ollama_client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=r"model 'llama3.2:latest' not found") as caught:
        ollama_client.show("llama3.2")
    assert caught.value.status_code == 404


@pytest.mark.parametrize("mode", MODES)
def test_the_gateway_s_own_keys(other_gateway: GatewayMaker, mode: str) -> None:
    gateway = other_gateway("keys", api_keys=(Secret("right"), Secret("also right")))
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(ollama.ResponseError, match="key") as caught:
            Asking(gateway.url, mode, headers=headers)("Hello")
        assert caught.value.status_code == 401
    with_key = Asking(gateway.url, mode, headers={"Authorization": "Bearer right"})
    assert with_key("Hello").done_reason == "stop"


def test_the_key_in_the_environment(other_gateway: GatewayMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = other_gateway("keys", api_keys=(Secret("right"), Secret("also right")))
    with ollama.Client(gateway.url, verify=False) as client, pytest.raises(ollama.ResponseError):
        client.list()
    monkeypatch.setenv("OLLAMA_API_KEY", "also right")
    with ollama.Client(gateway.url, verify=False) as client:
        assert client.list().models


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("think", {"think": "wildly"}, "invalid think value"),
    ("an option", {"options": {"num_ctx": "many"}}, 'option "num_ctx" must be of type integer'),
    ("format", {"format": "yaml"}, "invalid format"),
    ("top_logprobs", {"top_logprobs": 21}, "top_logprobs must be between 0 and 20"),
    ("keep_alive", {"keep_alive": "soon"}, "keep_alive"),
]


@pytest.mark.parametrize(("members", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_request_that_is_wrong(gateway: Gateway, members: dict[str, Any], words: str) -> None:
    """The SDK checks much of it itself; other programs do not."""
    body = {"model": HAIKU, "messages": [{"role": "user", "content": "Hi"}], **members}
    answer = httpx.post(f"{gateway.url}/api/chat", json=body, timeout=20.0, verify=False)  # noqa: S501
    assert answer.status_code == 400 and answer.headers["content-type"].startswith("application/json")
    assert answer.json().keys() == {"error"} and words in answer.json()["error"]


def test_raw_with_a_system_prompt(chat: Asking) -> None:
    with pytest.raises(ollama.ResponseError, match="raw mode does not support template, system, or context"):
        chat.generate("Hello", raw=True, system="Be brief.")


def test_a_prompt_that_is_too_long(chat: Asking) -> None:
    with pytest.raises(ollama.ResponseError, match="prompt is too long") as caught:
        chat("word " * 160_000)
    assert caught.value.status_code == 400


def test_an_answer_that_ran_out_of_context(chat: Asking) -> None:
    assert chat("Hello [[simulate: context_window_exceeded]]").done_reason == "length"


# --- refusals and broken answers ---------------------------------------------------------------------


def test_a_refusal_is_told_in_words(chat: Asking) -> None:
    for ask in (chat, chat.generate):
        answer = ask("Hello [[simulate: refusal]]")
        assert (answer.done_reason, answer.text) == ("stop", "The simulator was asked to refuse.")
        late = ask("Hello [[simulate: refusal after=4]]")
        assert late.text == "I could begin to\n\nThe simulator was asked to refuse."


BROKEN = [
    ("error_event after=8", "Overloaded"),
    ("reset after=8", "broke in mid-answer"),
    ("truncation after=8", "before it was complete"),
]


@pytest.mark.parametrize(("scenario", "words"), BROKEN, ids=[row[0] for row in BROKEN])
def test_an_answer_that_breaks_off(chat: Asking, scenario: str, words: str) -> None:
    for ask in (chat, chat.generate):
        with pytest.raises(ollama.ResponseError, match=words) as caught:
            ask(f"Hello [[simulate: {scenario}]]")
        if chat.streamed:
            assert caught.value.status_code == -1, "the status was sent long before"
            assert chat.partial().text.startswith("Hello!")
        else:
            assert caught.value.status_code >= 500
        assert chat.partial().done_reason is None


@pytest.mark.parametrize("scenario", ["error_event after=5", "truncation after=5"])
def test_a_tool_call_that_breaks_off(chat: Asking, scenario: str) -> None:
    def look(at: str) -> str:
        """Look there."""
        return at

    with pytest.raises(ollama.ResponseError):
        chat(f"Look at the long and winding road [[simulate: {scenario}]]", tools=[look])
    assert chat.partial().done_reason is None and not chat.partial().calls


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", ["stall after=8", "slow_start delay=20"], ids=["falls silent", "never begins"])
def test_an_upstream_that_does_not_answer(other_gateway: GatewayMaker, mode: str, scenario: str) -> None:
    gateway = other_gateway("impatient", timeouts=Timeouts(first_byte=0.4, idle=0.3))
    gateway.simulator.departed.clear()
    chat = Asking(gateway.url, mode)
    with pytest.raises(ollama.ResponseError, match=r"silent for 0\.[34] seconds") as caught:
        chat(f"Hello [[simulate: {scenario}]]")
    assert caught.value.status_code == (-1 if chat.parts else 504)
    assert chat.partial().done_reason is None
    assert gateway.simulator.departed.wait(5), "the call upstream was given up"


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_does_not_wait(gateway: Gateway, mode: str) -> None:
    gateway.simulator.departed.clear()
    with pytest.raises(httpx.ReadTimeout):
        Asking(gateway.url, mode, timeout=0.3)("Hello [[simulate: stall after=8]]")
    assert gateway.simulator.departed.wait(5), "the call upstream ends when the client leaves"


# --- what the SDK hides --------------------------------------------------------------------------------


def test_the_lines_as_they_are(gateway: Gateway) -> None:
    body = {"model": "claude-haiku", "messages": [{"role": "user", "content": "Hi"}]}
    answer = httpx.post(f"{gateway.url}/api/chat", json=body, timeout=20.0, verify=False)  # noqa: S501
    assert answer.headers["content-type"] == "application/x-ndjson", "a stream unless told otherwise"
    assert answer.text.endswith("}\n") and "\n\n" not in answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    for line in lines:
        assert line["message"]["role"] == "assistant" and isinstance(line["message"]["content"], str)
        assert isinstance(line["created_at"], str) and line["created_at"].endswith("Z")
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert answer.headers["x-dragoman-model"] == HAIKU


def test_a_break_as_it_is(gateway: Gateway) -> None:
    content = "Hi [[simulate: error_event after=8]]"
    body = {"model": "claude-haiku", "messages": [{"role": "user", "content": content}]}
    answer = httpx.post(f"{gateway.url}/api/chat", json=body, timeout=20.0, verify=False)  # noqa: S501
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[-1] == {"error": "Overloaded"}
    assert not any(line.get("done") for line in lines)


def test_losses_are_told_in_ollamas_own_words(gateway: Gateway) -> None:
    body = {
        "model": "claude-haiku",
        "messages": [{"role": "user", "content": "Hi"}],
        "options": {"num_predict": 500_000, "seed": 7, "mirostat": 2, "min_p": 0.1},
        "stream": False,
        "format": "json",
    }
    answer = httpx.post(f"{gateway.url}/api/chat", json=body, timeout=20.0, verify=False)  # noqa: S501
    assert sorted(answer.headers["x-dragoman-dropped"].split(", ")) == ["min_p", "mirostat", "seed"]
    assert sorted(answer.headers["x-dragoman-emulated"].split(", ")) == ["format", "num_predict"]
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
