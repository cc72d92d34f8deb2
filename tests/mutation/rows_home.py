"""Requests that are translated into their own dialect, and members that one dialect says in several ways."""

from __future__ import annotations

from msgspec.structs import replace

from tests.mutation.rows import Row, claude, local, row
from tests.mutation.said import asked, function, said, text

PLAIN, BETWEEN, BOTH = claude("claude-haiku-4-5"), claude("claude-sonnet-5-5"), claude("claude-opus-5")
MUTE = replace(PLAIN, thinking=replace(PLAIN.thinking, types=[]))
CHAT, OLLAMA, MESSAGES = "openai_chat", "ollama", "anthropic"
VLLM, OPENAI = local(CHAT, "vllm"), local(CHAT, "openai")
ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "look"}}]}

ROWS: list[Row] = [
    row(
        "what only belongs to thinking that is off",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "disabled", "of_tomorrow": 1}),
        PLAIN,
        dropped="thinking.of_tomorrow",
    ),
    row(
        "a late instruction that says more than its words",
        MESSAGES,
        said(
            [text("Hi")],
            [text("Hello.")],
            [text("Go on.")],
            {
                "role": "system",
                "content": [
                    text("Be brief.", of_tomorrow=1, citations=[{"type": "char_location"}]),
                    text("Now.", cache_control={"type": "ephemeral", "scope": "global"}),
                ],
            },
            max_tokens=9000,
        ),
        PLAIN,
        dropped="messages[3].content[0].of_tomorrow messages[3].content[0].citations "
        "messages[3].content[1].cache_control.scope",
        emulated="messages[3]",
    ),
    row(
        "an effort for a model that does not think",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "adaptive"}, output_config={"effort": "low"}),
        MUTE,
        dropped="thinking output_config.effort",
    ),
    row(
        "an effort beside a budget",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "enabled", "budget_tokens": 2000}, output_config={"effort": "low"}),
        PLAIN,
        emulated="output_config.effort",
    ),
    row(
        "thinking between calls only",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "between_tools"}),
        PLAIN,
        dropped="thinking",
    ),
    row(
        "more effort than there is without thinking",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "disabled"}, output_config={"effort": "max"}),
        BOTH,
        emulated="output_config.effort",
    ),
    row(
        "an effort, and no thinking, for a model of Ollama's",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "disabled"}, output_config={"effort": "low"}),
        local(OLLAMA),
        dropped="output_config.effort",
    ),
    row(
        "thinking, for a model that does not",
        MESSAGES,
        asked(max_tokens=9000, thinking={"type": "adaptive"}),
        local(OLLAMA, capabilities=("tools",)),
        dropped="thinking",
    ),
    row("two limits", CHAT, asked(max_tokens=90, max_completion_tokens=70), VLLM, emulated="max_tokens"),
    row("two limits, elsewhere", CHAT, asked(max_tokens=90, max_completion_tokens=70), PLAIN, emulated="max_tokens"),
    row(
        "a choice that says more than names",
        CHAT,
        asked(
            tools=[function("look")],
            tool_choice={"type": "allowed_tools", "allowed_tools": {**ALLOWED, "of_tomorrow": 1}},
        ),
        VLLM,
        dropped="tool_choice.allowed_tools.of_tomorrow",
        emulated="tool_choice",
    ),
    row(
        "a choice of a tool that takes text",
        CHAT,
        asked(
            tools=[function("look"), {"type": "custom", "custom": {"name": "write"}}],
            tool_choice={"type": "custom", "custom": {"name": "write"}},
        ),
        VLLM,
        dropped="tools.write tool_choice",
    ),
    row(
        "two tellings of one thought",
        CHAT,
        said("Hi", {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm.", "reasoning": "Well."}, "And?"),
        VLLM,
        dropped="thinking",
        ours="thinking",
    ),
    row(
        "a name for a form that nobody is told",
        CHAT,
        asked(response_format={"type": "json_schema", "json_schema": {"name": "card"}}),
        local(CHAT, "deepseek"),
        dropped="response_format.json_schema.schema response_format.json_schema.name",
        ours="response_format.json_schema.schema",
    ),
    row(
        "what a wish to think says besides",
        CHAT,
        asked(reasoning={"effort": "low", "of_tomorrow": 1}),
        OPENAI,
        dropped="reasoning.of_tomorrow",
    ),
    row(
        "what a cache mark says besides",
        CHAT,
        asked(cache_control={"type": "ephemeral", "ttl": "1h", "scope": "global"}),
        PLAIN,
        dropped="cache_control.scope",
    ),
]
