"""Every request the real API would refuse, one a row: what is wrong with it, the status, and the words."""

from __future__ import annotations

from datetime import date
from typing import Any

import anthropic
import httpx
import pytest

from dragoman.models.cards import Card, bundled
from dragoman.simulator.refused import Refused
from dragoman.simulator.rules import NEW_VERSION, OLD_VERSION, Call, check
from dragoman.simulator.server import Running

TODAY = date(2026, 11, 22)
CARDS: dict[str, Card] = dict(bundled().cards)
CARDS |= {alias: card for card in bundled().cards.values() for alias in card.aliases}

SONNET_45 = "claude-sonnet-4-5"  # manual thinking, prefill, temperature or top_p, no effort
OPUS_46 = "claude-opus-4-6"  # manual and adaptive thinking, no prefill
OPUS_48 = "claude-opus-4-8"  # adaptive, no sampling, mid-conversation system
SONNET_55 = "claude-sonnet-5-5"  # between_tools
OPUS_55 = "claude-opus-5-5"  # always thinks, no forced tools
ASK = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
TOOL = {"name": "clock", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:00"}
CACHED = {"cache_control": {"type": "ephemeral"}}
FORGED = {"type": "thinking", "thinking": "hm", "signature": "EqQBCkYIBxgC"}


def body(**members: Any) -> dict[str, Any]:
    """A request Sonnet 4.5 takes, changed by `members`; a member given as None is left out."""
    base = {"model": SONNET_45, "max_tokens": 100, "messages": [ASK]}
    return {name: value for name, value in (base | members).items() if value is not None}


def said(*contents: Any, **members: Any) -> dict[str, Any]:
    """A conversation of user and assistant in turn."""
    roles = ("user", "assistant")
    return body(messages=[{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)], **members)


def text(words: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **members}


def system(words: str) -> dict[str, Any]:
    return {"role": "system", "content": words}


SHAPE = [
    (body(model=None), "model: Field required"),
    (body(messages=None), "messages: Field required"),
    (body(max_tokens=None), "max_tokens: Field required"),
    (body(max_tokens="10"), "max_tokens: Input should be a valid integer"),
    (body(max_tokens=1.5), "max_tokens: Input should be a valid integer"),
    (body(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
    (body(stream="yes"), "stream: Input should be a valid boolean"),
    (body(messages="hi"), "messages: Input should be a valid list"),
    (body(messages=["hi"]), "messages.0: Input should be a valid dictionary"),
    (body(messages=[{"role": "user"}]), "messages.0.content: Field required"),
    (body(messages=[{"content": "hi"}]), "messages.0.role: Field required"),
    (body(messages=[{"role": "tool", "content": "x"}]), "messages.0.role: Input should be 'user', 'assistant' or"),
    (body(messages=[{"role": "user", "content": 5}]), "messages.0.content: Input should be a valid list"),
    (said([{"text": "x"}]), "messages.0.content.0.type: Field required"),
    (said([{"type": "input_text", "text": "x"}]), "messages.0.content.0: Input tag 'input_text' found using 'type'"),
    (said([{"type": "text"}]), "messages.0.content.0.text.text: Field required"),
    (body(temperature=1.5), "temperature: Input should be less than or equal to 1"),
    (body(top_k=-1), "top_k: Input should be greater than or equal to 0"),
    (body(system=[{"type": "image"}]), "system.0.text: Field required"),
    (body(tools=[TOOL], tool_choice="auto"), "tool_choice: Input should be a valid dictionary"),
    (body(tools=[TOOL], tool_choice={"type": "required"}), "tool_choice: Input tag 'required' found using 'type'"),
    (body(thinking={"type": "enabled"}), "thinking.enabled.budget_tokens: Field required"),
    (body(output_config={"effort": "minimal"}), "output_config.effort: Input should be 'low', 'medium'"),
    (body(service_tier="flex"), "service_tier: Input should be 'auto' or 'standard_only'"),
    (body() | {"system": None}, "system: Input should be a valid list"),
    (body() | {"tools": None}, "tools: Input should be a valid list"),
]

# Members of other dialects that leaked through, and members that need a beta header.
FOREIGN = [
    *[
        (body(**{name: value}), f"{name}: Extra inputs are not permitted")
        for name, value in {
            "n": 1,
            "seed": 1,
            "stop": ["x"],
            "options": {},
            "format": "json",
            "keep_alive": "5m",
            "think": True,
            "user": "u",
            "logprobs": True,
            "response_format": {"type": "json_object"},
            "max_completion_tokens": 5,
            "parallel_tool_calls": True,
            "reasoning_effort": "low",
            "stream_options": {},
            "context_management": {"edits": []},
            "mcp_servers": [],
            "output_format": {},
            "fallbacks": "default",
            "thread": {},
        }.items()
    ],
    (body(speed="fast"), "speed: Extra inputs are not permitted"),
    (body(messages=[{**ASK, "name": "bob"}]), "messages.0.name: Extra inputs are not permitted"),
    (body(messages=[{**ASK, "images": []}]), "messages.0.images: Extra inputs are not permitted"),
    (said([text("x", id="y")]), "messages.0.content.0.text.id: Extra inputs are not permitted"),
    (
        body(system=[text("x", cache_control={"type": "ephemeral", "scope": "global"})]),
        "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted",
    ),
    (said("q", [{**FORGED, **CACHED}], "q"), "messages.1.content.0.thinking.cache_control: Extra inputs are not"),
    (body(tools=[{**TOOL, "parameters": {}}]), "tools.0.custom.parameters: Extra inputs are not permitted"),
    (
        body(tools=[{"type": "function", "function": {"name": "f"}}]),
        "tools.0: Input tag 'function' found using 'type' does not match any of the expected tags: 'custom'",
    ),
    (
        body(tools=[TOOL], tool_choice={"type": "none", "disable_parallel_tool_use": True}),
        "tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted",
    ),
    (
        body(model=OPUS_48, thinking={"type": "disabled", "display": "omitted"}),
        "thinking.disabled.display: Extra inputs are not permitted",
    ),
    (body(output_config={"verbosity": "low"}), "output_config.verbosity: Extra inputs are not permitted"),
    (body(metadata={"user": "x"}), "metadata.user: Extra inputs are not permitted"),
]

TOOLS = [
    (
        body(tools=[{**TOOL, "name": "a.b"}]),
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    (body(tools=[{**TOOL, "name": "x" * 129}]), "tools.0.custom.name: String should match pattern"),
    (body(tools=[TOOL, TOOL]), "tools: Tool names must be unique."),
    (body(tools=[{"name": "f"}]), "tools.0.custom.input_schema: Field required"),
    (body(tools=[{"name": "f", "input_schema": {}}]), "tools.0.custom.input_schema.type: Field required"),
    (
        body(tools=[{"name": "f", "input_schema": {"type": "string"}}]),
        "tools.0.custom.input_schema.type: Input should be 'object'",
    ),
    (
        body(tools=[{"name": "f", "input_schema": {"type": "object", "oneOf": [{}]}}]),
        "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
    ),
    (
        body(tools=[TOOL, {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "text"}}}}]),
        "tools.1.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12",
    ),
    (
        body(tools=[{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"required": True}}}}]),
        "tools.0.custom.input_schema: JSON schema is invalid.",
    ),
    (body(tools=[{**TOOL, "defer_loading": True}]), "At least one tool must have defer_loading=false."),
    (body(tool_choice={"type": "auto"}), "tool_choice: Tool choice may only be specified while providing tools."),
    (
        body(tools=[TOOL], tool_choice={"type": "tool", "name": "other"}),
        "Tool 'other' not found in provided tools",
    ),
    (
        body(tools=[{"name": "f", "input_schema": {"type": "object", "required": ["a"]}, "input_examples": [{}]}]),
        "tools.0.custom.input_examples.0: does not match the tool's input_schema",
    ),
    (
        body(tools=[{"type": "web_search_20250305", "name": "search"}]),
        "tools.0.web_search_20250305.name: Input should be 'web_search'",
    ),
    (
        said("q", [CALL], [{**RESULT, "content": [{"type": "tool_reference", "tool_name": "x"}]}], tools=[TOOL]),
        "Tool reference 'x' not found in available tools",
    ),
]

