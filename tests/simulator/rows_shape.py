"""Rows of what is wrong by its shape: members, tools, cache marks."""

from __future__ import annotations

from tests.simulator.bodies import (
    ASK,
    CACHED,
    CALL,
    FORGED,
    OPUS_48,
    RESULT,
    TOOL,
    body,
    said,
    text,
)

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
        body(
            tools=[
                {
                    "type": "web_search_20250305",
                    "name": "web_search",
                    "allowed_domains": ["a.com"],
                    "blocked_domains": ["b.com"],
                }
            ]
        ),
        "tools.0: only one of `allowed_domains` and `blocked_domains` can be specified",
    ),
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

CACHE = [
    (
        said([text("a", **CACHED), text("b")], cache_control={"type": "ephemeral", "ttl": "1h"}),
        "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.",
    ),
    (said([text("", **CACHED)]), "messages.0.content.0: cache_control cannot be set for empty text blocks"),
    (body(messages=[], cache_control={"type": "ephemeral"}), "messages: at least one message is required"),
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

ROWS = [*SHAPE, *FOREIGN, *TOOLS, *CACHE]
