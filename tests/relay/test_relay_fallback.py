"""When another server takes over, and when not: everything before the first byte, nothing after it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from dragoman.config import Secret, Timeouts, Upstream
from dragoman.config.settings import Route, Target
from tests.relay.failures import EARLY, ONLY_STREAMS, SAID, Early, refusal
from tests.relay.herd import IMPATIENT, PATIENT, Herd, Kind, herd
from tests.relay.scripted import (
    MODEL,
    Act,
    Answer,
    Scripted,
    error_body,
    message_of,
    ok_message,
    ok_stream,
    response,
    scripted,
)
from tests.relay.setting import client
from tests.waiting import until

CODE = "code-1-end"
GOOD_STREAM, GOOD = ok_stream("Hel", f"lo {CODE}"), ok_message(f"Hello {CODE}")
STREAMED, WHOLE = Kind("/v1/messages", stream=True), Kind("/v1/messages", stream=False)
# Passed through, and translated.
WAYS = [STREAMED, WHOLE, Kind("/v1/chat/completions", stream=True), Kind("/api/chat", stream=False)]
each_way = pytest.mark.parametrize(
    "kind", WAYS, ids=lambda kind: f"{kind.path}-{'streamed' if kind.stream else 'whole'}"
)


class Pair(NamedTuple):
    """Two servers that speak Anthropic's API, the first one asked first."""

    gateway: Herd
    first: Scripted
    second: Scripted

    def ask(self, kind: Kind = STREAMED, model: str = "any") -> httpx.Response:
        body = kind.body(model, "Hi")
        # An unstreamed call of few tokens goes unstreamed upstream, too.
        body["options"] = {"num_predict": body["max_tokens"]} if kind.path.startswith("/api") else None
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        body = {name: value for name, value in body.items() if value is not None}
        with client() as http:
            return http.post(self.gateway.url + kind.path, json=body, headers=headers)

    def answers(self, kind: Kind = STREAMED) -> str:
        """Who answers; fails unless the answer is whole."""
        answer = self.ask(kind)
        assert answer.status_code == 200, answer.text
        text, whole = kind.read(answer.text)
        assert (text, whole) == (f"Hello {CODE}", True)
        return answer.headers["x-dragoman-upstream"]

    def counts(self) -> tuple[int, int]:
        return len(self.first.requests), len(self.second.requests)


def good(kind: Kind) -> Answer:
    return [GOOD_STREAM if kind.stream else GOOD]


def upstream(name: str, server: Scripted, **more: Any) -> Upstream:
    return Upstream(name=name, base_url=server.url, key=Secret(f"sk-secret-{name}"), **({"timeouts": PATIENT} | more))


@contextmanager
def pair(
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, Any] | None = None,
    *,
    route: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Pair]:
    with scripted() as one, scripted() as two:
        upstreams = (upstream("first", one, **(first or {})), upstream("second", two))
        targets = (Target(model=f"first/{MODEL}"), Target(model=f"second/{MODEL}", order=1))
        routes = (Route(name="any", targets=targets, **(route or {})),)
        with herd(monkeypatch, upstreams=upstreams, routes=routes, refresh=0, **settings) as gateway:
            yield Pair(gateway, one, two)


@pytest.fixture(scope="module")
def both() -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as monkeypatch, pair(monkeypatch, {"timeouts": IMPATIENT}) as it:
        yield it


@pytest.fixture(autouse=True)
def healthy(both: Pair) -> None:
    """Whatever the test before did to the breakers: an hour has passed."""
    both.gateway.clock.now += 3600
    both.first.play([response(message_of(f"Hello {CODE}"), headers="connection: close\r\n"), Act.CLOSE])
    both.answers(WHOLE)  # and no connection is kept: replacing one that is gone is a request, too


