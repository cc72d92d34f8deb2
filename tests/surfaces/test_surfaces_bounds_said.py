"""What a request makes us say, remember or wait for again is bounded, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Limits
from tests.running import Gateway, run_with_simulator
from tests.surfaces.plain import Answer, connected, ended, head, request, sent
from tests.surfaces.speaking import MODEL

HI: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
LONG = "-eyJ" * 500_000


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(refresh=0) as it:
        yield it


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**HI, "messages": [{"role": LONG, "content": "Hi"}]}),
        ("/v1/chat/completions", {**HI, "reasoning_effort": LONG}),
        ("/v1/responses", {"model": MODEL, "input": "Hi", "previous_response_id": LONG}),
        ("/api/chat", {**HI, "keep_alive": LONG}),
        ("/api/show", {"model": LONG}),
    ],
    ids=["role", "effort", "previous", "keep_alive", "show"],
)
def test_an_error_does_not_say_all_that_was_said(gateway: Gateway, path: str, body: dict[str, Any]) -> None:
    answer = sent(gateway.url, request(path, body))
    assert answer.status in (400, 404)
    assert len(answer.body) < 20_000
    assert "-eyJ-eyJ" in answer.words
    assert len(answer.words) > 1000


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat", "/api/generate"]
)
def test_the_name_of_a_model_has_an_end(gateway: Gateway, path: str) -> None:
    """It stands in each line of an answer, and is remembered."""
    said = HI | {"input": "Hi", "prompt": "Hi", "stream": False}

    def asked(name: str) -> Answer:
        members = {"/v1/responses": ["input"], "/api/generate": ["prompt"]}.get(path, ["messages", "max_tokens"])
        members.append("stream")
        return sent(gateway.url, request(path, {"model": name, **{each: said[each] for each in members}}))

    assert asked(MODEL).status == 200
    refused = asked("claude-" + "x" * 1000)
    assert refused.status == 404
    assert len(refused.words) < 200


def test_a_duration_has_an_end(gateway: Gateway) -> None:
    def status(words: str) -> int:
        return sent(gateway.url, request("/api/chat", {**HI, "stream": False, "keep_alive": words})).status

    assert status("1h" * 100) == 200
    assert status("1h" * 100_000) == 400


@pytest.mark.parametrize(
    ("limits", "status", "named"),
    [
        (Limits(calls_per_peer=2), 429, "DRAGOMAN_LIMIT_CALLS_PER_PEER"),
        (Limits(calls=2), 503, "DRAGOMAN_LIMIT_CALLS"),
    ],
)
def test_only_so_many_responses_in_the_background(limits: Limits, status: int, named: str) -> None:
    """Their clients wait for none of them, and have no call under way."""
    body = {"model": MODEL, "input": "[[simulate: text delay=60]]", "background": True}
    with run_with_simulator(refresh=0, limits=limits) as gateway, httpx.Client(base_url=gateway.url) as http:
        first, second = (http.post("/v1/responses", json=body).json() for _ in range(2))
        refused = http.post("/v1/responses", json=body)
        assert refused.status_code == status
        assert named in refused.text
        assert "retry-after" in refused.headers
        assert http.post("/v1/responses", json=body | {"input": "Hi", "background": False}).status_code == 200
        assert http.post(f"/v1/responses/{first['id']}/cancel").json()["status"] == "cancelled"
        third = http.post("/v1/responses", json=body)
        assert third.status_code == 200
        for each in (second, third.json()):
            http.delete(f"/v1/responses/{each['id']}")


def test_blank_lines_are_the_beginning_of_a_head() -> None:
    """Else whoever sends one keeps his connection for ever."""
    with run_with_simulator(refresh=0, limits=Limits(head=0.2)) as gateway, connected(gateway.url) as it:
        it.sendall(head("/health", method="GET"))
        assert it.recv(10_000).startswith(b"HTTP/1.1 200 ")
        it.sendall(b"\r\n")
        assert ended(it)
