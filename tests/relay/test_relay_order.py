"""Routes: lower order first, by weight within an order, weight 0 at the very end."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config.settings import Route, Target
from dragoman.relay.order import plan, ready_first


def route(*targets: tuple[str, int, int]) -> Route:
    return Route(name="r", targets=tuple(Target(model=m, order=o, weight=w) for m, o, w in targets))


def test_orders_follow_each_other() -> None:
    rng = random.Random(1)
    for _ in range(50):
        assert plan(route(("c", 2, 1), ("a", 0, 9), ("b", 1, 1)), rng) == ["a", "b", "c"]


def test_the_first_is_drawn_by_weight() -> None:
    rng = random.Random(7)
    first = Counter(plan(route(("a", 0, 1), ("b", 0, 2), ("c", 0, 7)), rng)[0] for _ in range(10_000))
    # Four standard deviations of 10,000 draws at 0.7 are 183.
    assert abs(first["a"] - 1_000) < 190
    assert abs(first["b"] - 2_000) < 190
    assert abs(first["c"] - 7_000) < 190


def test_the_second_is_drawn_by_weight_among_those_left() -> None:
    rng = random.Random(8)
    plans = [plan(route(("a", 0, 1), ("b", 0, 2), ("c", 0, 7)), rng) for _ in range(10_000)]
    after_c = Counter(names[1] for names in plans if names[0] == "c")
    assert abs(after_c["b"] / after_c.total() - 2 / 3) < 0.03


def test_weight_0_is_used_when_nothing_else_is_left() -> None:
    rng = random.Random(3)
    for _ in range(50):
        names = plan(route(("spare", 0, 0), ("a", 0, 1), ("b", 5, 1), ("last", 1, 0)), rng)
        assert names == ["a", "b", "spare", "last"]
    assert plan(route(("only", 0, 0)), rng) == ["only"]


def test_a_model_named_twice_is_asked_once() -> None:
    assert plan(route(("a", 0, 1), ("b", 1, 1), ("a", 2, 1)), random.Random(1)) == ["a", "b"]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=8),
    st.integers(),
)
def test_nobody_is_left_out(targets: list[tuple[str, int, int]], seed: int) -> None:
    names = plan(route(*targets), random.Random(seed))
    assert sorted(names) == sorted({model for model, _, _ in targets})
    assert names == plan(route(*targets), random.Random(seed))


@pytest.mark.parametrize(
    ("busy", "expected"),
    [("", "abc"), ("a", "bca"), ("ab", "cab"), ("abc", "abc")],
)
def test_who_is_busy_is_asked_last(busy: str, expected: str) -> None:
    assert ready_first(list("abc"), lambda name: name in busy) == list(expected)
