"""Which thinking a refusal is about, and a request without it."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.conversation import Message, Part, Request, Seal, Text, Thinking
from dragoman.errors import GatewayError
from dragoman.relay.sealing import Unknown, is_sealed, refused_seal, seals, unsealed

BODY = msgspec.json.encode(
    {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "", "signature": "ONE"},
                    {"type": "redacted_thinking", "data": "TWO"},
                    {"type": "text", "text": "x"},
                ],
            },
        ]
    }
)


@pytest.mark.parametrize(
    ("message", "seal"),
    [
        ("messages.1.content.0: Invalid `signature` in `thinking` block", "ONE"),
        ("messages.1.content.1: Invalid `data` in `redacted_thinking` block", "TWO"),
        (
            "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different "
            "conversation. Remove the block",
            "",
        ),
        ("messages.1.content.2: Invalid `signature` in `thinking` block", ""),
        ("messages.0.content.0: Invalid `signature` in `thinking` block", ""),
        ("messages.9.content.0: Invalid `signature` in `thinking` block", ""),
        ("Invalid `signature` in `thinking` block", ""),
    ],
)
def test_a_refusal_may_be_about_one_block(message: str, seal: str) -> None:
    assert refused_seal(BODY, GatewayError("unverified_thinking", message)) == seal


def test_a_body_that_is_no_request_is_about_nothing() -> None:
    error = GatewayError("unverified_thinking", "messages.0.content.0: Invalid `signature` in `thinking` block")
    assert refused_seal(b"[]", error) == refused_seal(b'{"messages":[1]}', error) == ""


def thought(value: str) -> Thinking:
    return Thinking(text="hm", seal=Seal("anthropic", value))


def test_one_goes_or_all() -> None:
    words: list[Part] = [Thinking(text="unsigned"), Text(text="x")]
    messages = [Message(role="assistant", content=[thought("ONE"), thought("TWO"), *words])]
    assert unsealed(messages, "ONE")[0].content == [thought("TWO"), *words]
    assert unsealed(messages)[0].content == words
    assert unsealed(messages, "ELSE") == messages
    assert is_sealed(Request(origin="x", model="m", messages=messages))
    assert not is_sealed(Request(origin="x", model="m", messages=unsealed(messages)))


def test_what_one_model_refused_it_is_not_sent_again() -> None:
    unknown = Unknown()
    messages = [
        Message(role="user", content=[Text(text="hi")]),
        Message(role="assistant", content=[thought("ONE"), thought("TWO"), Text(text="x")]),
    ]
    assert unknown.without("a/m", messages) is messages
    unknown.add("a/m", ["ONE"])
    left = unknown.without("a/m", messages)
    assert seals(left) == {"TWO"}
    assert left[0] is messages[0]
    assert seals(messages) == {"ONE", "TWO"}
    assert unknown.without("a/other", messages) is messages


def test_the_one_seen_longest_ago_is_forgotten_first() -> None:
    unknown = Unknown(most=2)
    one, two, three = ([Message(role="assistant", content=[thought(name)])] for name in ("1", "2", "3"))
    unknown.add("m", ["1", "2"])
    assert unknown.without("m", one)[0].content == []
    unknown.add("m", ["3"])
    assert unknown.without("m", two) is two
    assert unknown.without("m", one)[0].content == unknown.without("m", three)[0].content == []
