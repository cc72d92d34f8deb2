"""A member that one model refuses is left out of the next try, told, and not sent to it again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.dialects import openai_chat, openai_responses
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError, invalid
from dragoman.models.catalogue import Resolution
from dragoman.models.open.card import generic
from dragoman.relay.call import Call, Plan
from dragoman.relay.carrying import Carrier
from dragoman.simulator import OpenAISimulator
from dragoman.simulator.server import Serving, run_in_thread
from tests.running import run_gateway

HI = [{"role": "user", "content": "Hi"}]
ASKED = {"model": "gpt-5.6", "max_tokens": 100, "temperature": 0.3, "top_k": 5}
ASKED |= {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Serving[OpenAISimulator]]:
    with run_in_thread(OpenAISimulator(flavor="openai")) as running:
        yield running


@pytest.fixture(scope="module")
def client(upstream: Serving[OpenAISimulator]) -> Iterator[httpx.Client]:
    # As if nobody knew what kind of server it is.
    behind = Upstream(
        name="there",
        dialect="openai_chat",
        base_url=upstream.url,
        flavor="generic",
        key=Secret("sk-test"),
        models=("gpt-*",),
    )
    settings = Settings(host="127.0.0.1", port=0, upstreams=(behind,), retries=0)
    with run_gateway(settings) as gateway, httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as http:
        yield http


def test_what_is_refused_is_left_out_told_and_remembered(
    client: httpx.Client, upstream: Serving[OpenAISimulator]
) -> None:
    for tries in (4, 1):
        before = len(upstream.simulator.requests)
        answer = client.post("/v1/messages", json=ASKED)
        assert answer.status_code == 200, answer.text
        assert {"top_k", "temperature"} <= set(answer.headers["x-dragoman-dropped"].split(", "))
        calls = [it for it in upstream.simulator.requests[before:] if it.path == "/v1/chat/completions"]
        assert len(calls) == tries
        sent = calls[-1].body
        assert sent["max_completion_tokens"] == 100 and not {"top_k", "temperature", "max_tokens"} & sent.keys()


def test_a_refusal_of_what_matters_reaches_the_client(client: httpx.Client) -> None:
    wrong = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "ftp://nowhere/a.png"}}]}
    answer = client.post("/v1/messages", json=ASKED | {"messages": [wrong]})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_strict_mode_gives_nothing_up(client: httpx.Client) -> None:
    answer = client.post("/v1/messages", json=ASKED | {"model": "gpt-4.1-mini"}, headers={"x-dragoman-strict": "1"})
    assert answer.status_code == 400
    assert "top_k" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("client", "wrote"), [(openai_responses, False), (openai_chat, True)])
def test_only_who_wrote_for_such_a_server_is_told_that_it_refuses(client: ClientDialect, *, wrote: bool) -> None:
    """A Responses client cannot know what chat completions of a model take: what they refuse is left out."""
    words = {"verbosity": "low", "messages": HI} if wrote else {"text": {"verbosity": "low"}, "input": "Hi"}
    asyncio.run(_refused(client, {"model": "m", "service_tier": "flex", **words}, wrote=wrote))


async def _refused(client: ClientDialect, body: dict[str, Any], *, wrote: bool) -> None:
    call = Call(client, Plan(()), lambda: client.decode_request(body))
    card = generic("some-model", "openai_chat", "there", flavor="openai")
    carrier = Carrier(Settings(fetch=False), lambda: 0.0)
    call.sent = await carrier.made(call, Resolution("m", card))
    for name, theirs in (("verbosity", "text.verbosity"), ("service_tier", "service_tier")):
        assert name in json.loads(call.sent.body)
        refused = invalid(f"Unsupported parameter: '{name}'", name)
        if wrote:
            with pytest.raises(GatewayError, match=name):
                await carrier.mended(call, refused)
            continue
        call.sent = await carrier.mended(call, refused)
        assert name not in json.loads(call.sent.body)
        assert theirs in call.sent.losses.dropped
