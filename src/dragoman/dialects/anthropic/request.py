"""Requests, both ways.

`encode_request` writes what it is given: what a particular model refuses is `models.fit`'s business.  It does know the
grammar of the wire: leading system messages go to `system`, neighbours of one role are one turn, and tool results
come first in theirs.
"""

from __future__ import annotations

from dragoman.conversation import (
    ChoiceMode,
    Effort,
    Format,
    Message,
    Object,
    Reasoning,
    Request,
    Role,
    Tool,
    ToolChoice,
)
from dragoman.dialects.anthropic.blocks import decode_cache, decode_content, encode_cache, encode_content
from dragoman.dialects.anthropic.failure import THREAD_UNSUPPORTED
from dragoman.dialects.anthropic.vocabulary import NAME
from dragoman.dialects.hosted import is_anthropics
from dragoman.dialects.reading import check, choose, keep, laid_over, need, objects, path, strings, take
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses

_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
_NESTED = ("output_config", "metadata", "thinking", "tool_choice")
"""Members of `Request.extra` that are what we have no name for of an object whose rest we know."""
_OPEN = ("output_config", "metadata")
"""Those of them that mean something by themselves."""
_EMPTY_SCHEMA: Object = {"type": "object", "properties": {}}


# --- decode --------------------------------------------------------------------------------------


def decode_request(body: Object) -> Request:
    """A `POST /v1/messages` body as a Request.  Raises `GatewayError` naming the member that is wrong.

    A thread is refused: its history is kept by Anthropic.  The SDKs then send all of it.
    """
    if body.get("thread") is not None:
        message = "thread: this conversation is not kept here; send all of it, without `thread`"
        raise GatewayError("invalid_request", message, param="thread", code=THREAD_UNSUPPORTED)
    if (model := take(body, "model", str)) is None:
        raise invalid("model: Field required", "model")
    messages = [_decode_message(m, at) for m, at in objects(body.pop("messages", None) or [], "messages")]
    if not messages:
        raise invalid("messages: at least one message is required", "messages")
    if (system := body.pop("system", None)) is not None:
        messages.insert(0, Message(role="system", content=decode_content(system, "system"), at="system"))
    config = take(body, "output_config", dict) or {}
    thinking, choice = take(body, "thinking", dict), take(body, "tool_choice", dict)
    request = Request(
        origin=NAME,
        model=model,
        messages=messages,
        stream=take(body, "stream", bool) or False,
        tools=[_decode_tool(t, at) for t, at in objects(body.pop("tools", None) or [], "tools")],
        tool_choice=_decode_choice(choice),
        max_tokens=take(body, "max_tokens", int),
        temperature=take(body, "temperature", float),
        top_p=take(body, "top_p", float),
        top_k=take(body, "top_k", int),
        stop=strings(body.pop("stop_sequences", None) or [], "stop_sequences"),
        reasoning=_decode_reasoning(thinking, config),
        format=_decode_format(config, body),
        user=_decode_user(body),
        cache=decode_cache(body),
    )
    for name, rest in (("output_config", config), ("thinking", thinking), ("tool_choice", choice)):
        if rest:
            body[name] = rest
    request.extra = body
    return request


def _decode_message(message: Object, at: str) -> Message:
    role: Role | None = choose(message, "role", ("user", "assistant", "system"), at)
    if role is None:
        raise invalid(f"{at}.role is required", path(at, "role"))
    content = decode_content(message.pop("content", None), path(at, "content"))
    return Message(role=role, content=content, extra=message)


def _decode_tool(tool: Object, at: str) -> Tool:
    if (kind := tool.get("type")) not in (None, "custom"):
        name = tool.get("name") or kind
        return Tool(name=check(name, str, path(at, "name")), hosted=True, extra=tool)
    tool.pop("type", None)
    return Tool(
        name=need(tool, "name", str, at),
        description=take(tool, "description", str, at) or "",
        schema=need(tool, "input_schema", dict, at),
        strict=take(tool, "strict", bool, at),
        cache=decode_cache(tool),
        extra=tool,
    )


def _decode_choice(choice: Object | None) -> ToolChoice | None:
    if choice is None:
        return None
    mode: ChoiceMode | None = choose(choice, "type", ("auto", "any", "tool", "none"), "tool_choice")
    serial = take(choice, "disable_parallel_tool_use", bool, "tool_choice")
    return ToolChoice(
        mode=mode or "auto",
        name=take(choice, "name", str, "tool_choice") or "",
        parallel=None if serial is None else not serial,
    )


def _decode_reasoning(thinking: Object | None, config: Object) -> Reasoning | None:
    effort = choose(config, "effort", _EFFORTS, "output_config")
    if thinking is None and effort is None:
        return None
    reasoning = Reasoning(effort=effort)
    if thinking is not None:
        mode = need(thinking, "type", str, "thinking")
        reasoning.mode = mode
        reasoning.enabled = mode in ("adaptive", "enabled")
        reasoning.budget = take(thinking, "budget_tokens", int, "thinking")
        if (display := take(thinking, "display", str, "thinking")) is not None:
            reasoning.visible = display != "omitted"
            if reasoning.visible and display != "summarized":
                thinking["display"] = display  # more than one word means "visible"
    return reasoning


def _decode_format(config: Object, body: Object) -> Format | None:
    # `output_format` is the beta spelling of old SDKs.
    shape = take(config, "format", dict, "output_config") or take(body, "output_format", dict)
    if shape is None:
        return None
    schema = need(shape, "schema", dict, "output_config.format")
    keep(config, "format", {name: value for name, value in shape.items() if name != "type"})
    return Format(kind="schema", schema=schema)


