"""How long a conversation is, and a shorter one: over every kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.dialects.openai_responses.sealed import disclose_summary
from tests.surfaces.responding import MODELS, Behind, Object, before_all, named, post

COUNT, COMPACT = "/v1/responses/input_tokens", "/v1/responses/compact"
PASSED = ("openai", "responses")
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
# What a client is about to send, as a whole.
WHOLE: Object = {
    "instructions": "Be brief.",
    "tools": [WEATHER],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "max_output_tokens": 50,
    "metadata": {"a": "b"},
    "store": True,
    "stream": True,
    "service_tier": "auto",
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "truncation": "disabled",
}


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with before_all() as behind:
        yield behind


def counted(bed: Behind, server: str, **body: Any) -> int:
    answer = post(bed.url, {"model": named(server), **body}, COUNT)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["object"] == "response.input_tokens"
    assert set(told) == {"object", "input_tokens"}
    assert answer.headers["x-dragoman-upstream"] == server
    tokens: int = told["input_tokens"]
    return tokens


@pytest.mark.parametrize("server", MODELS)
def test_counted(bed: Behind, server: str) -> None:
    short, long = counted(bed, server, input="Hi"), counted(bed, server, input="Hi there. " * 200)
    assert 0 < short < 60
    assert short + 300 < long < short + 1500
    assert counted(bed, server, input="Hi", **WHOLE) > short, "instructions and tools count"
    assert counted(bed, server) > 0, "every member is optional"


@pytest.mark.parametrize("server", PASSED)
def test_its_own_server_counts(bed: Behind, server: str) -> None:
    """It gets what it takes there, and no more; what it says is passed on."""
    answer = post(bed.url, {"model": named(server), "input": "Hi", **WHOLE}, COUNT)
    assert answer.headers["x-dragoman-token-count"] == "upstream"
    sent = bed.sent(server)
    kept = ("instructions", "tools", "tool_choice", "parallel_tool_calls", "truncation")
    assert sent == {"model": MODELS[server], "input": "Hi", **{name: WHOLE[name] for name in kept}}
    wrong = post(bed.url, {"model": named(server), "input": "Hi", "tool_choice": 5}, COUNT)
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"].startswith("tool_choice"), "its own complaint"


@pytest.mark.parametrize("server", MODELS)
def test_a_chain_counts_whole(bed: Behind, server: str) -> None:
    first = post(bed.url, {"model": named(server), "input": "A long story. " * 100, "reasoning": {"effort": "low"}})
    assert first.status_code == 200, first.text
    alone = counted(bed, server, input="More")
    chained = counted(bed, server, input="More", previous_response_id=first.json()["id"])
    assert chained > alone + 200
    conversation = post(bed.url, {}, "/v1/conversations").json()["id"]
    again = post(bed.url, {"model": named(server), "input": "A long story. " * 100, "conversation": conversation})
    assert again.status_code == 200, again.text
    assert counted(bed, server, input="More", conversation=conversation) > alone + 200
    missing = post(bed.url, {"model": named(server), "input": "x", "previous_response_id": "resp_none"}, COUNT)
    assert missing.json()["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("server", MODELS)
def test_a_chain_is_summed_up(bed: Behind, server: str) -> None:
    """What was kept here is part of it; the summary goes on with any other model."""
    first = post(bed.url, {"model": named(server), "input": "I am Ann.", "reasoning": {"effort": "low"}})
    assert first.status_code == 200, first.text
    body = {"model": named(server), "input": "What else?", "previous_response_id": first.json()["id"]}
    answer = post(bed.url, {**body, "instructions": "Be brief."}, COMPACT)
    assert answer.status_code == 200, answer.text
    assert "I am Ann." in str(bed.sent(server))
    (item,) = answer.json()["output"]
    summary = disclose_summary(item["encrypted_content"])
    assert summary
    usage = answer.json()["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    for other in MODELS:
        after = post(bed.url, {"model": named(other), "input": [item, {"role": "user", "content": "My name?"}]})
        assert after.status_code == 200, after.text
        assert summary in _texts(bed.sent(other)), other
        assert "x-dragoman-dropped" not in after.headers
    missing = post(bed.url, {**body, "previous_response_id": "resp_none"}, COMPACT)
    assert missing.json()["error"]["code"] == "previous_response_not_found"


def _texts(value: Any) -> str:
    """All text in a body."""
    match value:
        case str():
            return value
        case dict():
            return "\n".join(map(_texts, value.values()))
        case list():
            return "\n".join(map(_texts, value))
        case _:
            return ""
