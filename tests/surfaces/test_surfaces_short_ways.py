"""The short ways of whole answers and of departures come to what the long ones do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.surfaces.direct import answered, when_left
from dragoman.surfaces.protocol import Protocol
from tests.surfaces.test_surfaces_protocol import ASK, Served, serve

HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


def short(headers: list[tuple[bytes, bytes]], taken: list[bool]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        taken.append(answered(scope, send, 200, headers, b"{}"))

    return app


async def long(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"{}"})


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/1.1\r\n", b"HEAD / HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.1\r\nconnection: close\r\n"],
)
def test_a_whole_answer_is_what_uvicorn_writes(request_line: bytes) -> None:
    taken: list[bool] = []
    ask = request_line + b"host: x\r\n\r\n"
    one, other = serve(short(HEADERS, taken), ask), serve(long, ask)
    assert taken == [True]
    assert b"".join(one.writes) == b"".join(other.writes)
    assert one.is_closing() == other.is_closing()


@pytest.mark.parametrize("bad", [(b"x-a", b"b\r\nx-c: d"), (b"x-a: b\r\nx-c", b"d"), (b"x-a", b"\0")])
def test_a_header_that_would_be_two_goes_the_long_way(bad: tuple[bytes, bytes]) -> None:
    taken: list[bool] = []
    written = b"".join(serve(short([*HEADERS, bad], taken)).writes)
    assert taken == [False] and b"x-c" not in written and b"x-a" not in written


def test_whoever_has_a_say_in_an_answer_has_it() -> None:
    taken: list[bool] = []

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def other(message: object) -> None:
            await send(message)  # type: ignore[arg-type]

        taken.append(answered(scope, other, 200, HEADERS, b"{}"))
        await long(scope, receive, other)

    assert b"200" in b"".join(serve(wrapped).writes)
    assert taken == [False]


@pytest.mark.parametrize(("stays", "told"), [(True, 1), (False, 0)])
def test_a_departure_is_told_while_somebody_listens(stays: bool, told: int) -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        close: Callable[[], None] | None = when_left(scope, receive, lambda: heard.append("left"))
        assert close is not None
        if not stays:
            close()
        await asyncio.sleep(0)
        served[0].protocol.connection_lost(None)

    served: list[Served] = []

    async def run() -> None:
        served.append(Served(app, Protocol))
        await served[0].ask(ASK)

    asyncio.run(run())
    assert len(heard) == told


def test_answers_of_one_connection_share_a_timer() -> None:
    async def run() -> None:
        served = Served(short(HEADERS, []), Protocol)
        await served.ask()
        timer = served.protocol.timeout_keep_alive_task
        assert timer is not None
        await served.ask()
        assert served.protocol.timeout_keep_alive_task is timer
        served.protocol.timeout_keep_alive_handler()  # too early: it was used since
        assert not served.transport.is_closing()
        again = served.protocol.timeout_keep_alive_task
        assert again is not None and again is not timer
        served.protocol.timeout_keep_alive = -1
        served.protocol.timeout_keep_alive_handler()
        assert served.transport.is_closing()
        again.cancel()
        timer.cancel()

    asyncio.run(run())
