"""Two gateways in a row, with the Responses API between them: the reasoning comes home to the model that had it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dragoman.config import Secret, Settings, Upstream
from tests.running import run_gateway
from tests.surfaces.responding import MODELS, Behind, Object, before_all, events, post

CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
QUESTION = "What does clock say?"
BEHIND = ("ollama", "vllm", "anthropic")
PROOFS = {"store": False, "include": ["reasoning.encrypted_content"]}


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with ExitStack() as stack:
        second = stack.enter_context(before_all())
        upstream = Upstream(name="next", dialect="openai_responses", base_url=second.url, key=Secret("sk-first"))
        settings = Settings(host="127.0.0.1", port=0, retries=0, upstreams=(upstream,))
        first = stack.enter_context(run_gateway(settings))
        yield Behind(first.url, second.simulators, stack)


def sent(bed: Behind, server: str) -> Object:
    """What last reached the model; servers are asked for other things, too."""
    bodies = (each.body for each in reversed(bed.simulators[server].requests))
    return next(body for body in bodies if body and "messages" in body)


def thoughts(bed: Behind, server: str) -> list[str]:
    """The reasoning in it."""
    found = []
    for message in sent(bed, server)["messages"]:
        found += [message[name] for name in ("thinking", "reasoning", "reasoning_content") if message.get(name)]
        if isinstance(message.get("content"), list):
            found += [part["thinking"] for part in message["content"] if part.get("type") == "thinking"]
    return found


def asked(bed: Behind, server: str, stream: bool, **body: object) -> Object:
    answer = post(bed.url, {"model": f"next/{MODELS[server]}", "tools": [CLOCK], "stream": stream, **body})
    assert answer.status_code == 200, answer.text
    told: Object = events(answer)[-1]["response"] if stream else answer.json()
    return told


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("summary", ["auto", None], ids=["shown", "hidden"])
@pytest.mark.parametrize("server", BEHIND)
def test_a_client_that_keeps_its_items(bed: Behind, server: str, summary: str | None, stream: bool) -> None:
    """As Codex does: the client keeps what it was told, and sends all of it back."""
    reasoning = {"effort": "low"} | ({"summary": summary} if summary else {})
    first = asked(bed, server, stream, input=QUESTION, reasoning=reasoning, **PROOFS)
    (thought,) = [item for item in first["output"] if item["type"] == "reasoning"]
    assert bool(thought["summary"]) is bool(summary)
    assert thought["encrypted_content"]
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
    said = [{"role": "user", "content": QUESTION}, *first["output"], result]
    answer = post(
        bed.url, {"model": f"next/{MODELS[server]}", "input": said, "tools": [CLOCK], "reasoning": reasoning, **PROOFS}
    )
    assert answer.status_code == 200, answer.text
    assert "x-dragoman-dropped" not in answer.headers
    (home,) = thoughts(bed, server)
    if summary:
        assert home == "".join(part["text"] for part in thought["summary"])
    assert "dragoman." not in json.dumps(sent(bed, server))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("server", BEHIND)
def test_a_client_that_leaves_it_here(bed: Behind, server: str, stream: bool) -> None:
    reasoning = {"effort": "low", "summary": "auto"}
    first = asked(bed, server, stream, input=QUESTION, reasoning=reasoning)
    assert "encrypted_content" not in json.dumps(first)
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
    after = asked(bed, server, stream, input=[result], previous_response_id=first["id"], reasoning=reasoning)
    assert after["output"]
    (thought,) = [item for item in first["output"] if item["type"] == "reasoning"]
    assert thoughts(bed, server) == ["".join(part["text"] for part in thought["summary"])]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("server", BEHIND)
def test_a_client_of_chat_completions(bed: Behind, server: str, stream: bool) -> None:
    """One that sends `reasoning_details` back."""
    chat = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
    body: Object = {"model": f"next/{MODELS[server]}", "tools": [chat], "reasoning_effort": "low"}
    messages: list[Object] = [{"role": "user", "content": QUESTION}]
    answer = post(bed.url, {**body, "messages": messages, "stream": stream}, "/v1/chat/completions")
    assert answer.status_code == 200, answer.text
    said = _folded(answer.text) if stream else answer.json()["choices"][0]["message"]
    assert said["reasoning_details"]
    (call,) = said["tool_calls"]
    messages += [{"role": "assistant", **said}, {"role": "tool", "tool_call_id": call["id"], "content": "noon"}]
    answer = post(bed.url, {**body, "messages": messages}, "/v1/chat/completions")
    assert answer.status_code == 200, answer.text
    assert "x-dragoman-dropped" not in answer.headers
    assert len(thoughts(bed, server)) == 1
    assert thoughts(bed, server)[0] == said["reasoning_content"]
    # For one that does not, it is remembered here.
    messages[1] = {name: value for name, value in messages[1].items() if name != "reasoning_details"}
    answer = post(bed.url, {**body, "messages": messages}, "/v1/chat/completions")
    assert answer.status_code == 200, answer.text
    assert "x-dragoman-dropped" not in answer.headers
    assert thoughts(bed, server)[0] == said["reasoning_content"]


def _folded(text: str) -> Object:
    """The message that a stream of chunks adds up to."""
    said: Object = {"content": "", "reasoning_content": "", "reasoning_details": [], "tool_calls": []}
    for line in text.splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                said[name] += delta.get(name) or ""
            said["reasoning_details"] += delta.get("reasoning_details") or []
            for call in delta.get("tool_calls") or []:
                if "id" in call:
                    said["tool_calls"].append({**call, "function": dict(call["function"])})
                else:
                    said["tool_calls"][-1]["function"]["arguments"] += call["function"]["arguments"]
    return said
