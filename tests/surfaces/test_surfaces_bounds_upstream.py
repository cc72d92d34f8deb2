"""Servers that send too much: an event, a line, a header or an answer without an end.  Nothing else goes under."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Limits, Secret, Upstream
from tests.relay.scripted import (
    CHUNKED_HEAD,
    PATIENCE,
    Scripted,
    chunk,
    gateway_before,
    ok_stream,
    opening,
    response,
    scripted,
    stream_of,
)
from tests.surfaces.plain import PATHS
from tests.surfaces.speaking import MODEL

LIMITS = Limits(frame=2**20, answer=2**20)


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with scripted() as it:
        yield it


def asking(dialect: str, *, stream: bool, model: str = MODEL) -> dict[str, Any]:
    said: dict[str, Any] = (
        {"input": "Hi"} if dialect == "responses" else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    return {"model": model, "stream": stream, "max_tokens": 9, **said}


class Flood:
    """The same bytes again and again, until the other side has had enough."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self.head, self.piece = head, piece
        self.sent = 0
        self.over = threading.Event()

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.head)
        try:
            while True:
                writer.write(self.piece)
                await writer.drain()
                self.sent += len(self.piece)
        finally:
            self.over.set()


FILL = b"x" * 60_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
NDJSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
# How a server of each dialect begins a stream, and the event that has no end.
BEGINNINGS = {
    "anthropic": (CHUNKED_HEAD, chunk(opening("so far")) + chunk(b'data: {"a": "')),
    "openai_chat": (
        CHUNKED_HEAD,
        chunk(b'data: {"choices": [{"index": 0, "delta": {"content": "so far"}}]}\n\ndata: {"'),
    ),
    "ollama": (NDJSON, chunk(b'{"message": {"content": "so far"}, "done": false}\n{"a": "')),
    "openai_responses": (CHUNKED_HEAD, chunk(b'data: {"type": "response.created", "response": {}}\n\ndata: {"')),
}


SAME = dict(zip(PATHS, ("anthropic", "openai_chat", "openai_responses", "ollama"), strict=True))


@pytest.mark.parametrize("server", BEGINNINGS)
@pytest.mark.parametrize("client", PATHS)
def test_an_event_without_an_end_is_an_error(upstream: Scripted, server: Any, client: str) -> None:
    if SAME[client] == server:
        pytest.skip("what is passed on is the client's to read")
    head, begun = BEGINNINGS[server]
    flood = Flood(head + begun, chunk(FILL))
    upstream.play([flood])
    servers = (Upstream(name="s", dialect=server, base_url=upstream.url, key=Secret("k"), models=("m",)),)
    with gateway_before(upstream, limits=LIMITS, upstreams=servers) as gateway:
        body = asking(client, stream=True, model="s/m")
        answer = httpx.post(gateway.url + PATHS[client], json=body, timeout=PATIENCE, trust_env=False)
        assert f"over {LIMITS.frame} bytes" in answer.text
        assert '"error"' in answer.text or "response.failed" in answer.text
        assert flood.over.wait(PATIENCE), "the server was not cut off"
        assert flood.sent < 30 * 2**20


@pytest.mark.parametrize("client", ["openai", "ollama"])
def test_an_event_of_ten_megabytes_is_an_event(upstream: Scripted, client: str) -> None:
    words = "x" * 10_000_000
    upstream.play(
        [CHUNKED_HEAD, *[chunk(stream_of(words)[at : at + 2**20]) for at in range(0, 10_001_000, 2**20)], b"0\r\n\r\n"]
    )
    with gateway_before(upstream) as gateway:
        body = asking(client, stream=True)
        answer = httpx.post(gateway.url + PATHS[client], json=body, timeout=PATIENCE, trust_env=False)
    assert answer.status_code == 200
    assert answer.text.count("x" * 10_000_000) >= 1


@pytest.mark.parametrize(
    ("head", "piece", "words"),
    [
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", chunk(FILL), "too "),
        (HEAD + b"\r\n", FILL, "too "),
        (HEAD + b"content-length: 99999999999\r\n\r\n", FILL, "too "),
        (HEAD + b"x: ", FILL, "no end"),
        (HEAD, b"x: " + FILL + b"\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK" + b" " * 9, FILL, "not HTTP"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", FILL, "no end"),
    ],
    ids=["chunks", "until the end", "with a length", "a header", "headers", "a reason", "a trailer"],
)
@pytest.mark.parametrize("client", ["openai", "ollama"])
def test_an_answer_without_an_end_is_an_error(
    upstream: Scripted, client: str, head: bytes, piece: bytes, words: str
) -> None:
    flood = Flood(head, piece)
    upstream.play([flood])
    with gateway_before(upstream, limits=LIMITS) as gateway:
        body = asking(client, stream=False)
        answer = httpx.post(gateway.url + PATHS[client], json=body, timeout=PATIENCE, trust_env=False)
        assert answer.status_code in (500, 502)
        assert words in answer.text
        assert flood.over.wait(PATIENCE), "the server was not cut off"
        upstream.play([ok_stream("well")])
        body = asking(client, stream=True)
        answer = httpx.post(gateway.url + PATHS[client], json=body, timeout=PATIENCE, trust_env=False)
        assert "well" in answer.text


def test_a_packed_answer_is_no_bomb(upstream: Scripted) -> None:
    """Nobody asks for one, and some servers pack all the same."""
    whole = json.dumps({"type": "message", "x": " " * 40_000_000}).encode()
    bomb = gzip.compress(whole)
    upstream.play([response(bomb, headers="content-encoding: gzip\r\n")])
    with gateway_before(upstream) as gateway:
        body = asking("openai", stream=False)
        answer = httpx.post(gateway.url + PATHS["openai"], json=body, timeout=PATIENCE, trust_env=False)
    assert answer.status_code in (500, 502)
    assert "not compressed as it says" in answer.text or "too large" in answer.text


def test_limits_that_are_read_again_reach_servers_that_stay(upstream: Scripted) -> None:
    from dragoman.config import Settings  # noqa: PLC0415
    from dragoman.relay.directory import catalogue_of  # noqa: PLC0415
    from dragoman.relay.relay import Relay, utc_today  # noqa: PLC0415
    from dragoman.relay.upstreams import serve_all  # noqa: PLC0415

    async def work() -> None:
        servers = (Upstream(name="s", base_url=upstream.url, key=Secret("k")),)
        before = Settings(upstreams=servers)
        relay = Relay(before, catalogue_of(before, servers), serve_all(servers, before), utc_today)
        kept = relay.servers["s"]
        relay.apply(Settings(upstreams=servers, limits=LIMITS))
        assert relay.servers["s"] is kept
        assert kept.limits == LIMITS

    asyncio.run(work())
