"""The mark that stands for a signature: it goes out with every thought, comes back, and never reaches Anthropic."""

from __future__ import annotations

import base64
import copy
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Citation, Message, Object, Reply, Request, Seal, Text, Thinking, ToolCall
from dragoman.dialects import anthropic
from dragoman.dialects.anthropic.answer import call_id, origin_id
from dragoman.dialects.anthropic.marker import PREFIX, read_signature, signature
from dragoman.dialects.contract import Stamp
from dragoman.losses import Losses

STAMP = Stamp(id="msg_1", model="m", created=0, started=0, clock=lambda: 0)
REQUEST = Request(origin="anthropic", model="m", messages=[Message(role="user", content=[Text(text="hi")])])
DETAIL = '{"type":"reasoning.encrypted","data":"Zm9v","format":"x"}'

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
origins = st.sampled_from(["openai_chat", "openai_responses", "ollama"])


@settings(max_examples=100, deadline=None)
@given(st.none() | st.builds(Seal, origins, texts))
def test_a_seal_of_another_server_finds_its_way_home(seal: Seal | None) -> None:
    mark = signature(seal)
    assert mark.startswith("dragoman.1.")
    assert mark == signature(seal)
    assert set(mark) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
    assert read_signature(mark) == seal


def test_anthropics_own_signature_stays() -> None:
    assert signature(Seal("anthropic", "EqQB+/=")) == "EqQB+/="
    assert read_signature("EqQB+/=") == Seal("anthropic", "EqQB+/=")
    assert read_signature("") is None


def _mark(said: object) -> str:
    return "dragoman.1." + base64.urlsafe_b64encode(msgspec.json.encode(said)).decode().rstrip("=")


FORGED = [
    "dragoman.",
    "dragoman.1.",
    "dragoman.1.%%%",
    "dragoman.1.e",
    "dragoman.1.é",
    "dragoman.2.e30",
    "dragoman.1." + "W1tb" * 5000,
    _mark([]),
    _mark("x"),
    _mark({"o": "openai_chat"}),
    _mark({"o": "", "v": "x"}),
    _mark({"o": 1, "v": "x"}),
    _mark({"o": "anthropic", "v": "EqQB"}),
]


@pytest.mark.parametrize("mark", FORGED, ids=range(len(FORGED)))
def test_a_forged_or_garbled_mark_is_no_signature(mark: str) -> None:
    assert read_signature(mark) is None
    thought = {"type": "thinking", "thinking": "hm", "signature": mark}
    request = anthropic.decode_request(_conversation(thought))
    assert request.messages[1].content[0] == Thinking(text="hm")
    assert PREFIX not in str(anthropic.encode_request(request, Losses()))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_no_mark_makes_decoding_fail(noise: str) -> None:
    seal = read_signature("dragoman.1." + noise)
    assert seal is None or read_signature(signature(seal)) == seal


def _conversation(*blocks: Object) -> Object:
    return {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [copy.deepcopy(block) for block in blocks]},
            {"role": "user", "content": "go on"},
        ],
    }


THOUGHTS: list[tuple[Thinking, str]] = [
    (Thinking(text="hm"), "thinking"),
    (Thinking(text=""), "thinking"),
    (Thinking(text="hm", seal=Seal("openai_chat", DETAIL)), "thinking"),
    (Thinking(text="", redacted=True, seal=Seal("openai_chat", DETAIL)), "redacted_thinking"),
]


@pytest.mark.parametrize(("thought", "kind"), THOUGHTS)
def test_a_thought_comes_back_as_it_went_out_and_is_kept_from_claude(thought: Thinking, kind: str) -> None:
    reply = Reply(origin="openai_chat", id="x", model="m", content=[thought, Text(text="so")])
    blocks = anthropic.encode_reply(reply, REQUEST, STAMP)["content"]
    assert blocks[0]["type"] == kind
    assert (blocks[0].get("signature") or blocks[0].get("data")).startswith("dragoman.1.")
    request = anthropic.decode_request(_conversation(*blocks))
    assert request.messages[1].content == [thought, Text(text="so")]
    losses = Losses()
    sent = anthropic.encode_request(request, losses)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "so"}]
    assert "thinking" in losses.dropped


