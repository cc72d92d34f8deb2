"""Chunks to events: every quirk by itself, and properties of the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    Fault,
    Finish,
    Object,
    Part,
    Refusal,
    Reply,
    Request,
    Seal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_chat import Decoder, Encoder, decode_reply, encode_reply
from dragoman.folding import unfold
from fuzz.order import check_order
from tests.dialects.openai_chat.streams import decode, fold

CITED: Object = {"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}

# --- quirks, one by one -------------------------------------------------------------------------


def stream(*chunks: Any, done: bool = True) -> bytes:
    frames = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
    return b"".join(frames) + (b"data: [DONE]\n\n" if done else b"")


def deltas(*found: Any, finish: str | None = "stop") -> bytes:
    """A stream of these deltas."""
    chunks: list[Object] = [{"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in found]
    if finish is not None:
        chunks.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return stream(*chunks)


def call(name: str | None = None, arguments: Any = None, **members: Any) -> Object:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"tool_calls": [{"type": "function", "function": function, **members}]}


def signed(**members: Any) -> Object:
    return {"type": "reasoning.text", "format": "anthropic-claude-v1", **members}


def sealed(signature: str) -> Seal:
    """What an upstream signed goes back to it as it was, whoever made its model."""
    detail = {"type": "reasoning.text", "signature": signature, "format": "anthropic-claude-v1"}
    return Seal("openai_chat", msgspec.json.encode(detail).decode())


CONTENT: list[tuple[bytes, list[Part]]] = [
    (deltas({"content": "a"}, {"content": "b"}), [Text(text="ab")]),
    (deltas({"content": [{"type": "text", "text": "a"}]}), [Text(text="a")]),
    (deltas({"refusal": "no"}), [Refusal(text="no")]),
    # case 37: an empty list is no call
    (deltas({"content": "a", "tool_calls": []}), [Text(text="a")]),
    # case 38: no arguments at all
    (deltas(call("f", index=0, id="1")), [ToolCall(id="1", name="f", arguments="{}")]),
    (deltas(call("f", " ", index=0, id="1")), [ToolCall(id="1", name="f", arguments="{}")]),
    # case 39: index 0 for all
    (
        deltas(call("f", '{"a":1}', index=0, id="1"), call("f", '{"a":2}', index=0, id="2")),
        [ToolCall(id="1", name="f", arguments='{"a":1}'), ToolCall(id="2", name="f", arguments='{"a":2}')],
    ),
    # no index: by id, and without one the call goes on
    (
        deltas(call("f", '{"a":', id="1"), call(None, "1}"), call("g", "{}", id="2")),
        [ToolCall(id="1", name="f", arguments='{"a":1}'), ToolCall(id="2", name="g", arguments="{}")],
    ),
    (
        deltas(
            call("f", '{"a":', id="1"), call("g", '{"b":', id="2"), call(None, "1}", id="1"), call(None, "2}", id="2")
        ),
        [ToolCall(id="1", name="f", arguments='{"a":1}'), ToolCall(id="2", name="g", arguments='{"b":2}')],
    ),
    # name and id in every chunk, and an id that changes
    (
        deltas(call("f", '{"a":', index=0, id="1"), call("f", "1}", index=0, id="1")),
        [ToolCall(id="1", name="f", arguments='{"a":1}')],
    ),
    (
        deltas(call("f", '{"a":', index=0, id="1"), call(None, "1}", index=0, id="2")),
        [ToolCall(id="1", name="f", arguments='{"a":1}')],
    ),
    # the name comes late
    (
        deltas(call(None, '{"a":', index=0, id="1"), call("f", "1}", index=0)),
        [ToolCall(id="1", name="f", arguments='{"a":1}')],
    ),
    # arguments as an object
    (deltas(call("f", {"a": 1}, index=0, id="1")), [ToolCall(id="1", name="f", arguments='{"a":1}')]),
    # text in the middle of a call has to wait
    (
        deltas(call("f", '{"a":', index=0, id="1"), {"content": "x"}, call(None, "1}", index=0)),
        [ToolCall(id="1", name="f", arguments='{"a":1}'), Text(text="x")],
    ),
    (
        deltas(call("f", "{}", index=0, id="1"), {"content": "x"}, call("g", "{}", index=1, id="2")),
        [
            ToolCall(id="1", name="f", arguments="{}"),
            Text(text="x"),
            ToolCall(id="2", name="g", arguments="{}"),
        ],
    ),
    # a call after one that takes no arguments
    (
        deltas(call("f", "", index=0, id="1"), call("g", '{"a":1}', index=1, id="2")),
        [ToolCall(id="1", name="f", arguments="{}"), ToolCall(id="2", name="g", arguments='{"a":1}')],
    ),
    # arguments that are not JSON, and never will be
    (
        deltas(call("f", "{oops}", index=0, id="1"), call("g", "{}", index=1, id="2")),
        [ToolCall(id="1", name="f", arguments="{oops}"), ToolCall(id="2", name="g", arguments="{}")],
    ),
    # neither index nor id nor name: by place
    (
        deltas(
            {"tool_calls": [{"id": i, "function": {"name": "f", "arguments": "{"}} for i in ("1", "2")]},
            {"tool_calls": [{"function": {"arguments": "}"}}, {"function": {"arguments": " }"}}]},
        ),
        [ToolCall(id="1", name="f", arguments="{}"), ToolCall(id="2", name="f", arguments="{ }")],
    ),
    # the deprecated interface
    (
        deltas({"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"a":1}'}}),
        [ToolCall(id="?", name="f", arguments='{"a":1}')],
    ),
    # citations, as long as their text is open
    (
        deltas(
            {"content": "a"},
            {"annotations": [CITED, {"type": "x"}]},
        ),
        [Text(text="a", citations=[Citation(url="u", title="t", extra=CITED)])],
    ),
    # custom tools
    (
        deltas(
            {"tool_calls": [{"index": 0, "id": "1", "type": "custom", "custom": {"name": "sql", "input": "sel"}}]},
            {"tool_calls": [{"index": 0, "custom": {"input": "ect 1"}}]},
        ),
        [ToolCall(id="1", name="sql", arguments="select 1", freeform=True)],
    ),
    # reasoning
    (
        deltas({"reasoning_content": "a", "reasoning": "a"}, {"content": "b"}),
        [Thinking(text="a"), Text(text="b")],
    ),
    (
        deltas({"reasoning_content": "a"}, {"content": "b"}, {"reasoning_content": "c"}),
        [Thinking(text="a"), Text(text="b"), Thinking(text="c")],
    ),
    (
        deltas({"reasoning_details": [signed(text="a", index=0)]}, {"reasoning_details": [signed(text="b", index=1)]}),
        [Thinking(text="a"), Thinking(text="b")],
    ),
    (
        deltas(
            {"reasoning_details": [signed(text="a", index=0, signature="S")]},
            {"reasoning_details": [signed(text="b", index=1, signature="T")]},
        ),
        [Thinking(text="a", seal=sealed("S")), Thinking(text="b", seal=sealed("T"))],
    ),
    # the whole thought once more, with its proof (case 56)
    (
        deltas(
            {"reasoning_content": "a"},
            {"reasoning_content": "b"},
            {"reasoning_details": [signed(text="ab", signature="S")]},
        ),
        [Thinking(text="ab", seal=sealed("S"))],
    ),
    (
        deltas({"reasoning_content": "a"}, {"reasoning_details": [signed(signature="S")]}, {"reasoning_content": "b"}),
        [Thinking(text="a", seal=sealed("S")), Thinking(text="b")],
    ),
    (deltas({"reasoning_details": [signed(signature="S")]}), [Thinking(text="", seal=sealed("S"))]),
    (
        deltas({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}, {"content": "b"}),
        [Thinking(text="a"), Text(text="b")],
    ),
]


@pytest.mark.parametrize(("data", "content"), CONTENT)
def test_content(data: bytes, content: list[Part]) -> None:
    events = decode(data)
    check_order(events)
    found = fold(events).content
    for part, expected in zip(found, content, strict=True):
        if isinstance(part, ToolCall) and isinstance(expected, ToolCall) and expected.id == "?":
            part.id = "?"
    assert found == content


def test_calls_stream_while_they_arrive() -> None:
    decoder = Decoder()
    [*_, delta] = decoder.feed(deltas(call("f", '{"a":', index=0, id="1"), finish=None)[: -len(b"data: [DONE]\n\n")])
    assert delta == ArgumentsDelta(0, '{"a":')


def test_missing_ids_are_minted_different_and_the_same_every_time() -> None:
    data = deltas(call("f", '{"a":1}'), call("f", '{"a":2}'))
    first, second = [part for part in fold(decode(data)).content if isinstance(part, ToolCall)]
    assert first.id != second.id and first.id.startswith("call_")
    assert fold(decode(data)).content == [first, second]


@pytest.mark.parametrize(
    ("finish", "found", "reason"),
    [
        ("stop", {"content": "a"}, "stop"),
        ("length", {"content": "a"}, "length"),
        ("length", call("f", '{"a":', index=0, id="1"), "length"),
        ("content_filter", {"content": "a"}, "refusal"),
        ("stop", call("f", "{}", index=0, id="1"), "tool_calls"),
        ("eos", {"content": "a"}, "stop"),
        ("strange", {"content": "a"}, "other"),
        (None, {"content": "a"}, "stop"),
        (None, call("f", "{}", index=0, id="1"), "tool_calls"),
    ],
)
def test_reasons(finish: str | None, found: Object, reason: str) -> None:
    assert fold(decode(deltas(found, finish=finish))).reason == reason


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", "upstream", "without an answer"),
        (stream(), "upstream", "without an answer"),
        (b"<html>Bad Gateway</html>", "upstream", "without an answer"),
        (stream({"choices": [{"delta": {"content": "a"}}]}, done=False), "upstream", "before the answer was complete"),
        (stream({"error": "text"}), "upstream", "text"),
        (stream({"error": {"message": "m", "code": 429}}), "rate_limit", "m"),
        (stream({"error": {"message": "m", "type": "overloaded_error"}}), "overloaded", "m"),
        (stream({"object": "error", "message": "m", "code": 400}), "invalid_request", "m"),
        (stream({"detail": "m"}), "upstream", "m"),
        (stream({"choices": [], "error": {"message": "m"}}), "upstream", "m"),
        (stream({"choices": [{"error": {"message": "m"}}]}), "upstream", "m"),
        (stream({"choices": [{"delta": {}, "finish_reason": "error"}]}), "upstream", "error"),
        (stream({"choices": [{"delta": {}, "finish_reason": "abort"}]}), "upstream", "abort"),
        (
            stream({"error": {"message": "This model's maximum context length is 9 tokens"}}),
            "context_length",
            "maximum",
        ),
    ],
)
def test_failures_are_faults(data: bytes, kind: str, message: str) -> None:
    fault = decode(data)[-1]
    assert isinstance(fault, Fault)
    assert fault.kind == kind and message in fault.message


def test_nothing_follows_the_end() -> None:
    decoder = Decoder()
    assert isinstance(decoder.feed(deltas({"content": "a"}))[-1], Finish)
    assert decoder.feed(deltas({"content": "b"})) == [] == decoder.close()


def test_a_frame_over_the_bound_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder()
    monkeypatch.setattr(decoder._frames._lines, "_limit", 10)
    assert isinstance(decoder.feed(b"data: " + b"x" * 20)[-1], Fault)
    assert decoder.feed(b"x" * 20) == []


@pytest.mark.parametrize(
    ("data", "skipped"),
    [
        (b"data: {broken\n\n" + deltas({"content": "a"}), "a frame that is no JSON object"),
        (deltas({"content": "a"}, {"content": [{"type": "mystery"}]}), "a content part of an unknown kind"),
        (deltas({"content": "a"}, call(None, "{}", index=0, id="1")), "a tool call without a name"),
        (
            deltas(call("f", "{}", index=0, id="1"), {"content": "a"}, call(None, "1", index=0)),
            "arguments of a tool call that was complete",
        ),
        (
            deltas(call("f", "{}", index=0, id="1"), {"annotations": [{"url_citation": {"url": "u"}}]}),
            "an annotation after the end of its text",
        ),
    ],
)
def test_what_was_not_understood_is_named(data: bytes, skipped: str) -> None:
    decoder = Decoder()
    assert isinstance(decoder.feed(data)[-1], Finish)
    assert decoder.skipped == [skipped]


# --- properties ---------------------------------------------------------------------------------

_KEYS = (
    *("delta", "message", "content", "tool_calls", "function", "name", "arguments", "error", "code", "type", "text"),
    *("usage", "prompt_tokens", "finish_reason", "detail", "reasoning_details", "reasoning", "annotations", "id"),
    *("index", "custom", "input", "function_call", "signature", "data", "choices", "refusal", "object"),
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["{}", "f", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(found=st.lists(_VALUES, max_size=4), frames=st.lists(_VALUES, max_size=2), tail=st.binary(max_size=10))
def test_garbage_never_raises_and_keeps_the_order(found: list[Any], frames: list[Any], tail: bytes) -> None:
    events = decode(stream(*frames, done=False), deltas(*found), tail)
    ends = [event for event in events if isinstance(event, Finish | Fault)]
    assert len(ends) == 1
    if isinstance(events[0], Start):
        check_order(events)


texts = st.text(max_size=6)
seals = st.text("abc", min_size=1, max_size=4).map(lambda value: Seal("anthropic", value))
sealed_thoughts: st.SearchStrategy[Part] = st.builds(Thinking, text=texts, seal=seals) | seals.map(
    lambda s: Thinking(text="", seal=s, redacted=True)
)
rest: st.SearchStrategy[Part] = (
    st.builds(Text, text=texts)
    | st.builds(Refusal, text=texts)
    | st.builds(
        ToolCall,
        id=st.text("xyz", min_size=3, max_size=9),
        name=st.sampled_from(["f", "g"]),
        arguments=st.sampled_from(["", "{}", '{"a": "ü"}', '{"a']),
    )
)
USAGE = Usage(input=9, output=5, cache_read=2, cache_write=1, thinking=3)


def _unique(parts: list[Part]) -> bool:
    calls = [part.id for part in parts if isinstance(part, ToolCall)]
    return len(set(calls)) == len(calls)


thoughts: st.SearchStrategy[list[Part]] = st.lists(sealed_thoughts, max_size=3) | st.lists(
    st.builds(Thinking, text=texts), max_size=3
)
answers: st.SearchStrategy[list[Part]] = st.lists(rest, max_size=5)
contents = st.tuples(thoughts, answers).map(lambda pair: pair[0] + pair[1]).filter(_unique)


def summary(reply: Reply) -> Object:
    """A reply as far as the unstreamed wire can tell it: texts joined, thoughts first."""
    found: Object = {"text": "", "refusal": "", "unsealed": "", "sealed": [], "calls": []}
    for part in reply.content:
        match part:
            case Text():
                found["text"] += part.text
            case Refusal():
                found["refusal"] += part.text
            case Thinking(seal=None):
                found["unsealed"] += part.text
            case Thinking():
                found["sealed"].append(part)
            case ToolCall():
                found["calls"].append(part)
    return found | {"reason": reply.reason, "usage": reply.usage, "stop": reply.stop_sequence}


@settings(max_examples=150, deadline=None)
@given(content=contents, reason=st.sampled_from(["stop", "refusal", "tool_calls", "other"]), cut=st.integers(1, 60))
def test_the_stream_and_the_whole_answer_are_the_same(
    content: list[Part], reason: Any, cut: int, ask: Callable[..., Request], stamp: Stamp
) -> None:
    reply = Reply(origin="anthropic", id="a", model="b", content=content, reason=reason, explanation="why", usage=USAGE)
    request = ask(stream=True, stream_options={"include_usage": True})
    data = Encoder(request, stamp).feed(unfold(reply))
    events = decode(*_pieces(data, cut))
    check_order(events)
    assert summary(fold(events)) == summary(decode_reply(encode_reply(reply, request, stamp)))


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))
