"""Tools as Claude takes them: names, schemas, freeform tools, and which of them must or may be called."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Message, Request, Text, Tool, ToolChoice
from dragoman.errors import invalid
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.schema import UnfitError, tool_schema, transform
from dragoman.models.toolnames import allowed_tools, called_names, freeform_schema, rename_calls, stand_ins

MAX_STRICT = 20


def fit_tools(request: Request, card: Card, losses: Losses) -> tuple[Request, dict[str, str], frozenset[str]]:
    """The request with tools this model takes.

    Also the names that had to change (target's to client's) and the (target's) names of the freeform tools, for the
    way back.  Raises `GatewayError` for a choice of a tool that is not there.
    """
    if not request.tools and not called_names(request):
        return _fit_choice(request, card, losses), {}, frozenset()
    names = stand_ins(request)
    freeform = frozenset(names.get(tool.name, tool.name) for tool in request.tools if tool.freeform)
    request = replace(request, tools=_fit_each(request, names, card, losses))
    request = replace(request, messages=[rename_calls(message, names) for message in request.messages])
    if (choice := request.tool_choice) is not None and choice.name:
        request = replace(request, tool_choice=replace(choice, name=names.get(choice.name, choice.name)))
    back = {theirs: ours for ours, theirs in names.items()}
    return _fit_choice(request, card, losses), back, freeform


# --- definitions ---------------------------------------------------------------------------------


def _fit_each(request: Request, names: dict[str, str], card: Card, losses: Losses) -> list[Tool]:
    tools: dict[str, Tool] = {}
    strict = 0
    allowed = allowed_tools(request)
    if len(allowed) < len(request.tools):
        losses.emulate("tool_choice", "the other tools are left out")
    for tool in allowed:
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
        return [Tool(name=names.get(name, name)) for name in called_names(request)]
    return list(tools.values())


def _fit_tool(tool: Tool, card: Card, losses: Losses, room: bool) -> Tool:
    if tool.freeform:
        losses.emulate(f"tools.{tool.name}", "a freeform tool is offered as one with a single text argument")
        return replace(tool, schema=freeform_schema(tool), freeform=False, strict=None)
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


# --- choice --------------------------------------------------------------------------------------


def _fit_choice(request: Request, card: Card, losses: Losses) -> Request:
    """A forced call where the model can be forced; else an instruction, and the loss is reported."""
    choice = request.tool_choice
    forced = choice is not None and choice.mode in ("any", "tool")
    if choice is None or not request.tools:
        check_choice(choice, [])
        if request.tools and not _has_own_tools(request):
            return replace(request, tool_choice=ToolChoice(mode="none"))
        return request
    check_choice(choice, request.tools)
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


def check_choice(choice: ToolChoice | None, tools: list[Tool]) -> None:
    """Raises "invalid_request" for a choice of a tool that is not there."""
    if choice is None or choice.mode in ("auto", "none"):
        return
    if not tools:
        raise invalid("tool_choice asks for a tool, but there are no tools", "tool_choice")
    if choice.mode == "tool" and choice.name not in {tool.name for tool in tools}:
        raise invalid(f"tool_choice names the tool {choice.name!r}, which is not among the tools", "tool_choice")


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
