"""Answers in an order of their own, with sources, hidden thoughts, refusals and stop strings: all of it is told."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.arguments import json_text
from dragoman.conversation import Reply
from dragoman.dialects import registry
from dragoman.folding import Fold
from dragoman.simulator.answer import Answer, Part
from tests.translation.answers import Told, by_anthropic, words
from tests.translation.nonces import WORD, filled, words_in
from tests.translation.parts import one_of
from tests.translation.reading import READERS, Read
from tests.translation.test_carried_replies import ASKED, STAMP

SOURCE: dict[str, Any] = {
    "type": "web_search_result_location",
    "url": f"https://example.com/{WORD}",
    "title": WORD,
    "cited_text": "of old",
    "encrypted_index": "E",
}


@st.composite
def blocks(draw: st.DrawFn) -> Any:
    match draw(one_of("text", "text", "cited", "thinking", "redacted", "call")):
        case "text":
            return {"type": "text", "text": WORD + draw(words)}
        case "cited":
            return {"type": "text", "text": WORD + draw(words), "citations": [SOURCE] * draw(st.integers(1, 2))}
        case "thinking":
            return {"type": "thinking", "thinking": draw(one_of(WORD, "")), "signature": f"Es{WORD}"}
        case "redacted":
            return {"type": "redacted_thinking", "data": f"Em{WORD}"}
        case _:
            return {"type": "tool_use", "id": f"toolu_{WORD}", "name": "f", "input": {"a": WORD + draw(words)}}


def part(body: Any) -> Part:
    said = {"text": "text", "thinking": "thinking"}.get(body["type"])
    given = json_text(body["input"]) if body["type"] == "tool_use" else body[said] if said else ""
    return Part(body, [given] if given else [])  # whole words, which can be looked for


@st.composite
def mixed(draw: st.DrawFn) -> Told:
    bodies, _ = filled(draw(st.lists(blocks(), max_size=6)))
    reason = draw(one_of("end_turn", "stop_sequence", "refusal", "pause_turn"))
    if any(body["type"] == "tool_use" for body in bodies):
        reason = "tool_use"
    answer = Answer([part(body) for body in bodies], reason)
    if reason == "stop_sequence":
        answer.stop_sequence = "zq900z"
    if reason == "refusal":
        answer.stop_details = {"type": "refusal", "category": "cyber", "explanation": "zq901z"}
    return by_anthropic(answer)


def unsaid(client: str, told: Told, out: str) -> list[str]:
    """Words of the answer that are not in what the client got."""
    expected: list[str] = []
    for piece in told.answer.parts:
        body = dict(piece.body)
        if client == "ollama":  # its wire has no place for sources and proofs, and ids of its own
            body = {k: v for k, v in body.items() if k not in ("citations", "signature", "data")}
        if client == "openai_chat" and body.get("citations"):
            # Where a source is, and what it is called, is all there is a place for.
            body["citations"] = [{"url": source["url"], "title": source["title"]} for source in body["citations"]]
        expected += words_in(json.dumps(body))
    if told.answer.stop_reason == "refusal":
        expected.append("zq901z")
    if told.answer.stop_reason == "stop_sequence" and client != "ollama":
        expected.append("zq900z")
    return [word for word in expected if word not in out]


@pytest.mark.parametrize("client", sorted(READERS))
@settings(max_examples=60, deadline=None)
@given(mixed())
def test_all_of_an_answer_is_told(client: str, told: Told) -> None:
    streamed, whole, out, body = carried(client, told)
    assert unsaid(client, told, out) == []
    assert unsaid(client, told, body) == []
    assert streamed == whole


def carried(client: str, told: Told) -> tuple[Read, Read, str, str]:
    """What an SDK makes of the stream and of the whole answer, and both as text."""
    dialect, upstream = registry()[client], registry()[told.dialect]
    request = dialect.decode_request(deepcopy(ASKED[client]))
    decoder, fold, encoder = upstream.Decoder(), Fold(told.dialect), dialect.Encoder(request, STAMP)
    out = b""
    for piece in told.stream:
        events = decoder.feed(piece)
        fold.feed(deepcopy(events))
        out += encoder.feed(events)
    reply: Reply = upstream.decode_reply(deepcopy(told.whole))
    assert fold.reply.content == reply.content
    body = dialect.encode_reply(reply, request, STAMP)
    stream, whole = READERS[client]
    return stream(out), whole(deepcopy(body)), out.decode(), json.dumps(body)
