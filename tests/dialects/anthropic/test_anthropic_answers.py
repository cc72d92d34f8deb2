"""Answers of other servers, as Anthropic's programs get them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic as sdk
import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SDKMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.beta import BetaMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Event,
    Finish,
    Foreign,
    Media,
    Message,
    Object,
    Part,
    PartEnd,
    PartStart,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Seal,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects import anthropic
from dragoman.dialects.anthropic.marker import signature
from dragoman.dialects.contract import Stamp
from dragoman.folding import Fold, unfold
from dragoman.framing import SSE
from tests.dialects.anthropic.serving import Served, serve

GOLDEN = Path(__file__).parent / "golden" / "out"
STAMP = Stamp(id="msg_1", model="phi4:latest", created=0, started=0, clock=lambda: 0)
USAGE = Usage(input=30, output=12, cache_read=10, thinking=4)
SEAL = Seal("openai_chat", '{"type":"reasoning.text","signature":"s"}')
MARK = signature(None)


EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def ask(**members: Any) -> Request:
    return Request(origin="anthropic", model="m", messages=[Message(role="user", content=[Text(text="hi")])], **members)


def frames(events: list[Event], request: Request | None = None) -> list[Object]:
    encoder = anthropic.Encoder(request or ask(), STAMP)
    data = b"".join(encoder.feed([event]) for event in events)
    return [msgspec.json.decode(frame) for frame in SSE().feed(data)]


def folded(events: list[Event]) -> Reply:
    fold = Fold("openai_chat")
    fold.feed(events)
    return fold.reply


def whole(part: Part, **members: Any) -> Object:
    """What one part that arrives whole becomes, streamed and not: the same block, or an empty object for none."""
    request = ask(**members)
    reply = Reply(origin="openai_chat", id="x", model="m", content=[part])
    blocks: list[Object] = anthropic.encode_reply(reply, request, STAMP)["content"]
    at_once: list[Event] = [Start("x", "m"), PartStart(0, part), PartEnd(0), Finish("stop")]
    for events in (at_once, unfold(reply)):
        streamed = added_up(anthropic.Encoder(request, STAMP).feed(events))
        assert blocks_of(streamed) == blocks_of(SDKMessage.model_validate({**BARE, "content": blocks}))
    return blocks[0] if blocks else {}


BARE: Object = {
    "id": "x",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def blocks_of(message: SDKMessage) -> list[Object]:
    """The blocks without what is not set, and without what the SDK itself adds."""
    return [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]


def added_up(data: bytes) -> Any:
    """The message the official SDK makes of a stream's bytes."""
    snapshot: Any = None
    inputs: dict[int, bytes] = {}
    for frame in SSE().feed(data):
        if (event := EVENTS.validate_json(frame)).type != "message_stop":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=inputs)
    return snapshot


BLOCKS: list[tuple[Part, Object]] = [
    (Text(text="a"), {"type": "text", "text": "a"}),
    (Text(text="a", extra={"novel": 1}), {"type": "text", "text": "a"}),
    (Refusal(text="no"), {"type": "text", "text": "no"}),
    (Thinking(text="hm"), {"type": "thinking", "thinking": "hm", "signature": MARK}),
    (Thinking(text="hm", seal=SEAL), {"type": "thinking", "thinking": "hm", "signature": signature(SEAL)}),
    (
        Thinking(text="hm", seal=Seal("anthropic", "EqQB")),
        {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
    ),
    (Thinking(text="", redacted=True, seal=SEAL), {"type": "redacted_thinking", "data": signature(SEAL)}),
    (Thinking(text="", redacted=True), {}),
    (
        ToolCall(id="call_1", name="f", arguments='{"a":[1]}'),
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": [1]}},
    ),
    (ToolCall(id="c", name="f", arguments=""), {"type": "tool_use", "id": "c", "name": "f", "input": {}}),
    (
        ToolCall(id="c", name="f", arguments="[1]"),
        {"type": "tool_use", "id": "c", "name": "f", "input": {"value": [1]}},
    ),
    (
        ToolCall(id="c", name="f", arguments="not json"),
        {"type": "tool_use", "id": "c", "name": "f", "input": {"_invalid_json": "not json"}},
    ),
    (
        ToolCall(id="c", name="f", arguments=' {"a":1}', extra={"toolset_name": "not Anthropic's", "novel": 1}),
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
    ),
    (Media(kind="image", source="url", data="https://h/x.png"), {"type": "text", "text": "![image](https://h/x.png)"}),
    (Foreign(origin="openai_chat", extra={"type": "novel"}), {}),
    (
        Text(text="a", citations=[Citation(url="https://h", title="T", text="c")]),
        {
            "type": "text",
            "text": "a",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "url": "https://h",
                    "title": "T",
                    "cited_text": "c",
                    "encrypted_index": MARK,
                }
            ],
        },
    ),
]


@pytest.mark.parametrize(("part", "block"), BLOCKS)
def test_a_part_is_the_same_block_streamed_and_not(part: Part, block: Object) -> None:
    assert whole(part) == block


def test_a_sound_is_told_of() -> None:
    assert "audio (audio/wav)" in whole(Media(kind="audio", data="UklG", media_type="audio/wav"))["text"]


