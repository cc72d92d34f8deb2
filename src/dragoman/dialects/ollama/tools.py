"""Tools and tool choice, both ways.

Ollama knows no tool choice.  A client may still send one in OpenAI's form (the AI SDK's provider does), and it is
honoured; towards an Ollama it is imitated: tools are left out, and an instruction asks for a call.
"""

from __future__ import annotations

from dragoman.conversation import JSON, Object, Tool, ToolChoice
from dragoman.dialects.hosted import anthropics_tool, is_anthropics
from dragoman.dialects.ollama.schema import simplify
from dragoman.dialects.ollama.vocabulary import NAME
from dragoman.dialects.reading import need, objects, path, take
from dragoman.errors import invalid
from dragoman.losses import Losses

_ANY = "You must answer with a call of one of your tools."
_NAMED = "You must answer with a call of the tool {name}."


def decode_tools(value: JSON) -> list[Tool]:
    """`tools`; the schema stays as it is, however little of it a real Ollama would read."""
    return [] if not value else [_decode_tool(tool, at) for tool, at in objects(value, "tools")]


def _decode_tool(tool: Object, at: str) -> Tool:
    if is_anthropics(tool) and "function" not in tool:
        return anthropics_tool(tool)
    tool.pop("type", None)
    function = need(tool, "function", dict, at)
    where = path(at, "function")
    name = need(function, "name", str, where)
    if not name:
        raise invalid(f"{path(where, 'name')} is empty", path(where, "name"))
    decoded = Tool(
        name=name,
        description=take(function, "description", str, where) or "",
        schema=take(function, "parameters", dict, where),
        strict=take(function, "strict", bool, where),
    )
    if function:
        tool["function"] = function
    decoded.extra = tool
    return decoded


def encode_tools(tools: list[Tool], choice: ToolChoice | None, origin: str, losses: Losses) -> list[Object]:
    """The tools the model may call under `choice`."""
    if choice is not None and choice.mode == "none":
        if tools:
            losses.emulate("tool_choice", "the tools were left out")
        return []
    return [body for tool in tools if _allowed(tool, choice) for body in _encode_tool(tool, origin, losses)]


def _allowed(tool: Tool, choice: ToolChoice | None) -> bool:
    if choice is None:
        return True
    if choice.mode == "tool":
        return tool.name == choice.name
    return not choice.allowed or tool.name in choice.allowed


def _encode_tool(tool: Tool, origin: str, losses: Losses) -> list[Object]:
    if tool.hosted:
        losses.drop(f"tools.{tool.name}", "the server behind cannot run this tool")
        return []
    schema = tool.schema
    if tool.freeform:
        losses.emulate(f"tools.{tool.name}", "its text is the argument `input`")
        schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    if tool.strict:
        losses.drop(f"tools.{tool.name}.strict", "Ollama does not enforce tool schemas")
    extra = dict(tool.extra) if origin == NAME else {}
    parameters = simplify(schema) if schema is not None else {"type": "object", "properties": {}}
    function: Object = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return [{"type": "function", "function": function | extra.pop("function", {})} | extra]


def decode_choice(body: Object) -> ToolChoice | None:
    """Pop `tool_choice` when it is of a form that means something; Ollama itself ignores it."""
    choice = _read_choice(body.get("tool_choice"))
    if choice is not None:
        del body["tool_choice"]
    return choice


def _read_choice(value: JSON) -> ToolChoice | None:
    match value:
        case "auto" | {"type": "auto"}:
            return ToolChoice(mode="auto")
        case "none" | {"type": "none"}:
            return ToolChoice(mode="none")
        case "required" | "any" | {"type": "required" | "any"}:
            return ToolChoice(mode="any")
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function" | "tool", "name": str(name)}:
            return ToolChoice(mode="tool", name=name)
        case _:
            return None


def encode_choice(choice: ToolChoice | None, tools: list[Object], losses: Losses) -> list[Object]:
    """The messages that stand in for a tool choice: an instruction after everything else, or none."""
    if choice is None or choice.mode == "none":
        return []
    if choice.parallel is False:
        losses.drop("tool_choice.parallel", "Ollama cannot be kept from calling several tools at once")
    if choice.allowed or choice.mode == "tool":
        losses.emulate("tool_choice", "the other tools were left out")
    if choice.mode == "auto" or not tools:
        return []
    losses.emulate("tool_choice", "an instruction asks for the call; Ollama does not enforce it")
    text = _NAMED.format(name=choice.name) if choice.mode == "tool" else _ANY
    return [{"role": "system", "content": text}]
