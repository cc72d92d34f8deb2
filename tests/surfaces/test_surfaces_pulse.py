"""An Anthropic client that waits for a local model gets signs of life, and then a whole answer or a true error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from dragoman.config import Settings, Timeouts, Upstream
from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import run_in_thread
from tests.running import Gateway, run_gateway

MODEL = "qwen3:8b"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_in_thread(OllamaSimulator()) as behind:
        upstream = Upstream(name="ollama", dialect="ollama", base_url=behind.url)
        timeouts = Timeouts(ping=0.05)
        settings = Settings(host="127.0.0.1", port=0, upstreams=(upstream,), retries=0, timeouts=timeouts)
        with run_gateway(settings) as running:
            yield running


def body(scenario: str) -> dict[str, Any]:
    said = {"role": "user", "content": f"Hi [[simulate: {scenario}]]"}
    return {"model": MODEL, "max_tokens": 500, "stream": True, "messages": [said]}


def events(gateway: Gateway, scenario: str) -> list[dict[str, Any]]:
    answer = httpx.post(f"{gateway.url}/v1/messages", json=body(scenario), trust_env=False, timeout=20)
    assert answer.status_code == 200
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def test_a_slow_beginning_is_bridged_by_pings(gateway: Gateway) -> None:
    kinds = [event["type"] for event in events(gateway, "slow_start delay=0.5")]
    assert kinds[:3] == ["ping", "ping", "ping"]
    rest = [kind for kind in kinds if kind != "ping"]
    assert rest[0] == "message_start" and rest[-1] == "message_stop"


def test_a_quick_answer_has_none(gateway: Gateway) -> None:
    assert "ping" not in {event["type"] for event in events(gateway, "text tokens=3")}


def test_silence_in_mid_answer_is_bridged_too(gateway: Gateway) -> None:
    kinds = [event["type"] for event in events(gateway, "text tokens=3 pace=300")]
    at = kinds.index("content_block_start")
    assert "ping" in kinds[at:] and kinds[-1] == "message_stop"


def test_an_error_after_a_ping_is_told_inside_the_stream(gateway: Gateway) -> None:
    told = events(gateway, "overloaded delay=0.3")
    assert told[0]["type"] == "ping"
    assert told[-1]["type"] == "error"
    assert not any(event["type"] == "message_stop" for event in told)


def test_the_sdk_minds_neither(gateway: Gateway) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0) as sdk:
        asked = body("slow_start delay=0.3")
        del asked["stream"]
        with sdk.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    assert message.stop_reason == "end_turn" and message.content