def test_thinking_that_the_client_does_not_want() -> None:
    hidden = Reasoning(enabled=True, mode="adaptive", visible=False)
    assert whole(Thinking(text="hm", seal=SEAL), reasoning=hidden) == {
        "type": "thinking",
        "thinking": "",
        "signature": signature(SEAL),
    }
    assert whole(Thinking(text="hm"), reasoning=Reasoning(enabled=False, mode="disabled")) == {}


def test_a_thought_is_signed_before_it_ends_and_arguments_are_deltas() -> None:
    events: list[Event] = [
        Start("x", "m", Usage(input=7)),
        PartStart(0, Thinking(text="")),
        TextDelta(0, "hm"),
        PartEnd(0),
        PartStart(1, Thinking(text="")),
        TextDelta(1, "so"),
        SealDelta(1, SEAL),
        PartEnd(1),
        PartStart(2, Foreign(origin="ollama", extra={"type": "x"})),
        PartEnd(2),
        PartStart(3, ToolCall(id="a.b", name="f", arguments="")),
        ArgumentsDelta(3, " "),
        ArgumentsDelta(3, '{"a"'),
        ArgumentsDelta(3, ":1}"),
        PartEnd(3),
        PartStart(4, ToolCall(id="c", name="g", arguments="")),
        PartEnd(4),
        Finish("tool_calls", USAGE),
    ]
    got = frames(events)
    deltas = [frame["delta"] for frame in got if frame["type"] == "content_block_delta"]
    assert deltas == [
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": MARK},
        {"type": "thinking_delta", "thinking": "so"},
        {"type": "signature_delta", "signature": signature(SEAL)},
        {"type": "input_json_delta", "partial_json": ' {"a"'},
        {"type": "input_json_delta", "partial_json": ":1}"},
        {"type": "input_json_delta", "partial_json": "{}"},
    ]
    starts = [frame for frame in got if frame["type"] == "content_block_start"]
    assert [frame["index"] for frame in starts] == [0, 1, 2, 3]
    assert [frame["content_block"].get("input") for frame in starts] == [None, None, {}, {}]


ENDINGS: list[tuple[Finish, str, Object | None]] = [
    (Finish("stop", USAGE), "end_turn", None),
    (Finish("other", USAGE), "end_turn", None),
    (Finish("length", USAGE), "max_tokens", None),
    (Finish("context", USAGE), "model_context_window_exceeded", None),
    (Finish("tool_calls", USAGE), "tool_use", None),
    (Finish("pause", USAGE), "pause_turn", None),
    (Finish("stop_sequence", USAGE, "END"), "stop_sequence", None),
    (Finish("refusal", USAGE), "refusal", {"type": "refusal", "category": None, "explanation": None}),
    (
        Finish("refusal", USAGE, None, "because"),
        "refusal",
        {"type": "refusal", "category": None, "explanation": "because"},
    ),
]


@pytest.mark.parametrize(("finish", "reason", "details"), ENDINGS)
def test_an_answer_ends_the_same_way_streamed_and_not(finish: Finish, reason: str, details: Object | None) -> None:
    events: list[Event] = [Start("x", "m"), finish]
    body = anthropic.encode_reply(folded(events), ask(), STAMP)
    delta = frames(events)[1]["delta"]
    for told in (body, delta):
        assert (told["stop_reason"], told["stop_details"]) == (reason, details)
        assert told["stop_sequence"] == finish.stop_sequence


def test_a_spoken_refusal_is_a_refusal() -> None:
    reply = Reply(origin="openai_chat", id="x", model="m", content=[Refusal(text="I will not.")])
    details = {"type": "refusal", "category": None, "explanation": "I will not."}
    body = anthropic.encode_reply(reply, ask(), STAMP)
    delta = frames(unfold(reply))[-2]["delta"]
    for told in (body, delta):
        assert (told["stop_reason"], told["stop_details"]) == ("refusal", details)


USAGES: list[tuple[Usage | None, Usage | None, int, tuple[int, int]]] = [
    (None, USAGE, 0, (20, 12)),
    (Usage(input=25), USAGE, 25, (20, 12)),
    (Usage(input=25), None, 25, (25, 0)),
    (None, None, 0, (0, 0)),
]


@pytest.mark.parametrize(("start", "finish", "first", "last"), USAGES)
def test_usage_is_told_at_the_start_and_at_the_end(
    start: Usage | None, finish: Usage | None, first: int, last: tuple[int, int]
) -> None:
    begun, ended, _ = frames([Start("x", "m", start), Finish("stop", finish)])
    usage = begun["message"]["usage"]
    assert usage["input_tokens"] == first
    assert all(type(usage[f"cache_{name}_input_tokens"]) is int for name in ("read", "creation"))
    assert (ended["usage"]["input_tokens"], ended["usage"]["output_tokens"]) == last


def test_a_count_and_a_ping() -> None:
    assert anthropic.encode_count(42) == {"input_tokens": 42}
    assert anthropic.encode_ping() == b'event: ping\ndata: {"type":"ping"}\n\n'


