"""Every kind of error: tried again here, elsewhere, or not at all; and for how long to wait."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.errors import GatewayError, Kind
from dragoman.relay.patience import MAX_WAIT, MEANING, delay, falls_over

RNG = random.Random(5)

# kind → tried again at the same server, at the next one, what it says of the server
TABLE: dict[Kind, tuple[bool, bool, str]] = {
    "invalid_request": (False, False, "none"),
    "context_length": (False, False, "none"),
    "unverified_thinking": (False, False, "none"),
    "authentication": (False, True, "none"),
    "billing": (False, True, "none"),
    "permission": (False, True, "none"),
    "not_found": (False, True, "none"),
    "model_not_found": (False, True, "none"),
    "method_not_allowed": (False, True, "none"),
    "conflict": (False, False, "none"),
    "too_large": (False, False, "none"),
    "slow_request": (False, False, "none"),
    "url_too_long": (False, False, "none"),
    "unsupported_encoding": (False, False, "none"),
    "headers_too_large": (False, False, "none"),
    "rate_limit": (False, True, "busy"),
    "internal": (False, False, "none"),
    "not_implemented": (False, True, "none"),
    "unreachable": (True, True, "broken"),
    "upstream": (True, True, "broken"),
    "overloaded": (True, True, "broken"),
    "timeout": (False, True, "broken"),
    "format_unmet": (False, True, "none"),
}


def test_every_kind_has_a_meaning() -> None:
    assert set(MEANING) == set(TABLE) == set(get_args(Kind))


@pytest.mark.parametrize("kind", TABLE)
def test_what_a_kind_means(kind: Kind) -> None:
    error = GatewayError(kind, "oh")
    again, elsewhere, blame = TABLE[kind]
    assert (delay(0, error, retries=1, rng=RNG) is not None, falls_over(error)) == (again, elsewhere)
    assert MEANING[kind].blame == blame


def test_too_many_requests_are_tried_again_when_the_server_says_when() -> None:
    wait = delay(0, GatewayError("rate_limit", "slow down", retry_after=2.0), retries=1, rng=RNG)
    assert wait is not None
    assert 2.0 <= wait <= 2.2
    assert delay(0, GatewayError("rate_limit", "slow down", retry_after=7.0), retries=1, rng=RNG) is None


@pytest.mark.parametrize("kind", ["timeout", "invalid_request", "authentication"])
def test_what_is_never_tried_again_is_not_even_when_told_when(kind: Kind) -> None:
    assert delay(0, GatewayError(kind, "oh", retry_after=1.0), retries=5, rng=RNG) is None


def test_attempts_are_counted() -> None:
    error = GatewayError("overloaded", "oh")
    assert [delay(attempt, error, retries=2, rng=RNG) is None for attempt in range(4)] == [False, False, True, True]
    assert delay(0, error, retries=0, rng=RNG) is None


@given(
    st.integers(0, 2000),
    st.none() | st.floats(0, MAX_WAIT),
    st.sampled_from(["unreachable", "upstream", "overloaded"]),
    st.integers(),
)
def test_waits_grow_and_keep_their_bounds(attempt: int, told: float | None, kind: Kind, seed: int) -> None:
    wait = delay(attempt, GatewayError(kind, "oh", retry_after=told), retries=9999, rng=random.Random(seed))
    assert wait is not None
    assert (told or 0.0) <= wait <= MAX_WAIT * 1.1
    if told is None:
        assert wait >= min(0.25 * 2.0 ** min(attempt, 10) * 0.75, MAX_WAIT)
        assert wait <= 0.25 * 2.0 ** min(attempt, 10) * 1.25


@pytest.mark.parametrize("told", [None, 1.0])
def test_waits_differ(told: float | None) -> None:
    error = GatewayError("overloaded", "oh", retry_after=told)
    assert len({delay(0, error, retries=1, rng=RNG) for _ in range(20)}) == 20
