"""Properties of the reader: whatever arrives, it keeps its order and its temper, and a stream is its whole answer."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Fault, Finish, Object
from dragoman.dialects.openai_responses import Decoder, decode_error, decode_reply
from dragoman.errors import GatewayError
from dragoman.simulator.openai_responses_quirks import RESPONSES_QUIRKS
from fuzz.order import check_order
from tests.dialects.openai_responses.upstream import (
    added,
    arguments,
    call,
    completed,
    decode,
    done,
    fold,
    message,
    reasoning,
    response,
    stream,
    summary,
    text,
    thought,
)

# --- answers, and streams of them -------------------------------------------------------------------

_WORDS = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3)
_URL = {"type": "url_citation", "url": "https://u", "title": "t", "start_index": 0, "end_index": 1}


@st.composite
def _message(draw: st.DrawFn, number: int) -> tuple[Object, list[Object]]:
    parts, events, name = [], [], f"msg_{number}"
    for place, words in enumerate(draw(st.lists(_WORDS, min_size=1, max_size=2))):
        cited = [_URL] if draw(st.booleans()) else []
        part = {"type": "output_text", "text": "".join(words), "annotations": cited, "logprobs": []}
        at = {"item_id": name, "content_index": place}
        events.append({"type": "response.content_part.added", **at, "part": part | {"text": "", "annotations": []}})
        events += [text(word, name, content_index=place) for word in words]
        for annotation in cited:
            events.append({"type": "response.output_text.annotation.added", **at, "annotation": annotation})
        events.append({"type": "response.output_text.done", **at, "text": part["text"]})
        events.append({"type": "response.content_part.done", **at, "part": part})
        parts.append(part)
    return message(*parts, id=name), events


@st.composite
def _reasoning(draw: st.DrawFn, number: int) -> tuple[Object, list[Object]]:
    name, parts = f"rs_{number}", draw(st.lists(_WORDS, max_size=2))
    if draw(st.booleans()):
        told = [{"type": "reasoning_text", "text": "".join(words)} for words in parts]
        events = [thought(word, name, content_index=at) for at, words in enumerate(parts) for word in words]
        return reasoning(id=name, sealed=draw(st.sampled_from([None, ""])), content=told), events
    events = []
    for at, words in enumerate(parts):
        place = {"item_id": name, "summary_index": at}
        events.append({"type": "response.reasoning_summary_part.added", **place, "part": {}})
        events += [summary(word, name, summary_index=at) for word in words]
    return reasoning(*map("".join, parts), id=name, sealed=draw(st.sampled_from([None, "gAAAA"]))), events


@st.composite
def _call(draw: st.DrawFn, number: int) -> tuple[Object, list[Object]]:
    name, value = f"fc_{number}", draw(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)))
    whole = msgspec.json.encode(value).decode()
    size = draw(st.integers(1, 8))
    words = [whole[at : at + size] for at in range(0, len(whole), size)]
    item = call(draw(st.sampled_from("fgh")), whole, name, f"call_{number}")
    return item, [arguments(word, name) for word in words]


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Object], list[Object]]:
    """(the items of an answer, the events of its stream, the last one too)."""
    items: list[Object] = []
    events: list[Object] = [{"type": "response.created", "response": response(status="in_progress")}]
    for number, kind in enumerate(draw(st.lists(st.sampled_from([_message, _reasoning, _call]), max_size=4))):
        item, inner = draw(kind(number))
        items.append(item)
        at = {"output_index": number}
        events += [event | at for event in (added(item), *inner, done(item))]
    return items, [*events, completed(*items)]


@settings(max_examples=100, deadline=None)
@given(
    answer=answers(), quirk=st.sampled_from(["", *RESPONSES_QUIRKS]), cuts=st.lists(st.integers(0, 4000), max_size=6)
)
def test_a_stream_is_its_whole_answer_however_it_is_written_and_cut(
    answer: tuple[list[Object], list[Object]], quirk: str, cuts: list[int]
) -> None:
    items, events = answer
    whole = decode_reply(response(*items))
    written = RESPONSES_QUIRKS[quirk](events) if quirk else events
    data = stream(*written)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = decode(*(data[start:end] for start, end in itertools.pairwise(places)))
    assert found == decode(data)
    check_order(found)
    streamed = fold(found)
    if quirk == "new_ids":
        assert [type(part) for part in streamed.content] == [type(part) for part in whole.content]
    elif quirk in ("no_places", "no_parts", "no_added", "no_item_done"):  # a proof may come at the very end
        assert _texts(streamed.content) == _texts(whole.content)
    else:
        assert streamed.content == whole.content
    assert streamed.reason == whole.reason


def _texts(content: list[Any]) -> str:
    return "".join(getattr(part, "text", "").replace("\n\n", "") for part in content)


# --- garbage ----------------------------------------------------------------------------------------

_TYPES = (
    *("response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta"),
    *(
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.done",
        "response.refusal.delta",
    ),
    *(
        "response.output_text.annotation.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_text.delta",
    ),
    *("response.reasoning_summary_text.delta", "response.function_call_arguments.delta", "response.completed", "error"),
    *("response.custom_tool_call_input.delta", "response.incomplete", "response.failed", "response.web_search_call.x"),
    *("message", "reasoning", "function_call", "custom_tool_call", "web_search_call", "output_text", "refusal"),
)
_KEYS = (
    *("type", "item", "item_id", "output_index", "content_index", "summary_index", "delta", "part", "text", "refusal"),
    *("annotation", "annotations", "response", "output", "content", "summary", "encrypted_content", "id", "call_id"),
    *("name", "namespace", "arguments", "input", "status", "error", "code", "message", "usage", "input_tokens", "role"),
    *("incomplete_details", "reason", "logprobs", "service_tier", "input_transformations", "token", "url"),
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["{}", "f", '{"a":', "1}", "completed", "incomplete", *_TYPES]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=10,
)
_ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(_TYPES)},
    optional=dict.fromkeys(("id", "call_id", "name", "content", "summary", "arguments", "encrypted_content"), _VALUES),
)
_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(_TYPES)},
    optional={
        "item": _ITEMS,
        "item_id": st.sampled_from(["a", "b"]),
        "output_index": st.integers(0, 2),
        "delta": _VALUES,
        "part": _ITEMS,
        "text": _VALUES,
        "response": _VALUES,
        "content_index": _VALUES,
        "annotation": _VALUES,
        "logprobs": _VALUES,
    },
)


@settings(max_examples=200, deadline=None)
@given(events=st.lists(_EVENTS | _VALUES, max_size=8), tail=st.binary(max_size=10), end=st.booleans())
def test_garbage_never_raises_and_keeps_the_order(events: list[Any], tail: bytes, end: bool) -> None:
    data = stream(*events, *([completed()] if end else [])) + tail
    decoder = Decoder()
    found = decoder.feed(data) + decoder.close()
    check_order(found)
    assert decoder.feed(data) == [] == decoder.close()
    if isinstance(found[-1], Finish):
        assert found[-1].skipped == (decoder.skipped or None)
        fold(found)


@settings(max_examples=150, deadline=None)
@given(body=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6), output=st.lists(_ITEMS | _VALUES, max_size=4))
def test_garbage_is_an_answer_or_our_error(body: Object, output: list[Any]) -> None:
    for each in (body, body | {"output": output}, {"output": output}):
        try:
            reply = decode_reply(each)
        except GatewayError:
            continue
        assert all(reply.content)


@settings(max_examples=100, deadline=None)
@given(status=st.integers(300, 599), body=_VALUES | st.binary(max_size=20))
def test_errors_are_read_whatever_they_are(status: int, body: Any) -> None:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    assert decode_error(status, data, None).message


@settings(max_examples=50, deadline=None)
@given(answer=answers(), cut=st.integers(0, 4000))
def test_half_a_stream_is_a_fault(answer: tuple[list[Object], list[Object]], cut: int) -> None:
    data = stream(*answer[1])
    found = decode(data[: cut % len(data)])
    check_order(found)
    assert isinstance(found[-1], Fault)
