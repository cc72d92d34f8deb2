"""A client that is a socket: it sends what no library would, and reads what it gets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

PATIENCE = 20.0

# Where each dialect is asked, and where its errors have their words.
PATHS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "ollama": "/api/chat",
}


class Answer(NamedTuple):
    """What came back.  `status` is 0 for a connection that was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def words(self) -> str:
        """The message of an error, which must have the shape of one of the dialects."""
        match json.loads(self.body):
            case {"type": "error", "error": {"type": str(), "message": str(words)}, "request_id": str()}:
                return words
            case {"error": {"message": str(words), "type": str(), "param": _, "code": _}}:
                return words
            case {"error": str(words)}:
                return words
            case document:
                raise AssertionError(f"no error: {document}")


@contextmanager
def connected(url: str, buffer: int = 0) -> Iterator[socket.socket]:
    """A connection to the gateway at `url`.  `buffer`: how much of an answer the system keeps, in bytes."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    with socket.socket() as it:
        if buffer:
            it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        it.settimeout(PATIENCE)
        it.connect((host, int(port)))
        yield it


def answer_of(it: socket.socket) -> Answer:
    """The next answer, whole: it has a length, as every error has."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        if not (more := it.recv(1)):  # another answer may follow
            assert not data, data
            return Answer(0, {}, b"")
        data += more
    first, *lines = data[:-4].decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = b""
    while rest := int(headers["content-length"]) - len(body):
        body += it.recv(rest)
    return Answer(int(first.split(" ")[1]), headers, body)


def sent(url: str, data: bytes) -> Answer:
    """The answer to `data`, all of which is sent first, as many programs do."""
    with connected(url) as it:
        it.sendall(data)
        return answer_of(it)


def ended(it: socket.socket) -> bool:
    """Wait for the gateway to end the connection; what it still says is thrown away."""
    try:
        while it.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    """The head of a request with these further headers."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", "")).encode()


def request(path: str, document: Any, *lines: str) -> bytes:
    """A whole request."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return head(path, "content-type: application/json", f"content-length: {len(body)}", *lines) + body
