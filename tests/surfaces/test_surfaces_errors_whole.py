"""Errors in the shapes that servers really send, to clients of every dialect: nothing they say is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from tests.relay.scripted import Scripted, response, scripted
from tests.running import run_gateway

Object = dict[str, Any]
PATHS = {"A": "/v1/messages", "C": "/v1/chat/completions", "O": "/api/chat"}
MODELS = {"A": "claude/claude-sonnet-4-5", "C": "there/some-model", "O": "local/some-model"}


class Row(NamedTuple):
    """`told`: what of the client's answer must be, by client: its status and its `error`."""

    name: str
    server: str
    status: str
    body: Object
    told: dict[str, tuple[int, Object | str]]
    headers: str = ""
    answered: Mapping[str, str] = MappingProxyType({})


def anthropics(kind: str, message: str, **more: Any) -> Object:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}


def openais(message: str, kind: str | None, **more: Any) -> Object:
    return {"error": {"message": message, "type": kind, **more}}


ROWS = [
    Row(
        "a limit on spending, which no waiting helps",
        "A",
        "429 Too Many Requests",
        anthropics("rate_limit_error", "the limit is reached", details={"error_code": "enforced_spend_limit_reached"}),
        {
            "C": (429, {"type": "rate_limit_error", "code": "enforced_spend_limit_reached"}),
            "O": (429, "the limit is reached"),
        },
        "x-should-retry: false\r\nrequest-id: req_up\r\n",
        {"x-should-retry": "false", "x-dragoman-upstream-request-id": "req_up"},
    ),
    Row(
        "a failure that says when to come back",
        "A",
        "500 Internal Server Error",
        anthropics("api_error", "a bad day"),
        {"C": (500, {"type": "server_error", "message": "a bad day"}), "O": (500, "a bad day")},
        "retry-after: 3\r\n",
        {"retry-after": "3"},
    ),
    Row(
        "a member that one model does not take",
        "C",
        "400 Bad Request",
        openais("That is not supported.", "invalid_request_error", param="reasoning", code="unsupported_parameter"),
        {
            "A": (
                400,
                {
                    "type": "invalid_request_error",
                    "message": "reasoning: That is not supported.",
                    "details": {"error_code": "unsupported_parameter"},
                },
            ),
            "O": (400, "reasoning: That is not supported."),
        },
        "x-request-id: req_up\r\n",
        {"x-dragoman-upstream-request-id": "req_up"},
    ),
    Row(
        "a code that is a number",
        "C",
        "429 Too Many Requests",
        openais("Slow down.", None, code=429, metadata={"provider": "p"}),
        {"A": (429, {"type": "rate_limit_error", "message": "Slow down."}), "O": (429, "Slow down.")},
        "retry-after: 9\r\n",
        {"retry-after": "9"},
    ),
    Row(
        "a prompt that is too long, in numbers",
        "C",
        "400 Bad Request",
        openais(
            "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.",
            "BadRequestError",
            code=400,
        ),
        {
            "A": (400, {"message": "prompt is too long: 5000 tokens > 4096 maximum"}),
            "O": (
                400,
                "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.",
            ),
        },
    ),
    Row(
        "a bare word",
        "C",
        "400 Bad Request",
        {"error": "no such thing"},
        {"A": (400, {"message": "no such thing"}), "O": (400, "no such thing")},
    ),
    Row(
        "what a form was filled in wrong with",
        "C",
        "422 Unprocessable Entity",
        {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]},
        {
            "A": (400, {"message": "body.messages: field required"}),
            "O": (400, "body.messages: field required"),
        },
    ),
    Row(
        "Ollama's plain words",
        "O",
        "400 Bad Request",
        {"error": "that is no picture"},
        {
            "A": (400, {"type": "invalid_request_error", "message": "that is no picture"}),
            "C": (400, {"type": "invalid_request_error", "message": "that is no picture", "param": None}),
        },
    ),
    Row(
        "Ollama's missing model",
        "O",
        "404 Not Found",
        {"error": "model 'some-model' not found"},
        {
            "A": (404, {"type": "not_found_error", "message": "model: model 'some-model' not found"}),
            "C": (404, {"code": "model_not_found", "message": "model 'some-model' not found"}),
        },
    ),
    Row(
        "a sign-in that Ollama wants",
        "O",
        "401 Unauthorized",
        {"error": "unauthorized", "signin_url": "https://example.org/in"},
        {
            "A": (401, {"type": "authentication_error"}),
            "C": (401, {"code": "invalid_api_key"}),
        },
        answered={"body": "https://example.org/in"},
    ),
]


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[Scripted, httpx.Client]]:
    with scripted() as upstream:
        key = Secret("sk-test")
        servers = (
            Upstream(name="claude", base_url=upstream.url, key=key),
            Upstream(name="there", dialect="openai_chat", base_url=upstream.url, key=key, models=("some-model",)),
            Upstream(name="local", dialect="ollama", base_url=upstream.url, models=("some-model",)),
        )
        settings = Settings(host="127.0.0.1", port=0, upstreams=servers, retries=0, refresh=0)
        with run_gateway(settings) as gateway, httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as http:
            yield upstream, http


PAIRS = [pytest.param(row, client, id=f"{row.name}: {client}") for row in ROWS for client in row.told]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("row", "client"), PAIRS)
def test_all_of_an_error_arrives(house: tuple[Scripted, httpx.Client], row: Row, client: str, stream: bool) -> None:
    upstream, http = house
    upstream.play([response(json.dumps(row.body).encode(), status=row.status, headers=row.headers)])
    asked = {"model": MODELS[row.server], "max_tokens": 99, "stream": stream}
    answer = http.post(PATHS[client], json=asked | {"messages": [{"role": "user", "content": "Hi"}]})
    status, expected = row.told[client]
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    if isinstance(expected, dict):
        assert {name: error.get(name) for name in expected} == expected
        error = error["message"]
    else:
        assert error == expected
    for name, value in row.answered.items():
        assert value in (answer.text if name == "body" else answer.headers.get(name, "")), answer.headers


def test_every_pair_is_in_the_table() -> None:
    pairs = {(client, row.server) for row in ROWS for client in row.told}
    assert pairs == {(client, server) for client in "ACO" for server in "ACO" if client != server}
