"""Whole answers and errors, both ways, judged by the official SDK's types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion

from dragoman.conversation import (
    Citation,
    Object,
    Part,
    Reason,
    Refusal,
    Reply,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_chat import decode_reply, encode_reply, merge_replies

Ask = Callable[..., Request]
USAGE = Usage(input=10, output=7, cache_read=4, cache_write=2, thinking=3)
CALL = ToolCall(id="call_1", name="f", arguments='{"a":1}')
CUT = ToolCall(id="call_2", name="g", arguments='{"b":')


def reply(*content: Part, reason: Reason = "stop", **members: Any) -> Reply:
    return Reply(
        origin="anthropic", id="msg_1", model="c", content=list(content), reason=reason, **({"usage": USAGE} | members)
    )


@pytest.fixture
def encode(ask: Ask, stamp: Stamp) -> Callable[..., Object]:
    """The encoded reply, after the SDK's strict look at it."""

    def run(answer: Reply, **members: Any) -> Object:
        body = encode_reply(answer, ask(**members), stamp)
        ChatCompletion.model_validate_json(msgspec.json.encode(body), strict=True)
        return body

    return run


Encode = Callable[..., Object]


def test_a_plain_answer(encode: Encode) -> None:
    assert encode(reply(Text(text="Hello"), Text(text=" there"))) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_795_327_200,
        "model": "claude-sonnet-4.5",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 7,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 3,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


MESSAGES: list[tuple[Reply, Object]] = [
    (reply(), {"content": ""}),
    (
        reply(CALL, reason="tool_calls"),
        {
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
    ),
    (
        reply(ToolCall(id="1", name="f", arguments=""), reason="tool_calls"),
        {
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
    ),
    (
        reply(ToolCall(id="1", name="sql", arguments="select 1", freeform=True), reason="tool_calls"),
        {
            "content": None,
            "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}],
        },
    ),
    (
        reply(Refusal(text="I will not."), reason="refusal", explanation="policy"),
        {"content": None, "refusal": "I will not."},
    ),
    (reply(reason="refusal", explanation="policy"), {"content": None, "refusal": "policy"}),
    (reply(Text(text="Well"), reason="refusal", explanation="policy"), {"content": "Well", "refusal": "policy"}),
    (reply(reason="refusal"), {"content": ""}),
    (
        reply(Thinking(text="a"), Thinking(text="b"), Text(text="t")),
        {"content": "t", "reasoning_content": "ab"},
    ),
    (
        reply(
            Thinking(text="a", seal=Seal("anthropic", "S")),
            Thinking(text="", seal=Seal("anthropic", "R"), redacted=True),
            Thinking(text="", seal=Seal("anthropic", "T")),
        ),
        {
            "content": "",
            "reasoning_content": "a",
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "a",
                    "signature": "S",
                    "format": "anthropic-claude-v1",
                    "id": "dragoman-g8i9xrif2vfz",
                    "index": 0,
                },
                {
                    "type": "reasoning.encrypted",
                    "data": "R",
                    "format": "anthropic-claude-v1",
                    "id": "dragoman-0ikbrqk9ki4c",
                    "index": 1,
                },
                {
                    "type": "reasoning.text",
                    "text": "",
                    "signature": "T",
                    "format": "anthropic-claude-v1",
                    "id": "dragoman-gmphoz7plin3",
                    "index": 2,
                },
            ],
        },
    ),
    (
        reply(
            Text(text="It is "),
            Text(text="Pärt.", citations=[Citation(url="https://a", title="A"), Citation(text="no address")]),
        ),
        {
            "content": "It is Pärt.",
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {"start_index": 6, "end_index": 11, "title": "A", "url": "https://a"},
                }
            ],
        },
    ),
    # half a call must not be run
    (
        reply(Text(text="t"), CALL, CUT, reason="length"),
        {
            "content": "t",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
    ),
    (reply(CUT, reason="context"), {"content": ""}),
]


@pytest.mark.parametrize(("answer", "message"), MESSAGES)
def test_messages(encode: Encode, answer: Reply, message: Object) -> None:
    expected: Object = {"role": "assistant", "refusal": None, "annotations": []} | message
    assert encode(answer)["choices"][0]["message"] == expected


@pytest.mark.parametrize(
    ("answer", "finish"),
    [
        (reply(reason="stop"), "stop"),
        (reply(reason="stop_sequence", stop_sequence="END"), "stop"),
        (reply(reason="pause"), "stop"),
        (reply(reason="other"), "stop"),
        (reply(reason="length"), "length"),
        (reply(reason="context"), "length"),
        (reply(reason="refusal"), "content_filter"),
        (reply(CALL, reason="tool_calls"), "tool_calls"),
        (reply(CALL, reason="stop"), "tool_calls"),
        (reply(CALL, CUT, reason="length"), "length"),
    ],
)
def test_finish_reasons(encode: Encode, answer: Reply, finish: str) -> None:
    assert encode(answer)["choices"][0]["finish_reason"] == finish


def test_which_stop_string_it_was(encode: Encode) -> None:
    body = encode(reply(reason="stop_sequence", stop_sequence="END"))
    assert body["choices"][0]["stop_reason"] == "END"
    assert decode_reply(body).stop_sequence == "END"


