"""Nothing is lost without a word: the members inside messages, parts and tools that the target cannot say."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dragoman import translate

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
HI = {"role": "user", "content": "Hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
F: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {}}}

LOST: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "openai_chat",
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]}
            ]
        },
        ["messages[0].content[0].image_url.detail"],
    ),
    ("openai_chat", {"messages": [{**HI, "weight": 3}]}, ["messages[0].weight"]),
    (
        "openai_chat",
        {"messages": [HI, {"role": "assistant", "content": "x", "audio": {"id": "a"}}, HI]},
        ["messages[1].audio"],
    ),
    (
        "openai_chat",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]},
        ["messages[0].content[0].y"],
    ),
    (
        "openai_chat",
        {"messages": [HI], "tools": [{"type": "function", "function": {**F, "color": "red"}}]},
        ["tools[0].function.color"],
    ),
    ("openai_chat", {"messages": [HI, {**HI, "name": "Ann"}]}, ["messages[1].name"]),
    ("openai_chat", {"messages": [HI, {"role": "user", "content": "", "name": "Ann"}]}, ["messages[1].name"]),
    ("openai_chat", {"messages": [HI, {"role": "system", "content": "x", "name": "Ann"}]}, ["messages[1].name"]),
    (
        "openai_chat",
        {
            "messages": [
                HI,
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c", "content": "one"},
                {"role": "tool", "tool_call_id": "c", "content": "two"},
            ]
        },
        ["messages"],  # after neighbours are merged the number would be another; the text names the call
    ),
    ("ollama", {"messages": [{**HI, "thinking": "hm"}]}, ["messages[0].thinking"]),
    ("ollama", {"messages": [HI], "tools": [{"type": "function", "function": {**F, "x": 1}}]}, ["tools[0].function.x"]),
]


@pytest.mark.parametrize(("source", "members", "lost"), LOST)
def test_what_is_inside_is_reported(source: str, members: dict[str, Any], lost: list[str]) -> None:
    assert list(translate({"model": "claude-haiku", **members}, source=source).dropped) == lost


SAID: list[dict[str, Any]] = [
    {"messages": [HI], "functions": [F]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "annotations": [], "y": None}]}]},
    {"messages": [HI, {"role": "assistant", "content": "x", "refusal": None, "audio": None, "annotations": []}, HI]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}}]}]},
]


@pytest.mark.parametrize("members", SAID)
def test_what_says_nothing_is_not(members: dict[str, Any]) -> None:
    assert not translate({"model": "claude-haiku", **members}, source="openai_chat").dropped


def test_own_server_keeps_them() -> None:
    body = {"model": "m", "messages": [{**HI, "weight": 3}]}
    translation = translate(body, source="openai_chat", target="openai_chat")
    assert not translation.dropped
    assert translation.body["messages"] == [{**HI, "weight": 3}]


def test_what_a_format_is_for_is_told_to_the_model() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "description": "The weather.", "schema": schema}}
    body = translate({"model": "claude-haiku", "messages": [HI], "response_format": wanted}, source="openai_chat").body
    assert body["output_config"]["format"]["schema"]["description"] == "The weather."


def test_a_message_may_stand_in_two_places() -> None:
    """A program that builds its body from values of its own may use one twice."""
    body = {"model": "claude-haiku", "messages": [HI, {"role": "assistant", "content": "x"}, HI]}
    sent = translate(body, source="openai_chat").body["messages"]
    assert [turn["role"] for turn in sent] == ["user", "assistant", "user"]
    assert body["messages"][0] is HI and HI == {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("target", ["anthropic", "ollama"])
def test_arguments_that_are_no_json_are_told_of(target: str) -> None:
    broken = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    history = [
        HI,
        HI,
        {"role": "assistant", "tool_calls": [broken]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    body = {"model": "claude-haiku", "messages": history, "tools": [{"type": "function", "function": F}]}
    assert "messages[2].tool_calls[0]" in translate(body, source="openai_chat", target=target).emulated
    assert not translate(body, source="openai_chat", target="openai_chat").emulated
