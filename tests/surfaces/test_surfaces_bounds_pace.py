"""Slow clients, and many of them: who sends too slowly, who does not read, and who takes more than one may."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from dragoman.config import Limits
from dragoman.surfaces.bounds import Pace
from tests.relay.scripted import (
    CHUNKED_HEAD,
    Act,
    Scripted,
    chunk,
    gateway_before,
    ok_message,
    opening,
    response,
    scripted,
    text_event,
)
from tests.running import Gateway, run_with_simulator
from tests.surfaces.plain import PATHS, PATIENCE, Answer, answer_of, connected, ended, head, request, sent
from tests.surfaces.speaking import MODEL
from tests.waiting import until

HI = {"model": MODEL, "stream": False, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
QUICK = Limits(head=0.4, stall=0.4, rate=100)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(refresh=0, limits=QUICK) as it:
        yield it


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with scripted() as it:
        yield it


def drip(them: Iterable[socket.socket], piece: bytes, pause: float = 0.05) -> None:
    """Send `piece` again and again, until the other sides have had enough."""
    waiting = set(them)
    while waiting:
        for it in list(waiting):
            if select.select([it], [], [], 0)[0]:
                waiting.remove(it)
            else:
                it.sendall(piece)
        time.sleep(pause)


def too_slow(gateway: Gateway, begin: Callable[[str], bytes], dripping: bytes) -> list[Answer]:
    """What each dialect's clients hear who send no more than `begin` makes, at the same time.  Then they are cut."""
    with ExitStack() as stack:
        them = [stack.enter_context(connected(gateway.url)) for _ in PATHS]
        for it, path in zip(them, PATHS.values(), strict=True):
            it.sendall(begin(path))
        if dripping:
            drip(them, dripping)
        answers = [answer_of(it) for it in them]
        assert all(ended(it) for it in them)
    assert [answer.status for answer in answers] == [408] * len(PATHS)
    return answers


# --- slow to send ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dripping", [b"", b"b"])
def test_headers_have_to_arrive(gateway: Gateway, dripping: bytes) -> None:
    answers = too_slow(gateway, lambda path: head(path)[:-2] + b"a: ", dripping)
    assert all("DRAGOMAN_LIMIT_HEAD" in answer.words for answer in answers)
    assert json.loads(answers[0].body)["request_id"] == answers[0].headers["x-request-id"]


def test_a_connection_on_which_nothing_is_said_is_closed(gateway: Gateway) -> None:
    with connected(gateway.url) as it:
        assert answer_of(it).status == 0


@pytest.mark.parametrize("dripping", [b"", b" "])
def test_a_body_has_to_arrive(gateway: Gateway, dripping: bytes) -> None:
    before = len(gateway.simulator.requests)
    answers = too_slow(gateway, lambda path: head(path, "content-length: 100000") + b'{"model":', dripping)
    assert all("DRAGOMAN_LIMIT_STALL" in answer.words for answer in answers)
    assert len(gateway.simulator.requests) == before


def test_a_body_that_goes_on_coming_is_waited_for(gateway: Gateway) -> None:
    """For longer than a client may be silent."""
    ask = request("/v1/messages", {**HI, "metadata": {"user_id": "x" * 4000}})
    with connected(gateway.url) as it:
        for at in range(0, len(ask), 200):
            it.sendall(ask[at : at + 200])
            time.sleep(0.05)
        assert answer_of(it).status == 200


def test_a_body_that_nobody_wants_is_not_waited_for(gateway: Gateway) -> None:
    with connected(gateway.url) as it:
        it.sendall(head("/nowhere", "content-length: 100000") + b"x")
        answer = answer_of(it)
        assert (answer.status, answer.headers["connection"]) == (404, "close")
        assert it.recv(1) == b""


def test_a_kept_connection_may_be_silent_for_longer(gateway: Gateway) -> None:
    with connected(gateway.url) as it:
        for _ in range(2):
            it.sendall(request("/v1/messages", HI))
            assert answer_of(it).status == 200
            time.sleep(2 * QUICK.head)


def test_waiting_for_an_answer_is_not_slowness(upstream: Scripted) -> None:
    upstream.play([4 * QUICK.stall, ok_message("late")])
    with gateway_before(upstream, limits=QUICK) as gateway:
        assert b"late" in sent(gateway.url, request("/v1/messages", HI)).body