def test_reasoning_the_client_does_not_want_is_not_told(encode: Encode) -> None:
    answer = reply(Thinking(text="a", seal=Seal("anthropic", "S")), Text(text="t"))
    message = encode(answer, reasoning={"effort": "low", "exclude": True})["choices"][0]["message"]
    assert not {"reasoning_content", "reasoning_details"} & message.keys()


def test_a_client_of_deprecated_functions_gets_a_function_call(encode: Encode) -> None:
    choice = encode(reply(CALL, reason="tool_calls"), functions=[{"name": "f"}])["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in choice["message"]


def test_merging_counts_the_prompt_once(encode: Encode) -> None:
    merged = merge_replies([encode(reply(Text(text=t))) for t in "abc"])
    ChatCompletion.model_validate_json(msgspec.json.encode(merged), strict=True)
    assert [(c["index"], c["message"]["content"]) for c in merged["choices"]] == [(0, "a"), (1, "b"), (2, "c")]
    assert (merged["usage"]["prompt_tokens"], merged["usage"]["completion_tokens"]) == (10, 21)
    assert merged["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert "cost" not in merged["usage"]


@pytest.mark.parametrize(("costs", "expected"), [((0.5, 0.25), 0.75), ((0.5, None), None), ((0.0, 0.0), 0.0)])
def test_merging_adds_what_was_paid(encode: Encode, costs: tuple[float | None, ...], expected: float | None) -> None:
    bodies = [encode(reply(Text(text="a"), usage=Usage(input=10, output=1, cost=cost))) for cost in costs]
    assert merge_replies(bodies)["usage"].get("cost") == expected


def test_an_answer_that_nobody_counted_has_no_usage(encode: Encode) -> None:
    bodies = [encode(reply(Text(text="a"), usage=Usage())) for _ in range(2)]
    assert bodies[0]["usage"] is None
    assert merge_replies(bodies)["usage"] is None


@pytest.mark.parametrize("answer", [answer for answer, _ in MESSAGES if answer.reason not in ("length", "context")])
def test_answers_both_ways(encode: Encode, answer: Reply) -> None:
    back = decode_reply(encode(answer))
    assert back.usage == USAGE
    first = encode(answer)["choices"][0]["message"]
    again = encode(back)["choices"][0]["message"]
    spans: Object = {"annotations": []}  # where a citation stood is not kept: it is on the whole text again
    assert again | spans == first | spans
    assert len(again["annotations"]) == len(first["annotations"])


# --- what compatible servers answer -------------------------------------------------------------


def served(message: Any, finish: Any = "stop", **members: Any) -> Object:
    return {"id": "x", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **members}


@pytest.mark.parametrize(
    ("body", "content", "reason"),
    [
        (served({"content": "a"}), [Text(text="a")], "stop"),
        (served({"content": [{"type": "text", "text": "a"}]}), [Text(text="a")], "stop"),
        (served({"content": None}, None), [], "stop"),
        (served(None), [], "stop"),
        (served({"content": "a"}, ""), [Text(text="a")], "other"),
        (served({"content": "a"}, "eos"), [Text(text="a")], "stop"),
        (served({"content": "a"}, "whatever"), [Text(text="a")], "other"),
        (served({"content": "a"}, "SAFETY"), [Text(text="a")], "refusal"),
        (served({"content": "a", "reasoning": "hm"}), [Thinking(text="hm"), Text(text="a")], "stop"),
        (
            served({"content": "", "tool_calls": [{"id": "", "function": {"name": "f", "arguments": {"a": 1}}}]}),
            [ToolCall(id="?", name="f", arguments='{"a":1}')],
            "tool_calls",
        ),
        (served({"content": "a", "tool_calls": []}, "length"), [Text(text="a")], "length"),
        (
            served({"function_call": {"name": "f"}}, "function_call"),
            [ToolCall(id="?", name="f", arguments="{}")],
            "tool_calls",
        ),
        (
            served({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "a"]}),
            [Thinking(text="hm"), Text(text="a")],
            "stop",
        ),
    ],
)
def test_answers_of_compatible_servers(body: Object, content: list[Part], reason: Reason) -> None:
    found = decode_reply(body)
    for part in found.content:
        if isinstance(part, ToolCall):
            assert part.id.startswith("call_")
            part.id = "?"
    assert (found.content, found.reason) == (content, reason)


def test_a_stop_string_named_by_vllm() -> None:
    body = served({"content": "a"})
    body["choices"][0]["stop_reason"] = "END"
    found = decode_reply(body)
    assert (found.reason, found.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ("x", Usage()),
        ({"prompt_tokens": 5, "completion_tokens": None}, Usage(input=5)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 3}, Usage(input=5, cache_read=3)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(input=5, cache_read=2)),
        ({"prompt_tokens": 5.0, "completion_tokens": -1}, Usage(input=5)),
    ],
)
def test_usage_of_compatible_servers(usage: Any, expected: Usage) -> None:
    assert decode_reply(served({"content": "a"}, usage=usage)).usage == expected


def test_what_only_this_wire_says_comes_back_on_it(ask: Ask, stamp: Stamp) -> None:
    logprobs: Object = {"content": [], "refusal": None}
    body = served({"content": "a"}, service_tier="flex", system_fingerprint="fp")
    body["choices"][0]["logprobs"] = logprobs
    wire = encode_reply(decode_reply(body), ask(), stamp)
    assert (wire["service_tier"], wire["system_fingerprint"]) == ("flex", "fp")
    assert wire["choices"][0]["logprobs"] == logprobs