# --- golden bytes, and the official SDK on them -----------------------------------------------------

THINK_AND_CALL: list[Event] = [
    Start("chatcmpl-1", "qwen3", Usage(input=25)),
    PartStart(0, Thinking(text="")),
    TextDelta(0, "The user wants "),
    TextDelta(0, "the time."),
    PartEnd(0),
    PartStart(1, Text(text="")),
    TextDelta(1, "One moment."),
    CitationDelta(1, Citation(url="https://h", title="T")),
    PartEnd(1),
    PartStart(2, ToolCall(id="functions.clock:0", name="clock", arguments="")),
    ArgumentsDelta(2, '{"tz":'),
    ArgumentsDelta(2, '"UTC"}'),
    PartEnd(2),
    PartStart(3, ToolCall(id="call_2", name="clock", arguments='{"tz":"CET"}')),
    PartEnd(3),
    Finish("tool_calls", USAGE),
]
SEALED: list[Event] = [
    Start("gen-1", "o9"),
    PartStart(0, Thinking(text="", redacted=True, seal=SEAL)),
    PartEnd(0),
    PartStart(1, Thinking(text="")),
    TextDelta(1, "hm"),
    SealDelta(1, SEAL),
    PartEnd(1),
    PartStart(2, Refusal(text="")),
    TextDelta(2, "I will not."),
    PartEnd(2),
    Finish("stop", Usage(input=3, output=2)),
]
TOLD = {"local_tools": THINK_AND_CALL, "sealed_refusal": SEALED}


@pytest.mark.parametrize("name", TOLD)
def test_a_stream_leaves_as_the_reviewed_bytes(name: str) -> None:
    data = anthropic.Encoder(ask(), STAMP).feed(TOLD[name])
    golden = GOLDEN / f"{name}.sse"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(data)
    assert data == golden.read_bytes()


@pytest.mark.parametrize("name", TOLD)
def test_the_sdk_adds_a_stream_up_to_the_unstreamed_answer(name: str) -> None:
    streamed = added_up((GOLDEN / f"{name}.sse").read_bytes())
    unstreamed = SDKMessage.model_validate(anthropic.encode_reply(folded(TOLD[name]), ask(), STAMP))
    assert blocks_of(streamed) == blocks_of(unstreamed)
    assert (streamed.stop_reason, streamed.stop_details) == (unstreamed.stop_reason, unstreamed.stop_details)
    assert streamed.usage.output_tokens == unstreamed.usage.output_tokens


# What begins like an object and turns out to be none is told in another way by a stream: test_anthropic_arguments.
arguments = st.sampled_from(["", " ", "null", "[1]", '"x"', "plain words", '{"a":1}', '{"a":{"b":[1,"x"]}}'])
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
seals = st.none() | st.builds(Seal, st.sampled_from(["openai_chat", "ollama", "anthropic"]), texts)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=texts, citations=st.lists(st.builds(Citation, url=texts, title=texts), max_size=2)),
    st.builds(Thinking, text=texts, seal=seals),
    st.builds(Thinking, text=st.just(""), redacted=st.just(True), seal=seals),
    st.builds(Refusal, text=texts),
    st.builds(ToolCall, id=texts, name=st.just("f"), arguments=arguments),
    st.builds(Media, kind=st.just("image"), source=st.just("url"), data=texts),
    st.builds(Foreign, origin=st.just("ollama"), extra=st.just({"type": "x"})),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(parts, max_size=5), st.booleans())
def test_streamed_and_unstreamed_agree_for_every_part(content: list[Part], at_once: bool) -> None:
    reply = Reply(origin="openai_chat", id="x", model="m", content=content, usage=USAGE)
    events: list[Event] = [Start("x", "m"), Finish("stop", USAGE)]
    for index, part in enumerate(content):
        events[-1:-1] = [PartStart(index, part), PartEnd(index)]
    data = anthropic.Encoder(ask(), STAMP).feed(events if at_once else unfold(reply))
    body = anthropic.encode_reply(reply, ask(), STAMP)
    assert blocks_of(added_up(data)) == blocks_of(SDKMessage.model_validate(body, strict=True))
    BetaMessage.model_validate(body, strict=True)
    indices = [event["index"] for frame in SSE().feed(data) if "index" in (event := msgspec.json.decode(frame))]
    assert indices == sorted(indices)
    assert sorted(set(indices)) == list(range(len(body["content"])))


# --- the official SDK, over HTTP ----------------------------------------------------------------------


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(lambda _: folded(THINK_AND_CALL)) as served:
        yield served


def test_the_official_sdk_streams_and_creates(served: Served) -> None:
    asked: Any = {"model": "phi4:latest", "max_tokens": 100, "messages": [{"role": "user", "content": "time?"}]}
    with sdk.Anthropic(base_url=served.url, api_key="any", max_retries=0) as client:
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            kinds = [event.type for event in stream]
            streamed = stream.get_final_message()
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert blocks_of(whole) == blocks_of(streamed)
    assert whole.model == "phi4:latest"
    assert whole._request_id == "req_1"
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (20, 12)
    assert {"thinking", "signature", "text", "citation", "input_json"} <= set(kinds)
