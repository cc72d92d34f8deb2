"""Transcripts of streams, and properties that hold for all of them."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from anthropic.types import Message as SDKMessage
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import TypeAdapter

from dragoman.conversation import (
    Event,
    Fault,
    Finish,
    Foreign,
    Message,
    Part,
    PartEnd,
    PartStart,
    Reply,
    Request,
    Seal,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects import anthropic
from dragoman.dialects.contract import Stamp
from dragoman.folding import Fold, unfold
from dragoman.framing import SSE
from fuzz.order import check_order

GOLDEN = Path(__file__).parent / "golden"
TRANSCRIPTS = sorted(path.stem for path in GOLDEN.glob("*.sse"))
REQUEST = Request(origin="anthropic", model="m", messages=[Message(role="user", content=[Text(text="hi")])])
STAMP = Stamp(id="msg_1", model="m", created=0, started=0, clock=lambda: 0)


def decode(data: bytes, *cuts: int) -> list[Event]:
    decoder = anthropic.Decoder()
    edges = [0, *sorted(cuts), len(data)]
    events: list[Event] = []
    for start, end in pairwise(edges):
        events += decoder.feed(data[start:end])
    return events + decoder.close()


def fold(events: list[Event]) -> Reply:
    folded = Fold("anthropic")
    folded.feed(events)
    return folded.reply


def flat(events: list[Event]) -> str:
    return "".join(f"{msgspec.json.encode(event).decode()}\n" for event in events)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_gives_the_reviewed_events(name: str) -> None:
    events = flat(decode((GOLDEN / f"{name}.sse").read_bytes()))
    golden = GOLDEN / f"{name}.events.jsonl"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(events)
    assert events == golden.read_text()


def test_there_are_transcripts() -> None:
    assert {"thinking_tools", "refusal", "server_tool", "error", "truncated", "novelties"} <= set(TRANSCRIPTS)


@pytest.mark.parametrize("name", TRANSCRIPTS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_cutting_the_bytes_anywhere_changes_nothing(name: str, data: st.DataObject) -> None:
    wire = (GOLDEN / f"{name}.sse").read_bytes()
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=6))
    assert decode(wire, *cuts) == decode(wire)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_events_are_in_order(name: str) -> None:
    check_order(decode((GOLDEN / f"{name}.sse").read_bytes()))


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_never_a_finish_nor_an_exception(noise: bytes) -> None:
    events = decode(b"data: " + noise + b"\n\n" + noise)
    assert isinstance(events[-1], Fault)


SHAPES: list[bytes] = [b"[]", b'"x"', b"{}", b'{"type":"content_block_delta"}', b'{"type":"message_start"}', b"null"]


@pytest.mark.parametrize("frame", SHAPES)
def test_an_event_of_a_wrong_shape_is_a_fault_or_skipped(frame: bytes) -> None:
    events = decode(b"data: " + frame + b"\n\n")
    assert isinstance(events[-1], Fault)


def test_what_is_not_known_is_skipped_and_named() -> None:
    decoder = anthropic.Decoder()
    events = decoder.feed((GOLDEN / "novelties.sse").read_bytes())
    assert isinstance(events[-1], Finish)
    assert decoder.skipped == ["event novel_event", "block novel_block", "delta novel_delta"]


# --- replies -------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=20)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=texts),
    st.builds(Thinking, text=texts, seal=st.builds(Seal, st.just("anthropic"), texts)),
    st.builds(Thinking, text=st.just(""), redacted=st.just(True), seal=st.builds(Seal, st.just("anthropic"), texts)),
    st.builds(
        ToolCall,
        id=st.just("toolu_1"),
        name=st.just("f"),
        arguments=st.dictionaries(texts, st.integers() | texts, max_size=2).map(
            lambda value: msgspec.json.encode(value).decode()
        ),
    ),
)


def _own_ids(content: list[Part]) -> list[Part]:
    return [replace(part, id=f"toolu_{i}") if isinstance(part, ToolCall) else part for i, part in enumerate(content)]


usages = st.builds(
    Usage,
    input=st.integers(50, 90),
    output=st.integers(0, 9),
    cache_read=st.integers(0, 20),
    thinking=st.integers(0, 9),
)
replies = st.builds(
    Reply,
    origin=st.just("anthropic"),
    id=st.just("msg_1"),
    model=st.just("m"),
    content=st.lists(parts, max_size=4).map(_own_ids),
    reason=st.sampled_from(["stop", "length", "tool_calls", "context", "pause"]),
    usage=usages,
    tier=st.sampled_from(["standard", "batch"]),
    extra=st.sampled_from([{}, {"usage": {"speed": "fast"}, "novel": 1}]),
)


@settings(max_examples=100, deadline=None)
@given(replies)
def test_streamed_and_unstreamed_are_the_same_answer(reply: Reply) -> None:
    assert fold(unfold(reply)) == reply
    streamed = anthropic.Encoder(REQUEST, STAMP).feed(unfold(reply))
    body = anthropic.encode_reply(reply, REQUEST, STAMP)
    assert fold(decode(streamed)) == anthropic.decode_reply(msgspec.json.decode(msgspec.json.encode(body))) == reply


@settings(max_examples=60, deadline=None)
@given(replies)
def test_the_official_types_take_what_we_write(reply: Reply) -> None:
    SDKMessage.model_validate(anthropic.encode_reply(reply, REQUEST, STAMP), strict=True)
    adapter: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    for frame in SSE().feed(anthropic.Encoder(REQUEST, STAMP).feed(unfold(reply))):
        adapter.validate_json(frame, strict=True)


def test_a_part_the_wire_cannot_say_leaves_no_gap_in_the_indices() -> None:
    events: list[Event] = [
        Start("x", "m"),
        PartStart(0, Foreign(origin="openai_chat", extra={"type": "novel"})),
        PartEnd(0),
        PartStart(1, Text(text="")),
        TextDelta(1, "a"),
        PartEnd(1),
        Finish("stop"),
    ]
    frames = [msgspec.json.decode(frame) for frame in SSE().feed(anthropic.Encoder(REQUEST, STAMP).feed(events))]
    assert [frame["index"] for frame in frames if "index" in frame] == [0, 0, 0]


def test_a_fault_is_an_error_event_and_never_a_stop() -> None:
    out = anthropic.Encoder(REQUEST, STAMP).feed([Start("x", "m"), Fault("overloaded", "busy")])
    assert out.endswith(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    )
    assert b"message_stop" not in out
