"""The prompt cache: what is written, what is read, and that the counts add up."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.models.cards import Card, bundled
from dragoman.simulator.cache import Counts, PromptCache
from dragoman.simulator.rules import Call, check

CARDS: dict[str, Card] = dict(bundled().cards)
LONG = "word " * 2000
HOUR = {"type": "ephemeral", "ttl": "1h"}
MARK = {"type": "ephemeral"}


def text(words: str, mark: Any = None) -> dict[str, Any]:
    return {"type": "text", "text": words} | ({"cache_control": mark} if mark else {})


def asked(*content: dict[str, Any], model: str = "claude-opus-5", **members: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": list(content)}]} | members


def charge(cache: PromptCache, body: dict[str, Any], now: float = 0.0) -> Counts:
    approved = check(body, Call(), CARDS)
    counts = cache.charge(approved.body, approved.card, approved.prompt_tokens, now)
    assert sum(counts) == approved.prompt_tokens
    assert min(counts) >= 0
    return counts


def test_without_marks_nothing_is_cached() -> None:
    cache = PromptCache()
    for _ in range(2):
        assert charge(cache, asked(text(LONG)))[1:] == (0, 0, 0)


def test_written_then_read() -> None:
    cache = PromptCache()
    body = asked(text(LONG, MARK), text("question"))
    first, second = charge(cache, body), charge(cache, body)
    assert first.written_5m > 3000
    assert (second.read, second.written_5m) == (first.written_5m, 0)
    assert first.fresh == second.fresh < 20


def test_a_short_prefix_is_silently_not_cached() -> None:
    cache = PromptCache()
    body = asked(text("word " * 100, MARK))
    assert charge(cache, body)[1:] == charge(cache, body)[1:] == (0, 0, 0)


def test_entries_expire_and_reading_refreshes() -> None:
    cache = PromptCache()
    body = asked(text(LONG, MARK))
    charge(cache, body, 0)
    assert charge(cache, body, 299).read
    assert charge(cache, body, 590).read
    assert not charge(cache, body, 900).read
    hour = asked(text(LONG + "x", HOUR))
    assert charge(cache, hour, 0).written_1h
    assert charge(cache, hour, 3599).read


def test_a_growing_conversation_reads_what_it_wrote() -> None:
    cache = PromptCache()
    first = charge(cache, asked(text(LONG, MARK)))
    grown = asked(text(LONG), text("more " * 200, MARK))
    second = charge(cache, grown)
    assert second.read == first.written_5m
    assert second.written_5m > 200
    automatic = asked(text(LONG), text("more " * 200), text("last"), cache_control=MARK)
    assert charge(cache, automatic).read == second.read + second.written_5m


def test_the_lookback_ends_after_twenty_blocks() -> None:
    for between, hit in ((19, True), (20, False)):
        cache = PromptCache()
        charge(cache, asked(text(LONG, MARK)))
        later = [text(f"b{i}") for i in range(between - 1)]
        assert bool(charge(cache, asked(text(LONG), *later, text("end", MARK))).read) is hit


CHANGES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"tools": [{"name": "g", "input_schema": {"type": "object"}}]}, False),
    ({"system": [text(LONG + "!", MARK)]}, False),
    ({"model": "claude-opus-4-8"}, False),
    ({"thinking": {"type": "disabled"}}, True),  # the system prompt stays cached, the messages do not
]


@pytest.mark.parametrize(("change", "hit"), CHANGES)
def test_what_empties_the_cache_of_the_system_prompt(change: dict[str, Any], hit: bool) -> None:
    cache = PromptCache()
    body = asked(text("q"), system=[text(LONG, MARK)], tools=[{"name": "f", "input_schema": {"type": "object"}}])
    charge(cache, body)
    assert bool(charge(cache, body | change).read) is hit


def test_thinking_settings_empty_the_cache_of_the_messages() -> None:
    cache = PromptCache()
    body = asked(text(LONG, MARK))
    charge(cache, body)
    assert not charge(cache, body | {"thinking": {"type": "disabled"}}).read


def test_both_lifetimes_are_counted_apart() -> None:
    counts = charge(PromptCache(), asked(text(LONG, HOUR), text(LONG, MARK), text("q")))
    assert counts.written_1h > 3000
    assert counts.written_5m > 3000
