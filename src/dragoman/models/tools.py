"""Tools as Claude takes them: names, schemas, freeform tools, and which of them must or may be called."""

from __future__ import annotations

import re

from msgspec.structs import replace

from dragoman.arguments import json_text
from dragoman.conversation import Message, Object, Part, Request, Text, Tool, ToolCall, ToolChoice
from dragoman.errors import invalid
from dragoman.ids import mint
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.schema import UnfitError, tool_schema, transform

MAX_STRICT = 20
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def fit_tools(request: Request, card: Card, losses: Losses) -> tuple[Request, dict[str, str], frozenset[str]]:
    """The request with tools this model takes.

    Also the names that had to change (target's to client's) and the (target's) names of the freeform tools, for the
    way back.  Raises `GatewayError` for a choice of a tool that is not there.
    """
    if not request.tools and not _called_names(request):
        return _fit_choice(request, card, losses), {}, frozenset()
    names = _rename(request)
    freeform = frozenset(names.get(tool.name, tool.name) for tool in request.tools if tool.freeform)
    request = replace(request, tools=_fit_each(_allowed(request), names, card, losses))
    request = replace(request, messages=[_rename_calls(message, names) for message in request.messages])
    if (choice := request.tool_choice) is not None and choice.name:
        request = replace(request, tool_choice=replace(choice, name=names.get(choice.name, choice.name)))
    back = {theirs: ours for ours, theirs in names.items()}
    return _fit_choice(request, card, losses), back, freeform


def _called_names(request: Request) -> list[str]:
    """Names of the tools the history calls, in order, once each."""
    calls = (part for message in request.messages for part in message.content if isinstance(part, ToolCall))
    return list(dict.fromkeys(call.name for call in calls))


def _rename(request: Request) -> dict[str, str]:
    """The client's names that this wire refuses, each with its stand-in: readable, within bounds, unmistakable."""
    wanted = dict.fromkeys([*(tool.name for tool in request.tools if not tool.hosted), *_called_names(request)])
    names = {}
    for name in wanted:
        if not _NAME.fullmatch(name):
            names[name] = mint(re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:55] + "_", name, length=8)
    return names


def _rename_calls(message: Message, names: dict[str, str]) -> Message:
    if not any(isinstance(part, ToolCall) and (part.freeform or part.name in names) for part in message.content):
        return message
    return replace(message, content=[_rename_call(part, names) for part in message.content])


def _rename_call(part: Part, names: dict[str, str]) -> Part:
    if not isinstance(part, ToolCall):
        return part
    arguments = json_text({"input": part.arguments}) if part.freeform else part.arguments
    return replace(part, name=names.get(part.name, part.name), arguments=arguments, freeform=False)


# --- definitions ---------------------------------------------------------------------------------


def _allowed(request: Request) -> Request:
    choice = request.tool_choice
    if choice is None or not choice.allowed:
        return request
    return replace(request, tools=[tool for tool in request.tools if tool.name in choice.allowed])


def _fit_each(request: Request, names: dict[str, str], card: Card, losses: Losses) -> list[Tool]:
    tools: dict[str, Tool] = {}
    strict = 0
    for tool in request.tools:
        if tool.hosted:
            tools[f"hosted {len(tools)}"] = tool
            continue
        name = names.get(tool.name, tool.name)
        if name in tools:
            losses.drop(f"tools.{tool.name}", "two tools have this name; the first one stays")
            continue
        fitted = _fit_tool(tool, card, losses, strict < MAX_STRICT)
        strict += bool(fitted.strict)
        tools[name] = replace(fitted, name=name)
    if not tools:
        # A history that calls tools needs them defined, though none may be called now.
        return [Tool(name=names.get(name, name)) for name in _called_names(request)]
    return list(tools.values())


def _fit_tool(tool: Tool, card: Card, losses: Losses, room: bool) -> Tool:
    if tool.freeform:
        losses.emulate(f"tools.{tool.name}", "a freeform tool is offered as one with a single text argument")
        return replace(tool, schema=_freeform_schema(tool), freeform=False, strict=None)
    schema, merged = tool_schema(tool.schema)
    if merged:
        losses.emulate(f"tools.{tool.name}", f"the branches of {', '.join(merged)} are offered together")
    if not tool.strict:
        return tool if schema is tool.schema else replace(tool, schema=schema)
    try:
        if not (card.structured_outputs and room):
            raise UnfitError(f"at most {MAX_STRICT} tools can be strict" if not room else "the model has none")
        return replace(tool, schema=transform(schema)[0])
    except UnfitError as why:
        losses.drop(f"tools.{tool.name}.strict", f"its arguments cannot be guaranteed: {why}")
        return replace(tool, schema=schema, strict=None)


def _freeform_schema(tool: Tool) -> Object:
    grammar = tool.extra.get("format") or tool.extra.get("grammar")
    note = "The whole input of the tool, as plain text."
    if grammar and grammar != {"type": "text"}:
        note += f" It must match this grammar: {json_text(grammar)}"
    text = {"type": "string", "description": note}
    return {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}


# --- choice --------------------------------------------------------------------------------------


def _fit_choice(request: Request, card: Card, losses: Losses) -> Request:
    """A forced call where the model can be forced; else an instruction, and the loss is reported."""
    choice = request.tool_choice
    forced = choice is not None and choice.mode in ("any", "tool")
    if choice is None or not request.tools:
        if forced:
            raise invalid("tool_choice asks for a tool, but there are no tools", "tool_choice")
        if request.tools and not _has_own_tools(request):
            return replace(request, tool_choice=ToolChoice(mode="none"))
        return request
    if choice.mode == "tool" and choice.name not in {tool.name for tool in request.tools}:
        raise invalid(f"tool_choice names the tool {choice.name!r}, which is not among the tools", "tool_choice")
    manual = request.reasoning is not None and request.reasoning.mode == "enabled"
    if not forced or (card.forced_tool_choice and not manual):
        return request
    which = f"the tool {choice.name}" if choice.mode == "tool" else "one of the tools"
    why = "thinking" if manual else card.id
    losses.drop("tool_choice", f"{why} rules out a forced call: the model is asked instead")
    return replace(
        instruct(request, f"You must answer by calling {which}, not with text."),
        tool_choice=replace(choice, mode="auto", name=""),
    )


def _has_own_tools(request: Request) -> bool:
    """Whether any tool is more than the bare name we put in for the history's sake."""
    return any(tool.description or tool.schema or tool.hosted for tool in request.tools)


def instruct(request: Request, text: str) -> Request:
    """The request with one more instruction, after the leading system messages."""
    lead = 0
    while lead < len(request.messages) and request.messages[lead].role in ("system", "developer"):
        lead += 1
    message = Message(role="system", content=[Text(text=text)])
    return replace(request, messages=[*request.messages[:lead], message, *request.messages[lead:]])
