"""Everything that goes wrong, as the official OpenAI SDK tells it: by its own exception or member, in useful words."""

from __future__ import annotations

import socket
import time
from typing import Any, NamedTuple

import httpx
import openai
import pytest
from pydantic import BaseModel

from dragoman.config import Secret, Timeouts, Upstream
from tests.conftest import GatewayMaker
from tests.running import Gateway, simulate
from tests.sdks.asking_openai import HAIKU, MODES, Asking


class Refused(NamedTuple):
    """A scenario and its exception, with what the message must say and the `retry-after` header, where it matters."""

    scenario: str
    kind: type[openai.APIStatusError]
    status: int
    code: str | None
    words: str
    wait: str | None = None


REFUSED = [
    Refused("rate_limit retry_after=7", openai.RateLimitError, 429, "rate_limit_exceeded", "rate limit", "7"),
    Refused("overloaded", openai.InternalServerError, 503, "server_is_overloaded", "Overloaded", "5"),
    Refused("overloaded retry_after=3", openai.InternalServerError, 503, "server_is_overloaded", "Overloaded", "3"),
    Refused("error", openai.InternalServerError, 500, None, "Internal server error"),
    Refused("error status=504", openai.InternalServerError, 504, None, "Internal server error"),
    Refused("invalid_key", openai.AuthenticationError, 401, "invalid_api_key", "key this gateway is configured with"),
    Refused("billing", openai.RateLimitError, 429, "insufficient_quota", "credit balance is too low"),
    Refused("reset", openai.InternalServerError, 502, None, "closed the connection"),
    Refused("error_event after=1", openai.InternalServerError, 503, "server_is_overloaded", "Overloaded"),
]


@pytest.mark.parametrize("row", REFUSED, ids=[row.scenario for row in REFUSED])
def test_a_failure_before_the_first_byte(ask: Asking, row: Refused) -> None:
    with pytest.raises(row.kind) as caught:
        ask(f"Hello [[simulate: {row.scenario}]]")
    error = caught.value
    assert (error.status_code, error.code, error.param) == (row.status, row.code, None)
    assert row.words in error.message and error.type and error.request_id
    if row.wait is not None:
        assert error.response.headers["retry-after"] == row.wait


def test_no_retry_where_none_helps(gateway: Gateway) -> None:
    """An empty account stays empty: the SDK would try twice more, were it not told to leave it."""
    gateway.simulator.requests.clear()
    with pytest.raises(openai.RateLimitError):
        Asking(gateway.url, "whole", max_retries=2)("Hello [[simulate: billing]]")
    assert len(gateway.simulator.requests) == 1


@pytest.mark.parametrize("mode", ["whole", "async streamed"])
def test_the_sdk_comes_back_when_it_was_told_to(gateway: Gateway, mode: str) -> None:
    began = time.monotonic()
    answer = Asking(gateway.url, mode, max_retries=1)(
        f"Hello [[simulate: rate_limit retry_after=1 times=1 id={mode.replace(' ', '-')}]]"
    )
    assert answer.finish == "stop" and time.monotonic() - began > 0.9


@pytest.mark.parametrize("mode", MODES)
def test_the_gateway_tries_again_by_itself(other_gateway: GatewayMaker, mode: str) -> None:
    gateway = other_gateway("retries", retries=1)
    before = len(gateway.simulator.requests)
    ask = Asking(gateway.url, mode)
    assert ask(f"Hello [[simulate: overloaded times=1 id={mode.replace(' ', '-')}]]").finish == "stop"
    assert len(gateway.simulator.requests) == before + 2


# --- names and keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_model_where_that_is_an_error(other_gateway: GatewayMaker, mode: str) -> None:
    ask = Asking(other_gateway("no default", default_model=None).url, mode)
    with pytest.raises(openai.NotFoundError, match=r"model 'gpt-4o' not found") as caught:
        ask("Hello", model="gpt-4o")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert ask("Hello").finish == "stop"


