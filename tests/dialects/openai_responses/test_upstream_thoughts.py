"""Earlier reasoning that nobody sealed: told as text to a Responses server that reads it so, to others not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.dialects import openai_responses
from dragoman.losses import Losses
from dragoman.models.open.card import generic
from dragoman.models.servers import servers
from dragoman.simulator.openai_responses_wire import RESPONSES
from dragoman.translation import carry, sources

Object = dict[str, Any]
HI, ON = {"role": "user", "content": "Hi"}, {"role": "user", "content": "Go on."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]

# A client that tells what a model thought before, and what its report says of the proof.
SAID: dict[str, tuple[Object, list[str]]] = {
    "ollama": ({"messages": [HI, {"role": "assistant", "content": "Well.", "thinking": "Hm."}, ON]}, []),
    "openai_chat": ({"messages": [HI, {"role": "assistant", "content": "Well.", "reasoning_content": "Hm."}, ON]}, []),
    "anthropic": (
        {
            "max_tokens": 100,
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                        {"type": "text", "text": "Well."},
                    ],
                },
                ON,
            ],
        },
        ["thinking"],
    ),
}


def _sent(client: str, said: Object, flavor: str, **card: Any) -> tuple[list[Object], Losses]:
    """The items that a server of this kind gets."""
    dialect = sources()[client]
    losses = Losses(dialect.SPELLING)
    to = generic("m", "openai_responses", "there", flavor=flavor, **card)
    request = dialect.decode_request(json.loads(json.dumps({"model": "m", **said})))
    body = carry(request, dialect, openai_responses, to, losses).body
    RESPONSES(body, "", True)  # as the wire has it
    return body["input"], losses


@pytest.mark.parametrize("flavor", ["vllm", "llamacpp"])
@pytest.mark.parametrize("client", SAID)
def test_a_server_that_reads_thoughts_gets_them(client: str, flavor: str) -> None:
    said, emulated = SAID[client]
    items, losses = _sent(client, said, flavor)
    hi, thought, well, _ = items
    assert (hi["role"], well["role"], well["content"]) == ("user", "assistant", "Well.")
    assert thought.pop("id").startswith("rs_"), "vLLM reads no item without one"
    assert thought == {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
    }, "neither a summary, which would hide it, nor a proof, which vLLM refuses"
    assert (losses.dropped, list(losses.emulated)) == ({}, emulated)


@pytest.mark.parametrize("flavor", sorted(servers().keys() - {"vllm", "llamacpp"}))
@pytest.mark.parametrize("client", SAID)
def test_others_do_not_and_that_is_told(client: str, flavor: str) -> None:
    items, losses = _sent(client, SAID[client][0], flavor)
    assert "reasoning" not in {item["type"] for item in items}
    assert "thinking" in losses.dropped


def test_the_thought_stands_before_the_call_it_led_to() -> None:
    called = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]}
    said = {"messages": [HI, called, {"role": "tool", "tool_call_id": "call_1", "content": "x"}], "tools": TOOLS}
    items, _ = _sent("openai_chat", said, "llamacpp")
    assert [item["type"] for item in items] == ["message", "reasoning", "function_call", "function_call_output"]


def test_the_same_thoughts_have_the_same_ids_when_the_conversation_goes_on() -> None:
    said, _ = SAID["ollama"]
    first, _ = _sent("ollama", said, "vllm")
    again, _ = _sent("ollama", {"messages": [*said["messages"], said["messages"][1], ON]}, "vllm")
    assert again[: len(first)] == first, "what stands in the prompt depends on what stands before it"
    ids = [item["id"] for item in again if item["type"] == "reasoning"]
    assert len(ids) == len(set(ids)) == 2


def test_a_model_that_never_thinks_reads_no_thoughts() -> None:
    items, losses = _sent("ollama", SAID["ollama"][0], "vllm", capabilities=("completion",))
    assert "reasoning" not in {item["type"] for item in items}
    assert "thinking" in losses.dropped
