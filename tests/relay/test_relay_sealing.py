"""Which thinking a refusal is about, and a request without it."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.conversation import Message, Part, Request, Seal, Text, Thinking
from dragoman.errors import GatewayError
from dragoman.relay.sealing import is_sealed, refused_seal, unsealed

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
