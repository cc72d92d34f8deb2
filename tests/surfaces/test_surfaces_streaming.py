"""Streaming is real: a token leaves when it comes, a departure ends the upstream call, a slow reader slows it down."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from dragoman.config import Timeouts
from tests.relay.scripted import (
    CHUNKED_HEAD,
    END_CHUNK,
    PATIENCE,
    Act,
    Scripted,
    chunk,
    ending,
    gateway_before,
    opening,
    scripted,
    text_event,
)
from tests.running import Gateway
from tests.surfaces.speaking import SURFACES, Surface
from tests.telemetry.scraping import scraped
from tests.waiting import until

each_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)

TOKENS = 30
PROMPT_LIMIT = 0.010
GONE_LIMIT = 0.100


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with scripted() as it:
        yield it


@pytest.fixture(scope="module")
def before(upstream: Scripted) -> Iterator[Gateway]:
    with gateway_before(upstream) as gateway:
        yield gateway


@contextmanager
def asking(gateway: Gateway, path: str, body: dict[str, Any], receive_buffer: int = 0) -> Iterator[socket.socket]:
    """A plain socket on which the request has been sent: nothing of a client library stands between it and the clock.

    `receive_buffer` is the size of the socket's buffer in bytes (0: the system's choice).
    """
    address = urlsplit(gateway.url)
    with closing(socket.socket()) as sock:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        sock.connect((address.hostname, address.port))
        data = json.dumps(body).encode()
        sock.sendall(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(data), data))
        yield sock


def received(sock: socket.socket, size: int) -> bytes:
    """Up to `size` bytes; fails when the answer ends here."""
    data = sock.recv(size)
    assert data, "the answer was cut off"
    return data


# --- promptness --------------------------------------------------------------------------------------


@each_surface
def test_a_token_leaves_when_it_comes(upstream: Scripted, before: Gateway, surface: Surface) -> None:
    """No token is written before the one in front of it was read: one that waited for the next would wait for ever."""
    written: dict[str, float] = {}
    heard = threading.Semaphore(0)

    async def speak(writer: asyncio.StreamWriter) -> None:
        for number in range(TOKENS):
            token = f"<{number:03}>"
            written[token] = time.monotonic()
            writer.write(chunk(text_event(token)))
            assert await asyncio.to_thread(heard.acquire, timeout=PATIENCE), f"{token} is held back"

    upstream.play([CHUNKED_HEAD + chunk(opening()), speak, chunk(ending()) + END_CHUNK])
    read: dict[str, float] = {}
    with asking(before, surface.path, surface.body(stream=True)) as sock:
        data = b""
        while not data.endswith(END_CHUNK):
            piece = received(sock, 65536)
            now = time.monotonic()
            data += piece
            for token in written.keys() - read.keys():
                if token.encode() in data:
                    read[token] = now
                    heard.release()
    delays = [read[token] - written[token] for token in written]
    assert len(delays) == TOKENS
    # A machine that does other things too may hold up a token now and then.
    assert statistics.median(delays) < PROMPT_LIMIT, delays


@each_surface
def test_the_answer_begins_before_it_is_complete(upstream: Scripted, before: Gateway, surface: Surface) -> None:
    """The first words are there while the upstream has not even thought of the next."""
    upstream.play([CHUNKED_HEAD + chunk(opening("First")), Act.HOLD])
    with asking(before, surface.path, surface.body(stream=True)) as sock:
        data = b""
        while b"First" not in data:
            piece = received(sock, 65536)
            data += piece
        assert upstream.holding.wait(PATIENCE)


# --- departures --------------------------------------------------------------------------------------


def left_at(gateway: Gateway, began: float) -> float:
    """Seconds from `began` to when the simulator saw its caller leave."""
    assert gateway.simulator.departed.wait(PATIENCE), "the upstream call went on"
    return gateway.simulator.departures[-1] - began


def underway(gateway: Gateway) -> None:
    """Wait until the simulator is working on a call."""
    until(lambda: gateway.simulator.open, "the call did not reach the upstream")


# What the client is doing when it leaves: the scenario, whether it streams, and whether it has read words by then.
MOMENTS = {
    "in mid-stream": ("text tokens=1000 pace=20", True, True),
    "before the first byte": ("slow_start delay=30", True, False),
    "during an unstreamed call": ("slow_start delay=30", False, False),
    "during a folded answer": ("text tokens=1000 pace=20", False, False),
}


@each_surface
@pytest.mark.parametrize("moment", MOMENTS)
def test_when_the_client_leaves_the_upstream_call_ends(gateway: Gateway, surface: Surface, moment: str) -> None:
    scenario, stream, words = MOMENTS[moment]
    limit = 1000 if moment == "during an unstreamed call" else None
    body = surface.body(f"Hi [[simulate: {scenario}]]", stream=stream, limit=limit)
    delays = []
    for _ in range(3):
        gateway.simulator.departed.clear()
        with asking(gateway, surface.path, body) as sock:
            underway(gateway)
            data = b""
            while words and b"token3" not in data:
                piece = received(sock, 65536)
                data += piece
            began = time.monotonic()
        delays.append(left_at(gateway, began))
    assert statistics.median(delays) < GONE_LIMIT, delays
    assert gateway.simulator.idle.wait(PATIENCE)


@pytest.mark.parametrize("stream", [True, False])
def test_when_the_client_leaves_every_choice_ends(gateway: Gateway, stream: bool) -> None:
    before = len(gateway.simulator.departures)
    body = SURFACES[2].body("Hi [[simulate: text tokens=1000 pace=20]]", stream=stream) | {"n": 3}
    with asking(gateway, SURFACES[2].path, body):
        until(lambda: gateway.simulator.open == 3)
    until(lambda: not gateway.simulator.open, "a choice went on")
    assert len(gateway.simulator.departures) - before == 3


def test_a_client_that_leaves_while_the_gateway_waits_to_try_again_is_noticed(upstream: Scripted) -> None:
    upstream.play([Act.CLOSE])
    with gateway_before(upstream, retries=10) as gateway:
        with asking(gateway, "/api/chat", SURFACES[0].body(stream=True)):
            until(lambda: len(upstream.requests) >= 2)
        asked = len(upstream.requests)
        scraped(gateway.url, lambda s: s.value("dragoman_calls_total", outcome="left") == 1)
        assert len(upstream.requests) <= asked + 1


# --- back-pressure -----------------------------------------------------------------------------------

WORDS = "x" * 16_000
EVENTS = 4_000  # 64 MB
# What the two pairs of sockets on the way may hold, where nobody sets their buffers: far less than the answer.
HELD = 24 * 1024 * 1024


class Flood:
    """As many words as the other side takes, each event with its number; `sent` is how many went out."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        for number in range(EVENTS):
            writer.write(chunk(text_event(f"({number}){WORDS}")))
            await writer.drain()
            self.sent += 1

    def rests(self, still: float = 0.5) -> int:
        """Wait until nothing has gone out for so many seconds; how many bytes have."""
        deadline = time.monotonic() + 4 * PATIENCE
        value, since = self.sent, time.monotonic()
        while time.monotonic() - since < still or value == 0:
            assert time.monotonic() < deadline, "the upstream never rested"
            time.sleep(0.02)
            if self.sent != value:
                value, since = self.sent, time.monotonic()
        return value * len(WORDS)


