"""What clients are told of an answer, through a gateway: probabilities of tokens, and the names of what is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import requests
from ollama import Client
from openai.types.chat import ChatCompletionTokenLogprob

from dragoman.config import Secret, Settings, Upstream
from dragoman.conversation import Finish, Part, PartEnd, PartStart, Request, Start, Thinking, ToolCall
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_chat import FanOut
from dragoman.dialects.openai_completions import Encoder
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.running import run_gateway, simulate

GPT, QWEN, BOX, CLAUDE = "gpt-4.1-mini", "qwen3:8b", "box/qwen3-8b", "claude-sonnet-5"
ASK: Any = [{"role": "user", "content": "Say something short."}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A gateway before all three kinds of servers."""
    with (
        run_in_thread(OpenAISimulator()) as compatible,
        run_in_thread(OpenAISimulator(flavor="lmstudio")) as box,
        run_in_thread(OllamaSimulator()) as local,
        run_in_thread(simulate()) as claude,
    ):
        upstreams = (
            Upstream(name="anthropic", base_url=claude.url, key=Secret("sk-test")),
            Upstream(
                name="other", dialect="openai_chat", base_url=compatible.url, flavor="openai", key=Secret("sk-test")
            ),
            Upstream(name="box", dialect="openai_chat", base_url=box.url, flavor="lmstudio", key=Secret("sk-test")),
            Upstream(name="local", dialect="ollama", base_url=local.url),
        )
        with run_gateway(Settings(host="127.0.0.1", port=0, upstreams=upstreams, retries=0)) as gateway:
            yield gateway.url


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def local(url: str) -> Iterator[Any]:
    with Client(url) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_an_ollama_client_reads_the_probabilities_of_another_server(local: Any, stream: bool) -> None:
    got: Any = local.chat(GPT, ASK, stream=stream, logprobs=True, top_logprobs=2)
    answers = list(got) if stream else [got]
    tokens = [token for answer in answers for token in answer.logprobs or ()]
    said = "".join(answer.message.content for answer in answers)
    assert said
    assert "".join(token.token for token in tokens) == said
    assert {len(token.top_logprobs) for token in tokens} == {2}
    assert all(token.logprob < 0 for token in tokens)


@pytest.mark.parametrize("stream", [False, True])
def test_an_ollama_client_generates_with_probabilities(local: Any, stream: bool) -> None:
    got: Any = local.generate(GPT, "Say something.", stream=stream, logprobs=True)
    answers = list(got) if stream else [got]
    tokens = [token for answer in answers for token in answer.logprobs or ()]
    assert "".join(token.token for token in tokens) == "".join(answer.response for answer in answers) != ""


@pytest.mark.parametrize("stream", [False, True])
def test_an_openai_client_reads_the_probabilities_of_ollama(sdk: openai.OpenAI, stream: bool) -> None:
    got: Any = sdk.chat.completions.create(model=QWEN, messages=ASK, stream=stream, logprobs=True, top_logprobs=3)
    choices = [choice for chunk in (got if stream else [got]) for choice in chunk.choices]
    said = "".join((choice.delta if stream else choice.message).content or "" for choice in choices)
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content or ()]
    for token in tokens:
        ChatCompletionTokenLogprob.model_validate(token.to_dict(), strict=True)
    assert said
    assert "".join(token.token for token in tokens) == said
    assert {len(token.top_logprobs) for token in tokens} == {3}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("echo", [False, True])
def test_the_lists_of_a_legacy_completion(sdk: openai.OpenAI, stream: bool, echo: bool) -> None:
    got: Any = sdk.completions.create(model=QWEN, prompt="Say", logprobs=2, echo=echo, stream=stream)
    choices = [choice for chunk in (got if stream else [got]) for choice in chunk.choices]
    text = "".join(choice.text for choice in choices)
    told = [choice.logprobs for choice in choices if choice.logprobs]
    tokens = [token for lists in told for token in lists.tokens]
    places = [place for lists in told for place in lists.text_offset]
    assert ("Say" if echo else "") + "".join(tokens) == text
    assert [text[at : at + len(token)] for at, token in zip(places, tokens, strict=True)] == tokens
    assert {len(tops) for lists in told for tops in lists.top_logprobs} == {2}
    assert all(score < 0 for lists in told for score in lists.token_logprobs)


def test_claude_has_none_and_that_is_said(sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model=CLAUDE, messages=ASK, logprobs=True)
    assert "logprobs" in raw.headers["x-dragoman-dropped"].split(", ")
    assert raw.parse().choices[0].logprobs is None


def test_what_cannot_be_said_of_a_whole_answer_is_in_its_report(url: str) -> None:
    answer = requests.post(f"{url}/api/chat", json={"model": BOX, "messages": ASK, "stream": False}, timeout=30)
    assert answer.headers["x-dragoman-dropped"] == "reply.stats, reply.model_info"
    assert "tokens_per_second" not in answer.text + str(answer.headers)


def test_what_cannot_be_said_of_a_stream_is_in_the_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dragoman.surfaces")
    answer = requests.post(f"{url}/api/chat", json={"model": BOX, "messages": ASK}, timeout=30)
    assert answer.status_code == 200
    lines = [record.getMessage() for record in caplog.records if "not told" in record.getMessage()]
    assert len(lines) == 1
    name, _, told = lines[0].partition(": of the answer, not told: ")
    assert name.startswith("req_")
    assert told == "stats, model_info"


def test_its_own_dialect_has_a_place_for_all_of_it(url: str) -> None:
    body: Any = {"model": BOX, "messages": ASK, "system": "Be brief.", "n": 2}
    whole = requests.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    assert "x-dragoman-dropped" not in whole.headers
    assert whole.json()["stats"]


def test_several_answers_tell_it_once() -> None:
    request = Request(origin="openai_completions", model="m", messages=[])
    stamp = Stamp(id="c", model="m", created=0, started=0, clock=lambda: 0)
    fan = FanOut([Encoder(request, stamp, index, tail=False) for index in range(3)], lambda _: b"")
    parts: list[Part] = [Thinking(text="a"), Thinking(text="b"), ToolCall(id="c", name="f", arguments="{}")]
    for index, part in enumerate(parts):
        fan.feed(index, [Start("x", "m"), PartStart(0, part), PartEnd(0), Finish("stop")])
    assert fan.untold.names == ["content[0] (thinking)", "content[0] (tool_use)"]
