"""The breaker: when it opens, for how long, and that one call at a time may try whether the server is back."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.errors import GatewayError, Kind
from dragoman.relay.breaker import Breaker, State


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def state(breaker: Breaker) -> State:
    return breaker.state


def fail(breaker: Breaker, times: int = 1, retry_after: float | None = None) -> None:
    for _ in range(times):
        ticket = breaker.admit()
        assert ticket
        breaker.failed(ticket, retry_after)


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        ticket = breaker.admit()
        assert ticket
        breaker.succeeded(ticket)


# --- opening -------------------------------------------------------------------------------------


def test_failures_in_a_row_open_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    assert (state(breaker), breaker.refuses) == ("closed", False)
    fail(breaker)
    assert (state(breaker), breaker.refuses, breaker.admit()) == ("open", True, 0)
    assert breaker.until == clock.now + 1.0


def test_a_success_ends_the_row(breaker: Breaker) -> None:
    fail(breaker, 4)
    succeed(breaker)
    fail(breaker, 4)
    assert state(breaker) == "closed"


def test_half_of_the_last_twenty_open_it(breaker: Breaker) -> None:
    for _ in range(9):
        fail(breaker)
        succeed(breaker)
    assert state(breaker) == "closed"
    fail(breaker)
    assert state(breaker) == "open"


def test_what_is_longer_ago_than_twenty_outcomes_does_not_count(breaker: Breaker) -> None:
    for _ in range(50):
        fail(breaker)
        succeed(breaker, 2)
    assert state(breaker) == "closed"


def test_failures_far_apart_do_not_add_up(breaker: Breaker, clock: Clock) -> None:
    for _ in range(50):
        fail(breaker)
        clock.now += 61
    assert state(breaker) == "closed"


# --- being open ----------------------------------------------------------------------------------


def test_the_wait_grows_to_its_limit_and_starts_anew(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    waits = []
    for _ in range(9):
        waits.append(breaker.until - clock.now)
        clock.now = breaker.until
        fail(breaker)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    clock.now = breaker.until
    succeed(breaker)
    fail(breaker, 5)
    assert breaker.until - clock.now == 1


@pytest.mark.parametrize(("told", "wait"), [(None, 1), (0.1, 1), (7.0, 7), (3600.0, 60)])
def test_the_server_may_ask_for_a_longer_wait(breaker: Breaker, clock: Clock, told: float | None, wait: float) -> None:
    fail(breaker, 5, told)
    assert breaker.until - clock.now == wait
    clock.now = breaker.until - 0.001
    assert breaker.admit() == 0
    clock.now = breaker.until
    assert not breaker.refuses
    assert breaker.admit()


def test_outcomes_of_earlier_calls_change_nothing(breaker: Breaker, clock: Clock) -> None:
    """A burst that was on its way when it opened: neither does its end prolong the wait, nor a late answer close."""
    early = [breaker.admit() for _ in range(20)]
    for ticket in early[:5]:
        breaker.failed(ticket)
    until = breaker.until
    clock.now += 0.5
    for ticket in early[5:15]:
        breaker.failed(ticket)
    breaker.succeeded(early[15])
    assert (state(breaker), breaker.until) == ("open", until)
    clock.now = until
    probe = breaker.admit()
    breaker.succeeded(early[16])
    breaker.failed(early[17])
    breaker.released(early[18])
    assert state(breaker) == "half-open"
    breaker.succeeded(probe)
    for _ in range(10):
        breaker.failed(early[19])
    assert state(breaker) == "closed"


def test_what_was_before_it_closed_is_forgotten(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now = breaker.until
    succeed(breaker)
    fail(breaker, 4)
    assert state(breaker) == "closed"
    fail(breaker)
    assert state(breaker) == "open"


# --- the probe -----------------------------------------------------------------------------------


@pytest.fixture
def probe(breaker: Breaker, clock: Clock) -> int:
    fail(breaker, 5)
    clock.now = breaker.until
    return breaker.admit()


def test_one_probe_at_a_time(breaker: Breaker, clock: Clock, probe: int) -> None:
    assert state(breaker) == "half-open"
    clock.now += 10_000
    assert (breaker.admit(), breaker.refuses) == (0, True)
    breaker.succeeded(probe)
    assert state(breaker) == "closed"
    assert breaker.admit()
    assert breaker.admit()


def test_a_probe_that_ends_without_a_verdict_makes_room_for_another(breaker: Breaker, probe: int) -> None:
    breaker.released(probe)
    assert not breaker.refuses
    another = breaker.admit()
    assert another
    assert another != probe
    assert breaker.admit() == 0
    breaker.failed(another)
    assert state(breaker) == "open"


def test_what_is_released_while_it_is_closed_says_nothing(breaker: Breaker) -> None:
    fail(breaker, 4)
    breaker.released(breaker.admit())
    assert state(breaker) == "closed"
    fail(breaker)
    assert state(breaker) == "open"


# --- busy ----------------------------------------------------------------------------------------


def test_a_busy_server_is_not_a_broken_one(breaker: Breaker, clock: Clock) -> None:
    for _ in range(50):
        breaker.told_to_wait(breaker.admit(), 7.0)
    assert (state(breaker), breaker.busy) == ("closed", True)
    assert breaker.admit(), "it may be called when nobody else can serve"
    clock.now += 6.9
    assert breaker.busy
    clock.now += 0.2
    assert not breaker.busy


def test_busy_until_the_latest_it_said(breaker: Breaker, clock: Clock) -> None:
    breaker.told_to_wait(breaker.admit(), 7.0)
    breaker.told_to_wait(breaker.admit(), 1.0)
    assert breaker.busy_until == clock.now + 7
    breaker.told_to_wait(breaker.admit(), 86_400.0)
    assert breaker.busy_until == clock.now + 60


def test_a_probe_that_is_told_to_wait_found_a_server_at_work(breaker: Breaker, probe: int) -> None:
    breaker.told_to_wait(probe)
    assert (state(breaker), breaker.busy) == ("closed", True)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(Kind))
def test_which_errors_count(breaker: Breaker, kind: Kind) -> None:
    for _ in range(5):
        breaker.blame(breaker.admit(), GatewayError(kind, "oh", retry_after=3.0))
    broken = kind in ("unreachable", "upstream", "overloaded", "timeout")
    assert (state(breaker), breaker.busy) == ("open" if broken else "closed", kind == "rate_limit")


@pytest.mark.parametrize(
    ("kind", "expected"), [("upstream", "open"), ("invalid_request", "open"), ("rate_limit", "closed")]
)
def test_errors_of_the_probe(breaker: Breaker, probe: int, kind: Kind, expected: str) -> None:
    breaker.blame(probe, GatewayError(kind, "oh"))
    assert state(breaker) == expected
    assert breaker.refuses == (kind == "upstream")


# --- any order -----------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.integers())
def test_never_stuck_and_never_two_probes(seed: int) -> None:
    """Whatever happens, in any order: at most one probe is out, and in the end a working server is called again."""
    rng, clock = random.Random(seed), Clock()
    breaker = Breaker(clock, in_a_row=3, calls=8)
    out: list[int] = []
    probes: set[int] = set()
    for _ in range(300):
        clock.now += rng.choice((0.0, 0.1, 1.0, 30.0))
        if rng.random() < 0.5 or not out:
            before = breaker.state
            if ticket := breaker.admit():
                assert not probes
                if before != "closed":
                    probes.add(ticket)
                out.append(ticket)
            continue
        ticket = out.pop(rng.randrange(len(out)))
        probes.discard(ticket)
        end = rng.choice((breaker.succeeded, breaker.failed, breaker.failed, breaker.told_to_wait, breaker.released))
        end(ticket)
    for ticket in out:
        breaker.released(ticket)
    clock.now += 60
    ticket = breaker.admit()
    assert ticket
    breaker.succeeded(ticket)
    assert state(breaker) == "closed"