@pytest.mark.parametrize("surface", [SURFACES[0], SURFACES[2]], ids=lambda surface: surface.name)
def test_a_client_that_does_not_read_slows_the_upstream(upstream: Scripted, before: Gateway, surface: Surface) -> None:
    flood = Flood()
    upstream.play([CHUNKED_HEAD + chunk(opening()), flood, chunk(ending()) + END_CHUNK])
    with asking(before, surface.path, surface.body(stream=True), receive_buffer=64 * 1024) as sock:
        data = bytearray(received(sock, 65536))
        assert flood.rests() < HELD, "the answer went to nobody"
        while not data.endswith(END_CHUNK):
            data += received(sock, 1 << 20)
    assert flood.sent == EVENTS
    assert [int(number) for number in re.findall(rb"[(](\d+)[)]", data)] == list(range(EVENTS))
    assert data.count(b"x" * 1000) == EVENTS * len(WORDS) // 1000, "words were lost on the way"
    assert b'"error"' not in data[-2000:]


def test_a_slow_client_does_not_hold_up_another(upstream: Scripted, before: Gateway) -> None:
    flood = [chunk(text_event(WORDS))] * 1000
    upstream.play([CHUNKED_HEAD + chunk(opening()), *flood, Act.HOLD], [CHUNKED_HEAD + chunk(opening("Hi")), Act.HOLD])
    surface = SURFACES[0]
    with asking(before, surface.path, surface.body(stream=True), receive_buffer=64 * 1024) as slow:
        assert slow.recv(1)
        with asking(before, surface.path, surface.body(stream=True)) as quick:
            data = b""
            while b"Hi" not in data:
                piece = received(quick, 65536)
                data += piece


def test_a_client_that_leaves_while_it_is_waited_for(upstream: Scripted, before: Gateway) -> None:
    """The gateway has stopped reading for a client that does not read; then the client goes."""
    flood = Flood()
    upstream.play([CHUNKED_HEAD + chunk(opening()), flood, Act.HOLD])
    with asking(before, "/api/chat", SURFACES[0].body(stream=True), receive_buffer=64 * 1024) as sock:
        assert sock.recv(1)
        flood.rests()
        began = time.monotonic()
    assert upstream.departed.wait(PATIENCE), "the upstream call went on"
    assert upstream.left[-1] - began < 10 * GONE_LIMIT


def test_a_client_that_never_reads_is_given_up(upstream: Scripted) -> None:
    """Its upstream call must not stay open for ever."""
    timeouts = Timeouts(connect=5, first_byte=PATIENCE, idle=1.0)
    upstream.play([CHUNKED_HEAD + chunk(opening()), Flood(), Act.HOLD])
    with (
        gateway_before(upstream, timeouts=timeouts) as gateway,
        asking(gateway, "/api/chat", SURFACES[0].body(stream=True), receive_buffer=64 * 1024) as sock,
    ):
        assert sock.recv(1)
        assert upstream.departed.wait(PATIENCE), "the upstream call went on"
        data = b""
        while not data.endswith(END_CHUNK):
            data = (data + received(sock, 1 << 20))[-2000:]
    assert b'{"error":"the client took nothing for 1 seconds"}' in data
    assert b'"done":true' not in data
