"""The official SDKs read the same answer out of our translations of it, from every kind of server.

`DRAGOMAN_CONVERSATIONS` says how many answers are made up for each kind of server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.simulator.cache import Counts
from tests.differential.parsing import Bench, Seen
from tests.translation.answers import FLAVORS, Told, answers, by_anthropic, by_ollama, by_openai
from tests.translation.parts import one_of

MADE_UP = int(os.environ.get("DRAGOMAN_CONVERSATIONS", "500"))
CLIENTS = ("anthropic", "openai_chat", "ollama")
# The one meaning behind each dialect's words; Ollama says "stop" for calls too.
MEANT = {
    ("anthropic", "end_turn"): "stop",
    ("anthropic", "max_tokens"): "length",
    ("anthropic", "tool_use"): "stop",
    ("openai_chat", "stop"): "stop",
    ("openai_chat", "length"): "length",
    ("openai_chat", "tool_calls"): "stop",
    ("ollama", "stop"): "stop",
    ("ollama", "length"): "length",
}


@st.composite
def from_openai(draw: st.DrawFn) -> Told:
    usage, proof = one_of("asked", "always", "every", "finish"), one_of("", "signature", "encrypted")
    forms = one_of("reasoning", "reasoning_content", "both", "details")
    flavor = draw(st.sampled_from(sorted(FLAVORS)))
    said = draw(answers())
    return by_openai(said, flavor, frozenset(), usage=draw(usage), reasoning=draw(forms), proof=draw(proof))


tokens = st.integers(0, 3) | st.integers(0, 10**6)
SERVERS: dict[str, st.SearchStrategy[Told]] = {
    "anthropic": st.builds(
        by_anthropic, answers(), st.builds(Counts, tokens.map(lambda n: n + 1), tokens, tokens, tokens)
    ),
    "ollama": answers().map(by_ollama),
    "openai_chat": from_openai(),
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.mark.parametrize("server", SERVERS)
def test_the_official_sdks_agree(server: str, bench: Bench) -> None:
    @settings(max_examples=MADE_UP, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(SERVERS[server])
    def agree(told: Told) -> None:
        seen = {
            (client, streamed): bench.seen(told, client, streamed=streamed)
            for client in CLIENTS
            for streamed in (True, False)
        }
        assert _differences(seen) == []
        assert _untrue(told, seen["anthropic", True]) == []

    agree()


def _differences(seen: dict[tuple[str, bool], Seen]) -> list[str]:
    """Where one reading is not like the first."""
    found = []
    (first, like), *others = seen.items()
    for who, other in others:
        for name in ("text", "thinking", "calls", "prompt", "output", "cached", "thought"):
            one, two = getattr(like, name), getattr(other, name)
            if two is not None and one != two:
                found.append(f"{name}: {first} has {one!r}, {who} {two!r}")
    meanings = {who: MEANT[who[0], one.reason] for who, one in seen.items()}
    return found if len(set(meanings.values())) == 1 else [*found, f"reasons: {meanings}"]


def _untrue(told: Told, seen: Seen) -> list[str]:
    """Where what all agree on is not what the server said."""
    answer = told.answer
    words: dict[str, str] = dict.fromkeys(("text", "thinking"), "")
    for part in answer.parts:
        if (kind := part.body["type"]) in words:
            words[kind] += part.body[kind]
    calls = [(part.body["name"], part.body["input"]) for part in answer.parts if part.body["type"] == "tool_use"]
    right: list[tuple[str, Any, Any]] = [
        ("text", seen.text, words["text"]),
        ("thinking", seen.thinking, words["thinking"]),
        ("calls", seen.calls, calls),
        ("tokens", (seen.prompt, seen.output), told.tokens),
        ("reason", seen.reason, answer.stop_reason),
    ]
    return [f"{name}: {got!r}, not {wanted!r}" for name, got, wanted in right if got != wanted]
