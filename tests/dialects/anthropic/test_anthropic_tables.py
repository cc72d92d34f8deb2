"""Every part and member, decoded and encoded from the same row."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from dragoman.conversation import (
    Citation,
    Foreign,
    Format,
    Media,
    Message,
    Object,
    Part,
    Reasoning,
    Refusal,
    Request,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from dragoman.dialects import anthropic
from dragoman.dialects.anthropic.blocks import decode_block, encode_part
from dragoman.dialects.anthropic.vocabulary import REASONS, STOP_REASONS, decode_usage, encode_usage
from dragoman.errors import GatewayError
from dragoman.losses import Losses

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SEARCH: Object = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
CITED: Object = {"type": "web_search_result_location", "url": "https://h", "title": "T", "cited_text": "c"}

PARTS: list[tuple[Part, Object]] = [
    (Text(text="hello"), {"type": "text", "text": "hello"}),
    (Text(text="a", cache="5m"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
    (Text(text="a", cache="1h"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
    (Text(text="a", extra={"novel": 1}), {"type": "text", "text": "a", "novel": 1}),
    (
        Text(text="a", citations=[Citation(url="https://h", title="T", text="c", extra=CITED)]),
        {"type": "text", "text": "a", "citations": [CITED]},
    ),
    (
        Thinking(text="hm", seal=Seal("anthropic", "sig")),
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
    ),
    (Thinking(text="", seal=Seal("anthropic", "sig")), {"type": "thinking", "thinking": "", "signature": "sig"}),
    (
        Thinking(text="", redacted=True, seal=Seal("anthropic", "Em")),
        {"type": "redacted_thinking", "data": "Em"},
    ),
    (
        ToolCall(id="toolu_1", name="f", arguments='{"a":1}'),
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ),
    (
        ToolCall(id="toolu_1", name="f", arguments="{}", extra={"caller": {"type": "direct"}}),
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "direct"}},
    ),
    (ToolResult(id="toolu_1", content=[]), {"type": "tool_result", "tool_use_id": "toolu_1"}),
    (
        ToolResult(id="toolu_1", content=[Text(text="no")], is_error=True),
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [{"type": "text", "text": "no"}],
            "is_error": True,
        },
    ),
    (
        Media(kind="image", data=PNG, media_type="image/png"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        Media(kind="image", source="url", data="https://h/x.png"),
        {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}},
    ),
    (
        Media(kind="image", source="file", data="file_1"),
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ),
    (
        Media(kind="document", data="JVBERi0xLjQK", media_type="application/pdf", name="Bill"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"},
            "title": "Bill",
        },
    ),
    (
        Media(kind="document", source="text", data="abc", media_type="text/plain"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}},
    ),
    (Foreign(origin="anthropic", extra=SEARCH), SEARCH),
]


@pytest.mark.parametrize(
    ("part", "wire"), PARTS, ids=lambda value: value.get("type") if isinstance(value, dict) else ""
)
def test_a_part_is_decoded_and_encoded(part: Part, wire: Object) -> None:
    assert decode_block(copy.deepcopy(wire), "at") == part
    losses = Losses()
    assert encode_part(part, "anthropic", losses, "at") == wire
    assert not losses.dropped


ONE_WAY: list[tuple[Part, Object | None, str]] = [
    (Refusal(text="no"), {"type": "text", "text": "no"}, ""),
    (Thinking(text="hm"), None, "thinking"),
    (Thinking(text="hm", seal=Seal("openai_responses", "x")), None, "thinking"),
    (Media(kind="audio", data="UklGRg==", media_type="audio/wav"), None, "at"),
    (Media(kind="image", data="Qk0AAAAAAAAA", media_type="image/png"), None, "at"),
    (Foreign(origin="openai_chat", extra={"type": "novel"}), None, "at"),
    (
        Media(kind="image", data=PNG, media_type="image/jpeg"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        "",
    ),
    (
        ToolCall(id="c", name="f", arguments="not json"),
        {"type": "tool_use", "id": "c", "name": "f", "input": {"_invalid_json": "not json"}},
        "",
    ),
    (ToolCall(id="c", name="f", arguments=""), {"type": "tool_use", "id": "c", "name": "f", "input": {}}, ""),
]


@pytest.mark.parametrize(("part", "wire", "lost"), ONE_WAY)
def test_what_other_dialects_say(part: Part, wire: Object | None, lost: str) -> None:
    losses = Losses()
    assert encode_part(part, "ollama", losses, "at") == wire
    assert list(losses.dropped) == ([lost] if lost else [])


SLOPPY: list[tuple[Object, Media]] = [
    ({"type": "base64", "data": f"data:image/png;base64,{PNG}"}, Media(kind="image", data=PNG, media_type="image/png")),
    ({"type": "url", "url": f"data:image/png;base64,{PNG}"}, Media(kind="image", data=PNG, media_type="image/png")),
    (
        {"type": "base64", "media_type": "image/png", "data": "iVBO\nRw"},
        Media(kind="image", data="iVBORw==", media_type="image/png"),
    ),
]


@pytest.mark.parametrize(("source", "part"), SLOPPY)
def test_sloppy_media_is_understood(source: Object, part: Media) -> None:
    assert decode_block({"type": "image", "source": source}, "at") == part


def test_a_text_in_base64_is_a_text_document() -> None:
    source = {"type": "base64", "media_type": "text/markdown", "data": "IyBBw6Q="}
    part = decode_block({"type": "document", "source": source}, "at")
    assert part == Media(kind="document", source="text", data="# Aä", media_type="text/markdown")


def test_extra_belongs_to_its_origin() -> None:
    part = Text(text="a", extra={"novel": 1})
    assert encode_part(part, "ollama", Losses(), "at") == {"type": "text", "text": "a"}


USER = Message(role="user", content=[Text(text="hi")])
MEMBERS: list[tuple[dict[str, Any], Object]] = [
    ({"max_tokens": 7}, {"max_tokens": 7}),
    ({"temperature": 0.5, "top_p": 0.9, "top_k": 3}, {"temperature": 0.5, "top_p": 0.9, "top_k": 3}),
    ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
    ({"stream": True}, {"stream": True}),
    ({"user": "u"}, {"metadata": {"user_id": "u"}}),
    ({"cache": "5m"}, {"cache_control": {"type": "ephemeral"}}),
    ({"reasoning": Reasoning(enabled=True, mode="adaptive")}, {"thinking": {"type": "adaptive"}}),
    (
        {"reasoning": Reasoning(enabled=True, mode="adaptive", visible=True, effort="high")},
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
    ),
    (
        {"reasoning": Reasoning(enabled=True, mode="enabled", budget=2000)},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    ),
    ({"reasoning": Reasoning(enabled=False, mode="disabled")}, {"thinking": {"type": "disabled"}}),
    ({"reasoning": Reasoning(enabled=False, mode="between_tools")}, {"thinking": {"type": "between_tools"}}),
    ({"reasoning": Reasoning(effort="max")}, {"output_config": {"effort": "max"}}),
    (
        {"format": Format(kind="schema", schema={"type": "object"})},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    ),
    (
        {"tools": [Tool(name="f", description="d", schema={"type": "object"}, strict=True, cache="5m")]},
        {
            "tools": [
                {
                    "name": "f",
                    "description": "d",
                    "input_schema": {"type": "object"},
                    "strict": True,
                    "cache_control": {"type": "ephemeral"},
                }
            ]
        },
    ),
    (
        {"tools": [Tool(name="web_search", hosted=True, extra={"type": "web_search_20260318", "name": "web_search"})]},
        {"tools": [{"type": "web_search_20260318", "name": "web_search"}]},
    ),
    (
        {
            "messages": [
                Message(role="system", content=[Text(text="s")], at="system"),
                USER,
                Message(role="assistant", content=[Text(text="a")]),
            ]
        },
        {
            "system": [{"type": "text", "text": "s"}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            ],
        },
    ),
    ({"extra": {"service_tier": "auto"}}, {"service_tier": "auto"}),
]
BARE: Object = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}


@pytest.mark.parametrize(("members", "wire"), MEMBERS, ids=",".join)
def test_a_member_is_decoded_and_encoded(members: dict[str, Any], wire: Object) -> None:
    whole = BARE | {"max_tokens": 1} | wire
    common: dict[str, Any] = {"origin": "anthropic", "model": "m", "messages": [USER], "max_tokens": 1}
    request = Request(**(common | members))
    assert anthropic.decode_request(copy.deepcopy(whole)) == request
    assert anthropic.encode_request(request, Losses()) == whole


CHOICES: list[tuple[ToolChoice, Object]] = [
    (ToolChoice(mode="auto"), {"type": "auto"}),
    (ToolChoice(mode="any"), {"type": "any"}),
    (ToolChoice(mode="none"), {"type": "none"}),
    (ToolChoice(mode="tool", name="f"), {"type": "tool", "name": "f"}),
    (ToolChoice(mode="auto", parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
]


@pytest.mark.parametrize(("choice", "wire"), CHOICES)
def test_a_tool_choice_is_decoded_and_encoded(choice: ToolChoice, wire: Object) -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    body = copy.deepcopy(BARE) | {"tools": tools, "tool_choice": dict(wire)}
    request = anthropic.decode_request(body)
    assert request.tool_choice == choice
    assert anthropic.encode_request(request, Losses())["tool_choice"] == wire


def test_old_and_short_spellings_are_understood() -> None:
    request = anthropic.decode_request(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "system": "s",
            "output_format": {"type": "json_schema", "schema": {"type": "object"}},
        }
    )
    assert request.messages == [Message(role="system", content=[Text(text="s")], at="system"), USER]
    assert request.format == Format(kind="schema", schema={"type": "object"})


BAD: list[tuple[Object, str]] = [
    ({}, "model"),
    ({"model": "m"}, "messages"),
    ({"model": "m", "messages": []}, "messages"),
    ({"messages": BARE["messages"]}, "model"),
    (BARE | {"max_tokens": "many"}, "max_tokens"),
    (BARE | {"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
    (BARE | {"messages": [{"content": ""}]}, "messages[0].role"),
    (BARE | {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    (BARE | {"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    (BARE | {"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
    (BARE | {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
    (
        BARE
        | {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "%"}}]}]},
        "messages[0].content[0].source.data",
    ),
    (BARE | {"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    (BARE | {"tools": [{"type": "web_search_20260318", "name": 1}]}, "tools[0].name"),
    (BARE | {"thread": {"type": "create"}}, "thread"),
    (BARE | {"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
    (BARE | {"output_config": {"effort": "huge"}}, "output_config.effort"),
    (BARE | {"stop_sequences": [1]}, "stop_sequences[0]"),
]


@pytest.mark.parametrize(("body", "where"), BAD, ids=[where for _, where in BAD])
def test_a_bad_request_is_told_where(body: Object, where: str) -> None:
    with pytest.raises(GatewayError) as caught:
        anthropic.decode_request(copy.deepcopy(body))
    assert (caught.value.kind, caught.value.param) == ("invalid_request", where)


USAGES: list[tuple[Usage, Object]] = [
    (Usage(input=10, output=5), {"input_tokens": 10, "output_tokens": 5}),
    (
        Usage(input=100, output=5, cache_read=60, cache_write=30, cache_write_1h=10, thinking=4),
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
            "output_tokens_details": {"thinking_tokens": 4},
        },
    ),
]


@pytest.mark.parametrize(("usage", "wire"), USAGES)
def test_usage_counts_cached_tokens_once(usage: Usage, wire: Object) -> None:
    assert decode_usage(wire) == usage
    assert {key: value for key, value in encode_usage(usage).items() if key in wire} == wire


def test_every_stop_reason_has_its_way_back() -> None:
    assert {theirs: STOP_REASONS[ours] for theirs, ours in REASONS.items()} == {theirs: theirs for theirs in REASONS}


def _envelope(kind: str, message: str = "m") -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


ERRORS: list[tuple[int, bytes, str, str]] = [
    (400, _envelope("invalid_request_error"), "invalid_request", "m"),
    (
        400,
        _envelope("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
        "context_length",
        "prompt is too long: 208310 tokens > 200000 maximum",
    ),
    (
        400,
        _envelope("invalid_request_error", "Your credit balance is too low"),
        "billing",
        "Your credit balance is too low",
    ),
    (
        400,
        _envelope("invalid_request_error", "You have reached your specified API usage limits. You will regain access"),
        "billing",
        "You have reached your specified API usage limits. You will regain access",
    ),
    (401, _envelope("authentication_error"), "authentication", "m"),
    (402, _envelope("billing_error"), "billing", "m"),
    (403, _envelope("permission_error"), "permission", "m"),
    (404, _envelope("not_found_error"), "not_found", "m"),
    (404, _envelope("not_found_error", "model: x"), "model_not_found", "model: x"),
    (413, b"<html>", "too_large", "the upstream answered with HTTP status 413"),
    (429, _envelope("rate_limit_error"), "rate_limit", "m"),
    (500, _envelope("api_error"), "upstream", "m"),
    (502, b"<html>bad gateway</html>", "upstream", "the upstream answered with HTTP status 502"),
    (504, _envelope("timeout_error"), "timeout", "m"),
    (529, _envelope("overloaded_error"), "overloaded", "m"),
    (418, b'{"error":"flat"}', "invalid_request", "flat"),
    (500, b"[1]", "upstream", "the upstream answered with HTTP status 500"),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), ERRORS)
def test_an_error_keeps_its_meaning(status: int, body: bytes, kind: str, message: str) -> None:
    error = anthropic.decode_error(status, body, 3.0)
    assert (error.kind, error.message, error.retry_after) == (kind, message, 3.0)
    envelope = anthropic.encode_error(error)
    assert envelope["error"]["message"] == message
