"""Random answers of every kind of server, to every client: streamed and whole the same, and nothing lost on the way."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Reply, Request
from dragoman.dialects import registry
from dragoman.dialects.contract import Stamp
from dragoman.folding import Fold
from tests.translation.answers import FLAVORS, Told, answers, by_anthropic, by_ollama, by_openai
from tests.translation.parts import one_of
from tests.translation.reading import READERS, Read

STAMP = Stamp(id="x", model="m", created=1_795_327_200_000_000_000, started=0, clock=lambda: 1_000_000)
ASKED: dict[str, dict[str, Any]] = {
    "anthropic": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "openai_chat": {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "ollama": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
}
# What clients read for the simulator's reasons.
REASONS = {
    "anthropic": {"end_turn": "end_turn", "max_tokens": "max_tokens", "tool_use": "tool_use"},
    "openai_chat": {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"},
    "ollama": {"end_turn": "stop", "max_tokens": "length", "tool_use": "stop"},
}
# Quirks that change no more than the form of an answer; each of them is some server's.
HARMLESS = (
    *("whole_calls", "object_args", "empty_args", "missing_args", "null_ids", "blank_ids", "repeat_ids", "index_zero"),
    *("no_index", "empty_calls", "finish_stop", "null_content", "no_role", "null_delta", "no_created", "unknown"),
    *("comments", "crlf", "no_done", "side_by_side"),
)


@st.composite
def told(draw: st.DrawFn) -> Told:
    answer = draw(answers())
    match draw(one_of("ollama", "anthropic", "openai", "openai")):
        case "ollama":
            return by_ollama(answer)
        case "anthropic":
            return by_anthropic(answer)
        case _:
            flavor = draw(st.sampled_from(sorted(FLAVORS)))
            quirks = frozenset(draw(st.lists(one_of(*HARMLESS), max_size=2)))
            forms = one_of("reasoning", "reasoning_content", "both", "details")
            usage, proof = one_of("asked", "always", "every", "finish"), one_of("", "signature", "encrypted")
            return by_openai(answer, flavor, quirks, usage=draw(usage), reasoning=draw(forms), proof=draw(proof))


def complaints(client: str, told: Told, cuts: list[int]) -> list[str]:
    """What is wrong with what the client gets."""
    dialect, upstream = registry()[client], registry()[told.dialect]
    request: Request = dialect.decode_request(deepcopy(ASKED[client]))
    decoder, fold = upstream.Decoder(), Fold(told.dialect)
    encoder = dialect.Encoder(request, STAMP)
    data, out = b"".join(told.stream), b""
    for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True):
        events = decoder.feed(data[a:b])
        fold.feed(deepcopy(events))
        out += encoder.feed(events)
    events = decoder.close()
    fold.feed(deepcopy(events))
    out += encoder.feed(events)
    if fold.fault is not None:
        return [f"a fault: {fold.fault}"]
    reply: Reply = upstream.decode_reply(deepcopy(told.whole))
    stream, whole = READERS[client]
    streamed, unstreamed = stream(out), whole(dialect.encode_reply(reply, request, STAMP))
    folded = whole(dialect.encode_reply(fold.reply, request, STAMP))
    found = [f"streamed: {line}" for line in _wrong(client, told, streamed)]
    found += [f"whole: {line}" for line in _wrong(client, told, unstreamed)]
    found += [f"folded: {line}" for line in _wrong(client, told, folded)]
    return found


def _wrong(client: str, told: Told, read: Read) -> list[str]:
    answer = told.answer
    said = {kind: [p for p in answer.parts if p.body["type"] == kind] for kind in ("thinking", "text", "tool_use")}
    calls = [(part.body["name"], part.body["input"]) for part in said["tool_use"]]
    right: list[tuple[str, Any, Any]] = [
        ("text", read.text, "".join(part.body["text"] for part in said["text"])),
        ("thinking", read.thinking, "".join(part.body["thinking"] for part in said["thinking"])),
        ("calls", read.calls, calls),
        ("ids", len(set(read.ids)), len(calls)),
        ("reason", read.reason, REASONS[client][answer.stop_reason]),
        ("tokens", read.tokens, told.tokens),
    ]
    return [f"{name}: {got!r}, not {wanted!r}" for name, got, wanted in right if got != wanted]


@pytest.mark.parametrize("client", sorted(READERS))
@settings(max_examples=80, deadline=None)
@given(told(), st.data())
def test_an_answer_arrives_whole(client: str, told: Told, data: st.DataObject) -> None:
    size = sum(map(len, told.stream))
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
    assert complaints(client, told, cuts) == []