MESSAGES = [
    (body(messages=[]), "messages: at least one message is required"),
    (body(messages=[{"role": "assistant", "content": "x"}, ASK]), 'messages: first message must use the "user" role'),
    (said(""), "messages.0: all messages must have non-empty content except for the optional final assistant message"),
    (said("q", [], "q"), "messages.1: all messages must have non-empty content except"),
    (said([text("")]), "messages: text content blocks must be non-empty"),
    (said(" \n"), "messages: text content blocks must contain non-whitespace text"),
    (said("q", [text("\t")], "q"), "messages: text content blocks must contain non-whitespace text"),
    (body(system=""), "system: text content blocks must be non-empty"),
    (body(system=[text("")]), "system: text content blocks must be non-empty"),
    (body(system=" "), "system: text content blocks must contain non-whitespace text"),
    (said([CALL]), "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages"),
    (said("q", [RESULT], "q"), "messages.1.content.0: `tool_result` blocks can only be in `user` messages"),
    (
        said("q", [CALL], "q"),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each "
        "`tool_use` block must have a corresponding `tool_result` block in the next message.",
    ),
    (said("q", [CALL, {**CALL, "id": "toolu_2"}], [RESULT]), "messages.1: `tool_use` ids were found without"),
    (said("q", [CALL], [text("so:"), RESULT]), "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    (said("q", [CALL]), "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after"),
    (
        said([RESULT]),
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each `tool_result` "
        "block must have a corresponding `tool_use` block in the previous message.",
    ),
    (
        said("q", [CALL], [RESULT, {**RESULT, "tool_use_id": "toolu_9"}]),
        "messages.2.content.1: unexpected `tool_use_id` found in `tool_result` blocks: toolu_9.",
    ),
    (
        said("q", [CALL], [RESULT, RESULT]),
        "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
        "toolu_1",
    ),
    (said("q", [CALL, CALL], [RESULT]), "messages.1.content.1: `tool_use` ids must be unique"),
    (said("q", [CALL], [RESULT], [CALL], [RESULT]), "messages.3.content.0: `tool_use` ids must be unique"),
    (
        said("q", [{**CALL, "id": "functions.f:0"}], [{**RESULT, "tool_use_id": "functions.f:0"}]),
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (said("q", [{**CALL, "id": ""}], [RESULT]), "messages.1.content.0.tool_use.id: String should match pattern"),
    (
        said("q", [{**CALL, "input": "{}"}], [RESULT]),
        "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
    ),
    (
        said(
            "q", [CALL], [{**RESULT, "is_error": True, "content": [{"type": "document", "source": {
                "type": "text", "media_type": "text/plain", "data": "x"}}]}]),
        "messages.2.content.0.tool_result.content.0: all content must be type `text` if `is_error` is true",
    ),
    (
        said("q", [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}], "q"),
        "messages.1.content.0: `web_search` tool use with id `srvtoolu_1` was found without a corresponding "
        "`web_search_tool_result` block",
    ),
    (
        said("q", [{"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}], "q"),
        "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks: srvtoolu_1. Each "
        "`web_search_tool_result` block must have a corresponding `server_tool_use` block before it.",
    ),
    (body(stop_sequences=["\n"]), "stop_sequences: each stop sequence must contain non-whitespace"),
]  # fmt: skip

SYSTEM = [
    (body(messages=[ASK, system("be brief")]), 'messages: Unexpected role "system". The Messages API accepts a top-'),
    (body(model="claude-sonnet-5", messages=[ASK, system("x")]), "role 'system' is not supported on this model"),
    (
        body(model=OPUS_48, messages=[system("x"), ASK]),
        "messages.0: use the top-level 'system' parameter for the initial system prompt; the directive-only form",
    ),
    (
        body(model=OPUS_48, messages=[ASK, system("x"), ASK]),
        "messages.1: role 'system' must precede an 'assistant' message or end the array",
    ),
    (body(model=OPUS_48, messages=[ASK, system("x"), system("y")]), "messages.1: role 'system' must precede"),
    (
        body(model=OPUS_48, messages=[ASK, {"role": "assistant", "content": "x"}, system("x")]),
        "messages.2: role 'system' must follow a 'user' message",
    ),
    (
        body(model=OPUS_48, messages=[ASK, {**system("x"), "output_config": {"effort": "low"}}]),
        "messages.1.output_config: Extra inputs are not permitted",
    ),
]

PREFILL = [
    (
        said("q", "a", model=OPUS_46),
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    ),
    (said("q", "a "), "messages: final assistant content cannot end with trailing whitespace"),
    (
        said("q", "a", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024}),
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.",
    ),
    (
        said("q", "a", output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
        "messages: assistant message prefill is not supported together with output_config.format",
    ),
]

BUDGET = {"type": "enabled", "budget_tokens": 1024}
THINKING = [
    (
        body(model=OPUS_48, thinking=BUDGET),
        '"thinking.type.enabled" is not supported for this model. Use "thinking.type',
    ),
    (body(model=OPUS_55, thinking={"type": "disabled"}), '"thinking.type.disabled" is not supported for this model.'),
    (body(model=SONNET_55, thinking={"type": "disabled"}), '"thinking": {"type": "between_tools"}'),
    (body(model=OPUS_48, thinking={"type": "between_tools"}), '"thinking.type.between_tools" is not supported'),
    (body(thinking={"type": "adaptive"}), "adaptive thinking is not supported on this model"),
    (
        body(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1023}),
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (body(max_tokens=1024, thinking=BUDGET), "`max_tokens` must be greater than `thinking.budget_tokens`."),
    (
        body(max_tokens=1024, thinking=BUDGET, tools=[TOOL]),
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    (
        body(model=OPUS_48, thinking={"type": "adaptive", "display": "updates"}),
        "thinking.adaptive.display: Input should",
    ),
    (
        body(model=OPUS_55, thinking={"type": "adaptive", "block_binding": {}}),
        "thinking.adaptive.block_binding: Extra inputs are not permitted",
    ),
    (body(output_config={"effort": "low"}), "This model does not support the effort parameter."),
    (body(model=OPUS_46, output_config={"effort": "xhigh"}), "output_config.effort 'xhigh' is not supported for this"),
    (
        body(model=SONNET_55, thinking={"type": "between_tools"}, output_config={"effort": "max"}),
        "output_config.effort 'max' is not supported when thinking is disabled on this model. Use effort 'high' or "
        "below, or enable thinking.",
    ),
    (
        said("q", [CALL], [RESULT], max_tokens=2000, thinking=BUDGET, tools=[TOOL]),
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` "
        "is enabled, a final `assistant` message must start with a thinking block",
    ),
    (said("q", [FORGED, text("a")], "q"), "messages.1.content.0: Invalid `signature` in `thinking` block"),
    (
        said("q", [{**FORGED, "signature": ""}, text("a")], "q"),
        "messages.1.content.0: Invalid `signature` in `thinking`",
    ),
    (
        said("q", [{"type": "redacted_thinking", "data": "abc"}, text("a")], "q"),
        "messages.1.content.0: Invalid `data` in `redacted_thinking` block",
    ),
]

MODEL = [
    (body(model=OPUS_48, temperature=1), "`temperature` is deprecated for this model."),
    (body(model=OPUS_48, top_p=0.9), "`top_p` is deprecated for this model."),
    (body(model=OPUS_55, top_k=0), "`top_k` is deprecated for this model."),
    (
        body(temperature=0.5, top_p=0.9),
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    ),
    (
        body(max_tokens=2000, thinking=BUDGET, temperature=0.5),
        "`temperature` may only be set to 1 when thinking is enabled",
    ),
    (body(max_tokens=2000, thinking=BUDGET, top_k=5), "`top_k` must be unset when thinking is enabled"),
    (body(max_tokens=2000, thinking=BUDGET, top_p=0.9), "`top_p` must be greater than or equal to 0.95"),
    (
        body(max_tokens=64001),
        "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for "
        "claude-sonnet-4-5-20250929",
    ),
    (
        body(model=OPUS_55, tools=[TOOL], tool_choice={"type": "any"}),
        'tool_choice: type "tool" and "any" are not supported for this model.',
    ),
    (
        body(max_tokens=2000, thinking=BUDGET, tools=[TOOL], tool_choice={"type": "tool", "name": "clock"}),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (body(max_tokens=0, stream=True), "max_tokens: 0 is not supported together with stream"),
    (said("x" * 800_000), "prompt is too long: 222226 tokens > 200000 maximum"),
]

CACHE = [
    (
        body(system=[text("s", **CACHED)], messages=[{"role": "user", "content": [text("x", **CACHED)] * 4}]),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (said([text("x", **CACHED)] * 4, cache_control={"type": "ephemeral"}), "A maximum of 4 blocks with cache_control"),
    (
        said([text("a", **CACHED), text("b", cache_control={"type": "ephemeral", "ttl": "1h"})]),
        "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m'",
    ),
    (
        said([text("a", **CACHED)], cache_control={"type": "ephemeral", "ttl": "1h"}),
        "cache_control: the last block already has a cache_control with a different ttl",
    ),
    (
        said([text("a", cache_control={"type": "forever"})]),
        "messages.0.content.0.text.cache_control: Input tag 'forever'",
    ),
]

ROWS = [*SHAPE, *FOREIGN, *TOOLS, *MESSAGES, *SYSTEM, *PREFILL, *THINKING, *MODEL, *CACHE]


@pytest.mark.parametrize(("wrong", "words"), ROWS, ids=[str(i) for i in range(len(ROWS))])
def test_refused_as_invalid(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        check(wrong, Call(today=TODAY), CARDS)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    assert words in caught.value.message


NEW = [
    *[(body(**{name: value}), f"{name}: Extra") for name, value in {"temperature": 1, "top_p": 1, "top_k": 1}.items()],
    (
        said("q", [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}], "q"),
        "messages.1.content.0: `document` blocks are not supported in `assistant` messages",
    ),
    (
        said([text("x", citations=[{"type": "char_location", "cited_text": "x", "document_index": 0,
              "document_title": None, "start_char_index": 0, "end_char_index": 1}])]),
        "messages.0.content.0.text.citations: citations are not supported in `user` messages",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "words"), NEW, ids=[str(i) for i in range(len(NEW))])
def test_the_new_version_takes_less(wrong: dict[str, Any], words: str) -> None:
    assert check(wrong, Call(OLD_VERSION, today=TODAY), CARDS)
    with pytest.raises(Refused) as caught:
        check(wrong, Call(NEW_VERSION, today=TODAY), CARDS)
    assert words in caught.value.message


BETA = [
    ("context-management-2025-06-27", body(context_management={"edits": []})),
    ("fast-mode-2026-02-01", body(speed="fast")),
    ("interleaved-thinking-2025-05-14", body(max_tokens=1024, thinking=BUDGET, tools=[TOOL])),
    ("thinking-display-updates-2026-08-18", body(model=OPUS_48, thinking={"type": "adaptive", "display": "updates"})),
    (
        "mid-conversation-output-config-2026-07-01",
        body(model=OPUS_48, messages=[ASK, {**system("x"), "output_config": {"effort": "low"}}]),
    ),
]


@pytest.mark.parametrize(("name", "request_body"), BETA, ids=[name for name, _ in BETA])
def test_a_beta_header_opens_what_is_closed_without_it(name: str, request_body: dict[str, Any]) -> None:
    assert check(request_body, Call(betas=frozenset({name}), today=TODAY), CARDS)
    with pytest.raises(Refused):
        check(request_body, Call(today=TODAY), CARDS)


TAKEN = [
    body(),
    body(model=OPUS_48, messages=[ASK, system("be brief")]),
    body(model=OPUS_48, messages=[ASK, system("x"), {"role": "assistant", "content": "a"}, ASK]),
    body(messages=[ASK, ASK]),
    said("q", "a"),
    said("q", ""),
    said("q", [CALL], [{"type": "tool_result", "tool_use_id": "toolu_1"}]),
    said("q", [CALL], [RESULT, text("and?")]),
    said("q", [FORGED, text("a")], "q", "a", "q"),  # an older turn's thinking is not looked at
    body(tools=[TOOL], tool_choice={"type": "any"}),
    body(tools=[{**TOOL, "type": None}]),
    body(temperature=0.5, top_k=3),
    body(model=OPUS_46, max_tokens=2000, thinking=BUDGET),
    body(model=SONNET_55, thinking={"type": "between_tools"}, output_config={"effort": "high"}),
    body(model="claude-opus-5", output_config={"effort": "max"}),
    said("q", [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}], model=OPUS_48),
    said([text("x", **CACHED)] * 4),
]


@pytest.mark.parametrize("right", TAKEN, ids=[str(i) for i in range(len(TAKEN))])
def test_what_is_right_is_taken(right: dict[str, Any]) -> None:
    assert check(right, Call(today=TODAY), CARDS).body["messages"]


COUNT_ONLY = [
    (body(), "max_tokens: Extra inputs are not permitted"),
    (body(max_tokens=None, stream=True), "stream: Extra inputs are not permitted"),
    (body(max_tokens=None, model=OPUS_55, tools=[TOOL], tool_choice={"type": "any"}), "are not supported for this"),
]


@pytest.mark.parametrize(("wrong", "words"), COUNT_ONLY, ids=[str(i) for i in range(len(COUNT_ONLY))])
def test_counting_has_its_own_members_and_the_same_rules(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        check(wrong, Call(today=TODAY, counting=True), CARDS)


@pytest.mark.parametrize(
    ("model", "today"),
    [
        ("gpt-4", TODAY),
        ("claude-3-haiku-20240307", TODAY),
        ("claude-mythos-preview", TODAY),
        ("claude-sonnet-4-5-20250929", date(2026, 11, 30)),
        ("claude-opus-4-1", TODAY),
    ],
)
def test_no_such_model(model: str, today: date) -> None:
    with pytest.raises(Refused) as caught:
        check(body(model=model), Call(today=today), CARDS)
    assert (caught.value.status, caught.value.kind) == (404, "not_found_error")
    assert caught.value.message == f"model: {model}"


def test_a_date_that_only_promises_retires_nothing() -> None:
    assert check(body(model="claude-haiku-4-5"), Call(today=date(2030, 1, 1)), CARDS)


def test_an_old_model_refuses_what_would_overflow() -> None:
    old = CARDS["claude-opus-4-1"]
    cards = {old.id: type(old)(**{name: getattr(old, name) for name in old.__struct_fields__} | {"status": "active",
             "retirement": "not_sooner_than"})}  # fmt: skip
    long = said("x" * 620_000, model=old.id, max_tokens=32_000)
    with pytest.raises(Refused, match="input length and `max_tokens` exceed context limit: 172226 \\+ 32000 > 200000"):
        check(long, Call(today=TODAY), cards)


# --- over the wire -------------------------------------------------------------------------------------


HEADERS = {"x-api-key": "k", "anthropic-version": OLD_VERSION}
EDGE: list[tuple[dict[str, str], bytes, int, str, str]] = [
    ({"anthropic-version": OLD_VERSION}, b"{}", 401, "authentication_error", "x-api-key header is required"),
    ({"authorization": "Basic a2V5"}, b"{}", 401, "authentication_error", "x-api-key header is required"),
    ({"x-api-key": "k"}, b"{}", 400, "invalid_request_error", "anthropic-version: header is required"),
    ({**HEADERS, "anthropic-version": "2024-01-01"}, b"{}", 400, "invalid_request_error", "is not a valid version"),
    (
        {**HEADERS, "anthropic-beta": "pdfs-2024-09-25, brand-new"},
        b"{}",
        400,
        "invalid_request_error",
        "Unexpected value(s) `brand-new` for the `anthropic-beta` header",
    ),
    (HEADERS, b"{", 400, "invalid_request_error", "The request body is not valid JSON"),
    (HEADERS, b"\xff\xfe", 400, "invalid_request_error", "The request body is not valid JSON"),
    (HEADERS, b"[1]", 400, "invalid_request_error", "body: Input should be a valid dictionary"),
    (HEADERS, b"{}", 400, "invalid_request_error", "model: Field required"),
    (HEADERS, b'"' + b"x" * (32 * 1024 * 1024) + b'"', 413, "request_too_large", "Request exceeds the maximum size"),
]


@pytest.mark.parametrize("row", EDGE, ids=[str(i) for i in range(len(EDGE))])
def test_refused_at_the_door(served: Running, row: tuple[dict[str, str], bytes, int, str, str]) -> None:
    headers, raw, status, kind, words = row
    answer = httpx.post(f"{served.url}/v1/messages", headers=headers, content=raw)
    assert answer.status_code == status
    error = answer.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == kind
    assert words in error["error"]["message"]
    assert error["request_id"] == answer.headers["request-id"]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/messages/batches", "/"])
def test_other_paths_are_not_found(served: Running, method: str, path: str) -> None:
    answer = httpx.request(method, served.url + path, headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert answer.headers["request-id"]


@pytest.mark.parametrize("own", [{"keys": frozenset({"right"})}], indirect=True)
def test_only_listed_keys_are_admitted(own: Running) -> None:
    with (
        anthropic.Anthropic(base_url=own.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError, match="Invalid bearer token"),
    ):
        client.messages.create(model=OPUS_48, max_tokens=5, messages=[{"role": "user", "content": "x"}])
    with anthropic.Anthropic(base_url=own.url, api_key="right", max_retries=0) as client:
        assert client.models.list().data
    for key, status in (("right", 200), ("wrong", 401)):
        answer = httpx.get(f"{own.url}/v1/models", headers={"x-api-key": key, "anthropic-version": OLD_VERSION})
        assert answer.status_code == status
