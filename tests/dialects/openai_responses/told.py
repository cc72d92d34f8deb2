"""Answers as events, each with the request that asked for it."""

from __future__ import annotations

from typing import Any

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Event,
    Fault,
    Finish,
    PartEnd,
    PartStart,
    Refusal,
    Seal,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)

USAGE = Usage(input=10, output=7, cache_read=4, thinking=3)
FUNCTION: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
CUSTOM: dict[str, Any] = {
    "type": "custom",
    "name": "sql",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /./"},
}
SPACE: dict[str, Any] = {
    "type": "namespace",
    "name": "multi_agent_v1",
    "description": "Other agents.",
    "tools": [{"type": "function", "name": "spawn_agent", "description": "Start one.", "parameters": {}}],
}
SEALED: dict[str, Any] = {"include": ["reasoning.encrypted_content"], "store": False, "reasoning": {"summary": "auto"}}


def text(index: int, *pieces: str) -> list[Event]:
    return [PartStart(index, Text(text="")), *(TextDelta(index, piece) for piece in pieces), PartEnd(index)]


def thought(index: int, *pieces: str, seal: str = "") -> list[Event]:
    sealed: list[Event] = [SealDelta(index, Seal("anthropic", seal))] if seal else []
    said = [TextDelta(index, piece) for piece in pieces]
    return [PartStart(index, Thinking(text="")), *said, *sealed, PartEnd(index)]


def call(index: int, id: str, name: str, *pieces: str, freeform: bool = False) -> list[Event]:
    opening = PartStart(index, ToolCall(id=id, name=name, arguments="", freeform=freeform))
    return [opening, *(ArgumentsDelta(index, piece) for piece in pieces), PartEnd(index)]


START = Start("msg_1", "claude", origin="anthropic")

ANSWERS: dict[str, tuple[dict[str, Any], list[Event]]] = {
    "text": ({}, [START, *text(0, "Grüße, ", '"Welt"\n'), Finish("stop", USAGE)]),
    "reasoning_text_call": (
        {**SEALED, "tools": [FUNCTION]},
        [
            START,
            *thought(0, "Let me ", "see.", seal="c2VhbA=="),
            PartStart(1, Thinking(text="", redacted=True, seal=Seal("anthropic", "cmVk"))),
            PartEnd(1),
            *text(2, "Looking."),
            *call(3, "call_a", "weather", '{"city":', ' "Oslo"}'),
            Finish("tool_calls", USAGE),
        ],
    ),
    "two_calls": (
        {"tools": [FUNCTION]},
        [
            START,
            *call(0, "call_a", "weather", '{"city": "Oslo"}'),
            *call(1, "call_b", "weather"),
            Finish("tool_calls", USAGE),
        ],
    ),
    "custom": (
        {"tools": [CUSTOM]},
        [START, *call(0, "call_a", "sql", "select ", "1", freeform=True), Finish("tool_calls", USAGE)],
    ),
    "namespace": (
        {"tools": [SPACE], "tool_choice": "auto"},
        [START, *call(0, "call_a", "multi_agent_v1__spawn_agent", '{"message": "go"}'), Finish("tool_calls", USAGE)],
    ),
    "refusal": ({}, [START, Finish("refusal", USAGE, explanation="This request was declined.")]),
    "refusal_in_words": (
        {},
        [START, PartStart(0, Refusal(text="")), TextDelta(0, "I will not."), PartEnd(0), Finish("stop", USAGE)],
    ),
    "refusal_in_mid_text": (
        {},
        [START, *text(0, "First, take"), Finish("refusal", USAGE, explanation="This request was declined.")],
    ),
    "length": ({"max_output_tokens": 16}, [START, *text(0, "Once upon a"), Finish("length", USAGE)]),
    "length_in_a_call": (
        {"max_output_tokens": 16, "tools": [FUNCTION]},
        [START, *text(0, "Well."), *call(1, "call_a", "weather", '{"ci'), Finish("length", USAGE)],
    ),
    "fault_before_the_start": ({}, [Fault("rate_limit", "Slow down.", 1.2)]),
    "fault_after_the_start": (
        {"tools": [FUNCTION]},
        [
            START,
            *text(0, "Hello"),
            PartStart(1, ToolCall(id="call_a", name="weather", arguments="")),
            ArgumentsDelta(1, '{"ci'),
            Fault("overloaded", "Overloaded"),
            Finish("stop"),
        ],
    ),
    "citations": (
        {},
        [
            START,
            *text(0, "Oslo "),
            PartStart(1, Text(text="")),
            TextDelta(1, "is cold."),
            CitationDelta(1, Citation(url="https://weather.example/oslo", title="Oslo")),
            PartEnd(1),
            *text(2, " Bergen is wet."),
            Finish("stop", USAGE),
        ],
    ),
    "hidden_reasoning": (
        {"reasoning": {"effort": "low"}, "store": False},
        [START, *thought(0, "Secret.", seal="c2VhbA=="), *text(1, "42"), Finish("stop", USAGE)],
    ),
    "nothing": ({}, [START, Finish("stop", USAGE)]),
}
