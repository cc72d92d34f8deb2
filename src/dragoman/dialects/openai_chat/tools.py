"""Tools, tool choice and tool calls.  `custom` tools take free text; `functions` is the deprecated spelling of `tools`.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from dragoman import ids
from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object, Request, Tool, ToolCall, ToolChoice
from dragoman.dialects.hosted import anthropics_tool, is_anthropics
from dragoman.dialects.openai_chat.parts import encode_cache, take_cache
from dragoman.dialects.openai_chat.vocabulary import DEPRECATED, NAME
from dragoman.dialects.reading import check, choose, keep, laid_over, need, objects, path, take
from dragoman.errors import invalid
from dragoman.losses import Losses

# --- tools --------------------------------------------------------------------------------------


def decode_tools(body: Object) -> list[Tool]:
    """Pop `tools` and the deprecated `functions`."""
    if "tools" not in body and "functions" not in body:
        return []
    tools = [_decode_tool(tool, at) for tool, at in objects(body.pop("tools", None) or [], "tools")]
    for function, at in objects(body.pop("functions", None) or [], "functions"):
        tool = _decode_function(function, at)
        tool.extra = {DEPRECATED: True}
        keep(tool.extra, "function", function)
        tools.append(tool)
    return tools


def encode_tools(request: Request, losses: Losses) -> list[Object]:
    """Every tool this wire can say; a tool that another upstream runs itself is dropped."""
    wire: list[Object] = []
    for index, tool in enumerate(request.tools):
        own = request.origin == NAME
        if not tool.hosted:
            wire.append(_encode_tool(tool, own))
        elif own and not is_anthropics(tool.extra):
            wire.append(tool.extra)
        else:
            losses.drop(tool.at or f"tools[{index}]", f"{tool.name} is run by the upstream it was written for")
    return wire


def uses_functions(request: Request) -> bool:
    """Whether the client speaks the deprecated `functions` and so reads only `message.function_call`."""
    return bool(request.tools) and request.origin == NAME and any(DEPRECATED in tool.extra for tool in request.tools)


def _decode_tool(tool: Object, at: str) -> Tool:
    kind = take(tool, "type", str, at) or "function"
    cache = take_cache(tool, at)
    match kind:
        case "function":
            inner = take(tool, "function", dict, at) or tool
            decoded = _decode_function(inner, path(at, kind) if inner is not tool else at)
        case "custom":
            inner = take(tool, "custom", dict, at) or tool
            decoded = _decode_custom(inner, path(at, kind) if inner is not tool else at)
        case _:
            hosted = {"type": kind, **tool}
            return anthropics_tool(hosted) if is_anthropics(hosted) else Tool(name=kind, hosted=True, extra=hosted)
    decoded.cache = decoded.cache or cache
    # What is left of both objects; the Responses API knows only one.
    decoded.extra = {} if inner is tool else tool
    keep(decoded.extra, kind, inner)
    return decoded


def _decode_function(function: Object, at: str) -> Tool:
    return Tool(
        name=_name(function, at),
        description=take(function, "description", str, at) or "",
        schema=take(function, "parameters", dict, at),
        strict=take(function, "strict", bool, at),
        cache=take_cache(function, at),
    )


def _decode_custom(custom: Object, at: str) -> Tool:
    name, description = _name(custom, at), take(custom, "description", str, at) or ""
    if (form := take(custom, "format", dict, at)) and form != {"type": "text"}:
        custom["format"] = form
    return Tool(name=name, description=description, freeform=True)


def _encode_tool(tool: Tool, own: bool) -> Object:
    inner: Object = {"name": tool.name}
    if tool.description:
        inner["description"] = tool.description
    if tool.schema is not None:
        inner["parameters"] = tool.schema
    if tool.strict is not None:
        inner["strict"] = tool.strict
    kind = "custom" if tool.freeform else "function"
    wire: Object = {"type": kind, kind: inner}
    if own:
        wire = laid_over(wire, {key: value for key, value in tool.extra.items() if key != DEPRECATED})
    if tool.cache:
        wire["prompt_cache_breakpoint"] = encode_cache(tool.cache)
    return wire


def _name(owner: Object, at: str) -> str:
    if not (name := need(owner, "name", str, at)):
        raise invalid(f"{at}.name is empty", f"{at}.name")
    return name


# --- tool choice --------------------------------------------------------------------------------


def decode_choice(body: Object, tools: list[Tool]) -> ToolChoice | None:
    """Pop `tool_choice`, `parallel_tool_calls` and the deprecated `function_call`.

    None when nothing but the default was said.
    """
    if _CHOICES.isdisjoint(body):
        return ToolChoice(parallel=False) if any(DEPRECATED in tool.extra for tool in tools) else None
    parallel = take(body, "parallel_tool_calls", bool)
    said, deprecated = body.pop("tool_choice", None), body.pop("function_call", None)
    key = "tool_choice" if said is not None else "function_call"
    asked = deprecated if said is None else said
    choice = _decode_choice(asked, key)
    if choice is not None:
        known = {tool.name for tool in tools}
        for name in filter(None, [choice.name, *choice.allowed]):
            if name not in known:
                raise invalid(f"{key} names {name!r}, which is not among the tools", key)
        if choice.mode == "any" and not tools:
            raise invalid(f"{key} is only allowed when tools are given", key)
    if isinstance(asked, dict):
        keep(body, key, asked)
    if said is not None and deprecated not in (None, said, "auto"):
        body["function_call"] = deprecated
    if not tools:
        return None
    if any(DEPRECATED in tool.extra for tool in tools):
        parallel = False  # a `function_call` answer has room for one
    if parallel is False:
        choice = choice or ToolChoice()
        choice.parallel = False
    return None if choice == ToolChoice() else choice


_CHOICES = frozenset({"parallel_tool_calls", "tool_choice", "function_call"})


def encode_choice(request: Request) -> Object:
    """`tool_choice` and `parallel_tool_calls`, where they were said."""
    choice = request.tool_choice
    if choice is None:
        return {}
    kinds = {tool.name: "custom" if tool.freeform else "function" for tool in request.tools}
    body: Object = {}
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    if choice.allowed and choice.mode != "none":
        mode = "auto" if choice.mode == "auto" else "required"
        tools = [_named(name, kinds) for name in choice.allowed]
        body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    elif choice.mode == "tool":
        body["tool_choice"] = _named(choice.name, kinds)
    elif choice.mode != "auto":
        body["tool_choice"] = "required" if choice.mode == "any" else "none"
    return body


def _named(name: str, kinds: dict[str, str]) -> Object:
    kind = kinds.get(name, "function")
    return {"type": kind, kind: {"name": name}}


def _decode_choice(choice: JSON, at: str) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case "auto":
            return ToolChoice()
        case "none":
            return ToolChoice(mode="none")
        case "required" | "any":
            return ToolChoice(mode="any")
        case {"type": "allowed_tools"}:
            return _decode_allowed(choice, at)
        case {"type": "function" | "custom" as kind}:
            del choice["type"]
            return ToolChoice(mode="tool", name=_chosen(choice, kind, at))
        case {"name": str(name)}:  # deprecated `function_call`, and Anthropic's {"type": "tool", "name"}
            del choice["name"]
            if choice.get("type") == "tool":
                del choice["type"]
            return ToolChoice(mode="tool", name=name)
        case {"type": "auto" | "none" | "any" as mode}:
            del choice["type"]
            return ToolChoice(mode=mode)
        case _:
            said = choice if isinstance(choice, str) else "that"
            raise invalid(f'{at} must be "none", "auto", "required" or an object that names a tool, not {said}', at)


def _decode_allowed(choice: Object, at: str) -> ToolChoice:
    allowed, where = take(choice, "allowed_tools", dict, at), path(at, "allowed_tools")
    if allowed is None:
        allowed, where = choice, at
    mode = choose(allowed, "mode", ("auto", "required"), where) or "auto"
    entries = objects(allowed.get("tools"), path(where, "tools"))
    names = [_chosen(tool, take(tool, "type", str, spot) or "function", spot) for tool, spot in entries]
    if not names:
        raise invalid(f"{where}.tools is empty", f"{where}.tools")
    del allowed["tools"]
    choice.pop("type", None)
    if allowed is not choice:
        keep(choice, "allowed_tools", allowed)
    return ToolChoice(mode="auto" if mode == "auto" else "any", allowed=names)


def _chosen(choice: Object, kind: str, at: str) -> str:
    """The name in `{"type": "function", "function": {"name"}}`, or in the flat form of the Responses API."""
    inner = take(choice, kind, dict, at)
    if inner is None:
        return _name(choice, at)
    name = _name(inner, path(at, kind))
    keep(choice, kind, inner)
    return name


# --- tool calls ---------------------------------------------------------------------------------


def decode_calls(message: Object, at: str, seed: str) -> list[ToolCall]:
    """Pop `tool_calls` and the deprecated `function_call` of an assistant message.

    A call without an id gets one minted from `seed` and its place, the same every time.
    """
    calls = [
        _decode_call(call, where, f"{seed}:{index}")
        for index, (call, where) in enumerate(objects(message.pop("tool_calls", None) or [], path(at, "tool_calls")))
    ]
    if function := take(message, "function_call", dict, at):
        where = path(at, "function_call")
        name, arguments = _name(function, where), _arguments(function, where)
        if not calls:
            extra: Object = {}
            keep(extra, "function_call", function)
            calls.append(ToolCall(id=ids.mint("call_", seed, name), name=name, arguments=arguments, extra=extra))
        elif (name, arguments) not in ((call.name, call.arguments) for call in calls):
            message["function_call"] = {"name": name, "arguments": arguments, **function}
    return calls


def encode_call(call: ToolCall, own: bool) -> Object:
    """One element of `tool_calls`."""
    wire: Object = {"id": call.id}
    if call.freeform:
        wire |= {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        wire |= {"type": "function", "function": encode_function_call(call)}
    extra = {"function" if k == "function_call" else k: v for k, v in call.extra.items()}
    return laid_over(wire, extra) if own else wire


def encode_function_call(call: ToolCall) -> Object:
    """Name and arguments; "no arguments" is `{}`, because programs parse the text without looking."""
    return {"name": call.name, "arguments": call.arguments if call.arguments.strip() else "{}"}


def _decode_call(call: Object, at: str, seed: str) -> ToolCall:
    call.pop("index", None)  # left by clients that send back what they added up from a stream
    kind = choose(call, "type", ("function", "custom"), at) or "function"
    inner, where = need(call, kind, dict, at), path(at, kind)
    name = _name(inner, where)
    arguments = _arguments(inner, where) if kind == "function" else take(inner, "input", str, where) or ""
    call_id = take(call, "id", str, at) or ids.mint("call_", seed, name)
    keep(call, kind, inner)
    return ToolCall(id=call_id, name=name, arguments=arguments, freeform=kind == "custom", extra=call)


def _arguments(function: Object, at: str) -> str:
    """JSON text; some programs and servers send the object itself, or nothing at all."""
    arguments = function.pop("arguments", None)
    if isinstance(arguments, dict):
        return json_text(arguments)
    text = "" if arguments is None else check(arguments, str, path(at, "arguments"))
    return text if text.strip() else "{}"
