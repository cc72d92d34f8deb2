"""One turn of an agent, as each kind of server gets it."""

from __future__ import annotations

from typing import Any

from dragoman.conversation import Seal, Thinking
from dragoman.dialects.openai_responses.sealed import enclose
from dragoman.translation import Translation, translate
from tests.dialects.openai_responses.told import CUSTOM, FUNCTION, SPACE

BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "go"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": enclose(Thinking(text="Hm.", seal=Seal("anthropic", "c2VhbA==")), shown=True),
        },
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "spawn_agent",
            "namespace": "multi_agent_v1",
            "arguments": "{}",
        },
        {"type": "custom_tool_call", "call_id": "call_2", "name": "sql", "input": "select 1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "b"},
    ],
    "tools": [FUNCTION, CUSTOM, SPACE],
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 4096,
    "store": False,
}
NAMES = ["weather", "sql", "multi_agent_v1__spawn_agent"]


def carried(target: str) -> Translation:
    return translate(BODY, source="openai_responses", target=target)


def test_to_claude() -> None:
    said = carried("anthropic")
    assert said.dropped == {}
    assert said.body["system"][0]["text"] == "Be brief."
    assert said.body["max_tokens"] == 4096
    assert [tool["name"] for tool in said.body["tools"]] == NAMES
    _, turn, results = said.body["messages"]
    assert turn["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="},
        {"type": "tool_use", "id": "call_1", "name": "multi_agent_v1__spawn_agent", "input": {}},
        {"type": "tool_use", "id": "call_2", "name": "sql", "input": {"input": "select 1"}},
    ]
    assert [block["tool_use_id"] for block in results["content"]] == ["call_1", "call_2"]


def test_to_chat_completions() -> None:
    said = carried("openai_chat")
    assert said.dropped == {}
    assert said.body["reasoning_effort"] == "low"
    assert [tool["function"]["name"] for tool in said.body["tools"]] == NAMES
    roles = [message["role"] for message in said.body["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert said.body["messages"][2]["reasoning_content"] == "Hm."


def test_to_ollama() -> None:
    said = carried("ollama")
    assert said.dropped == {}
    assert said.body["think"] == "low"
    assert [tool["function"]["name"] for tool in said.body["tools"]] == NAMES
    assert said.body["messages"][2]["thinking"] == "Hm."
