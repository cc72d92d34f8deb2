"""What a Responses request says that a chat completions server is told as it is."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman import translate
from dragoman.losses import Losses
from dragoman.models.dress import dress
from dragoman.models.servers import server_of

Object = dict[str, Any]
ASKED = {"model": "m", "input": "Hi"}
SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
CACHING = {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}, "prompt_cache_retention": "in_memory"}
FAST = {"service_tier": "flex", "text": {"verbosity": "low"}}

# What the client says, and what the server gets.
ALIKE: list[tuple[Object, Object]] = [
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"service_tier": "auto"}, {}),
    ({"moderation": {"model": "omni"}}, {"moderation": {"model": "omni"}}),
    *(({name: value}, {name: value}) for name, value in CACHING.items()),
    ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    ({"text": {"verbosity": "medium"}}, {}),
    (
        {"text": {"verbosity": "high", "format": SCHEMA}},
        {
            "verbosity": "high",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        },
    ),
    ({"user": "u"}, {"user": "u"}),
    ({"safety_identifier": "s", "user": "u"}, {"user": "u", "safety_identifier": "s"}),
    # The gateway keeps what its clients want kept, and asks no server to.
    ({"store": True, "metadata": {"a": "b"}}, {}),
]


@pytest.mark.parametrize(("said", "sent"), ALIKE, ids=str)
def test_carried(said: Object, sent: Object) -> None:
    plain = translate(ASKED, source="openai_responses", target="openai_chat").body
    told = translate(ASKED | said, source="openai_responses", target="openai_chat")
    assert told.body == plain | sent
    assert (told.dropped, told.emulated) == ({}, {})
    assert list(told.body)[-1] == "messages", "the prompt comes last"


# What only a Responses request can say: what is lost, and what is left of it.
UNSAID: list[tuple[Object, list[str], Object]] = [
    ({"service_tier": "ultrafast"}, ["service_tier"], {}),
    ({"prompt_cache_options": {"ttl": "12h"}}, ["prompt_cache_options.ttl"], {}),
    (
        {"prompt_cache_options": {"ttl": "30m", "mode": "implicit", "prewarm": True, "comparison_response_id": "r"}},
        ["prompt_cache_options.comparison_response_id", "prompt_cache_options.prewarm"],
        {"prompt_cache_options": {"ttl": "30m", "mode": "implicit"}},
    ),
    ({"text": {"verbosity": "low", "strange": 1}}, ["text.strange"], {"verbosity": "low"}),
    ({"max_tool_calls": 3}, ["max_tool_calls"], {}),
]


@pytest.mark.parametrize(("said", "lost", "sent"), UNSAID, ids=str)
def test_what_chat_cannot_say_is_lost_and_told(said: Object, lost: list[str], sent: Object) -> None:
    plain = translate(ASKED, source="openai_responses", target="openai_chat").body
    told = translate(ASKED | said, source="openai_responses", target="openai_chat")
    assert (told.body, list(told.dropped)) == (plain | sent, lost)


@pytest.mark.parametrize("target", ["anthropic", "ollama"])
def test_elsewhere_it_is_lost_and_told(target: str) -> None:
    body = ASKED | FAST | {"model": "claude-haiku-4-5"}
    assert set(translate(body, source="openai_responses", target=target).dropped) == {"service_tier", "text.verbosity"}


# A kind of server, and which of these it takes.
TAKES: list[tuple[str, set[str]]] = [
    ("openai", {"service_tier", "verbosity", "safety_identifier", *CACHING}),
    ("openrouter", {"service_tier", "verbosity"}),
    ("vllm", set()),
    ("mistral", set()),
    ("generic", set()),
]


@pytest.mark.parametrize(("flavor", "takes"), TAKES)
def test_a_server_gets_what_it_takes(flavor: str, takes: set[str]) -> None:
    said = ASKED | FAST | CACHING | {"safety_identifier": "s", "user": "u"}
    body = translate(said, source="openai_responses", target="openai_chat").body
    losses = Losses({"verbosity": "text.verbosity"})
    sent = dress(body, server_of(flavor), losses)
    ours = {"service_tier", "verbosity", "safety_identifier", *CACHING}
    assert ours & sent.keys() == takes
    lost = {"text.verbosity" if name == "verbosity" else name for name in ours - takes}
    assert losses.dropped.keys() | losses.emulated.keys() >= lost
    assert losses.emulated.keys() <= CACHING.keys(), "what is cached is found by the prompt itself"
    assert dress(body, server_of(flavor), Losses(), own=True).keys() >= ours - server_of(flavor).refuses