# --- slow to read ------------------------------------------------------------------------------------

PIECE = chunk(text_event("x" * 60_000))


class Flood:
    """An upstream's answer without an end: how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.over = threading.Event()

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED_HEAD + chunk(opening()))
        try:
            while True:
                writer.write(PIECE)
                await writer.drain()
                self.taken += len(PIECE)
        finally:
            self.over.set()


@pytest.mark.parametrize("dialect", PATHS)
def test_who_does_not_read_his_stream_is_cut_and_his_upstream_with_him(upstream: Scripted, dialect: str) -> None:
    flood = Flood()
    upstream.play([flood])
    with gateway_before(upstream, limits=QUICK) as gateway, connected(gateway.url, buffer=4096) as it:
        members: dict[str, Any] = {"input": "Hi"} if dialect == "responses" else {"messages": HI["messages"]}
        it.sendall(request(PATHS[dialect], {"model": MODEL, "stream": True, "max_tokens": 9, **members}))
        assert it.recv(12) == b"HTTP/1.1 200"
        assert flood.over.wait(PATIENCE)
        assert flood.taken < 60 * 2**20  # what the sockets between hold
        assert ended(it)
        upstream.play([ok_message("well")])
        assert sent(gateway.url, request("/v1/messages", HI)).status == 200


def test_who_does_not_read_a_whole_answer_is_cut(upstream: Scripted) -> None:
    """Nobody writes to it any more: only the look at all connections finds it."""
    upstream.play([response(b'{"type": "message", "x": "' + b"y" * 20_000_000 + b'"}')])
    with gateway_before(upstream, limits=QUICK) as gateway, connected(gateway.url, buffer=4096) as it:
        it.sendall(request("/v1/messages", HI))
        assert it.recv(12) == b"HTTP/1.1 200"
        read = 12
        time.sleep(4 * QUICK.stall)
        with pytest.raises(ConnectionError):
            while more := it.recv(65536):
                read += len(more)
        assert read < 20_000_000


def test_who_reads_slowly_but_reads_gets_it_all(upstream: Scripted) -> None:
    upstream.play([response(b'{"type": "message", "x": "' + b"y" * 9_000_000 + b'"}')])
    with gateway_before(upstream, limits=QUICK) as gateway, connected(gateway.url, buffer=4096) as it:
        it.sendall(request("/v1/messages", {**HI}, "connection: close"))
        read, fast = 0, time.monotonic() + 4 * QUICK.stall
        while more := it.recv(65536 if time.monotonic() > fast else 20_000):
            read += len(more)
            if time.monotonic() < fast:
                time.sleep(0.01)
        assert read > 9_000_000


def test_pace_is_judged_over_a_while() -> None:
    limits = Limits(stall=10, rate=100, head=5)
    pace = Pace()
    told = [pace.late("body", figure, now, limits) for now, figure in ((0, 0), (5, 10), (10, 1000), (19, 1000))]
    assert told == [False] * 4
    assert pace.late("body", 1999, 20, limits)
    assert not pace.late("answer", 0, 21, limits)
    assert not pace.late("answer", 0, 30, limits)
    assert pace.late("answer", 0, 31, limits)
    assert not pace.late("", 0, 50, limits)
    assert [pace.late("head", 50, now, limits) for now in (54, 56)] == [False, True]


# --- many ----------------------------------------------------------------------------------------------

HELD: list[bytes | Act] = [CHUNKED_HEAD + chunk(opening("so far")), Act.HOLD]


def held_call(stack: ExitStack, gateway: Gateway) -> socket.socket:
    it = stack.enter_context(connected(gateway.url))
    it.sendall(request("/v1/messages", {**HI, "stream": True}))
    assert it.recv(12) == b"HTTP/1.1 200"
    return it


def asked_until(gateway: Gateway, path: str, good: Callable[[int], bool]) -> None:
    """Ask until it is taken: what was freed is known a moment later."""
    until(lambda: good(sent(gateway.url, request(path, HI)).status))


FULL = {"anthropic": 529, "openai": 503, "responses": 503, "ollama": 503}


@pytest.mark.parametrize(
    ("limits", "statuses", "named"),
    [
        (Limits(calls=2), FULL, "DRAGOMAN_LIMIT_CALLS"),
        (Limits(calls_per_peer=2), dict.fromkeys(PATHS, 429), "DRAGOMAN_LIMIT_CALLS_PER_PEER"),
    ],
    ids=["all", "one"],
)
def test_only_so_many_calls_at_a_time(upstream: Scripted, limits: Limits, statuses: dict[str, int], named: str) -> None:
    upstream.play(HELD, HELD, [ok_message("free")])
    with gateway_before(upstream, limits=limits) as gateway, ExitStack() as stack:
        first, _ = held_call(stack, gateway), held_call(stack, gateway)
        for dialect, path in PATHS.items():
            answer = sent(gateway.url, request(path, HI))
            assert answer.status == statuses[dialect]
            assert answer.headers["retry-after"] == "1"
            assert named in answer.words
        assert len(upstream.requests) == 2
        # Who asks how it is gets an answer.
        assert httpx.get(gateway.url + "/health", trust_env=False).status_code == 200
        first.close()
        asked_until(gateway, "/v1/messages", lambda status: status == 200)


def test_only_so_many_connections(upstream: Scripted) -> None:
    upstream.play(HELD, HELD, HELD, [ok_message("free")])
    with gateway_before(upstream, limits=Limits(connections=3)) as gateway, ExitStack() as stack:
        calls = [held_call(stack, gateway) for _ in range(2)]
        idle = stack.enter_context(connected(gateway.url))
        idle.sendall(head("/health", method="GET"))
        assert answer_of(idle).status == 200
        # One that nobody uses makes room.
        calls.append(held_call(stack, gateway))
        assert idle.recv(1) == b""
        answer = sent(gateway.url, request("/api/chat", HI))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "DRAGOMAN_LIMIT_CONNECTIONS" in answer.words
        # Beyond some more not even that is said.
        waiting = [stack.enter_context(connected(gateway.url)) for _ in range(64)]
        with connected(gateway.url) as it:
            assert ended(it)
        for each in (*calls, *waiting):
            each.close()
        asked_until(gateway, "/api/chat", lambda status: status != 503)


def test_limits_are_those_of_the_settings_that_are_read_again() -> None:
    from dragoman.config import Settings  # noqa: PLC0415
    from dragoman.surfaces.turning import bounds_of  # noqa: PLC0415

    bounds = bounds_of(Settings(limits=Limits(calls=1)))
    assert bounds.full(1) is not None
    bounds.apply(Limits(calls=2), 5)
    assert bounds.full(1) is None
    assert bounds.linger == 5


@pytest.mark.parametrize(
    ("client", "forwarded", "peer"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.9", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.9", "203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "", "2001:db8::/64"),
        ("10.0.0.9", "2001:db8:0:0:9::9", "2001:db8::/64"),
    ],
)
def test_a_peer_is_who_calls(client: str, forwarded: str, peer: str) -> None:
    """Whatever it says of itself; one that trusted proxies name; all addresses of IPv6 that one house has."""
    from dragoman.config import Settings  # noqa: PLC0415
    from dragoman.surfaces.turning import bounds_of  # noqa: PLC0415

    bounds = bounds_of(Settings(limits=Limits(calls_per_peer=1), trusted_proxies=("10.0.0.0/8",)))
    running: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        running.append(bounds.calls_of(peer))

    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "client": (client, 5), "headers": headers}
    asyncio.run(bounds.for_one(app)(scope, None, None))  # type: ignore[arg-type]
    assert running == [1]


def test_what_a_peer_has_is_given_back_whatever_becomes_of_it() -> None:
    from dragoman.config import Settings  # noqa: PLC0415
    from dragoman.surfaces.turning import bounds_of  # noqa: PLC0415

    bounds = bounds_of(Settings(limits=Limits(calls_per_peer=1)))
    running: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        running.append(bounds.calls_of("192.0.2.1"))
        raise asyncio.CancelledError

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(asyncio.CancelledError):
                await bounds.for_one(app)({"type": "http", "client": ("192.0.2.1", 5), "headers": []}, None, None)  # type: ignore[arg-type]

    asyncio.run(work())
    assert running == [1, 1, 1]
    assert bounds.calls_of("192.0.2.1") == 0