def _decode_user(body: Object) -> str | None:
    metadata = take(body, "metadata", dict) or {}
    user = take(metadata, "user_id", str, "metadata")
    if metadata:
        body["metadata"] = metadata
    return user


# --- encode --------------------------------------------------------------------------------------


def encode_request(request: Request, losses: Losses) -> Object:
    """The body of `POST /v1/messages`: fixed key order, `messages` last, so that prompt prefixes stay stable."""
    body: Object = {"model": request.model, "max_tokens": request.max_tokens or 4096}
    if request.stream:
        body["stream"] = True
    body |= _encode_settings(request, losses)
    lead = 0
    while lead < len(request.messages) and request.messages[lead].role in ("system", "developer"):
        lead += 1
    if request.origin == NAME:
        body |= _own_members(request, body, losses)
    if request.cache:
        said = request.extra.get("cache_control") if request.origin == NAME else None
        body["cache_control"] = laid_over(said or {}, encode_cache(request.cache))
    if request.tools:
        body["tools"] = [t for tool in request.tools if (t := _encode_tool(tool, request.origin, losses))]
    system = [b for i, m in enumerate(request.messages[:lead]) for b in _encode_message(m, i, request.origin, losses)]
    if system:
        body["system"] = system
    body["messages"] = _encode_messages(request, lead, losses)
    return body


def _own_members(request: Request, body: Object, losses: Losses) -> Object:
    """What only this dialect knows, and what is left of objects of which `body` has the rest."""
    own = {k: v for k, v in request.extra.items() if k not in (*_NESTED, "cache_control") and k not in body}
    for name in _NESTED:
        rest = request.extra.get(name)
        if rest and (name in body or name in _OPEN):
            own[name] = laid_over(body.get(name, {}), rest)
        else:
            for key in rest or ():
                losses.drop(f"{name}.{key}", "the model is sent nothing that it would be a part of")
    return own


def _encode_messages(request: Request, lead: int, losses: Losses) -> list[Object]:
    merged: list[Object] = []
    for index, message in enumerate(request.messages[lead:], lead):
        role = "system" if message.role == "developer" else message.role
        content = _encode_message(message, index, request.origin, losses)
        if not merged or merged[-1]["role"] != role:
            merged.append({"role": role, "content": []})
        merged[-1]["content"] += content
        if request.origin == NAME:
            merged[-1] |= message.extra
    for turn in merged:
        if turn["role"] == "user":
            # A turn's tool results stand before everything else in it; the sort is stable.
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return merged


def _encode_message(message: Message, index: int, origin: str, losses: Losses) -> list[Object]:
    blocks = encode_content(message.content, origin, losses, f"messages[{index}].content")
    if message.name and origin != NAME:
        losses.drop(f"messages[{index}].name", "the Messages API has no names of speakers")
    return blocks


def _encode_settings(request: Request, losses: Losses) -> Object:
    body: Object = {}
    for name in ("temperature", "top_p", "top_k"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if choice := _encode_choice(request):
        body["tool_choice"] = choice
    config: Object = {}
    if (reasoning := request.reasoning) is not None:
        if reasoning.effort:
            config["effort"] = reasoning.effort
        if thinking := _encode_thinking(reasoning):
            body["thinking"] = thinking
    if request.format and request.format.kind == "schema":
        config["format"] = {"type": "json_schema", "schema": request.format.schema}
    if config:
        body["output_config"] = config
    _report_unsaid(request, losses)
    return body


_UNSAID = {
    "min_p": "Claude has no min_p",
    "seed": "Claude has no seed",
    "frequency_penalty": "Claude has no penalties",
    "presence_penalty": "Claude has no penalties",
    "logprobs": "Claude returns none",
    "top_logprobs": "Claude returns none",
}


def _report_unsaid(request: Request, losses: Losses) -> None:
    for name, why in _UNSAID.items():
        if getattr(request, name) not in (None, False):
            losses.drop(name, why)
    if request.format and request.format.kind == "json":
        losses.drop("format", "the Messages API has no JSON mode without a schema")


def _encode_thinking(reasoning: Reasoning) -> Object | None:
    if reasoning.enabled is None and not reasoning.mode:
        return None
    mode = reasoning.mode or ("enabled" if reasoning.budget else "adaptive" if reasoning.enabled else "disabled")
    thinking: Object = {"type": mode}
    if mode == "enabled":
        thinking["budget_tokens"] = reasoning.budget or 1024
    if reasoning.visible is not None and mode in ("adaptive", "enabled"):
        thinking["display"] = "summarized" if reasoning.visible else "omitted"
    return thinking


def _encode_choice(request: Request) -> Object | None:
    choice = request.tool_choice
    if choice is None or not request.tools:
        return None
    body: Object = {"type": choice.mode}
    if choice.mode == "tool":
        body["name"] = choice.name
    if choice.parallel is False and choice.mode != "none":
        body["disable_parallel_tool_use"] = True
    return body


def _encode_tool(tool: Tool, origin: str, losses: Losses) -> Object | None:
    if tool.hosted:
        if origin == NAME or is_anthropics(tool.extra):
            return tool.extra
        losses.drop(f"tools.{tool.name}", "the server behind cannot run this tool")
        return None
    body: Object = {"name": tool.name}
    if tool.description:
        body["description"] = tool.description
    body["input_schema"] = tool.schema or _EMPTY_SCHEMA
    if tool.strict:
        body["strict"] = True
    if tool.cache:
        body["cache_control"] = encode_cache(tool.cache)
    return body | tool.extra if origin == NAME else body
