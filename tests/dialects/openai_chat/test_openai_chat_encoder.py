"""Events to chunks: golden streams, the rules clients rely on, and the official SDK adding the chunks up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    Event,
    Fault,
    Finish,
    Object,
    Part,
    PartEnd,
    PartStart,
    Reason,
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
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_chat import Encoder, FanOut, encode_reply, tail
from dragoman.folding import unfold

Ask = Callable[..., Request]
WITH_USAGE: Object = {"stream": True, "stream_options": {"include_usage": True}}
USAGE = Usage(input=10, output=7, cache_read=4, thinking=3)


def chunks(data: bytes) -> list[Any]:
    """The JSON of every event, and "[DONE]"; the framing is checked on the way."""
    assert not data or data.endswith(b"\n\n")
    events = data.split(b"\n\n")[:-1]
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    return ["[DONE]" if event == b"data: [DONE]" else msgspec.json.decode(event[6:]) for event in events]


def deltas(data: bytes) -> list[Object]:
    found = (c["choices"][0]["delta"] for c in chunks(data) if c != "[DONE]" and c.get("choices"))
    return [delta for delta in found if delta]


# --- golden streams -----------------------------------------------------------------------------

TWO_CALLS: list[Event] = [
    Start("msg_1", "claude"),
    PartStart(0, Thinking(text="")),
    TextDelta(0, "Let me "),
    TextDelta(0, "see."),
    SealDelta(0, Seal("anthropic", "c2VhbA==")),
    PartEnd(0),
    PartStart(1, Thinking(text="", redacted=True, seal=Seal("anthropic", "cmVk"))),
    PartEnd(1),
    PartStart(2, Text(text="")),
    TextDelta(2, 'Grüße, "Welt"\n'),
    PartEnd(2),
    PartStart(3, ToolCall(id="call_a", name="weather", arguments="")),
    ArgumentsDelta(3, '{"city":'),
    ArgumentsDelta(3, ' "Oslo"}'),
    PartEnd(3),
    PartStart(4, ToolCall(id="call_b", name="now", arguments="")),
    PartEnd(4),
    Finish("tool_calls", USAGE),
]

GOLDEN: dict[str, tuple[Object, list[Event]]] = {
    "two_calls": (WITH_USAGE, TWO_CALLS),
    "two_calls_without_usage": ({"stream": True}, TWO_CALLS),
    "refusal": (
        {"stream": True},
        [Start("", ""), Finish("refusal", USAGE, explanation="This request was declined.")],
    ),
    "refusal_in_words": (
        {"stream": True},
        [
            Start("", ""),
            PartStart(0, Refusal(text="")),
            TextDelta(0, "I will not."),
            PartEnd(0),
            Finish("refusal", USAGE, explanation="This request was declined."),
        ],
    ),
    "fault": (
        WITH_USAGE,
        [
            Start("", ""),
            PartStart(0, Text(text="")),
            TextDelta(0, "Hel"),
            Fault("overloaded", "Overloaded"),
            Finish("stop"),
        ],
    ),
    "freeform": (
        {"stream": True},
        [
            Start("", ""),
            PartStart(0, ToolCall(id="call_a", name="sql", arguments="", freeform=True)),
            ArgumentsDelta(0, "select "),
            ArgumentsDelta(0, "1"),
            PartEnd(0),
            Finish("tool_calls", USAGE),
        ],
    ),
    "deprecated_functions": (
        {"stream": True, "functions": [{"name": "f"}]},
        [
            Start("", ""),
            PartStart(0, ToolCall(id="call_a", name="f", arguments="")),
            ArgumentsDelta(0, '{"a":1}'),
            PartEnd(0),
            PartStart(1, ToolCall(id="call_b", name="f", arguments="")),
            ArgumentsDelta(1, '{"a":2}'),
            PartEnd(1),
            Finish("tool_calls", USAGE),
        ],
    ),
    "citations": (
        {"stream": True},
        unfold(
            Reply(
                origin="anthropic",
                id="",
                model="",
                content=[
                    Text(text="It is "),
                    Text(text="Pärt.", citations=[Citation(url="https://a", title="A")]),
                    Text(text=" Yes.", citations=[Citation(url="https://b"), Citation(text="no address")]),
                ],
            )
        ),
    ),
    "stop_sequence": (
        {"stream": True},
        [Start("", ""), PartStart(0, Text(text="whole at once")), PartEnd(0), Finish("stop_sequence", USAGE, "END")],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_streams(name: str, ask: Ask, stamp: Stamp, golden: Callable[[str, str], None]) -> None:
    members, events = GOLDEN[name]
    data = Encoder(ask(**members), stamp).feed(events)
    golden(f"encoder/{name}.sse", data.decode())
    one_by_one = Encoder(ask(**members), stamp)
    assert b"".join(one_by_one.feed([event]) for event in events) == data
    for chunk in chunks(data):
        if chunk != "[DONE]" and "error" not in chunk and name != "freeform":  # the SDK has no type for those
            ChatCompletionChunk.model_validate_json(msgspec.json.encode(chunk), strict=True)


# --- the rules ----------------------------------------------------------------------------------


def test_id_name_type_and_role_are_said_once(ask: Ask, stamp: Stamp) -> None:
    said = deltas(Encoder(ask(), stamp).feed(TWO_CALLS))
    calls = [call for delta in said for call in delta.get("tool_calls", ())]
    assert [call["id"] for call in calls if "id" in call] == ["call_a", "call_b"]
    assert all(call.keys() == {"index", "function"} for call in calls if "id" not in call)
    assert sum("name" in call["function"] for call in calls) == 2
    assert [delta["role"] for delta in said if "role" in delta] == ["assistant"]
    assert said[0] == {"role": "assistant", "content": "", "refusal": None}


def test_a_call_without_arguments_says_so_before_its_end(ask: Ask, stamp: Stamp) -> None:
    encoder = Encoder(ask(), stamp)
    encoder.feed([Start("", ""), PartStart(0, ToolCall(id="1", name="f", arguments=""))])
    assert deltas(encoder.feed([PartEnd(0)])) == [{"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}]


def test_usage_is_null_until_it_is_all(ask: Ask, stamp: Stamp) -> None:
    *body, last, done = chunks(Encoder(ask(**WITH_USAGE), stamp).feed(TWO_CALLS))
    assert all(chunk["usage"] is None for chunk in body)
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 17, "[DONE]")
    assert body[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_nobody_who_did_not_ask_gets_usage(ask: Ask, stamp: Stamp) -> None:
    *body, done = chunks(Encoder(ask(stream=True), stamp).feed(TWO_CALLS))
    assert done == "[DONE]" and all("usage" not in chunk for chunk in body)


@pytest.mark.parametrize("last", [Finish("stop"), Fault("upstream", "m")])
def test_nothing_follows_the_end(ask: Ask, stamp: Stamp, last: Event) -> None:
    encoder = Encoder(ask(), stamp)
    data = encoder.feed([Start("", ""), PartStart(0, Text(text="")), TextDelta(0, "a"), last])
    assert encoder.done
    assert data.count(b"[DONE]") == isinstance(last, Finish)
    assert data.count(b'"finish_reason":"') == isinstance(last, Finish)
    assert encoder.feed([TextDelta(0, "b"), PartEnd(0), Start("", ""), Finish("stop"), Fault("upstream", "m")]) == b""


def test_an_unknown_kind_of_fault_is_the_upstreams(ask: Ask, stamp: Stamp) -> None:
    [chunk] = chunks(Encoder(ask(), stamp).feed([Fault("whatever", "m")]))
    assert chunk == {"error": {"message": "m", "type": "server_error", "param": None, "code": None}}


def test_unwanted_reasoning_is_not_streamed(ask: Ask, stamp: Stamp) -> None:
    data = Encoder(ask(reasoning={"effort": "low", "exclude": True}), stamp).feed(TWO_CALLS)
    assert b"reasoning" not in data and b"Let me" not in data and "Grüße".encode() in data


def test_empty_deltas_cost_nothing(ask: Ask, stamp: Stamp) -> None:
    encoder = Encoder(ask(), stamp)
    encoder.feed([Start("", ""), PartStart(0, Text(text=""))])
    assert encoder.feed([TextDelta(0, "")]) == b""


# --- the SDK adds it up -------------------------------------------------------------------------

texts = st.text(max_size=8)
seals = st.text("abc", min_size=1, max_size=4).map(lambda value: Seal("anthropic", value))
parts = (
    st.builds(Text, text=texts, citations=st.lists(st.just(Citation(url="https://a", title="A")), max_size=2))
    | st.builds(Refusal, text=texts)
    | st.builds(Thinking, text=texts, seal=seals)
    | seals.map(lambda seal: Thinking(text="", seal=seal, redacted=True))
    | st.builds(
        ToolCall,
        id=st.text("xyz", min_size=1, max_size=3),
        name=st.just("f"),
        arguments=st.sampled_from(["", "{}", '{"a": "ü"}']),
    )
)
replies = st.builds(
    Reply,
    origin=st.just("anthropic"),
    id=st.just("msg_1"),
    model=st.just("c"),
    content=st.lists(parts, max_size=6),
    reason=st.sampled_from(["stop", "refusal", "tool_calls", "stop_sequence", "pause"]),
    explanation=st.just("why"),
    usage=st.just(USAGE),
)


def told(body: Object) -> Object:
    """The answer without what a stream cannot tell apart: absent, null and empty."""
    choice = body["choices"][0]
    message = {k: v for k, v in choice["message"].items() if v and k != "parsed"}
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    return {"message": message, "finish_reason": choice["finish_reason"], "usage": body["usage"]}


@settings(max_examples=60, deadline=None)
@given(reply=replies)
def test_the_sdk_adds_the_stream_up_to_the_unstreamed_answer(
    reply: Reply, ask: Ask, stamp: Stamp, accumulate: Callable[[bytes], ChatCompletion]
) -> None:
    request = ask(**WITH_USAGE)
    streamed = accumulate(Encoder(request, stamp).feed(unfold(reply)))
    whole = encode_reply(reply, request, stamp)
    assert told(streamed.model_dump(exclude_unset=True)) == told(msgspec.json.decode(msgspec.json.encode(whole)))
    assert (streamed.id, streamed.created, streamed.model) == (whole["id"], whole["created"], whole["model"])


def test_parallel_calls_and_signed_reasoning_through_the_sdk(
    ask: Ask, stamp: Stamp, accumulate: Callable[[bytes], ChatCompletion]
) -> None:
    message = accumulate(Encoder(ask(**WITH_USAGE), stamp).feed(TWO_CALLS)).choices[0].message
    assert [
        (c.id, c.function.name, c.function.arguments) for c in message.tool_calls or () if c.type == "function"
    ] == [
        ("call_a", "weather", '{"city": "Oslo"}'),
        ("call_b", "now", "{}"),
    ]
    assert message.to_dict()["reasoning_content"] == "Let me see."
    assert message.to_dict()["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "Let me see.",
            "signature": "c2VhbA==",
            "format": "anthropic-claude-v1",
            "id": "dragoman-lshj0klv94c2",
            "index": 0,
        },
        {
            "type": "reasoning.encrypted",
            "data": "cmVk",
            "format": "anthropic-claude-v1",
            "id": "dragoman-likse3hjqxnw",
            "index": 1,
        },
    ]


def test_a_fault_raises_the_sdks_own_exception(
    ask: Ask, stamp: Stamp, accumulate: Callable[[bytes], ChatCompletion]
) -> None:
    events: list[Event] = [
        Start("", ""),
        PartStart(0, Text(text="")),
        TextDelta(0, "a"),
        Fault("overloaded", "come back later"),
    ]
    with pytest.raises(openai.APIError, match="come back later") as caught:
        accumulate(Encoder(ask(), stamp).feed(events))
    assert caught.value.code == "server_is_overloaded"


# --- several choices ----------------------------------------------------------------------------


def speak(text: str, reason: Reason = "stop") -> list[Event]:
    return [Start("", ""), PartStart(0, Text(text="")), TextDelta(0, text), PartEnd(0), Finish(reason, USAGE)]


def fan_out(request: Request, stamp: Stamp, n: int) -> FanOut:
    encoders = [Encoder(request, stamp, index=i, tail=False) for i in range(n)]
    return FanOut(encoders, lambda usages: tail(request, stamp, usages))


@settings(max_examples=30, deadline=None)
@given(order=st.permutations([0] * 5 + [1] * 5 + [2] * 5))
def test_choices_may_come_in_any_order(
    order: Sequence[int], ask: Ask, stamp: Stamp, accumulate: Callable[[bytes], ChatCompletion]
) -> None:
    streams = [iter(speak(text, reason)) for text, reason in (("a", "stop"), ("b", "length"), ("c", "stop"))]  # type: ignore[arg-type]
    fan = fan_out(ask(**WITH_USAGE), stamp, 3)
    data = b"".join(fan.feed(i, [next(streams[i])]) for i in order)
    assert fan.done
    completion = accumulate(data)
    assert [(c.index, c.message.content, c.finish_reason) for c in completion.choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
        (2, "c", "stop"),
    ]
    assert completion.usage and completion.usage.prompt_tokens == 10, "one prompt, however many answers"
    assert completion.usage.completion_tokens == 21
    assert data.count(b"[DONE]") == 1


def test_one_fault_ends_all_choices(ask: Ask, stamp: Stamp) -> None:
    fan = fan_out(ask(), stamp, 2)
    data = fan.feed(0, speak("a")) + fan.feed(1, [Start("", ""), Fault("upstream", "m")]) + fan.feed(1, speak("late"))
    assert fan.done
    assert chunks(data)[-1]["error"]["message"] == "m"
    assert b"[DONE]" not in data and b"late" not in data


def test_every_index_counts_from_its_own_start(ask: Ask, stamp: Stamp) -> None:
    found = chunks(Encoder(ask(), stamp, index=2, tail=False).feed(TWO_CALLS))
    assert {chunk["choices"][0]["index"] for chunk in found} == {2}
    numbers = [c["index"] for chunk in found for c in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [number for number, _ in itertools.groupby(numbers)] == [0, 1]


def test_unsealed_thinking_has_no_details(ask: Ask, stamp: Stamp) -> None:
    content: list[Part] = [Thinking(text="hm"), Text(text="a")]
    data = Encoder(ask(), stamp).feed(unfold(Reply(origin="ollama", id="", model="", content=content)))
    assert b"reasoning_content" in data and b"reasoning_details" not in data
