"""An upstream that does what a test tells it to, byte by byte: a raw TCP server in a thread.

    with scripted() as upstream:
        upstream.play([ok_stream("Hi")], [Act.RESET])     # the first request, and every later one

Each request takes the next answer; the last one is for all that follow.  An answer is a list of steps: bytes are
written, a number is a pause in seconds, an `Act` ends the connection or holds it, a coroutine function is called with
the connection.  After its steps the connection waits for the next request.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

from dragoman.config import Secret, Settings, Timeouts, Upstream
from tests.running import Gateway, run_gateway
from tests.serving import in_thread

PATIENCE = 10.0
MODEL = "claude-sonnet-4-5-20250929"


class Act(Enum):
    """Ways to end an answer that bytes cannot express."""

    RESET = "reset"
    CLOSE = "close"
    HOLD = "hold"
    """Say nothing more until the other side leaves; `Scripted.left` says when it did."""


Step = bytes | float | Act | Callable[[asyncio.StreamWriter], Awaitable[None]]
Answer = Sequence[Step]


class Received(NamedTuple):
    """A request as it came; `connection` counts connections from 1."""

    connection: int
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Scripted:
    """The server.  `listing` answers every GET; calls are POSTs, and only those are counted."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.requests: list[Received] = []
        self.connections = 0
        self.left: list[float] = []
        """When a peer left in the middle of an answer asked for since `play`, by `time.monotonic()`."""
        self.departed = threading.Event()
        self.holding = threading.Event()
        self.listing: Answer = [response(b"{}", status="404 Not Found")]
        self._plays = 0
        self._answers: list[Answer] = [[response(b"{}", status="404 Not Found")]]

    def play(self, *answers: Answer) -> None:
        """Forget what was, and answer with these from now on."""
        self.requests.clear()
        self.left.clear()
        self.departed.clear()
        self.holding.clear()
        self._answers = list(answers)
        self._plays += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        number = self.connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = first.split(" ")
        if method == "GET":
            answer = self.listing
        else:
            answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
            self.requests.append(Received(number, target, headers, body))
        play = self._plays
        try:
            for step in answer:
                if not await self._step(step, reader, writer):
                    return False
        except ConnectionError:
            if play == self._plays:
                self.left.append(time.monotonic())
                self.departed.set()
            raise
        return True

    async def _step(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case int() | float():
                await asyncio.sleep(step)
            case Act.RESET:
                reset(writer)
                return False
            case Act.CLOSE:
                return False
            case Act.HOLD:
                self.holding.set()
                await reader.read()
                raise ConnectionResetError
            case _:
                await step(writer)
        return True


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def scripted() -> Iterator[Scripted]:
    """A server in a thread of its own, until the block ends."""
    upstream = Scripted()
    with in_thread(upstream.serve) as upstream.port:
        upstream.url = f"http://127.0.0.1:{upstream.port}"
        yield upstream


@contextmanager
def gateway_before(upstream: Scripted, **settings: Any) -> Iterator[Gateway]:
    """A gateway with `upstream` behind it: no second attempts and no live list unless `settings` say so."""
    server = Upstream(name="scripted", base_url=upstream.url, key=Secret("sk-secret-upstream"))
    values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "upstreams": (server,), "retries": 0, "refresh": 0}
    with run_gateway(Settings(**(values | settings))) as gateway:
        yield gateway


IMPATIENT = Timeouts(connect=2.0, first_byte=0.3, idle=0.3)
PATIENT = Timeouts(connect=5.0, first_byte=PATIENCE, idle=PATIENCE)


# --- what an Anthropic server says -------------------------------------------------------------------


def response(
    body: bytes, *, status: str = "200 OK", kind: str = "application/json", headers: str = "", length: int | None = None
) -> bytes:
    """A whole answer with a length; `headers` are lines that end in CRLF."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{headers}content-length: {size}\r\n\r\n".encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
CHUNKED_HEAD = STREAM_HEAD + b"transfer-encoding: chunked\r\n\r\n"
END_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(name: str, **members: Any) -> bytes:
    """One event of the stream."""
    return f"event: {name}\ndata: {json.dumps({'type': name} | members)}\n\n".encode()


_USAGE = {"input_tokens": 3, "output_tokens": 1}
_MESSAGE: dict[str, Any] = {
    "id": "msg_01scripted",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": _USAGE,
}

MESSAGE_START = event("message_start", message=_MESSAGE)
BLOCK_START = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
BLOCK_STOP = event("content_block_stop", index=0)
MESSAGE_STOP = event("message_stop")


def text_event(text: str) -> bytes:
    """A token."""
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def ending(output_tokens: int = 5) -> bytes:
    """The last events of an answer that ended well."""
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return BLOCK_STOP + event("message_delta", delta=stop, usage={"output_tokens": output_tokens}) + MESSAGE_STOP


def opening(*tokens: str) -> bytes:
    """The beginning of an answer, up to its tokens so far."""
    return MESSAGE_START + BLOCK_START + b"".join(map(text_event, tokens))


def stream_of(*tokens: str) -> bytes:
    """The events of a whole answer."""
    return opening(*tokens) + ending(len(tokens))


def message_of(text: str) -> bytes:
    """The whole answer of an unstreamed call."""
    body = _MESSAGE | {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
    return json.dumps(body | {"usage": {"input_tokens": 3, "output_tokens": 5}}).encode()


def ok_stream(*tokens: str) -> bytes:
    """A whole streamed answer, chunked."""
    return CHUNKED_HEAD + chunk(stream_of(*tokens)) + END_CHUNK


def ok_message(text: str) -> bytes:
    """A whole unstreamed answer."""
    return response(message_of(text))


def error_body(kind: str, message: str = "scripted failure") -> bytes:
    """The body of a refusal."""
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
