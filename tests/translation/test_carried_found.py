"""Losses and wrong places that random requests have found, each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from dragoman import translate
from dragoman.conversation import Seal, Thinking
from dragoman.dialects import anthropic, openai_chat
from dragoman.losses import Losses
from dragoman.models.dress import dress
from dragoman.models.schema import transform
from dragoman.models.servers import servers as flavors
from dragoman.translation import sources
from tests.translation.servers import Bench, Server, servers
from tests.translation.talking import Talk

SERVERS = {repr(server): server for server in reversed(servers())}
OPENROUTER = SERVERS["openrouter/anthropic/claude-sonnet-4.5"]
HI = {"role": "user", "content": "hi"}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def report(bench: Bench, client: str, server: Server, **members: Any) -> Losses:
    body = {"model": "m", "messages": [HI], **members}
    return bench.carried(bench.call(sources()[client], body), server).losses


def calling(*names: str) -> dict[str, Any]:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in names]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def test_thoughts_a_server_does_not_read_are_told(bench: Bench) -> None:
    thought = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}]}
    messages = [HI, thought, HI]
    told = report(bench, "anthropic", SERVERS["openai/gpt-5.6"], messages=messages, max_tokens=9)
    assert "thinking" in told.dropped
    assert (
        "thinking"
        not in report(bench, "anthropic", SERVERS["vllm/Qwen/Qwen3-8B"], messages=messages, max_tokens=9).dropped
    )


def test_a_proof_that_stays_behind_is_told(bench: Bench) -> None:
    thought = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "EsQ="}]}
    told = report(bench, "anthropic", SERVERS["ollama/qwen3:8b"], messages=[HI, thought, HI], max_tokens=9)
    assert "thinking" in told.emulated


def test_a_proof_goes_back_to_the_server_that_gave_it(bench: Bench) -> None:
    """Claude behind a chat completions server: its signature is Claude's, and comes back in that server's form."""
    talk = Talk(bench, "anthropic")
    talk.ask(OPENROUTER, "tools calls=1", "Weather in Rome?")
    (thought, *_) = talk.reply.content
    assert isinstance(thought, Thinking)
    assert thought.seal is not None
    assert thought.seal.origin == "openai_chat"
    _, body = talk.ask(OPENROUTER, "text", "")
    (detail,) = next(message["reasoning_details"] for message in body["messages"] if "reasoning_details" in message)
    assert (detail["text"], detail["format"]) == (thought.text, "anthropic-claude-v1")
    assert detail["signature"] == msgspec.json.decode(thought.seal.value)["signature"]


def test_and_not_to_anthropic(bench: Bench) -> None:
    talk = Talk(bench, "anthropic")
    talk.ask(OPENROUTER, "thinking", "Hello?")
    claude = next(server for server in servers() if server.card.dialect == "anthropic")
    sent, body = talk.ask(claude, "text", "And now?")
    assert "signature" not in msgspec.json.encode(body["messages"]).decode()
    assert "thinking" in sent.losses.dropped


def test_text_beside_a_thought_that_cannot_be_read() -> None:
    """Clients send both back: a summary, and the encrypted thought."""
    sealed = {"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"}
    answer = {"role": "assistant", "content": "a", "reasoning_content": "hm", "reasoning_details": [sealed]}
    request = openai_chat.decode_request({"model": "m", "messages": [{**HI}, answer, {**HI}]})
    first, second, _ = request.messages[1].content
    assert first == Thinking(text="hm")
    assert isinstance(second, Thinking)
    assert isinstance(second.seal, Seal)


@pytest.mark.parametrize("words", ["Invalid `signature` in `thinking` block", "Invalid `data` in `redacted_thinking`"])
def test_a_proof_that_is_refused_is_known_as_that(words: str) -> None:
    """Then the call is made again without it."""
    body = msgspec.json.encode({"error": {"type": "invalid_request_error", "message": f"messages.1: {words} block"}})
    for dialect in (anthropic, openai_chat):
        assert dialect.decode_error(400, body, None).kind == "unverified_thinking"


def test_of_two_results_of_a_call_one_is_told(bench: Bench) -> None:
    results = [{"role": "tool", "tool_call_id": "f", "content": text} for text in ("a", "b")]
    told = report(bench, "openai_chat", SERVERS["ollama/qwen3:8b"], messages=[HI, calling("f"), *results])
    assert told.dropped["messages"] == "the tool call f has two results; the last one stays"


def test_tools_that_may_not_be_called_are_told() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    chosen = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": chosen}
    made = translate(
        {"model": "claude-opus-4.5", "messages": [HI], "tools": tools, "tool_choice": choice}, source="openai_chat"
    )
    assert [tool["name"] for tool in made.body["tools"]] == ["g"]
    assert "tool_choice" in made.emulated


def test_a_pattern_with_flags_is_described() -> None:
    """Claude's grammar knows groups, and nothing else that begins with a bracket and a question mark."""
    schema = {"type": "object", "properties": {"p": {"type": "string", "pattern": "(?i)a+"}}}
    made, moved = transform(schema)
    assert "pattern" not in made["properties"]["p"]
    assert moved == ["pattern"]


def test_a_budget_beside_an_effort_is_told(bench: Bench) -> None:
    members = {"thinking": {"type": "enabled", "budget_tokens": 5120}, "output_config": {"effort": "low"}}
    told = report(bench, "anthropic", SERVERS["openai/gpt-5.6"], max_tokens=9000, **members)
    assert "thinking.budget_tokens" in told.emulated


def test_the_name_of_a_speaker_who_says_nothing_is_told() -> None:
    losses = Losses()
    body = {"model": "m", "messages": [HI, calling("f") | {"name": "Ada"}]}
    dressed = dress(body, flavors()["groq"], losses, own=True)
    assert dressed["messages"][1]["content"] is None
    assert "messages[1].name" in losses.dropped


@pytest.mark.parametrize("name", ["ollama/qwen3:8b", "anthropic"])
def test_an_unknown_part_of_a_result_is_told_by_its_place(bench: Bench, name: str) -> None:
    server = next(server for server in servers() if name in (repr(server), server.card.dialect))
    content = [{"type": "text", "text": "a"}, {"type": "of_tomorrow", "text": "b"}]
    messages = [HI, calling("f"), {"role": "tool", "tool_call_id": "f", "content": content}]
    assert "messages[2].content[1]" in report(bench, "openai_chat", server, messages=messages).dropped


def test_what_is_said_of_a_format_joins_what_its_schema_says() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "description": "own"}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "description": "about", "schema": schema}}
    made = translate({"model": "claude-opus-4.5", "messages": [HI], "response_format": asked}, source="openai_chat")
    assert made.body["output_config"]["format"]["schema"]["description"] == "about\nown"
