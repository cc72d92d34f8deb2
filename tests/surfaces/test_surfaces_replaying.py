"""Earlier reasoning that a server of OpenAI's kind refuses is left out, told, and not sent to it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OpenAISimulator
from dragoman.simulator.server import Serving, run_in_thread
from tests.running import run_gateway

# What a program sends after Claude answered first, and the user chose another model for the next question.
THOUGHT = {"role": "assistant", "content": "Four.", "reasoning_content": "Two and two."}
ASKED = {"messages": [{"role": "user", "content": "2 + 2?"}, THOUGHT, {"role": "user", "content": "Twice that?"}]}
STRICT = {"x-dragoman-strict": "true"}
SIGNED = {"type": "thinking", "thinking": "Two and two.", "signature": "dragoman.1.e30"}
BLOCKS = {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "Four."}]}


@dataclass
class There:
    """A gateway; one of its servers is there twice, also as `unknown`: as if nobody knew what kind it is."""

    http: httpx.Client
    servers: dict[str, Serving[OpenAISimulator]]

    def ask(self, model: str, path: str = "/v1/chat/completions", headers: Any = None, **body: Any) -> httpx.Response:
        return self.http.post(path, json={"model": model, **ASKED, **body}, headers=headers)

    def sent(self, server: str) -> list[dict[str, Any]]:
        """The bodies of all that it was asked."""
        requests = self.servers[server].simulator.requests
        return [request.body for request in requests if request.path == "/v1/chat/completions"]


@pytest.fixture
def there() -> Iterator[There]:
    with ExitStack() as stack:
        servers = {
            flavor: stack.enter_context(run_in_thread(OpenAISimulator(flavor=flavor))) for flavor in ("openai", "vllm")
        }
        upstreams = [
            _upstream(name, servers[server], flavor)
            for name, server, flavor in [
                ("unknown", "openai", "generic"),
                ("openai", "openai", "openai"),
                ("vllm", "vllm", "vllm"),
            ]
        ]
        gateway = stack.enter_context(
            run_gateway(Settings(host="127.0.0.1", port=0, upstreams=tuple(upstreams), retries=0))
        )
        http = stack.enter_context(httpx.Client(base_url=gateway.url, trust_env=False, timeout=20))
        yield There(http, servers)


def _upstream(name: str, server: Serving[OpenAISimulator], flavor: str) -> Upstream:
    return Upstream(
        name=name, dialect="openai_chat", base_url=server.url, flavor=flavor, key=Secret("sk-test"), prefix=f"{name}/"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_server_refuses_goes_and_is_told(there: There, *, stream: bool) -> None:
    for tries in (2, 1):  # from then on it is known
        before = len(there.sent("openai"))
        answer = there.ask("unknown/gpt-4.1-mini", stream=stream)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-dragoman-dropped"] == "thinking"
        assert "Twice" in answer.text
        sent = there.sent("openai")[before:]
        assert len(sent) == tries
        assert sent[-1]["messages"][1] == {"role": "assistant", "content": "Four."}


def test_clients_of_another_dialect_have_it_left_out_too(there: There) -> None:
    messages = [ASKED["messages"][0], BLOCKS, ASKED["messages"][2]]
    for tries in (2, 1):
        before = len(there.sent("openai"))
        answer = there.ask("unknown/gpt-4.1-mini", "/v1/messages", messages=messages, max_tokens=100)
        assert answer.status_code == 200, answer.text
        assert "thinking" in answer.headers["x-dragoman-dropped"]
        assert len(there.sent("openai")[before:]) == tries


def test_a_server_that_is_known_to_read_none_is_sent_none(there: There) -> None:
    answer = there.ask("openai/gpt-4.1-mini")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-dropped"] == "thinking"
    assert [body["messages"][1] for body in there.sent("openai")] == [{"role": "assistant", "content": "Four."}]


def test_a_server_that_reads_it_gets_the_bytes_as_they_are(there: There) -> None:
    answer = there.ask("vllm/Qwen/Qwen3-8B")
    assert answer.status_code == 200, answer.text
    assert "x-dragoman-dropped" not in answer.headers
    assert there.sent("vllm")[-1]["messages"] == ASKED["messages"]


def test_a_wish_for_reasoning_is_no_earlier_reasoning(there: There) -> None:
    words = json.dumps({"reasoning": "of whom?"})
    body: dict[str, Any] = {"user": "me", "reasoning_effort": "low", "messages": [{"role": "user", "content": words}]}
    answer = there.ask("openai/gpt-5.6", **body)
    assert answer.status_code == 200, answer.text
    assert there.sent("openai")[-1] == {"model": "gpt-5.6", **body}  # a translated call has another name for the user


def test_strict_mode_and_other_refusals_reach_the_client(there: There) -> None:
    refused = there.ask("unknown/gpt-4.1-mini", headers=STRICT)
    assert refused.status_code == 400
    assert "messages[1].reasoning_content" in refused.json()["error"]["message"]
    refused = there.ask("openai/gpt-4.1-mini", headers=STRICT)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "thinking")
    refused = there.ask("unknown/gpt-4.1-mini", messages=[THOUGHT, {"role": "user", "content": 5}])
    assert refused.status_code == 400
    assert "reasoning" not in refused.json()["error"]["message"]


def test_a_default_stream_is_asked_for_again() -> None:
    with run_in_thread(OpenAISimulator(flavor="openai")) as server:
        upstreams = (_upstream("unknown", server, "generic"),)
        settings = Settings(host="127.0.0.1", port=0, upstreams=upstreams, retries=0, stream_default=True)
        with run_gateway(settings) as gateway, httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as http:
            answer = http.post("/v1/chat/completions", json={"model": "unknown/gpt-4.1-mini", **ASKED})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.rstrip().endswith("data: [DONE]")