def test_marks_are_taken_out_of_a_body_that_passes_through() -> None:
    signed: Object = {"type": "thinking", "thinking": "hm", "signature": "EqQB", "novel": 1}
    marked: Object = {"type": "thinking", "thinking": "hm", "signature": signature(None)}
    hidden: Object = {"type": "redacted_thinking", "data": signature(Seal("openai_chat", "x"))}
    cited: Object = {"type": "text", "text": "a", "citations": [{"encrypted_index": signature(None)}]}
    body = _conversation(marked, hidden, signed, cited) | {"novel": {"x": None}}
    body["messages"].append({"role": "assistant", "content": [copy.deepcopy(marked)]})
    body["messages"].append({"role": "user", "content": []})
    assert anthropic.without_markers(body)
    assert body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [signed, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "go on"},
        {"role": "user", "content": []},
    ]
    assert body["novel"] == {"x": None}
    assert not anthropic.without_markers(body)


ODD: list[Any] = [None, "x", [None], [{"content": None}], [{"content": ["x", None, {"type": 1, "citations": [1]}]}]]


@pytest.mark.parametrize("messages", ODD)
def test_a_body_of_any_shape_passes(messages: Any) -> None:
    body = {"messages": messages}
    assert not anthropic.without_markers(body)
    assert body == {"messages": messages}


# --- ids of tool calls and citations, which go the same way ---------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_an_id_fits_the_wire_and_comes_back(id: str) -> None:
    wire = call_id(id)
    assert re.fullmatch("[a-zA-Z0-9_-]+", wire)
    assert wire == call_id(id)
    assert origin_id(wire) == id or not id


@pytest.mark.parametrize("id", ["toolu_01", "call_1", "chatcmpl-tool-1", "abc"])
def test_an_id_that_fits_stays(id: str) -> None:
    assert call_id(id) == origin_id(id) == id


def test_an_id_that_is_too_long_is_replaced_for_good() -> None:
    assert call_id("." * 500) == call_id("." * 500) != call_id("." * 501)
    assert len(call_id("." * 500)) < 64


@pytest.mark.parametrize("id", ["toolu_dragoman_", "toolu_dragoman_%", "toolu_dragoman_YWJj", "toolu_dragoman__w"])
def test_an_id_that_only_looks_like_one_of_ours_stays(id: str) -> None:
    assert origin_id(id) == id
    assert origin_id(call_id(id)) == id


def test_calls_and_their_results_are_known_by_the_servers_own_ids() -> None:
    calls = [ToolCall(id="functions.f:0", name="f", arguments="{}"), ToolCall(id="same", name="f", arguments="")]
    reply = Reply(
        origin="openai_chat", id="x", model="m", content=[*calls, ToolCall(id="same", name="g", arguments="")]
    )
    blocks = anthropic.encode_reply(reply, REQUEST, STAMP)["content"]
    ids = [block["id"] for block in blocks]
    assert len(set(ids)) == 3
    body = _conversation(*blocks)
    body["messages"][2]["content"] = [{"type": "tool_result", "tool_use_id": id} for id in ids]
    request = anthropic.decode_request(body)
    called = [part.id for part in request.messages[1].content if isinstance(part, ToolCall)]
    assert called[:2] == ["functions.f:0", "same"]
    assert [getattr(part, "id", "") for part in request.messages[2].content] == called


def test_a_citation_of_another_server_is_told_and_kept_from_claude() -> None:
    text = Text(text="a", citations=[Citation(url="https://h", title="T", text="c")])
    reply = Reply(origin="openai_chat", id="x", model="m", content=[text])
    blocks = anthropic.encode_reply(reply, REQUEST, STAMP)["content"]
    assert blocks[0]["citations"][0]["url"] == "https://h"
    request = anthropic.decode_request(_conversation(*blocks))
    assert request.messages[1].content == [text]
    assert anthropic.encode_request(request, Losses())["messages"][1]["content"] == [{"type": "text", "text": "a"}]
