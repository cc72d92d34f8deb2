"""The HTTP client under every call: parsing in any pieces, keeping connections, timeouts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dragoman.errors import GatewayError
from dragoman.relay.endpoint import Endpoint
from dragoman.relay.http1 import Connection
from dragoman.relay.pool import Pool
from tests.relay.looping import REQUEST, body_of, connections, run
from tests.relay.scripted import CHUNKED_HEAD, END_CHUNK, Act, Scripted, chunk, response, scripted, stream_of

# --- parsing, without a network ----------------------------------------------------------------------


class Transport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Pushed:
    """A sink that keeps the pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = 0
        self.error: GatewayError | None = None

    def data(self, data: bytes) -> None:
        self.pieces.append(data)

    def end(self) -> None:
        self.ended += 1

    def broken(self, error: GatewayError) -> None:
        assert self.error is None
        self.error = error


async def exchanged(pieces: list[bytes], *, closed: bool = False) -> tuple[Connection, Pushed]:
    """A call whose answer arrives in these reads; the sink is there once the head is."""
    connection, transport, sink = Connection(asyncio.get_running_loop()), Transport(), Pushed()
    connection.connection_made(transport)
    call = asyncio.create_task(connection.send(REQUEST, 5.0))
    await asyncio.sleep(0)
    assert transport.written == REQUEST
    for piece in pieces:
        connection.data_received(piece)
        if connection.status and call and not call.done():
            await call
            connection.read_into(sink, 5.0)
    if closed:
        connection.connection_lost(None)
    if not call.done() or call.exception() is not None:
        with contextlib.suppress(GatewayError):
            await call
    return connection, sink


