"""What a chat completions request says that a Responses server is told as it is."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman import translate

Object = dict[str, Any]
MESSAGES = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}

# What the client says, and what the server gets.
ALIKE: list[tuple[Object, Object]] = [
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"service_tier": "auto"}, {}),
    ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
    ({"store": True}, {"store": True}),
    ({"store": False}, {"store": False}),
    ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    ({"prompt_cache_options": {"ttl": "30m"}}, {"prompt_cache_options": {"ttl": "30m"}}),
    ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h"}),
    ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
    ({"verbosity": "medium"}, {}),
    (
        {"verbosity": "high", "response_format": SCHEMA},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "high"}},
    ),
    ({"user": "u"}, {"user": "u"}),
    ({"safety_identifier": "s"}, {"user": "s"}),
    ({"safety_identifier": "s", "user": "u"}, {"user": "u", "safety_identifier": "s"}),
]


@pytest.mark.parametrize(("said", "sent"), ALIKE, ids=str)
def test_carried(said: Object, sent: Object) -> None:
    plain = translate({"model": "m", "messages": MESSAGES}, source="openai_chat", target="openai_responses").body
    told = translate({"model": "m", "messages": MESSAGES, **said}, source="openai_chat", target="openai_responses")
    assert told.body == plain | sent
    assert (told.dropped, told.emulated) == ({}, {})
    assert list(told.body)[-1] == "input", "the prompt comes last"


@pytest.mark.parametrize("name", ["service_tier", "metadata", "store", "verbosity"])
@pytest.mark.parametrize("target", ["anthropic", "ollama"])
def test_elsewhere_it_is_lost_and_said(target: str, name: str) -> None:
    value: Any = {"metadata": {"a": "b"}, "store": True}.get(name, "low")
    body = {"model": "claude-haiku-4-5", "messages": MESSAGES, name: value}
    assert name in translate(body, source="openai_chat", target=target).dropped


def test_what_only_chat_has_is_lost() -> None:
    body = {"model": "m", "messages": MESSAGES, "logit_bias": {"1": 2}, "modalities": ["text", "audio"]}
    told = translate(body, source="openai_chat", target="openai_responses")
    assert set(told.dropped) == {"logit_bias", "modalities"}
