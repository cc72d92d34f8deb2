"""Gateways that share a store continue each other's conversations; without it they go on all the same."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable

import pytest

from dragoman.config import Override, Secret
from tests.relay.programs import PROGRAMS, Plain, Program
from tests.relay.test_relay_sealed import CHECKS, sealed
from tests.running import run_with_simulator
from tests.store.resp import Mood, run_resp

TRANSLATED = {CHECKS: Override(max_tokens=9000)}


@pytest.fixture
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loaded machine does not get done in time is no failure of the store."""
    for name in ("patient.WAIT", "patient._WRITE", "redis._WAIT"):
        monkeypatch.setattr(f"dragoman.store.{name}", 20.0)


@pytest.mark.usefixtures("no_hurry")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("program", PROGRAMS)
def test_one_gateway_goes_on_where_another_was(program: Callable[..., Program], stream: bool) -> None:
    """Also one that is asked at once: the end of an answer is told when the others can know it."""
    with (
        run_resp("s3cret") as resp,
        run_with_simulator(overrides=TRANSLATED, store=Secret(resp.url)) as a,
        run_with_simulator(a.simulator, overrides=TRANSLATED, store=Secret(resp.url)) as b,
    ):
        resp.mood = "slow"
        it = program("", CHECKS, stream=stream)
        for gateway in itertools.islice(itertools.cycle([a, b]), 8):
            it.url = gateway.url
            it.send()
        sent = [request.body for request in a.simulator.requests]
        assert set(it.dropped) == {""}
        assert [len(sealed(body)) for body in sent] == list(range(8))


@pytest.mark.usefixtures("no_hurry")
def test_what_is_stored_shows_nothing() -> None:
    with run_resp() as resp, run_with_simulator(store=Secret(resp.url)) as gateway:
        it = Program(gateway.url, CHECKS)
        it.run(4)
        resp.wait_for(4)
        signatures = sealed(gateway.simulator.requests[-1].body)
        stored = b"".join(key + value for key, (value, _) in resp.values.items())
    assert len(signatures) == 3
    assert not [s for s in signatures if s.encode() in stored or s.encode()[4:40] in stored]
    assert b"anthropic" not in stored and b"thinking" not in stored and b"looked" not in stored


@pytest.mark.usefixtures("no_hurry")
def test_what_is_not_ours_in_the_store_is_ignored() -> None:
    with (
        run_resp() as resp,
        run_with_simulator(store=Secret(resp.url)) as a,
        run_with_simulator(a.simulator, store=Secret(resp.url)) as b,
    ):
        it = Program(a.url, CHECKS)
        it.send()
        resp.wait_for(1)
        for key, (value, end) in resp.values.items():
            resp.values[key] = (value[:-1] + b"?", end)
        it.url = b.url
        it.send()
        assert it.dropped == ["", "thinking"]


@pytest.mark.parametrize("mood", ["silent", "full", "garbage"])
def test_a_store_that_is_ill_fails_no_call(mood: Mood) -> None:
    """The gateway's own memory is enough, and a server that fails is not asked at every turn."""
    with run_resp() as resp, run_with_simulator(store=Secret(resp.url)) as gateway:
        resp.mood = mood
        it = Plain(gateway.url, CHECKS)
        it.run(6)
        assert set(it.dropped) == {""}
        other = Program(gateway.url, CHECKS)
        other.messages = [{"role": "user", "content": "Look."}, *it.messages[1:2]]
        for _ in range(5):
            other.messages[0] = {"role": "user", "content": f"Look at {len(resp.commands)}."}
            other.messages[2:] = [{"role": "tool", "tool_name": "alpha", "content": "looked"}]
            other.send()
        assert resp.commands.count("MGET") <= (5 if mood == "full" else 1)


def test_a_store_that_is_not_there_fails_no_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    store = Secret(f"redis://:hidden@127.0.0.1:{port}/0")
    with run_with_simulator(store=store) as a, run_with_simulator(a.simulator, store=store) as b:
        it = Program(a.url, CHECKS)
        it.run(3)
        it.url = b.url
        it.run(2)
        assert it.dropped[:3] == [""] * 3
        assert it.dropped[3] == "thinking", "nobody told the second gateway"