EVENTS = stream_of("Grü", "ße", "!")
SPELLINGS: dict[str, tuple[bytes, bool, bool]] = {
    # the bytes, whether the connection then closes, whether it can be used again
    "length": (response(EVENTS), False, True),
    "chunked": (CHUNKED_HEAD + chunk(EVENTS[:40]) + chunk(EVENTS[40:]) + END_CHUNK, False, True),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\n" + EVENTS, True, False),
    "interim first": (b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + response(EVENTS), False, True),
    "no keep-alive": (response(EVENTS, headers="connection: close\r\n"), False, False),
    "HTTP/1.0": (response(EVENTS).replace(b"HTTP/1.1", b"HTTP/1.0"), False, False),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_an_answer_cut_anywhere_is_the_same_answer(name: str) -> None:
    data, closes, reusable = SPELLINGS[name]

    async def work() -> None:
        cuts = [[data[:at], data[at:]] for at in range(1, len(data))]
        for pieces in [[data], *cuts, [data[at : at + 1] for at in range(len(data))]]:
            connection, sink = await exchanged(pieces, closed=closes)
            assert (b"".join(sink.pieces), sink.ended, sink.error) == (EVENTS, 1, None)
            assert connection.status == 200
            assert connection.reusable is (reusable and not closes)
            connection.abort()

    run(work)


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_an_answer_that_stops_anywhere_is_broken(name: str) -> None:
    data = SPELLINGS[name][0]

    async def work() -> None:
        for at in range(1, len(data)):
            connection, sink = await exchanged([data[:at]], closed=True)
            assert sink.ended == 0
            assert not connection.reusable
            if sink.error is None:  # not even the head was there
                assert connection.status == 0
            else:
                assert "broke in mid-answer" in sink.error.message

    run(work)


def test_one_read_is_one_delivery() -> None:
    """Ten chunks that arrive together go on together: a network read becomes at most one network write."""

    async def work() -> None:
        head, rest = CHUNKED_HEAD, b"".join(chunk(b"%d;" % n) for n in range(10))
        connection, sink = await exchanged([head, rest])
        assert sink.pieces == [b"0;1;2;3;4;5;6;7;8;9;"]
        connection.abort()

    run(work)


def test_what_comes_with_the_head_is_kept_for_the_sink() -> None:
    async def work() -> None:
        connection, transport, sink = Connection(asyncio.get_running_loop()), Transport(), Pushed()
        connection.connection_made(transport)
        call = asyncio.create_task(connection.send(REQUEST, 5.0))
        await asyncio.sleep(0)
        connection.data_received(response(b"whole"))
        await call
        connection.read_into(sink, 5.0)
        assert (sink.pieces, sink.ended) == ([b"whole"], 1)

    run(work)


def test_a_flood_of_headers_is_cut_off() -> None:
    async def work() -> None:
        connection = Connection(asyncio.get_running_loop())
        connection.connection_made(Transport())
        call = asyncio.create_task(connection.send(REQUEST, 5.0))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 200 OK\r\n")
        lines = 0
        while connection.alive:
            connection.data_received(b"x-flood: " + b"y" * 4000 + b"\r\n")
            lines += 1
            assert lines < 1000
        with pytest.raises(GatewayError, match="not HTTP"):
            await call

    run(work)


# --- the pool ----------------------------------------------------------------------------------------


@asynccontextmanager
async def pool_for(upstream: Scripted, connect: float = 5.0) -> AsyncIterator[Pool]:
    pool = Pool(Endpoint("127.0.0.1", upstream.port, tls=False, path=""), connect)
    try:
        yield pool
    finally:
        pool.close()


async def asked(pool: Pool, patience: float = 5.0) -> bytes:
    connection = await pool.call(REQUEST, patience)
    try:
        return await body_of(connection, patience)
    finally:
        pool.release(connection)


def test_a_connection_is_used_again_and_calls_at_once_get_one_each() -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            for _ in range(3):
                assert await asked(pool) == b"one"
            assert connections(upstream) == [1, 1, 1]
            await asyncio.gather(asked(pool), asked(pool), asked(pool))
            assert sorted(set(connections(upstream))) == [1, 2, 3]
            await asyncio.gather(asked(pool), asked(pool), asked(pool))
            assert sorted(set(connections(upstream))) == [1, 2, 3]

    with scripted() as upstream:
        upstream.play([response(b"one")])
        run(work)


@pytest.mark.parametrize(
    "unfinished", [[CHUNKED_HEAD + chunk(b"half"), Act.HOLD], [response(b"x", length=9), Act.HOLD]]
)
def test_an_answer_that_is_not_read_to_its_end_cuts_the_connection(unfinished: list[Any]) -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            connection = await pool.call(REQUEST, 5.0)
            pool.release(connection)
            assert not connection.alive
            assert await asyncio.to_thread(upstream.departed.wait, 2)
            assert await asked(pool) == b"two"
            assert connections(upstream) == [1, 2]

    with scripted() as upstream:
        upstream.play(unfinished, [response(b"two")])
        run(work)


@pytest.mark.parametrize("end", [Act.CLOSE, Act.RESET])
def test_a_stale_connection_is_replaced_once(end: Act) -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            assert await asked(pool) == b"one"
            assert await asked(pool) == b"three"
            assert connections(upstream) == [1, 1, 2]

    with scripted() as upstream:
        upstream.play([response(b"one")], [end], [response(b"three")])
        run(work)


def test_a_fresh_connection_that_is_closed_is_a_failure() -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            with pytest.raises(GatewayError, match="closed the connection") as failed:
                await asked(pool)
            assert failed.value.kind == "unreachable"
            assert len(upstream.requests) == 1

    with scripted() as upstream:
        upstream.play([Act.CLOSE])
        run(work)


def test_a_kept_connection_that_breaks_in_the_head_is_a_failure() -> None:
    """It said something: the call may have been carried out, and is not repeated behind the caller's back."""

    async def work() -> None:
        async with pool_for(upstream) as pool:
            await asked(pool)
            with pytest.raises(GatewayError):
                await asked(pool)
            assert len(upstream.requests) == 2

    with scripted() as upstream:
        upstream.play([response(b"one")], [b"HTTP/1.1 200", Act.CLOSE], [response(b"three")])
        run(work)


def test_old_connections_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            await asyncio.gather(*(asked(pool) for _ in range(8)))
            burst = upstream.connections
            monkeypatch.setattr("dragoman.relay.pool._IDLE", -1.0)  # whatever is kept from now on is old
            await asked(pool)
            assert upstream.connections == burst + 1, "a connection that was idle for too long was used"
            assert not pool._idle

    with scripted() as upstream:
        upstream.play([0.05, response(b"one")])
        run(work)


@pytest.mark.parametrize(
    ("script", "words"),
    [([Act.HOLD], "silent"), ([b"HTTP/1.1 200 OK\r\n", Act.HOLD], "silent"), ([CHUNKED_HEAD, Act.HOLD], "silent")],
    ids=["nothing", "half a head", "no body"],
)
def test_silence_is_a_timeout(script: list[Any], words: str) -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            with pytest.raises(GatewayError, match=words) as failed:
                await asked(pool, 0.2)
            assert failed.value.kind == "timeout"
            assert await asyncio.to_thread(upstream.departed.wait, 2), "the silent connection was kept"

    with scripted() as upstream:
        upstream.play(script)
        run(work)


def test_a_slow_answer_is_no_silence() -> None:
    """Patience is for silence, not for the whole answer."""

    async def work() -> None:
        async with pool_for(upstream) as pool:
            assert await asked(pool, 0.6) == b"....."

    with scripted() as upstream:
        pieces = [step for _ in range(5) for step in (0.2, chunk(b"."))]
        upstream.play([CHUNKED_HEAD, *pieces, END_CHUNK])
        run(work)


def test_a_call_that_is_cancelled_leaves_no_connection() -> None:
    async def work() -> None:
        async with pool_for(upstream) as pool:
            call = asyncio.create_task(asked(pool))
            assert await asyncio.to_thread(upstream.holding.wait, 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.to_thread(upstream.departed.wait, 2)

    with scripted() as upstream:
        upstream.play([Act.HOLD])
        run(work)


def test_an_address_where_nobody_answers() -> None:
    async def work() -> None:
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        taken.close()
        await taken.wait_closed()
        with pytest.raises(GatewayError, match="could not be reached") as failed:
            await Pool(Endpoint("127.0.0.1", port, tls=False, path=""), 5.0).call(REQUEST, 5.0)
        assert failed.value.kind == "unreachable"
        with pytest.raises(GatewayError, match="could not be reached"):
            await Pool(Endpoint("no-such-host.invalid", 80, tls=False, path=""), 5.0).call(REQUEST, 5.0)

    run(work)
