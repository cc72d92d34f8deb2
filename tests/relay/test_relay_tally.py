"""Counters of what each model did: sums, and never more of them than were allowed."""

from __future__ import annotations

from dragoman.conversation import Usage
from dragoman.relay.tally import Count, Tally


def test_sums() -> None:
    tally = Tally()
    tally.add("ollama", "qwen3", Usage(input=10, output=5))
    tally.add("ollama", "qwen3", Usage(input=1, output=2))
    tally.add("ollama", "qwen3", failed="overloaded")
    tally.add("openai", "qwen3")
    assert tally.counts() == {
        ("ollama", "qwen3"): Count(calls=3, failures=1, input=11, output=7),
        ("openai", "qwen3"): Count(calls=1),
    }


def test_sums_of_caches_and_money() -> None:
    tally = Tally()
    tally.add("anthropic", "opus", Usage(input=10, output=5, cache_read=4, cache_write=3), cost=0.5)
    tally.add("anthropic", "opus", Usage(input=10, cache_read=8), cost=0.25)
    tally.add("anthropic", "opus", Usage(input=1))
    count = Count(calls=3, input=21, output=5, cache_read=12, cache_write=3, cost=0.75)
    assert tally.counts() == {("anthropic", "opus"): count}


def test_names_without_end_are_counted_together() -> None:
    tally = Tally(limit=3)
    for number in range(100):
        tally.add("ollama", str(number))
    tally.add("ollama", "0", failed="overloaded")
    counts = tally.counts()
    assert set(counts) == {("ollama", "0"), ("ollama", "1"), ("ollama", "2"), ("", "")}
    assert (counts["ollama", "0"].calls, counts["", ""].calls) == (2, 97)
