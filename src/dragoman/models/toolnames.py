"""Names of tools that a wire refuses, and the stand-ins they go by: in definitions, in the choice, and in the history.

Also freeform tools, which are offered as tools with a single text argument.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from dragoman.arguments import json_text
from dragoman.conversation import Message, Object, Part, Request, Tool, ToolCall, ToolResult
from dragoman.ids import mint

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def called_names(request: Request) -> list[str]:
    """Names of the tools the history calls, in order, once each."""
    names: dict[str, None] = {}
    for message in request.messages:
        for part in message.content:
            if type(part) is ToolCall:
                names[part.name] = None
    return list(names)


def stand_ins(request: Request) -> dict[str, str]:
    """The client's names that this wire refuses, each with its stand-in: readable, within bounds, unmistakable."""
    wanted = dict.fromkeys([*(tool.name for tool in request.tools if not tool.hosted), *called_names(request)])
    names = {}
    for name in wanted:
        if not _NAME.fullmatch(name):
            names[name] = mint(re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:55] + "_", name, length=8)
    return names


def rename_calls(message: Message, names: dict[str, str]) -> Message:
    """`message` with its calls and results under the stand-ins; freeform calls become calls with a text argument."""
    content = [_renamed(part, names) for part in message.content]
    same = all(new is old for new, old in zip(content, message.content, strict=True))
    return message if same else replace(message, content=content)


def _renamed(part: Part, names: dict[str, str]) -> Part:
    match part:
        case ToolCall(freeform=True, name=name, arguments=text):
            return replace(part, name=names.get(name, name), arguments=json_text({"input": text}), freeform=False)
        case ToolCall(name=name) | ToolResult(name=name) if name in names:
            return replace(part, name=names[name])
        case _:
            return part


def allowed_tools(request: Request) -> list[Tool]:
    """The tools that the choice leaves."""
    choice = request.tool_choice
    if choice is None or not choice.allowed:
        return request.tools
    return [tool for tool in request.tools if tool.name in choice.allowed]


def freeform_schema(tool: Tool) -> Object:
    """The schema of a freeform tool: one text, whose grammar, if any, is put into words."""
    said = tool.extra.get("custom") or tool.extra
    grammar = said.get("format") or said.get("grammar")
    note = "The whole input of the tool, as plain text."
    if grammar and grammar != {"type": "text"}:
        note += f" It must match this grammar: {json_text(grammar)}"
    text = {"type": "string", "description": note}
    return {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}
