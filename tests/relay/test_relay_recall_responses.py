"""What an OpenAI model thought, remembered for clients that cannot send it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.running import run_gateway

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": PARAMETERS}}
ASKED: dict[str, Any] = {"model": "gpt-5.6", "tools": [TOOL], "stream": False, "think": True}


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[str, OpenAISimulator]]:
    """A gateway before OpenAI, and OpenAI."""
    simulator = OpenAISimulator(flavor="openai")
    with run_in_thread(simulator) as behind:
        upstream = Upstream(name="o", dialect="openai_responses", base_url=behind.url, key=Secret("sk-test-of-openai"))
        settings = Settings(host="127.0.0.1", port=0, retries=0, upstreams=(upstream,))
        with run_gateway(settings) as gateway:
            yield gateway.url, simulator


def chat(url: str, messages: list[Any], **more: Any) -> httpx.Response:
    answer = httpx.post(f"{url}/api/chat", json={**ASKED, "messages": messages, **more}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def test_an_ollama_clients_loop_keeps_its_reasoning(there: tuple[str, OpenAISimulator]) -> None:
    url, simulator = there
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Rome? Use the tool."}]
    called = chat(url, messages).json()["message"]
    assert called["tool_calls"]
    messages += [called, {"role": "tool", "tool_name": "get_weather", "content": "sunny"}]
    answer = chat(url, messages)
    kinds = [item["type"] for item in simulator.requests[-1].body["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    assert simulator.requests[-1].body["input"][1]["encrypted_content"]
    assert "x-dragoman-dropped" not in answer.headers


def test_a_loop_that_nobody_remembers_is_told(there: tuple[str, OpenAISimulator]) -> None:
    url, simulator = there
    called = {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}
    messages: list[Any] = [
        {"role": "user", "content": "What is the weather in Oslo?"},
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_name": "get_weather", "content": "cold"},
    ]
    assert chat(url, messages).headers["x-dragoman-dropped"] == "thinking"
    assert "x-dragoman-dropped" not in chat(url, messages, think=False).headers
    assert [item["type"] for item in simulator.requests[-1].body["input"]][1] == "function_call"
