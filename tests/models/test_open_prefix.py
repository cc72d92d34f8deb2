"""A conversation that grows keeps its beginning, byte for byte: local servers read again all that follows a change."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import translate
from dragoman.conversation import Message, Object, Part, Request, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult
from dragoman.dialects import registry
from dragoman.losses import Losses

WORDS = st.sampled_from(["a", "b c", "json", "<x>", " ", "", "x-anthropic-billing-header: no"])
NAMES = st.sampled_from(["f", "fs.read", "mcp__" + "x" * 80])


@st.composite
def rounds(draw: st.DrawFn) -> list[list[Message]]:
    """What the user says, and then what the model answers, several times over."""
    conversation: list[list[Message]] = []
    calls: list[ToolCall] = []
    for turn in range(draw(st.integers(1, 5))):
        content: list[Part] = [
            ToolResult(id=call.id, name=call.name, content=[Text(text=draw(WORDS))]) for call in calls
        ]
        content += [Text(text=draw(WORDS)) for _ in range(draw(st.integers(0, 2)))]
        asking = [Message(role="user", content=content or [Text(text="go")])]
        if draw(st.booleans()):
            asking.append(Message(role="system", content=[Text(text=f"late {turn}")]))
        calls = [
            ToolCall(id=f"call_{turn}_{i}", name=draw(NAMES), arguments='{"a":1}')
            for i in range(draw(st.integers(0, 2)))
        ]
        thoughts: list[Part] = [Thinking(text="hm")] if draw(st.booleans()) else []
        answer = Message(role="assistant", content=[*thoughts, Text(text="ok" + draw(WORDS)), *calls])
        conversation.append([*asking, answer])
    return conversation


TOOLS = [Tool(name="f", description="Does f.", schema={"type": "object", "properties": {"a": {"type": "integer"}}})]
CHOICES: list[dict[str, Any]] = [
    {},
    {"tools": TOOLS},
    {"tools": TOOLS, "tool_choice": ToolChoice(mode="any")},
    {"tools": TOOLS, "tool_choice": ToolChoice(mode="none")},
]


def written(origin: str, messages: list[Message], turn: int, members: dict[str, Any]) -> Object:
    """The body a client of `origin` sends; Claude Code's first line and its cache mark change at every call."""
    messages = deepcopy(messages)
    first: list[Part] = [Text(text="You help.")]
    if origin == "anthropic":
        first.insert(0, Text(text=f"x-anthropic-billing-header: cc_version=2; cch={turn};"))
        last = [part for part in messages[-1].content if isinstance(part, Text | ToolResult)]
        if last:
            last[-1].cache = "5m"
    request = Request(
        origin=origin, model="m", messages=[Message(role="system", content=first), *messages], **deepcopy(members)
    )
    choice = request.tool_choice
    if origin == "ollama":
        request.tool_choice = None
    body: Object = registry()[origin].encode_request(request, Losses())
    if origin == "ollama" and choice is not None:
        body["tool_choice"] = "required" if choice.mode == "any" else choice.mode
    return msgspec.json.decode(msgspec.json.encode(body))  # type: ignore[no-any-return]


PAIRS = [(source, target) for source in ("anthropic", "openai_chat", "ollama") for target in ("ollama", "openai_chat")]


@pytest.mark.parametrize(("source", "target"), [pair for pair in PAIRS if pair[0] != pair[1]])
@settings(max_examples=60, deadline=None)
@given(conversation=rounds(), members=st.sampled_from(CHOICES))
def test_the_beginning_stays(
    source: str, target: str, conversation: list[list[Message]], members: dict[str, Any]
) -> None:
    before: Object | None = None
    for turn in range(len(conversation)):
        history = [message for exchange in conversation[:turn] for message in exchange]
        asking = conversation[turn][:-1]
        body = translate(written(source, history + asking, turn, members), source=source, target=target).body
        if before is not None:
            assert list(map(json.dumps, body["messages"]))[: len(before["messages"])] == list(
                map(json.dumps, before["messages"])
            )
            assert {**body, "messages": []} == {**before, "messages": []}
        before = body


CLAUDE_CODE: Object = {
    "model": "qwen3-coder",
    "max_tokens": 32000,
    "stream": True,
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'},
    "tools": [
        {
            "name": "Read",
            "description": "Reads a file.",
            "input_schema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": {"file_path": {"type": "string"}},
                "required": ["file_path"],
                "additionalProperties": False,
            },
            "eager_input_streaming": True,
        }
    ],
}


def claude_code(turns: int) -> Object:
    """What Claude Code sends after so many calls of a tool."""
    mark = {"type": "ephemeral"}
    system = [
        {
            "type": "text",
            "text": f"x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli; cch={turns:05x};",
        },
        {"type": "text", "text": "You are Claude Code.", "cache_control": {**mark, "scope": "global"}},
        {"type": "text", "text": "# Instructions", "cache_control": mark},
    ]
    messages: list[Object] = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "<system-reminder>x</system-reminder>"}, _text("Fix it.")],
        },
        {"role": "system", "content": "The date is today's."},
    ]
    for turn in range(turns):
        use = {"type": "tool_use", "id": f"toolu_{turn}", "name": "Read", "input": {"file_path": f"/{turn}"}}
        thought = {"type": "thinking", "thinking": f"thought {turn}", "signature": "dragoman.1.e30"}
        back = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": "text", "is_error": False}
        if turn == turns - 1:
            back["cache_control"] = mark
        messages += [{"role": "assistant", "content": [thought, use]}, {"role": "user", "content": [back]}]
    return {**deepcopy(CLAUDE_CODE), "system": system, "messages": messages}


def _text(text: str) -> Object:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize("target", ["ollama", "openai_chat"])
def test_claude_code_loses_nothing(target: str) -> None:
    for turns in (0, 3):
        assert translate(claude_code(turns), source="anthropic", target=target).dropped == {}


@pytest.mark.parametrize("target", ["ollama", "openai_chat"])
def test_a_long_loop_of_claude_code_keeps_its_beginning(target: str) -> None:
    before = translate(claude_code(0), source="anthropic", target=target).body
    for turns in range(10, 101, 10):
        body = translate(claude_code(turns), source="anthropic", target=target).body
        old, new = (msgspec.json.encode(b["messages"]) for b in (before, body))
        assert new.startswith(old[:-1])
        assert body["tools"] == before["tools"]
        before = body
    roles = [message["role"] for message in before["messages"]]
    assert roles == ["system", "user", *["assistant", "tool"] * 100]
