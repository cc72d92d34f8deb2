"""What one model behind a Responses server refuses: asked again without, once, and remembered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.running import run_gateway
from tests.surfaces.responding import Behind, Object, events, post

PLAIN = "gpt-4.1-mini"
"""It does not think: it has no proofs, and no effort."""
Dialect = Literal["openai_chat", "openai_responses"]
PROOFS = "reasoning.encrypted_content"


@pytest.fixture
def bed() -> Iterator[Behind]:
    """OpenAI, as a server of chat completions that passes Responses through, and as one of the Responses API."""
    simulator = OpenAISimulator(flavor="openai")
    with ExitStack() as stack:
        url, key = stack.enter_context(run_in_thread(simulator)).url, Secret("sk-test")
        kinds: dict[str, Dialect] = {"openai": "openai_chat", "responses": "openai_responses"}
        upstreams = tuple(
            Upstream(name=name, dialect=dialect, base_url=url, key=key, flavor="openai")
            for name, dialect in kinds.items()
        )
        gateway = stack.enter_context(run_gateway(Settings(host="127.0.0.1", port=0, retries=0, upstreams=upstreams)))
        yield Behind(gateway.url, dict.fromkeys(kinds, simulator), stack)


def asked(bed: Behind, server: str) -> list[Object]:
    """The bodies that reached the server."""
    return [request[1] for request in bed.simulators[server].requests if request[1]]


@pytest.mark.parametrize("server", ["openai", "responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_without_proofs(bed: Behind, server: str, stream: bool) -> None:
    """A response that is to be kept: the gateway asks for the proofs, the client knows nothing of them."""
    body = {"model": f"{server}/{PLAIN}", "input": "Hello", "stream": stream}
    first = post(bed.url, body)
    told = events(first)[-1]["response"] if stream else first.json()
    assert first.status_code == 200, first.text
    assert told["output"]
    assert "x-dragoman-dropped" not in first.headers
    assert [PROOFS in body.get("include", ()) for body in asked(bed, server)] == [True, False]
    again = post(bed.url, {**body, "stream": False, "previous_response_id": told["id"]})
    assert again.status_code == 200, again.text
    assert [PROOFS in body.get("include", ()) for body in asked(bed, server)] == [True, False, False], "remembered"
    thinks = post(bed.url, {"model": f"{server}/gpt-5.6", "input": "Hello"})
    assert thinks.status_code == 200
    assert PROOFS in asked(bed, server)[-1]["include"], "of that model only"


@pytest.mark.parametrize("server", ["openai", "responses"])
def test_who_asks_for_proofs_hears_that_there_are_none(bed: Behind, server: str) -> None:
    for store in (False, True):
        body = {"model": f"{server}/{PLAIN}", "input": "Hello", "store": store, "include": [PROOFS]}
        refused = post(bed.url, body)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "include"
    wrong = post(bed.url, {"model": f"{server}/{PLAIN}", "input": "Hello", "max_output_tokens": "many"})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == "max_output_tokens", "another mistake is told as it is"
    assert post(bed.url, {"model": f"{server}/{PLAIN}", "input": "Hello"}).status_code == 200


CLIENTS: dict[str, tuple[str, Object]] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
    "anthropic": ("/v1/messages", {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 500}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "Hello"}]}),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
def test_clients_of_every_kind(bed: Behind, client: str, stream: bool) -> None:
    path, body = CLIENTS[client]
    body = {**body, "model": f"responses/{PLAIN}", "stream": stream}
    for count in (2, 3):  # the second time it is known
        answer = post(bed.url, body, path)
        assert answer.status_code == 200, answer.text
        assert "x-dragoman-dropped" not in answer.headers
        assert len(asked(bed, "responses")) == count


def test_what_else_it_refuses(bed: Behind) -> None:
    """An effort for a model that does not think."""
    said = {"model": f"responses/{PLAIN}", "messages": [{"role": "user", "content": "Hello"}]}
    for tries in (3, 1):
        before = len(asked(bed, "responses"))
        answer = post(bed.url, {**said, "reasoning_effort": "low"}, "/v1/chat/completions")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-dragoman-dropped"] == "reasoning_effort"
        assert len(asked(bed, "responses")) == before + tries
    headers = {"authorization": "Bearer sk-client", "x-dragoman-strict": "true"}
    url = f"{bed.url}/v1/chat/completions"
    strict = httpx.post(url, json={**said, "reasoning_effort": "low"}, headers=headers, trust_env=False)
    assert strict.status_code == 400, "who minds every loss is told of it"
    strict = httpx.post(url, json=said, headers=headers, trust_env=False)
    assert strict.status_code == 200, "what only the gateway asked for is no loss"
