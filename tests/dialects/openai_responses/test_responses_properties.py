"""At random: garbage raises our errors only, any answer is a stream that breaks no rule, in any pieces."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Foreign,
    Object,
    PartEnd,
    PartStart,
    Refusal,
    Seal,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import Encoder, decode_request, encode_reply, input_items
from dragoman.errors import GatewayError
from dragoman.folding import Fold
from tests.dialects.openai_responses.streams import check_stream, parse
from tests.dialects.openai_responses.strict import check_response
from tests.dialects.openai_responses.told import CUSTOM, FUNCTION, SPACE

# --- requests -----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    (
        *(
            "model",
            "input",
            "instructions",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "reasoning",
            "text",
            "include",
        ),
        *(
            "stream",
            "store",
            "metadata",
            "top_logprobs",
            "max_output_tokens",
            "temperature",
            "truncation",
            "conversation",
        ),
        *("type", "role", "content", "id", "status", "summary", "encrypted_content", "call_id", "name", "namespace"),
        *("arguments", "output", "image_url", "file_data", "file_url", "file_id", "filename", "detail", "input_audio"),
        *("effort", "format", "verbosity", "schema", "search_context_size", "user_location", "annotations", "mode"),
    )
)
WORDS = st.sampled_from(
    (
        *("user", "assistant", "system", "message", "reasoning", "function_call", "function_call_output", "compaction"),
        *("custom_tool_call", "custom_tool_call_output", "additional_tools", "configuration_update", "item_reference"),
        *("function", "custom", "namespace", "web_search", "allowed_tools", "input_text", "input_image", "input_file"),
        *("json_schema", "text", "low", "dragoman.1.e30", "required", "f"),
    )
)
GARBAGE = st.recursive(
    JSON | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5), max_leaves=12
)


@settings(max_examples=100, deadline=None)
@given(
    body=st.dictionaries(MEMBERS, GARBAGE, max_size=6),
    entries=st.lists(
        st.builds(lambda kind, rest: {"type": kind, **rest}, WORDS, st.dictionaries(MEMBERS, GARBAGE)), max_size=3
    ),
)
def test_garbage_raises_our_errors_only(body: Object, entries: list[Object]) -> None:
    for candidate in (body, {**body, "model": "m", "input": entries}, {"model": "m", "input": "x", "tools": entries}):
        sent = msgspec.json.encode(candidate)
        for read in (decode_request, input_items):
            try:
                read(msgspec.json.decode(sent))
            except GatewayError as error:
                assert error.kind == "invalid_request"


# --- answers ------------------------------------------------------------------------------------

STAMP = Stamp(id="resp_1", model="m", created=1_795_327_200_500_000_000, started=0, clock=lambda: 0)
words = st.text(st.sampled_from(list('ab \n"\\ß漢😀')), max_size=6)
pieces = st.lists(words, max_size=3)
one_of = st.sampled_from
Pieces = list[str]


@st.composite
def parts(draw: st.DrawFn, index: int) -> list[Event]:
    said: Pieces = draw(pieces)
    deltas: list[Event] = [TextDelta(index, piece) for piece in said]
    match draw(one_of(["text", "text", "cited", "thinking", "redacted", "call", "custom", "refusal", "foreign"])):
        case "text":
            return [PartStart(index, Text(text="")), *deltas, PartEnd(index)]
        case "cited":
            cited = CitationDelta(index, Citation(url=draw(one_of(["https://a.b", "", "mem:x"])), title="T"))
            return [PartStart(index, Text(text=draw(words))), *deltas, cited, PartEnd(index)]
        case "thinking":
            sealed: list[Event] = [SealDelta(index, Seal("anthropic", "s"))] if draw(st.booleans()) else []
            return [PartStart(index, Thinking(text="")), *deltas, *sealed, PartEnd(index)]
        case "redacted":
            return [PartStart(index, Thinking(text="", redacted=True, seal=Seal("anthropic", "r"))), PartEnd(index)]
        case "refusal":
            return [PartStart(index, Refusal(text="")), *deltas, PartEnd(index)]
        case "foreign":
            asked = {"type": "server_tool_use", "name": "web_search", "input": {"query": draw(words)}}
            return [PartStart(index, Foreign(origin="anthropic", extra=asked)), PartEnd(index)]
        case kind:
            name = draw(one_of(["weather", "multi_agent_v1__spawn_agent", "unknown"])) if kind == "call" else "sql"
            call = ToolCall(id=f"call_{index}", name=name, arguments="", freeform=kind == "custom")
            return [PartStart(index, call), *(ArgumentsDelta(index, piece) for piece in said), PartEnd(index)]


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    told: list[Event] = [Start("x", "m", origin="anthropic")]
    for index in range(draw(st.integers(0, 5))):
        told += draw(parts(index))
    reason: Any = draw(one_of(["stop", "tool_calls", "length", "context", "refusal", "pause", "other"]))
    return [*told, Finish(reason, Usage(input=3, output=2), explanation=draw(one_of(["", "Declined."])))]


requests: Any = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.just("hi"), "tools": st.just([FUNCTION, CUSTOM, SPACE])},
    optional={
        "store": st.booleans(),
        "include": one_of([["reasoning.encrypted_content"], []]),
        "reasoning": one_of([{"summary": "auto"}, {"effort": "low"}]),
        "text": st.just({"format": {"type": "json_object"}}),
    },
)


def fresh(body: Object) -> Any:
    return decode_request(msgspec.json.decode(msgspec.json.encode(body)))


@settings(max_examples=150, deadline=None)
@given(body=requests, events=answers())
def test_any_answer_breaks_no_rule_and_its_stream_adds_up_to_the_whole(body: Object, events: list[Event]) -> None:
    request = fresh(body)
    encoder = Encoder(request, STAMP)
    data = encoder.feed(events)
    ending = check_stream(parse(data))
    one_by_one = Encoder(request, STAMP)
    assert b"".join(one_by_one.feed([event]) for event in events) == data
    fold = Fold("anthropic")
    fold.feed(events)
    whole = encode_reply(fold.reply, request, STAMP)
    check_response(whole)
    assert whole == ending
    without = [{k: v for k, v in item.items() if k != "encrypted_content"} for item in encoder.kept]
    assert without == [{k: v for k, v in item.items() if k != "encrypted_content"} for item in ending["output"]]


@settings(max_examples=100, deadline=None)
@given(body=requests, events=answers(), at=st.integers(0, 30))
def test_a_stream_that_breaks_off_fails_and_tells_no_half_item(body: Object, events: list[Event], at: int) -> None:
    told = [*events[: min(at, len(events) - 1)], Fault("upstream", "gone")]
    response = check_stream(parse(Encoder(fresh(body), STAMP).feed(told)))
    assert response["status"] == "failed"
    assert all(item.get("status", "completed") == "completed" for item in response["output"])


@settings(max_examples=100, deadline=None)
@given(events=answers())
def test_an_answer_that_comes_back_is_what_was_said(events: list[Event]) -> None:
    """With every proof, as the client of `store: false` keeps it."""
    tools = [FUNCTION, CUSTOM, SPACE]
    body = {"model": "m", "input": "hi", "tools": tools, "store": False, "reasoning": {"summary": "auto"}}
    output = parse(Encoder(fresh(body), STAMP).feed(events))[-1]["response"]["output"]
    again = fresh({**body, "input": [{"role": "user", "content": "hi"}, *output]})
    parts = [part for message in again.messages[1:] for part in message.content]
    fold = Fold("anthropic")
    fold.feed(events)
    thoughts = [part for part in fold.reply.content if isinstance(part, Thinking)]
    assert [part.seal for part in parts if isinstance(part, Thinking) and part.seal] == [
        thought.seal for thought in thoughts if thought.seal
    ]
    calls = [part for part in fold.reply.content if isinstance(part, ToolCall)]
    assert [(part.id, part.name, part.freeform) for part in parts if isinstance(part, ToolCall)] == [
        (call.id, call.name, call.freeform) for call in calls
    ]
    said = "".join(part.text for part in fold.reply.content if isinstance(part, Text))
    heard = "".join(part.text for part in parts if isinstance(part, Text))
    assert heard.replace("\n", "").startswith(said.replace("\n", "")[:1])
    if not any(isinstance(part, Foreign) for part in fold.reply.content):
        assert heard.startswith(said)
