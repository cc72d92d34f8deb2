"""The short ways out write what uvicorn would, and step back where something has to be waited for."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from dragoman.config import Settings
from dragoman.dialects import ollama
from dragoman.surfaces.direct import corked, pushing
from dragoman.surfaces.exchange import Exchange
from dragoman.surfaces.protocol import Protocol
from dragoman.surfaces.turning import bounds_of

START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Recorded:
    """A transport that keeps every write by itself."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Served:
    """One connection to `app`, with uvicorn's own protocol or ours around it."""

    def __init__(self, app: ASGIApp, protocol: type[Protocol]) -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        self.state = ServerState()
        self.transport = Recorded()
        self.protocol = protocol(config, self.state, {}, asyncio.get_running_loop(), bounds=bounds_of(Settings()))
        self.protocol.connection_made(cast("asyncio.Transport", self.transport))

    async def ask(self, request: bytes = ASK) -> None:
        self.protocol.data_received(request)
        for task in list(self.state.tasks):
            await task

    def end(self) -> None:
        if self.protocol.timeout_keep_alive_task is not None:
            self.protocol.timeout_keep_alive_task.cancel()


def serve(app: ASGIApp, request: bytes = ASK) -> Recorded:
    """What `app` makes of one request."""

    async def run() -> Recorded:
        served = Served(app, Protocol)
        await served.ask(request)
        served.end()
        return served.transport

    return asyncio.run(run())


def writing(write: Callable[[Exchange], Awaitable[None]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await write(Exchange(scope, receive, send, ollama))

    return app


@contextmanager
def no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_pieces_are_framed_as_uvicorn_frames_them() -> None:
    pieces = [b"a", b"line\n", b"x" * 70_000, b"0\r\n\r\n"]

    async def short(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        push = pushing(scope)
        assert push is not None
        assert all(push(piece) for piece in pieces)
        await send({"type": "http.response.body", "body": b""})

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    assert serve(short).writes == serve(long).writes


def test_a_stream_of_the_gateway_takes_the_short_way() -> None:
    sent: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: dict[str, object]) -> None:
            sent.append(str(message["type"]))
            await send(message)

        exchange = Exchange(scope, receive, cast("Send", counted), ollama)
        await exchange.begin_stream()
        for _ in range(5):
            assert exchange.write_now(b"token\n") is None
        await exchange.end_stream()

    written = b"".join(serve(app).writes)
    assert written.count(b"6\r\ntoken\n\r\n") == 5
    assert sent == ["http.response.start", "http.response.body"]  # the head, and the end


def streaming(*pieces: bytes) -> ASGIApp:
    async def write(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for piece in pieces:
            if (waiting := exchange.write_now(piece)) is not None:
                await waiting
        await exchange.end_stream()

    return writing(write)


@pytest.mark.parametrize("wish", [b"", b"connection: keep-alive\r\n"], ids=["plain", "keep-alive"])
def test_who_speaks_http_1_0_gets_a_stream_without_chunks(wish: bytes) -> None:
    asked = b"GET / HTTP/1.0\r\n%b\r\n" % wish
    transport = serve(streaming(b'{"a":1}\n', b"x" * 70_000, b'{"b":2}\n'), asked)
    head, _, told = b"".join(transport.writes).partition(b"\r\n\r\n")
    assert told == b'{"a":1}\n' + b"x" * 70_000 + b'{"b":2}\n'
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert transport.closed, "where it ends, the answer does"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda served: served.protocol.pause_writing(),
        lambda served: served.protocol.connection_lost(OSError()),
    ],
    ids=["slow", "gone"],
)
def test_whoever_does_not_read_gets_nothing_the_short_way(spoil: Callable[[Served], None]) -> None:
    async def run() -> None:
        begun, spoilt = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            push = pushing(scope)
            assert push is not None
            assert push(b"before")
            begun.set()
            await spoilt.wait()
            assert not push(b"after")
            served.protocol.resume_writing()
            await send({"type": "http.response.body", "body": b""})

        served = Served(app, Protocol)
        asking = asyncio.ensure_future(served.ask())
        await begun.wait()
        spoil(served)
        spoilt.set()
        await asking
        served.end()
        assert b"after" not in b"".join(served.transport.writes)

    asyncio.run(run())


def test_there_is_no_short_way_before_the_head_nor_after_the_end_nor_with_a_length() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert pushing(scope) is None
        if scope["path"] == "/sized":
            await send({**START, "headers": [(b"content-length", b"2")]})
            assert pushing(scope) is None
        else:
            await send(START)
            assert pushing(scope) is not None
        await send({"type": "http.response.body", "body": b"ok"})
        assert pushing(scope) is None

    assert b"".join(serve(app).writes).endswith(b"2\r\nok\r\n0\r\n\r\n")
    assert b"".join(serve(app, ASK.replace(b"/ ", b"/sized ")).writes).endswith(b"\r\n\r\nok")


def test_nothing_follows_the_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, ollama)
        await exchange.begin_stream()
        await exchange.end_stream()
        with pytest.raises(RuntimeError):
            exchange.write_now(b"late")

    assert b"late" not in b"".join(serve(app).writes)


def test_nothing_is_pushed_for_an_empty_piece() -> None:
    """It would be the end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        push = pushing(scope)
        assert push is not None
        assert not push(b"")
        await send({"type": "http.response.body", "body": b""})

    assert b"".join(serve(app).writes).count(b"0\r\n\r\n") == 1


def test_a_whole_answer_is_one_write() -> None:
    writes = serve(writing(lambda exchange: exchange.reply({"a": 1}))).writes
    assert len(writes) == 1
    assert writes[0].endswith(b'content-length: 7\r\n\r\n{"a":1}')


def test_an_answer_that_ends_the_connection_is_written_first() -> None:
    asked = ASK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    transport = serve(writing(lambda exchange: exchange.reply({"a": 1})), asked)
    assert len(transport.writes) == 1
    assert b"connection: close\r\n" in transport.writes[0]
    assert transport.closed


def test_other_servers_are_asked_in_asgi_alone() -> None:
    assert pushing({"type": "http"}) is None
    assert pushing({"type": "http", "extensions": {"http.response.trailers": {}}}) is None
    with corked({"type": "http"}):
        pass


def test_an_exchange_leaves_nothing_to_the_collector() -> None:
    """What is kept in a circle is kept until the collector comes, and a burst of calls would fill the memory."""
    seen: list[weakref.ref[Exchange]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, ollama)
        seen.append(weakref.ref(exchange))
        await exchange.begin_stream()
        exchange.write_now(b"token\n")
        await exchange.end_stream()

    async def run() -> None:
        served = Served(app, Protocol)
        cycles = []
        for _ in range(3):
            await served.ask()
            cycles.append(weakref.ref(served.protocol.cycle))
        served.end()
        assert all(refer() is None for refer in seen)
        assert all(refer() is None for refer in cycles[:-1])

    with no_collector():
        asyncio.run(run())
