"""Rows of what is wrong by its meaning: the conversation, and what the model takes."""

from __future__ import annotations

from tests.simulator.bodies import (
    ASK,
    BUDGET,
    CALL,
    FORGED,
    OPUS_46,
    OPUS_48,
    OPUS_55,
    RESULT,
    SCHEMA,
    SEARCHED,
    SONNET_55,
    TOOL,
    body,
    said,
    system,
    text,
)

MESSAGES = [
    (said("q", [CALL], [{**RESULT, "content": [text("")]}]), "messages: text content blocks must be non-empty"),
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
    (body(model=OPUS_48, messages=[ASK, system("")]), "messages.1: system messages must have non-empty content"),
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
        said("q", [FORGED, text("a")], max_tokens=2000, thinking=BUDGET),
        "messages: assistant message prefill is not supported when thinking is enabled",
    ),
    (said("q", [*SEARCHED, text("so")], model=OPUS_48), "This model does not support assistant message prefill."),
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

ROWS = [*MESSAGES, *SYSTEM, *PREFILL, *THINKING, *MODEL]
