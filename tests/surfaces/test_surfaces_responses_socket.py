"""Agents try a WebSocket before they send a request: they are answered at once, in words, and go on over HTTP."""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import os
import socket
from urllib.parse import urlsplit

import pytest

from dragoman.config import Secret
from tests.conftest import GatewayMaker
from tests.surfaces.responding import post

HAIKU = "claude-haiku-4-5-20251001"


class _Received:
    """What came, for the parser of the standard library."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def handshake(url: str, path: str, *, connection: str = "Upgrade", more: tuple[str, ...] = ()) -> bytes:
    """All that is answered to the opening of a WebSocket (RFC 6455 §4.1), until the gateway closes the connection."""
    parts = urlsplit(url)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"host: {parts.netloc}",
        f"connection: {connection}",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {key}",
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits",
        "openai-beta: responses_websockets=2026-02-06",
        *more,
    ]
    answer = b""
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as opened:
        opened.sendall("\r\n".join([*lines, "", ""]).encode())
        while data := opened.recv(65536):  # a timeout if it stays open
            answer += data
    return answer


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/responses?model=x"])
@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade"])
def test_it_is_refused_and_closed(
    make_gateway: GatewayMaker, path: str, connection: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = make_gateway().url
    answer = http.client.HTTPResponse(_Received(handshake(url, path, connection=connection)))  # type: ignore[arg-type]
    answer.begin()
    assert (answer.status, answer.reason) == (426, "Upgrade Required")
    assert answer.getheader("upgrade") == "HTTP/1.1"
    assert (answer.getheader("content-type") or "").startswith("application/json")
    error = json.loads(answer.read())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert "POST /v1/responses" in error["message"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    # And on over HTTP.
    assert post(url, {"model": HAIKU, "input": "Hello", "stream": True}).status_code == 200


def test_who_may_not_talk_is_told_that_first(make_gateway: GatewayMaker) -> None:
    url = make_gateway(api_keys=(Secret("sk-ann"),)).url
    assert handshake_status(url) == 401
    assert handshake_status(url, "authorization: Bearer sk-ann") == 426


def handshake_status(url: str, *more: str) -> int:
    closing = ("connection: close", *more)  # an answer that is no 426 leaves the connection open
    return int(handshake(url, "/v1/responses", more=closing).split(b" ", 2)[1])
