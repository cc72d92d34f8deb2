"""What the SDKs hide: the bytes of an answer, and what other programs send.  No client library but HTTP."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Secret
from tests.conftest import GatewayMaker
from tests.running import Gateway

HELLO: dict[str, Any] = {"model": "claude-haiku", "messages": [{"role": "user", "content": "Hello"}]}
BREAK = HELLO | {"messages": [{"role": "user", "content": "Hello [[simulate: error_event after=8]]"}], "stream": True}
CHAT, OLLAMA = "/v1/chat/completions", "/api/chat"


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20.0, verify=False) as client:  # noqa: S501  no TLS on loopback
        yield client


def frames(answer: httpx.Response) -> list[str]:
    """The data of each event of an SSE stream that has nothing else in it."""
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/event-stream"
    assert answer.text.endswith("\n\n")
    lines = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [line.removeprefix("data: ") for line in lines]


# --- streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_a_stream_of_events(http: httpx.Client, n: int) -> None:
    body = HELLO | {"n": n, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, done = frames(http.post(CHAT, json=body))
    assert done == "[DONE]"
    *deltas, usage = map(json.loads, chunks)
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] > 5 * n
    assert all(chunk["usage"] is None for chunk in deltas)
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in deltas]
    assert [word for word in finishes if word] == ["stop"] * n and finishes[-1] == "stop"
    heads = [{key: chunk[key] for key in ("id", "object", "created", "model")} for chunk in deltas]
    assert all(head == heads[0] for head in heads)
    opening = [chunk["choices"][0] for chunk in deltas[:n]]
    assert [(choice["index"], choice["delta"]["role"]) for choice in opening] == [(i, "assistant") for i in range(n)]


def test_a_stream_of_a_completion(http: httpx.Client) -> None:
    body = {"model": "claude-haiku", "prompt": "Hello", "stream": True}
    *chunks, done = frames(http.post("/v1/completions", json=body))
    assert done == "[DONE]" and json.loads(chunks[-1])["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("n", [1, 2])
def test_a_break_is_an_error_and_no_end(http: httpx.Client, n: int) -> None:
    *chunks, last = frames(http.post(CHAT, json=BREAK | {"n": n}))
    error = json.loads(last)["error"]
    assert error.keys() == {"message", "type", "param", "code"} and error["message"] == "Overloaded"
    assert error["code"] == "server_is_overloaded"
    assert len(chunks) > 3
    assert all(json.loads(chunk)["choices"][0]["finish_reason"] is None for chunk in chunks)


def test_a_stream_is_not_held_up_on_its_way(http: httpx.Client) -> None:
    for path in (CHAT, OLLAMA):
        headers = http.post(path, json=HELLO | {"stream": True}).headers
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
        assert "content-length" not in headers


# --- careless clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["//v1//chat/completions", "/v1/chat/completions/", "/chat/completions"])
def test_addresses_joined_carelessly(http: httpx.Client, path: str) -> None:
    assert http.post(path, json=HELLO).json()["object"] == "chat.completion"


def test_any_content_type_and_compression(http: httpx.Client) -> None:
    data = json.dumps(HELLO | {"stream": False}).encode()
    plain = http.post(OLLAMA, content=data, headers={"content-type": "application/x-www-form-urlencoded"})
    packed = http.post(CHAT, content=gzip.compress(data), headers={"content-encoding": "gzip"})
    assert plain.json()["done"] is True and packed.json()["choices"][0]["finish_reason"] == "stop"


def test_null_is_the_same_as_absent(http: httpx.Client) -> None:
    names = ("temperature", "top_p", "tools", "tool_choice", "stop", "n", "stream", "stream_options", "max_tokens")
    more = ("response_format", "reasoning_effort", "user", "seed", "logprobs", "parallel_tool_calls", "system")
    answer = http.post(CHAT, json=HELLO | dict.fromkeys(names + more))
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert "x-dragoman-dropped" not in answer.headers
    theirs = ("options", "tools", "format", "think", "keep_alive", "logprobs", "top_logprobs", "truncate")
    answer = http.post(OLLAMA, json=HELLO | dict.fromkeys(theirs) | {"stream": False})
    assert answer.json()["done_reason"] == "stop"


def test_each_header_that_holds_a_key(other_gateway: GatewayMaker) -> None:
    gateway = other_gateway("keys", api_keys=(Secret("right"), Secret("also right")))
    right: list[dict[str, str]] = [
        {"authorization": "Bearer right"},
        {"authorization": "bearer  also right"},
        {"x-api-key": "right"},
        {"authorization": "Basic YW55Ym9keTpyaWdodA=="},
    ]
    for headers in right:
        assert httpx.get(f"{gateway.url}/api/tags", headers=headers).status_code == 200, headers
    for headers in ({"authorization": "Bearer righ"}, {"authorization": "Basic !"}, {"x-api-key": ""}, {}):
        for path in ("/api/tags", "/v1/models", "/nothing"):
            assert httpx.get(f"{gateway.url}{path}", headers=headers).status_code == 401, (path, headers)
    assert httpx.get(f"{gateway.url}/").text == "Ollama is running"
    assert httpx.get(f"{gateway.url}/health").status_code == 200


# --- hostile ones -----------------------------------------------------------------------------------------


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


HOSTILE: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no JSON", b"Hello"),
    ("half of it", json.dumps(HELLO).encode()[:-1]),
    ("a list", b"[]"),
    ("not a number", b'{"model":NaN}'),
    ("half a character", b'{"model":"claude-haiku","messages":[{"role":"user","content":"\\ud800"}]}'),
    ("not UTF-8", b'{"model":"claude-haiku","messages":[{"role":"user","content":"\xff"}]}'),
    ("a well", b"[" * 200_000),
    ("a deep message", json.dumps(HELLO | {"messages": [{"role": "user", "content": [_deep(300)]}]}).encode()),
    ("messages in words", json.dumps(HELLO | {"messages": "Hello"}).encode()),
    ("messages of numbers", json.dumps(HELLO | {"messages": [1]}).encode()),
    ("tools in words", json.dumps(HELLO | {"tools": "all of them"}).encode()),
]


@pytest.mark.parametrize("path", [CHAT, OLLAMA, "/v1/completions", "/api/generate"])
@pytest.mark.parametrize("body", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_body_is_the_clients_fault(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body)
    if answer.status_code == 200:  # members that this path does not read
        assert path in ("/v1/completions", "/api/generate")
        return
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert isinstance(error, str) if path.startswith("/api") else error["type"] == "invalid_request_error"


@pytest.mark.parametrize("strict", [False, True])
def test_a_schema_too_deep_to_follow(http: httpx.Client, strict: bool) -> None:
    function = {"name": "deep", "strict": strict, "parameters": _deep(300)}
    tool = http.post(CHAT, json=HELLO | {"tools": [{"type": "function", "function": function}]})
    form = {"type": "json_schema", "json_schema": {"name": "deep", "strict": strict, "schema": _deep(300)}}
    answer = http.post(CHAT, json=HELLO | {"response_format": form})
    native = http.post(OLLAMA, json=HELLO | {"format": _deep(300), "stream": False})
    for reply in (tool, answer, native):
        assert reply.status_code in (200, 400), reply.text[:200]
