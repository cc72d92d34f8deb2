"""The official Anthropic SDK: its calls pass through as they are."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from dragoman.config import Secret
from tests.conftest import GatewayMaker
from tests.running import Gateway, simulate

OPUS, SONNET, HAIKU = "claude-opus-5", "claude-sonnet-5-5", "claude-haiku-4-5-20251001"
ASK: list[MessageParam] = [{"role": "user", "content": "Hello there"}]
TOOL: ToolParam = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def connect(gateway: Gateway, path: str = "", key: str = "any") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url + path, api_key=key, max_retries=0)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with connect(gateway) as client:
        yield client


@pytest.mark.parametrize("path", ["", "/v1", "/"])
def test_a_message(gateway: Gateway, path: str) -> None:
    with connect(gateway, path) as client:
        answer = client.messages.create(model=OPUS, max_tokens=5000, messages=ASK)
    text = "".join(block.text for block in answer.content if block.type == "text")
    assert "You said: Hello there" in text
    assert answer.model == OPUS
    assert answer.usage.output_tokens > 0


def test_a_stream_with_thinking_and_a_tool_loop(client: anthropic.Anthropic, gateway: Gateway) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client.messages.stream(
        model=SONNET,
        max_tokens=9000,
        messages=messages,
        tools=[TOOL],
        thinking={"type": "adaptive", "display": "summarized"},
    ) as stream:
        first = stream.get_final_message()
    thought, call = first.content[0], first.content[-1]
    assert thought.type == "thinking"
    assert thought.signature
    assert call.type == "tool_use"
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}]},
    ]
    last = client.messages.create(
        model=SONNET,
        max_tokens=9000,
        messages=messages,
        tools=[TOOL],
        thinking={"type": "adaptive", "display": "summarized"},
    )
    assert any("21 degrees" in block.text for block in last.content if block.type == "text")
    _, sent = gateway.simulator.requests[-1]
    assert sent["messages"][1]["content"][0]["signature"] == thought.signature


def test_an_alias_is_patched_and_betas_go_along(client: anthropic.Anthropic, gateway: Gateway) -> None:
    answer = client.beta.messages.with_raw_response.create(
        model="claude-haiku", max_tokens=50, messages=[{"role": "user", "content": "Hi"}], betas=["oauth-2025-04-20"]
    )
    headers, sent = gateway.simulator.requests[-1]
    assert sent["model"] == HAIKU
    assert headers["anthropic-beta"] == "oauth-2025-04-20"
    assert headers["anthropic-version"] == "2026-10-21"
    assert headers["x-api-key"] == "sk-test"
    assert "authorization" not in headers
    assert answer.headers["x-dragoman-model"] == HAIKU


def test_a_retired_model_is_answered_by_its_successor(client: anthropic.Anthropic, gateway: Gateway) -> None:
    raw = client.messages.with_raw_response.create(
        model="claude-3-haiku-20240307", max_tokens=9000, messages=ASK, extra_body={"temperature": 0.3}
    )
    assert "claude-3-haiku-20240307 -> " in raw.headers["x-dragoman-substituted"]
    assert raw.headers["x-dragoman-dropped"] == "temperature"
    assert "You said: Hello there" in "".join(b.text for b in raw.parse().content if b.type == "text")
    assert "temperature" not in gateway.simulator.requests[-1][1]


def test_tokens_are_counted_by_the_upstream(client: anthropic.Anthropic) -> None:
    assert client.messages.count_tokens(model=OPUS, messages=ASK).input_tokens > 0


def test_models_come_in_this_dialect(client: anthropic.Anthropic) -> None:
    listed = [model.id for model in client.models.list()]
    assert {OPUS, "claude-opus-latest"} <= set(listed)
    assert len(listed) == len(set(listed))
    assert client.models.retrieve(OPUS).display_name == "Claude Opus 5"
    with pytest.raises(anthropic.NotFoundError, match="model: nonsense"):
        client.models.retrieve("nonsense")


FAILURES: list[tuple[str, type[anthropic.APIStatusError]]] = [
    ("rate_limit", anthropic.RateLimitError),
    ("overloaded", anthropic.APIStatusError),
    ("invalid_key", anthropic.AuthenticationError),
    ("error status=500", anthropic.InternalServerError),
]


@pytest.mark.parametrize(("scenario", "kind"), FAILURES)
def test_a_failure_comes_back_as_it_was(
    client: anthropic.Anthropic, scenario: str, kind: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(
            model=OPUS, max_tokens=500, messages=[{"role": "user", "content": f"[[simulate: {scenario}]]"}]
        )
    assert caught.value.request_id


@pytest.mark.parametrize("scenario", ["error_event after=3", "reset after=3"])
def test_a_broken_stream_is_an_error(client: anthropic.Anthropic, scenario: str) -> None:
    asked: list[MessageParam] = [{"role": "user", "content": f"[[simulate: {scenario}]]"}]
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=OPUS, max_tokens=500, messages=asked) as stream,
    ):
        stream.get_final_message()


def test_keys_are_asked_for_in_either_header(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway(simulator=simulate(), api_keys=(Secret("right"),))
    with connect(gateway, key="right") as good, connect(gateway, key="wrong") as bad:
        good.messages.create(model=OPUS, max_tokens=500, messages=ASK)
        good.messages.create(
            model=OPUS, max_tokens=500, messages=ASK, extra_headers={"Authorization": "", "x-api-key": "right"}
        )
        with pytest.raises(anthropic.AuthenticationError):
            bad.messages.create(model=OPUS, max_tokens=500, messages=ASK)


def test_a_body_without_a_model_says_so(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="model: Field required"):
        client.post("/v1/messages", body={"max_tokens": 1}, cast_to=object)


def test_telemetry_ends_here(client: anthropic.Anthropic, gateway: Gateway) -> None:
    before = len(gateway.simulator.requests)
    client.post("/api/event_logging/batch", body={"events": []}, cast_to=object)
    assert len(gateway.simulator.requests) == before