PASSING_OVER = [
    *(fault for fault in EARLY if fault.name not in ("400", "413", "compressed, it says")),
    Early("403", refusal("403 No", "permission_error"), 0, 0, retried=False),
    Early("402", refusal("402 Pay", "billing_error"), 0, 0, retried=False),
    Early("hangs", lambda _: [Act.HOLD], 0, 0, retried=False),
    Early(
        "says 200 and hangs",
        lambda _: [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", Act.HOLD],
        0,
        0,
        retried=False,
    ),
]
# What is not an error to who reads along, and is passed on as it is.
_PASSES = ("200 with an empty object", "200 with another object")


@pytest.mark.parametrize("fault", [*PASSING_OVER, *ONLY_STREAMS], ids=lambda fault: fault.name)
@each_way
def test_another_server_takes_over(both: Pair, kind: Kind, fault: Early) -> None:
    passed = kind.path == "/v1/messages"
    if (fault in ONLY_STREAMS and not kind.stream) or (passed and fault.name in _PASSES):
        pytest.skip("no failure this way")
    both.first.play(fault.script(kind.stream))
    both.second.play(good(kind))
    assert both.answers(kind) == "second"
    assert both.counts() == (1, 1)


@each_way
def test_what_is_wrong_with_the_request_stays_wrong(both: Pair, kind: Kind) -> None:
    both.first.play([response(error_body("invalid_request_error", "nonsense"), status="400 Bad Request")])
    both.second.play(good(kind))
    answer = both.ask(kind)
    assert answer.status_code == 400 and "nonsense" in answer.text
    assert both.counts() == (1, 0)


@each_way
def test_nobody_takes_over_after_the_first_byte(both: Pair, kind: Kind) -> None:
    if not kind.stream:
        pytest.skip("streams only")
    both.first.play([SAID, 0.02, Act.RESET])
    both.second.play(good(kind))
    answer = both.ask(kind)
    text, whole = kind.read(answer.text)
    assert (answer.status_code, answer.headers["x-dragoman-upstream"], whole) == (200, "first", False)
    assert text == "Hello" and "broke in mid-answer" in answer.text
    assert both.counts() == (1, 0)


def test_a_dead_server_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted() as gone:
        pass
    with scripted() as there:
        upstreams = (upstream("first", gone), upstream("second", there))
        targets = (Target(model=f"first/{MODEL}"), Target(model=f"second/{MODEL}", order=1))
        with herd(monkeypatch, upstreams=upstreams, routes=(Route(name="any", targets=targets),), refresh=0) as gateway:
            there.play([GOOD])
            for kind in (Kind(path, stream=False) for path in ("/v1/messages", "/v1/chat/completions")):
                assert Pair(gateway, gone, there).answers(kind) == "second"


@pytest.mark.parametrize("second_answers", [True, False])
def test_somebody_takes_over_from_a_server_that_was_waited_for(
    monkeypatch: pytest.MonkeyPatch, second_answers: bool
) -> None:
    """The answer has begun by then, with signs of life.  What the other one says follows them."""
    with scripted() as slow, scripted() as there:
        slow_one = Upstream(
            name="slow",
            dialect="ollama",
            base_url=slow.url,
            models=("llama",),
            timeouts=Timeouts(connect=5.0, first_byte=1.5, idle=1.5),
        )
        targets = (Target(model="slow/llama"), Target(model=f"second/{MODEL}", order=1))
        values: dict[str, Any] = {"timeouts": Timeouts(ping=0.1), "refresh": 0}
        upstreams, routes = (slow_one, upstream("second", there)), (Route(name="any", targets=targets),)
        with herd(monkeypatch, upstreams=upstreams, routes=routes, **values) as gateway:
            slow.play([Act.HOLD])
            there.play([GOOD_STREAM] if second_answers else [response(error_body("api_error"), status="500 Error")])
            answer = Pair(gateway, slow, there).ask(STREAMED)
    assert answer.status_code == 200
    assert answer.text.startswith("event: ping\n")
    text, whole = STREAMED.read(answer.text)
    if second_answers:
        assert (text, whole) == (f"Hello {CODE}", True)
        assert answer.text.count("event: message_start") == 1
    else:
        assert (text, whole) == ("", False)
        assert "event: error" in answer.text and "scripted failure" in answer.text


# --- trying the whole route again --------------------------------------------------------------------

OVERLOADED = response(error_body("overloaded_error"), status="529 Overloaded")


def told_to_wait(seconds: str) -> bytes:
    return response(error_body("rate_limit_error"), status="429 Slow Down", headers=f"retry-after: {seconds}\r\n")


@each_way
def test_everybody_is_asked_again(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    with pair(monkeypatch, retries=1) as it:
        it.first.play([told_to_wait("0")], [OVERLOADED])
        it.second.play([OVERLOADED], good(kind))
        assert it.answers(kind) == "second"
        assert it.counts()[1] == 2


@pytest.mark.parametrize("standing", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "402 Payment Required"])
def test_a_failure_that_stands_does_not_hide_one_that_passes(monkeypatch: pytest.MonkeyPatch, standing: str) -> None:
    with pair(monkeypatch, retries=1) as it:
        it.first.play([response(error_body("permission_error"), status=standing)])
        it.second.play([OVERLOADED], [GOOD])
        assert it.answers(WHOLE) == "second"


def test_the_client_is_told_who_may_be_tried_again_soonest(both: Pair) -> None:
    both.first.play([told_to_wait("60")])
    both.second.play([told_to_wait("7")])
    answer = both.ask(WHOLE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_who_asked_for_patience_is_asked_last(both: Pair) -> None:
    both.first.play([told_to_wait("30")], [GOOD])
    both.second.play([GOOD])
    assert both.answers(WHOLE) == "second"
    assert both.answers(WHOLE) == "second"
    assert both.counts() == (1, 2)
    both.gateway.clock.now += 31
    assert both.answers(WHOLE) == "first"


def test_a_broken_stream_is_held_against_its_server(both: Pair) -> None:
    """Passed through or translated: five answers that break off are enough."""
    for _ in range(10):
        both.first.play([SAID, 0.02, Act.RESET])
        both.ask(STREAMED)
    assert both.gateway.breaker("first").state == "open"


# --- places ------------------------------------------------------------------------------------------


@contextmanager
def occupied(it: Pair, kind: Kind) -> Iterator[None]:
    """One call holds the only place of the first server."""
    holding, enough = threading.Event(), threading.Event()

    async def hold(_: asyncio.StreamWriter) -> None:
        holding.set()
        await asyncio.to_thread(enough.wait)

    it.first.play([SAID, hold, Act.CLOSE], good(kind))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(it.ask, STREAMED, f"first/{MODEL}")
        try:
            assert holding.wait(20)
            yield
        finally:
            enough.set()
        assert "broke in mid-answer" in held.result(20).text


@pytest.mark.parametrize("kind", [STREAMED, Kind("/api/chat", stream=False)], ids=["streamed", "whole"])
@pytest.mark.parametrize("queue", [0, 5])
def test_a_full_server_is_passed_over(monkeypatch: pytest.MonkeyPatch, kind: Kind, queue: int) -> None:
    with pair(monkeypatch, {"concurrency": 1, "queue": queue}) as it, occupied(it, kind):
        it.second.play(good(kind))
        assert it.answers(kind) == "second"


@each_way
def test_a_full_server_alone_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    with pair(monkeypatch, {"concurrency": 1, "queue": 0}) as it, occupied(it, kind):
        answer = it.ask(kind, f"first/{MODEL}")
        assert answer.status_code == (529 if kind.path == "/v1/messages" else 503)
        assert answer.headers["retry-after"] == "1"
        assert "first already has 1 calls" in answer.text


def test_a_full_server_is_waited_for_when_nobody_else_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    with pair(monkeypatch, {"concurrency": 1, "queue": 5}) as it, ThreadPoolExecutor(1) as pool:
        with occupied(it, WHOLE):
            it.second.play([OVERLOADED])
            waiting = pool.submit(it.answers, WHOLE)
            gate = it.gateway.relay.servers["first"].gate
            # It has asked the second one in vain, and waits once more.
            until(lambda: len(it.second.requests) == 1 and gate.waiting == 1)
            assert not waiting.done()
        assert waiting.result(20) == "first"
