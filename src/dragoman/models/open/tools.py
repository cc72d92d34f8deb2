"""Tools and the choice among them, as an Ollama or OpenAI-compatible server takes them."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from dragoman.conversation import Format, Request, Tool, ToolChoice
from dragoman.errors import invalid
from dragoman.ids import mint
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.open.forced import Forced, forced_schema, forced_words
from dragoman.models.open.schema import is_closed
from dragoman.models.schema import tool_schema
from dragoman.models.toolnames import allowed_tools, freeform_schema, rename_calls, stand_ins
from dragoman.models.tools import check_choice, instruct


class ToolsBack(Struct, frozen=True):
    """What the reply needs undone: see `restore.Restore`."""

    names: dict[str, str]
    freeform: frozenset[str]
    forced: Forced | None
    single: bool


def fit_tools(request: Request, card: Card, losses: Losses) -> tuple[Request, ToolsBack]:
    """The request with tools this server takes.

    Raises `GatewayError` ("invalid_request") for tools the model cannot use, and for a choice of a tool that is not
    there.
    """
    request = _without_hosted(request, losses)
    choice = request.tool_choice
    check_choice(choice, request.tools)
    if request.tools and not card.tools and not _does_without(choice, card):
        raise invalid(f"{card.id} does not support tools", "tools")
    names = stand_ins(request)
    freeform = frozenset(names.get(tool.name, tool.name) for tool in request.tools if tool.freeform)
    tools = _fit_each(request, names, card, losses)
    if choice is not None and choice.allowed:
        losses.emulate("tool_choice", "the other tools are left out")
        choice = replace(choice, allowed=[])
    if choice is not None and choice.name:
        choice = replace(choice, name=names.get(choice.name, choice.name))
    messages = [rename_calls(message, names) for message in request.messages]
    request = replace(request, tools=tools, tool_choice=choice, messages=messages)
    request, forced = _fit_choice(request, card, losses)
    single = choice is not None and choice.parallel is False and bool(request.tools)
    if single and not card.forced_tool_choice:
        losses.emulate("tool_choice.parallel", "of several calls at once the first one is kept")
    back = {theirs: ours for ours, theirs in names.items()}
    return request, ToolsBack(back, freeform, forced, single)


def _does_without(choice: ToolChoice | None, card: Card) -> bool:
    """Whether a model without tools can do what is asked: call none, or write an answer that is a call."""
    match choice:
        case ToolChoice(mode="none"):
            return True
        case ToolChoice(mode="any" | "tool"):
            return card.structured_outputs
        case _:
            return False


# --- definitions ---------------------------------------------------------------------------------


def _without_hosted(request: Request, losses: Losses) -> Request:
    if not any(tool.hosted for tool in request.tools):
        return request
    for tool in request.tools:
        if tool.hosted:
            losses.drop(f"tools.{tool.name}", "only the server it was written for can run this tool")
    return replace(request, tools=[tool for tool in request.tools if not tool.hosted])


def _fit_each(request: Request, names: dict[str, str], card: Card, losses: Losses) -> list[Tool]:
    tools: dict[str, Tool] = {}
    for tool in allowed_tools(request):
        name = names.get(tool.name, tool.name)
        if name in tools:
            losses.drop(f"tools.{tool.name}", "two tools have this name; the first one stays")
        else:
            tools[name] = replace(_fit_tool(tool, card, losses), name=name, cache=None)
    return list(tools.values())


def _fit_tool(tool: Tool, card: Card, losses: Losses) -> Tool:
    if tool.freeform:
        losses.emulate(f"tools.{tool.name}", "a freeform tool is offered as one with a single text argument")
        return replace(tool, schema=freeform_schema(tool), freeform=False, strict=None, extra={})
    schema, merged = tool_schema({k: v for k, v in (tool.schema or {}).items() if k != "$schema"})
    if merged:
        losses.emulate(f"tools.{tool.name}", f"the branches of {', '.join(merged)} are offered together")
    strict = tool.strict
    if strict and card.dialect != "ollama" and not is_closed(schema):
        losses.drop(f"tools.{tool.name}.strict", "these servers are strict only where every member is required")
        strict = None
    return replace(tool, schema=schema, strict=strict, extra={})


# --- choice --------------------------------------------------------------------------------------


def _fit_choice(request: Request, card: Card, losses: Losses) -> tuple[Request, Forced | None]:
    """The choice in the server's own words where it has any; else no tools, or an answer that is held to a call."""
    choice = request.tool_choice
    if choice is None or not request.tools:
        return replace(request, tool_choice=None), None
    if card.forced_tool_choice and card.tools:
        said = replace(choice, parallel=False if choice.parallel is False else None)
        return replace(request, tool_choice=None if said == ToolChoice() else said), None
    match choice.mode:
        case "none":
            losses.emulate("tool_choice", "the tools are left out")
            return replace(request, tools=[], tool_choice=None), None
        case "any" | "tool":
            return _forced(request, choice, card, losses)
        case _:
            return replace(request, tool_choice=None), None


def _forced(request: Request, choice: ToolChoice, card: Card, losses: Losses) -> tuple[Request, Forced | None]:
    tools = [tool for tool in request.tools if choice.mode == "any" or tool.name == choice.name]
    if not card.structured_outputs:
        which = f"the tool {choice.name}" if choice.mode == "tool" else "one of the tools"
        losses.drop("tool_choice", f"{card.id} cannot be forced: it is asked instead")
        asked = instruct(request, f"You must answer by calling {which}, not with text.")
        return replace(asked, tools=tools, tool_choice=None), None
    losses.emulate("tool_choice", "the answer is held to the schema of the call, and made one")
    if request.format is not None:
        losses.emulate("format", "the answer is a tool call, and has the form of its arguments")
    seed = mint("", len(request.messages), *(tool.name for tool in tools))
    answer = Format(kind="schema", schema=forced_schema(tools), name="tool_call")
    request = replace(instruct(request, forced_words(tools)), tools=[], tool_choice=None, format=answer)
    return request, Forced(tuple(tool.name for tool in tools), seed)
