"""The shapes of the requests that Claude Code and opencode send, as seen on the wire in November 2026."""

from __future__ import annotations

import json
from typing import Any

Object = dict[str, Any]

BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,context-management-2025-06-27,"
    "prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,effort-2025-11-24"
)
CLAUDE_CODE: dict[str, str] = {
    "authorization": "Bearer any",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": BETAS,
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.197 (external, sdk-cli)",
    "accept-encoding": "gzip, deflate, br, zstd",
    "x-app": "cli",
    "x-claude-code-session-id": "2f0c3a5e-0000-4000-8000-000000000000",
    "x-stainless-lang": "js",
    "x-stainless-package-version": "0.94.0",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "100",
}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}
LONG_NAME = "mcp__plugin_playwright_playwright__browser_take_screenshot_of_whole_page"
REMINDER = "<system-reminder>\nThe user opened src/main.py. This may or may not be related.\n</system-reminder>\n"
_IDENTITY = "You are Claude Code, Anthropic's official CLI for Claude."
_MANNERS = "You are an interactive agent. Be brief.\n\n# Environment\nWorking directory: /home/user/project\n" * 20


def billing(turn: int) -> Object:
    """The first block of `system`: another one at every call."""
    seal = f"{turn * 7919 % 0xFFFFF:05x}"
    line = f"x-anthropic-billing-header: cc_version=2.1.197.{seal[:3]}; cc_entrypoint=cli; cch={seal};"
    return {"type": "text", "text": line}


def _schema(**members: Object) -> Object:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": members,
        "required": list(members)[:1],
        "additionalProperties": False,
    }


_TEXT = {"type": "string", "description": "What it says."}
TOOLS: list[Object] = [
    {
        "name": "Read",
        "description": "Reads a file.",
        "input_schema": _schema(file_path=_TEXT, limit={"type": "number"}),
    },
    {
        "name": "Bash",
        "description": "Runs a command.",
        "input_schema": _schema(command=_TEXT, timeout={"type": "number"}),
    },
    {
        "name": "TodoWrite",
        "description": "Keeps the list.",
        "input_schema": _schema(
            todos={
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"content": _TEXT, "status": {"type": "string", "enum": ["pending", "done"]}},
                    "required": ["content", "status"],
                },
            }
        ),
        "eager_input_streaming": True,
    },
    {"name": LONG_NAME, "description": "A picture of the page.", "input_schema": _schema(url=_TEXT)},
]


def claude_code(model: str, messages: list[Object], turn: int = 0, **members: Any) -> Object:
    """One call of its main loop.  The cache mark sits on the last block, and so moves from call to call."""
    sent: list[Object] = json.loads(json.dumps(messages))
    if isinstance(sent[-1]["content"], list):
        sent[-1]["content"][-1] |= {"cache_control": {"type": "ephemeral"}}
    body: Object = {
        "model": model,
        "messages": sent,
        "system": [
            billing(turn),
            {"type": "text", "text": _IDENTITY, **MARK},
            {"type": "text", "text": _MANNERS, **MARK},
        ],
        "tools": TOOLS,
        "metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s"})},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }
    return {name: value for name, value in (body | members).items() if value is not None}


def opening(words: str) -> list[Object]:
    """How its conversations begin: reminders before the user's words, then a system message in their midst."""
    said = [{"type": "text", "text": REMINDER}, {"type": "text", "text": words}]
    return [{"role": "user", "content": said}, {"role": "system", "content": "# Available agents\n- Explore"}]


def quota(model: str) -> Object:
    """The first thing it asks: whether it may ask."""
    message = {"role": "user", "content": "quota"}
    return {"model": model, "max_tokens": 1, "messages": [message], "metadata": {"user_id": "{}"}}


def title(model: str) -> Object:
    """What a conversation shall be called."""
    schema = _schema(title=_TEXT)
    return {
        "model": model,
        "max_tokens": 512,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Fix the failing test"}]}],
        "system": [billing(1), {"type": "text", "text": "Generate a concise title. Return JSON."}],
        "tools": [],
        "thinking": {"type": "disabled"},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "temperature": 1,
    }


def opencode_messages(model: str, messages: list[Object]) -> Object:
    """opencode by the Messages API (AI SDK): two marked system blocks, marks on the last two messages."""
    tools = [{k: v for k, v in tool.items() if k != "eager_input_streaming"} for tool in TOOLS]
    marked: list[Object] = json.loads(json.dumps(messages))
    for message in marked[-2:]:
        message["content"][-1] |= {"cache_control": {"type": "ephemeral"}}
    mark = {"cache_control": {"type": "ephemeral"}}
    return {
        "model": model,
        "max_tokens": 32000,
        "system": [{"type": "text", "text": "You are opencode.", **mark}, {"type": "text", "text": _MANNERS, **mark}],
        "messages": marked,
        "tools": tools,
        "tool_choice": {"type": "auto"},
        "stream": True,
    }


def opencode_chat(model: str, messages: list[Object]) -> Object:
    """opencode by chat completions (AI SDK): a system message first, tools as functions, usage in the stream."""
    functions = [
        {
            "type": "function",
            "function": {"name": t["name"], "description": t["description"], "parameters": t["input_schema"]},
        }
        for t in TOOLS
        if len(t["name"]) <= 64
    ]
    return {
        "model": model,
        "max_tokens": 32000,
        "messages": [{"role": "system", "content": f"You are opencode.\n{_MANNERS}"}, *messages],
        "tools": functions,
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def ollama_chat(model: str, messages: list[Object]) -> Object:
    """A program that speaks Ollama's own API, and says what it needs."""
    chat = opencode_chat(model, messages)
    body: Object = {"model": model, "messages": chat["messages"], "tools": chat["tools"], "stream": True}
    return body | {"think": True, "options": {"num_ctx": 65536}, "keep_alive": -1}
