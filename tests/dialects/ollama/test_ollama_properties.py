"""What holds for every input: garbage raises only our errors, pieces do not matter, going round changes nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama import ChatResponse
from ollama._types import ChatRequest

from dragoman.conversation import (
    Effort,
    Event,
    Fault,
    Finish,
    Format,
    Media,
    Message,
    Part,
    PartEnd,
    PartStart,
    Reason,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Start,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from dragoman.dialects import ollama
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama import generate
from dragoman.dialects.ollama.context import decode_context, encode_context
from dragoman.errors import GatewayError
from dragoman.folding import Fold, unfold
from dragoman.losses import Losses

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
STAMP = Stamp(id="x", model="m", created=1_795_327_200_000_000_000, started=0, clock=lambda: 1_000_000)
quick = settings(max_examples=100, deadline=None)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
words = text.filter(bool)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(text, json_values, max_size=4)
names = st.sampled_from(["f", "g", "get_weather"])

# --- garbage --------------------------------------------------------------------------------------------

MEMBERS = (
    *("model", "messages", "stream", "think", "format", "options", "tools", "tool_choice", "keep_alive", "prompt"),
    *("system", "suffix", "template", "raw", "images", "context", "logprobs", "top_logprobs"),
)
KEYS = (
    *("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id", "function", "name"),
    *("arguments", "parameters", "description", "num_predict", "stop", "seed", "top_k", "temperature", "num_ctx", "id"),
)
likely = st.recursive(
    json_values | st.sampled_from(["user", "assistant", "tool", "json", PNG, 0, -1, 1.5, True, "low"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)
bodies = st.dictionaries(st.sampled_from(MEMBERS), likely, max_size=8)


@pytest.mark.parametrize("decode", [ollama.decode_request, generate.decode_request])
@given(body=bodies)
@settings(max_examples=200, deadline=None)
def test_garbage_raises_our_errors_only(decode: Callable[[dict[str, Any]], Request], body: dict[str, Any]) -> None:
    try:
        request = decode({"model": "m"} | copy.deepcopy(body))
    except GatewayError as error:
        assert error.message
        return
    json.dumps(ollama.encode_request(request, Losses()))


@given(body=bodies)
@quick
def test_garbage_probes(body: dict[str, Any]) -> None:
    for probe in (ollama.probe, generate.probe):
        try:
            assert probe(body) in ("load", "unload", None)
        except GatewayError as error:
            assert error.param == "keep_alive"


@given(likely)
@quick
def test_a_garbage_upstream_raises_our_errors_only(body: Any) -> None:
    line = json.dumps(body).encode()
    assert ollama.decode_error(500, line, None).message
    decoder = ollama.Decoder()
    check_stream(decoder.feed(line + b"\n") + decoder.close())
    if isinstance(body, dict):
        with pytest.raises(GatewayError):
            ollama.decode_reply(body)


def check_stream(events: list[Event]) -> None:
    """Parts do not overlap, indices rise from 0, and there is one end, at the end."""
    assert sum(isinstance(event, Finish | Fault) for event in events) == 1
    assert isinstance(events[-1], Finish | Fault)
    assert sum(isinstance(event, Start) for event in events) <= 1
    starts = [event.index for event in events if isinstance(event, PartStart)]
    assert starts == list(range(len(starts)))
    open_part: int | None = None
    for event in events:
        if isinstance(event, PartStart):
            assert open_part is None
            open_part = event.index
        elif isinstance(event, PartEnd):
            assert open_part == event.index
            open_part = None
        elif not isinstance(event, Start | Finish | Fault):
            assert open_part == event.index
    if isinstance(events[-1], Finish):
        assert open_part is None


# --- requests round -------------------------------------------------------------------------------------

calls = st.builds(ToolCall, id=words, name=names, arguments=objects.map(json.dumps) | text)
answers = st.builds(
    ToolResult,
    id=words,
    name=names | st.just(""),
    content=st.lists(st.builds(Text, text=text), max_size=2),
    is_error=st.booleans(),
)
user_parts = st.builds(Text, text=text) | st.just(Media(kind="image", data=PNG))
assistant_parts = st.builds(Text, text=text) | st.builds(Thinking, text=text) | st.builds(Refusal, text=text) | calls


def message(role: str, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(Message, role=st.just(role), content=st.lists(parts, max_size=3))


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    """A conversation in order: every call has an id of its own and one result, right after it."""
    out: list[Message] = []
    for number in range(draw(st.integers(0, 3))):
        out.append(draw(message("user", user_parts)))
        turn = draw(message("assistant", assistant_parts))
        made = [part for part in turn.content if isinstance(part, ToolCall)]
        results: list[Part] = []
        for place, call in enumerate(made):
            call.id = f"call_{number}_{place}"
            results.append(ToolResult(id=call.id, content=draw(st.lists(st.builds(Text, text=text), max_size=2))))
        out.append(turn)
        if results:
            out.append(Message(role="user", content=draw(st.permutations(results))))
    return out


disorder = st.lists(
    message("system", st.builds(Text, text=text))
    | message("developer", st.builds(Text, text=text))
    | message("user", user_parts)
    | message("user", answers)
    | message("assistant", assistant_parts),
    max_size=6,
)
requests = st.builds(
    Request,
    origin=st.sampled_from(["anthropic", "openai", "ollama"]),
    model=words,
    messages=rounds() | disorder,
    stream=st.booleans(),
    tools=st.lists(st.builds(Tool, name=words, description=text, schema=st.none() | objects), max_size=2),
    tool_choice=st.none() | st.builds(ToolChoice, mode=st.sampled_from(["auto", "none", "any"])),
    max_tokens=st.none() | st.integers(1, 9999),
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(1, 100),
    seed=st.none() | st.integers(0, 2**40),
    stop=st.lists(words, max_size=3),
    reasoning=st.none()
    | st.builds(Reasoning, enabled=st.none() | st.booleans(), effort=st.none() | st.sampled_from(get_args(Effort))),
    format=st.none() | st.just(Format(kind="json")) | st.builds(Format, kind=st.just("schema"), schema=objects),
)


def again(body: dict[str, Any]) -> dict[str, Any]:
    losses = Losses()
    encoded: dict[str, Any] = ollama.encode_request(ollama.decode_request(copy.deepcopy(body)), losses)
    assert not losses.dropped
    return encoded


@given(requests)
@quick
def test_going_round_settles(request: Request) -> None:
    """What had no order (ids used twice, results of nothing) has one after the first time."""
    once = again(ollama.encode_request(request, Losses()))
    assert json.dumps(again(once)) == json.dumps(once)


@given(requests, rounds())
@quick
def test_going_round_changes_nothing_that_is_in_order(request: Request, ordered: list[Message]) -> None:
    request.messages = ordered
    once = ollama.encode_request(request, Losses())
    assert json.dumps(again(once)) == json.dumps(once)


turn_sketches = st.tuples(
    st.sampled_from(["user", "assistant", "tool"]), names | st.none(), words | st.none(), st.integers(0, 2)
)


@given(st.lists(turn_sketches, max_size=8))
@quick
def test_ids_are_a_function_of_what_stands_before(turns: list[tuple[str, str | None, str | None, int]]) -> None:
    wire: list[dict[str, Any]] = []
    for role, name, id, number in turns:
        body: dict[str, Any] = {"role": role, "content": str(number)}
        if role == "assistant":
            body["tool_calls"] = [{"id": id, "function": {"name": name or "f", "arguments": {}}}] * number
        if role == "tool":
            body |= {"tool_name": name, "tool_call_id": id}
        wire.append(body)
    whole = decode(wire)
    ids = [part.id for m in whole for part in m.content if isinstance(part, ToolCall)]
    assert len(set(ids)) == len(ids)
    for end in range(len(wire)):
        if wire[end]["role"] != "tool":
            prefix = decode(wire[:end])
            assert prefix == whole[: len(prefix)]


def decode(wire: list[dict[str, Any]]) -> list[Message]:
    body = {"model": "m", "messages": json.loads(json.dumps(wire))}
    return ollama.decode_request(body).messages


# --- replies round --------------------------------------------------------------------------------------

reply_calls = st.builds(ToolCall, id=words, name=names, arguments=objects.map(json.dumps))
replies = st.builds(
    Reply,
    origin=st.just("anthropic"),
    id=st.just("msg_1"),
    model=st.just("u"),
    content=st.lists(
        st.builds(Text, text=text) | st.builds(Thinking, text=text) | st.builds(Refusal, text=text) | reply_calls,
        max_size=5,
    ),
    reason=st.sampled_from(get_args(Reason)),
    explanation=text,
    usage=st.builds(Usage, input=st.integers(0, 99), output=st.integers(0, 99)),
)
REQUEST = Request(origin="ollama", model="m", messages=[])


def content(parts: list[Part]) -> tuple[str, str, list[tuple[str, Any]]]:
    """The words, the thoughts and the calls: what a reader of either form sees."""
    return (
        "".join(part.text for part in parts if isinstance(part, Text)),
        "".join(part.text for part in parts if isinstance(part, Thinking)),
        [(part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)],
    )


@given(replies, st.data())
@quick
def test_streamed_whole_and_in_pieces_are_the_same(reply: Reply, data: st.DataObject) -> None:
    whole = ollama.decode_reply(ollama.encode_reply(reply, REQUEST, STAMP))
    encoder = ollama.Encoder(REQUEST, STAMP)
    stream = b"".join(encoder.feed([event]) for event in unfold(reply))
    assert stream == ollama.Encoder(REQUEST, STAMP).feed(unfold(reply))
    for line in stream.splitlines():
        ChatResponse.model_validate_json(line)
    at_once = ollama.Decoder().feed(stream)
    check_stream(at_once)
    decoder = ollama.Decoder()
    events: list[Event] = []
    for cut in pieces(stream, data):
        events += decoder.feed(cut)
    assert events + decoder.close() == at_once
    fold = Fold("ollama")
    fold.feed(events)
    assert content(fold.reply.content) == content(whole.content)
    assert (fold.reply.reason, fold.reply.usage) == (whole.reason, whole.usage)


def pieces(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(replies)
@quick
def test_a_generate_stream_adds_up(reply: Reply) -> None:
    whole = generate.encode_reply(reply, REQUEST, STAMP)
    lines = [json.loads(line) for line in generate.Encoder(REQUEST, STAMP).feed(unfold(reply)).splitlines()]
    assert "".join(line["response"] for line in lines) == whole["response"]
    assert "".join(line.get("thinking", "") for line in lines) == whole.get("thinking", "")
    assert [call for line in lines for call in line.get("tool_calls", [])] == whole.get("tool_calls", [])
    assert lines[-1]["context"] == whole["context"]


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), text), max_size=5), text)
@quick
def test_context_goes_round(turns: list[tuple[Any, str]], answer: str) -> None:
    said = [*turns, ("assistant", answer)]
    history = [Message(role=role, content=[Text(text=words)] if words else [], at="context") for role, words in said]
    assert decode_context(encode_context(history[:-1], answer)) == history


# --- the official client's own requests ---------------------------------------------------------------------


def test_what_the_official_client_sends() -> None:
    """It drops the ids of calls and results, and sends `stream` always."""
    sent = ChatRequest(
        model="m",
        messages=[
            {"role": "user", "content": "Weather?", "images": [PNG]},
            {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "18", "tool_name": "f", "tool_call_id": "x"},
        ],
        think="low",
        stream=False,
        options={"num_predict": 5},
        keep_alive="5m",
    ).model_dump(exclude_none=True)
    request = ollama.decode_request(json.loads(json.dumps(sent)))
    assert isinstance(call := request.messages[1].content[0], ToolCall)
    assert isinstance(result := request.messages[2].content[0], ToolResult)
    assert call.id == result.id
    assert (request.stream, request.max_tokens) == (False, 5)