def test_an_unknown_model_goes_to_the_default_one(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert raw.parse().model == "gpt-4o"
    assert raw.headers["x-dragoman-substituted"].startswith("gpt-4o -> claude-sonnet-")
    with pytest.raises(openai.NotFoundError, match="gpt-4o") as caught:
        client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found"


def test_a_retired_model_is_replaced_or_refused(client: openai.OpenAI, other_gateway: GatewayMaker) -> None:
    old: Any = {"model": "claude-3-5-haiku-20241022", "messages": [{"role": "user", "content": "Hi"}]}
    raw = client.chat.completions.with_raw_response.create(**old)
    assert raw.parse().choices[0].message.content
    assert "is retired" in raw.headers["x-dragoman-substituted"]
    with pytest.raises(openai.NotFoundError, match=r"is retired .* use claude-haiku"):
        Asking(other_gateway("no retired", retired="refuse").url, "whole")("Hi", model=old["model"])


@pytest.mark.parametrize("mode", MODES)
def test_the_gateway_s_own_keys(other_gateway: GatewayMaker, mode: str) -> None:
    gateway = other_gateway("keys", api_keys=(Secret("right"), Secret("also right")))
    before = len(gateway.simulator.requests)
    with pytest.raises(openai.AuthenticationError, match="does not know the key") as caught:
        Asking(gateway.url, mode, api_key="wrong")("Hello")
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")
    assert len(gateway.simulator.requests) == before, "nothing went upstream"
    assert Asking(gateway.url, mode, api_key="also right")("Hello").finish == "stop"


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_the_upstream_refuses(other_gateway: GatewayMaker, mode: str) -> None:
    gateway = other_gateway("refused", simulator=simulate(keys=frozenset({"sk-another"})))
    with pytest.raises(openai.AuthenticationError, match="key this gateway is configured with") as caught:
        Asking(gateway.url, mode, api_key="sk-client")("Hello")
    assert "sk-" not in caught.value.message


@pytest.mark.parametrize("mode", MODES)
def test_an_upstream_that_is_not_there(other_gateway: GatewayMaker, mode: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        nowhere = Upstream(name="anthropic", base_url=url, key=Secret("sk-test"))
        gateway = other_gateway("nowhere", upstreams=(nowhere,))
        with pytest.raises(openai.InternalServerError, match="could not be reached") as caught:
            Asking(gateway.url, mode)("Hello")
    assert caught.value.status_code == 502
    assert "sk-test" not in caught.value.message


# --- requests that cannot be made --------------------------------------------------------------------

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown role", {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ("no messages", {"messages": []}, "messages"),
    ("too hot", {"temperature": 3}, "temperature"),
    ("no choices", {"n": 0}, "n"),
    ("a model that is a number", {"model": 7}, "model"),
    ("a tool without a name", {"tools": [{"type": "function", "function": {}}]}, "tools[0].name"),
    ("a format nobody knows", {"response_format": {"type": "yaml"}}, "response_format.type"),
]


@pytest.mark.parametrize(("members", "param"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_request_that_is_wrong(ask: Asking, members: dict[str, Any], param: str) -> None:
    messages = members.get("messages", [{"role": "user", "content": "Hello"}])
    with pytest.raises(openai.BadRequestError) as caught:
        ask(messages, **{key: value for key, value in members.items() if key != "messages"})
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")
    assert param.rpartition(".")[2] in caught.value.message


def test_a_prompt_that_is_too_long(ask: Asking) -> None:
    with pytest.raises(openai.BadRequestError, match="too long") as caught:
        ask("word " * 160_000)
    assert caught.value.code == "context_length_exceeded"


def test_an_answer_that_ran_out_of_context(ask: Asking) -> None:
    answer = ask("Hello [[simulate: context_window_exceeded after=5]]")
    assert answer.finish == "length" and answer.text.startswith("There was not enough room")


def test_embeddings_and_what_to_do_instead(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"does not support embeddings.*Ollama or OpenAI-compatible"):
        client.embeddings.create(model=HAIKU, input="Hello")


def test_what_is_not_here(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/images/generations"):
        client.images.generate(prompt="A cat", model="dall-e-3")


def test_token_ids_are_no_prompt(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="token ids") as caught:
        client.completions.create(model=HAIKU, prompt=[1, 2, 3])
    assert caught.value.param == "prompt"


# --- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 4])
def test_a_refusal(ask: Asking, kept: int) -> None:
    answer = ask(f"Hello [[simulate: refusal after={kept}]]")
    assert answer.finish == "content_filter"
    assert answer.refusal == "The simulator was asked to refuse."
    assert answer.text == ("I could begin to" if kept else "")


class Anything(BaseModel):
    word: str


def test_a_refusal_of_structured_output(client: openai.OpenAI) -> None:
    wanted: Any = {"model": HAIKU, "messages": [{"role": "user", "content": "Hi [[simulate: refusal]]"}]}
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client.chat.completions.parse(**wanted, response_format=Anything)


def test_a_refusal_of_a_legacy_completion(client: openai.OpenAI) -> None:
    choice = client.completions.create(model=HAIKU, prompt="Hi [[simulate: refusal]]").choices[0]
    assert (choice.finish_reason, choice.text) == ("content_filter", "The simulator was asked to refuse.")


# --- streams that break ----------------------------------------------------------------------------------

BROKEN = [
    ("error_event after=8", "Overloaded"),
    ("error_event after=8 type=rate_limit_error message=Slow", "Slow"),
    ("reset after=8", "broke in mid-answer"),
    ("truncation after=8", "before it was complete"),
]


@pytest.mark.parametrize(("scenario", "words"), BROKEN, ids=[row[0] for row in BROKEN])
def test_an_answer_that_breaks_off(ask: Asking, scenario: str, words: str) -> None:
    with pytest.raises(openai.APIError, match=words) as caught:
        ask(f"Hello [[simulate: {scenario}]]")
    assert caught.value.type
    if ask.streamed:
        assert not isinstance(caught.value, openai.APIStatusError), "the status was sent long before"
        assert ask.partial().text.startswith("Hello!")
    else:
        assert isinstance(caught.value, openai.APIStatusError)
    assert ask.partial().finish is None


@pytest.mark.parametrize("scenario", ["error_event after=5", "reset after=5", "truncation after=5"])
def test_a_tool_call_that_breaks_off(ask: Asking, scenario: str) -> None:
    tool = {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
    }
    tool["function"]["parameters"]["required"] = ["at"]  # type: ignore[index]
    with pytest.raises(openai.APIError):
        ask(f"Look at the long and winding road [[simulate: {scenario}]]", tools=[tool])
    assert ask.partial().finish is None


@pytest.mark.parametrize("scenario", ["overloaded", "error_event after=8", "reset after=8"])
@pytest.mark.parametrize("times", [1, 2], ids=["of one choice", "of both"])
def test_a_failure_of_some_of_the_choices(ask: Asking, scenario: str, times: int) -> None:
    """A client cannot be told that one of its choices failed: all of them do."""
    name = f"{ask.mode} {scenario} {times}".replace(" ", "-").replace("=", "-")
    with pytest.raises(openai.APIError, match=r"Overloaded|broke in mid-answer"):
        ask.choices(f"Hello [[simulate: {scenario} times={times} id={name}]]", n=2)
    finishes = [choice.finish_reason for chunk in ask.chunks for choice in chunk.choices if choice.finish_reason]
    assert len(finishes) < 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", ["stall after=8", "slow_start delay=20"], ids=["falls silent", "never begins"])
def test_an_upstream_that_does_not_answer(other_gateway: GatewayMaker, mode: str, scenario: str) -> None:
    gateway = other_gateway("impatient", timeouts=Timeouts(first_byte=0.4, idle=0.3))
    gateway.simulator.departed.clear()
    ask = Asking(gateway.url, mode)
    with pytest.raises(openai.APIError, match=r"silent for 0\.[34] seconds") as caught:
        ask(f"Hello [[simulate: {scenario}]]")
    if isinstance(caught.value, openai.APIStatusError):
        assert caught.value.status_code == 504
        assert not ask.chunks
    else:
        assert ask.partial().text.startswith("Hello!")
    assert ask.partial().finish is None
    assert gateway.simulator.departed.wait(5), "the call upstream was given up"


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_does_not_wait(gateway: Gateway, mode: str) -> None:
    gateway.simulator.departed.clear()
    # In the middle of a stream, openai 2.x lets the timeout of its HTTP library through.
    with pytest.raises((openai.APITimeoutError, httpx.ReadTimeout)):
        Asking(gateway.url, mode, timeout=0.3)("Hello [[simulate: stall after=8]]")
    assert gateway.simulator.departed.wait(5), "the call upstream ends when the client leaves"


def test_a_client_that_has_seen_enough(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.simulator.departed.clear()
    wanted: Any = {"model": HAIKU, "messages": [{"role": "user", "content": "Hello [[simulate: stall after=8]]"}]}
    with client.chat.completions.create(**wanted, stream=True) as stream:
        assert next(iter(stream)).choices[0].delta.role == "assistant"
    assert gateway.simulator.departed.wait(5)


def test_a_break_under_the_stream_helper(client: openai.OpenAI) -> None:
    wanted: Any = {"model": HAIKU, "messages": [{"role": "user", "content": "Hello [[simulate: truncation after=8]]"}]}
    with (
        pytest.raises(openai.APIError, match="before it was complete"),
        client.chat.completions.stream(**wanted) as stream,
    ):
        stream.get_final_completion()


def test_a_break_of_a_legacy_stream(client: openai.OpenAI) -> None:
    texts: list[str] = []
    wanted: Any = {"model": HAIKU, "prompt": "Hi [[simulate: error_event after=8]]", "stream": True}
    with client.completions.create(**wanted) as stream, pytest.raises(openai.APIError, match="Overloaded"):
        for chunk in stream:
            assert chunk.choices[0].finish_reason is None
            texts.append(chunk.choices[0].text)
    assert "".join(texts).startswith("Hello!")
