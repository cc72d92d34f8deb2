"""A chat completions request in the words of one kind of server.

What `dialects.openai_chat` writes is what the wire can say; what a server of it understands is in `servers.toml`.
Every member that has to go is reported, every one that is said otherwise too.
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from dragoman import ids
from dragoman.conversation import Object
from dragoman.losses import Losses
from dragoman.models.servers import Server

# Members that a server may or may not know, each with the conversation's name for it.
_OPTIONAL: tuple[tuple[str, str], ...] = (
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("seed", "seed"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("logprobs", "logprobs"),
    ("top_logprobs", "top_logprobs"),
    ("parallel_tool_calls", "tool_choice.parallel"),
    ("user", "user"),
    ("safety_identifier", "safety_identifier"),
    ("service_tier", "service_tier"),
    ("verbosity", "verbosity"),
    ("moderation", "moderation"),
    ("prompt_cache_key", "prompt_cache_key"),
    ("prompt_cache_options", "prompt_cache_options"),
    ("prompt_cache_retention", "prompt_cache_retention"),
)
# How a server caches prompts: one that takes none of these caches by itself.
_CACHING = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
_NAMES = dict(_OPTIONAL)


def dress(body: Object, server: Server, losses: Losses, *, own: bool = False) -> Object:
    """`body`, as `openai_chat.encode_request` wrote it, for a server of this kind.  `body` itself is left alone.

    `own`: the client wrote chat completions itself.  Then members it sent pass even where the server ignores them, and
    only what the server refuses is taken out.
    """
    dressed = dict(body)
    _user(dressed, server, losses, own)
    _drop_members(dressed, server, losses, own)
    _limit(dressed, server)
    _stop(dressed, server, losses)
    _reasoning(dressed, server, losses)
    _format(dressed, server, losses, own)
    _choice(dressed, server, losses)
    _tools(dressed, server, losses, own)
    dressed["messages"] = _messages(body.get("messages") or [], server, losses, own)
    for ours, theirs in server.renames.items():
        if ours in dressed and theirs not in dressed:
            dressed[theirs] = dressed.pop(ours)
    # Tools and messages last, as they came: the prompt's prefix must not move.
    return {key: value for key, value in dressed.items() if key != "messages"} | {"messages": dressed["messages"]}


# --- members of the request ---------------------------------------------------------------------


def _drop_members(body: Object, server: Server, losses: Losses, own: bool) -> None:
    for key in sorted(server.refuses & body.keys()):
        value, why = body.pop(key), f"{server.name} refuses it"
        if key == "reasoning" and isinstance(value, dict):  # the conversation has another meaning for the name
            for name in value:
                losses.drop(f"{key}.{name}", why)
        elif key != "stream_options":  # only our wish for usage; such a server sends it unasked
            losses.drop(_NAMES.get(key, "reasoning" if key == "reasoning_effort" else key), why)
    if own:
        return
    model = str(body.get("model")).lower()
    if "web_search_options" in body and not any(fnmatchcase(model, pattern) for pattern in server.searchers):
        del body["web_search_options"]
        losses.drop("web_search", f"{model} does not search the web")
    for key, name in _OPTIONAL:
        if key not in body or key in server.takes:
            continue
        del body[key]
        if key in _CACHING:
            losses.emulate(name, "the server keeps prompts by rules of its own")
        else:
            losses.drop(name, f"{server.name} does not know it")


def _limit(body: Object, server: Server) -> None:
    other = "max_tokens" if server.limit == "max_completion_tokens" else "max_completion_tokens"
    if other in body:
        value = body.pop(other)
        body.setdefault(server.limit, value)


def _stop(body: Object, server: Server, losses: Losses) -> None:
    stop = body.get("stop")
    if server.stops and isinstance(stop, list) and len(stop) > server.stops:
        body["stop"] = stop[: server.stops]
        losses.drop("stop", f"{server.name} takes {server.stops} stop strings; the others were left out")


def _user(body: Object, server: Server, losses: Losses, own: bool) -> None:
    user = body.get("user")
    if user is not None and not own and "user" not in server.takes:
        del body["user"]  # it names nobody to a server that has no accounts
        return
    if server.user_length and isinstance(user, str) and len(user) > server.user_length:
        body["user"] = ids.mint("user-", user)
        losses.emulate("user", f"{server.name} takes ids of {server.user_length} characters; a digest of it was sent")


def _reasoning(body: Object, server: Server, losses: Losses) -> None:
    """`reasoning_effort`, which is all our encoder writes, in the server's own words."""
    effort = body.get("reasoning_effort")
    if effort is None:
        return
    on = effort != "none"
    word = server.efforts.get(effort, effort) if on else effort
    if word != effort:
        losses.emulate("reasoning.effort", f"{effort} became {word}")
    match server.reasoning:
        case "effort":
            body["reasoning_effort"] = word
        case "object":
            del body["reasoning_effort"]
            body["reasoning"] = {"effort": word, **(body.get("reasoning") or {})}
        case "switch":
            del body["reasoning_effort"]
            body.setdefault("thinking", {"type": "enabled" if on else "disabled"})
            if on:
                body["reasoning_effort"] = word
        case "template":
            # Templates know the switch under one of two names, and some the effort; the member itself is for others.
            del body["reasoning_effort"]
            wish: Object = {"enable_thinking": on, "thinking": on}
            if on:
                body["reasoning_effort"] = wish["reasoning_effort"] = word
            body["chat_template_kwargs"] = wish | (body.get("chat_template_kwargs") or {})
        case "none":
            del body["reasoning_effort"]
            losses.drop("reasoning", f"{server.name} has no switch for it")


def _format(body: Object, server: Server, losses: Losses, own: bool) -> None:
    asked = body.get("response_format")
    if not isinstance(asked, dict) or (kind := asked.get("type")) in server.formats:
        return
    match kind:
        case "json_object" if "json_schema" in server.formats:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            }
            losses.emulate("format", "as a schema that allows any object")
        case "json_schema" if "json_object" in server.formats:
            body["response_format"] = {"type": "json_object"}
            losses.drop("format.schema", f"{server.name} makes sure of JSON, but not of a schema")
            said = asked.get("json_schema") or {}
            for name in ("description",) if "schema" in said or not own else ("description", "name"):
                if said.get(name):
                    losses.drop(f"format.{name}", f"{server.name} is told nothing of the form but that it is JSON")
        case "json_object" | "json_schema":
            del body["response_format"]
            losses.drop("format", f"{server.name} has no JSON mode")


# --- tools --------------------------------------------------------------------------------------


def _choice(body: Object, server: Server, losses: Losses) -> None:
    """Who must be called.  Fewer tools say what a server's `tool_choice` cannot."""
    choice, tools = body.get("tool_choice"), body.get("tools") or []
    wanted = _wanted(choice)
    if isinstance(choice, dict) and wanted:
        if _understands(choice, server):
            return
        body["tools"] = [tool for tool in tools if _tool_name(tool) in wanted] or tools
        for name in _unsaid(choice):
            losses.drop(f"tool_choice.{name}", f"{server.name} is told of the choice by the tools there are")
        body["tool_choice"] = choice = _force(choice)
        losses.emulate("tool_choice", "only the tools that may be called were sent")
    if choice in ("required", "any"):
        if server.tool_choice == "none":
            body.pop("tool_choice", None)
            losses.drop("tool_choice", f"{server.name} cannot be made to call a tool")
        else:
            body["tool_choice"] = server.required
    elif server.tool_choice == "none" and choice is not None:
        del body["tool_choice"]
        if choice == "none" and body.pop("tools", None):
            losses.emulate("tool_choice", "the tools were left out")


def _wanted(choice: Any) -> set[str]:
    """The tools an object in `tool_choice` names."""
    match choice:
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(tools)}}:
            return {name for tool in tools if (name := _tool_name(tool))}
        case dict() if name := _tool_name(choice):
            return {name}
        case _:
            return set()


def _unsaid(choice: Any, at: str = "") -> Iterator[str]:
    """What an object in `tool_choice` says besides the names of tools."""
    if isinstance(choice, list):
        for index, item in enumerate(choice):
            yield from _unsaid(item, f"{at}[{index}]")
    elif isinstance(choice, dict):
        for key, value in choice.items():
            where = f"{at}.{key}" if at else key
            if key not in _CHOICE:
                yield where
            yield from _unsaid(value, where) if key in _CHOICE else ()


_CHOICE = ("type", "allowed_tools", "mode", "tools", "function", "custom", "name")


def _understands(choice: Object, server: Server) -> bool:
    levels = ("none", "required", "named", "all")
    needed = "all" if choice.get("type") == "allowed_tools" else "named"
    return levels.index(server.tool_choice) >= levels.index(needed)


def _force(choice: Object) -> str:
    allowed = choice.get("allowed_tools")
    return "auto" if isinstance(allowed, dict) and allowed.get("mode") == "auto" else "required"


def _tool_name(tool: Any) -> str:
    if not isinstance(tool, dict):
        return ""
    inner = tool.get(str(tool.get("type")))
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _tools(body: Object, server: Server, losses: Losses, own: bool) -> None:
    if "tools" not in body:
        return
    kept = []
    for tool in body["tools"]:
        if tool.get("type") == "custom" and not server.custom_tools:
            losses.drop(f"tools.{_tool_name(tool)}", f"{server.name} knows no tools that take free text")
            continue
        if not own:
            tool = _loosened(tool, f"tools.{_tool_name(tool)}.strict", server, losses)
        tool = _marked_as(tool, server, losses, own)
        kept.append(tool)
    body["tools"] = kept
    choice = body.get("tool_choice")
    if not kept or not _wanted(choice) <= {_tool_name(tool) for tool in kept}:
        body.pop("tool_choice", None)
        if choice not in (None, "auto", "none"):
            losses.drop("tool_choice", f"{server.name} is not sent the tool that is to be called")
    if not kept:
        body.pop("tools")


def _loosened(tool: Object, at: str, server: Server, losses: Losses) -> Object:
    """The tool without its strict flag, where the server does not know it or would refuse the schema for it."""
    inner = tool.get("function")
    if not isinstance(inner, dict) or "strict" not in inner:
        return tool
    if server.strict and not (inner["strict"] and not _closed(inner.get("parameters"))):
        return tool
    why = "its schema leaves members open" if server.strict else f"{server.name} does not know it"
    losses.drop(at, why)
    return {**tool, "function": {key: value for key, value in inner.items() if key != "strict"}}


def _closed(schema: Any) -> bool:
    """Whether every object of a schema has all its members required and no others, as strict tools must.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict) or node.get("type") == "object":
                required = node.get("required")
                named = (
                    set(required) if isinstance(required, list) and all(isinstance(r, str) for r in required) else set()
                )
                if node.get("additionalProperties") is not False or named != set(properties or ()):
                    return False
            waiting += node.values()
    return True


# --- messages -----------------------------------------------------------------------------------


def _messages(messages: list[Object], server: Server, losses: Losses, own: bool) -> list[Object]:
    return [_message(message, f"messages[{index}]", server, losses, own) for index, message in enumerate(messages)]


def _message(message: Object, at: str, server: Server, losses: Losses, own: bool) -> Object:
    dressed = dict(message)
    if dressed.get("role") == "developer" and not server.developer:
        dressed["role"] = "system"
    if "name" in dressed and not server.names and (not own or "name" in server.refuses):
        name, content = dressed.pop("name"), dressed.get("content")
        if content and dressed.get("role") != "tool":
            dressed["content"] = _signed_with(name, content)
            losses.emulate(f"{at}.name", "written before the text")
        else:
            losses.drop(f"{at}.name", f"{server.name} takes no names of speakers, and this one says nothing itself")
    if dressed.get("role") == "assistant":
        _thoughts(dressed, server, losses)
    if isinstance(content := dressed.get("content"), list):
        dressed["content"] = [_marked_as(part, server, losses, own) for part in content]
    if server.call_id:
        _call_ids(dressed, server.call_id)
    return dressed


def _signed_with(name: str, content: Any) -> Any:
    if isinstance(content, list):
        return [{"type": "text", "text": f"{name}:"}, *content]
    return f"{name}: {content}"


def _thoughts(message: Object, server: Server, losses: Losses) -> None:
    """Earlier reasoning under the name this server reads it by; gone, with a word, where it reads none."""
    texts = [said for name in ("reasoning_content", "reasoning") if (said := message.pop(name, None))]
    text = texts[0] if texts else None
    if any(str(other).strip() not in str(text) for other in texts[1:]):
        losses.drop("thinking", f"{server.name} is sent one telling of earlier reasoning, and there were two")
    if server.replay and (text or (server.must_replay and message.get("tool_calls"))):
        message[server.replay] = text or ""
    said = message.pop("reasoning_details", None)
    details = said if isinstance(said, list) else []
    kept = [each for each in details if server.details and not _ours(each)]
    if kept:
        message["reasoning_details"] = kept
    if text and not server.replay:
        losses.drop("thinking", f"{server.name} does not read earlier reasoning")
    elif len(kept) < len(details):
        losses.drop("thinking", f"{server.name} has no use for the proofs of earlier reasoning")


def _ours(detail: Object) -> bool:
    """A seal for a server of another dialect, which only we can read."""
    return str(detail.get("format") or "").startswith("dragoman-")


def _marked_as(holder: Object, server: Server, losses: Losses, own: bool) -> Object:
    """A part or a tool with its cache mark in the server's words."""
    if not isinstance(holder, dict) or "prompt_cache_breakpoint" not in holder or server.cache_marks == "breakpoint":
        return holder
    rest = {key: value for key, value in holder.items() if key != "prompt_cache_breakpoint"}
    if server.cache_marks == "control":
        long = holder["prompt_cache_breakpoint"].get("ttl") == "12h"
        return rest | {"cache_control": {"type": "ephemeral"} | ({"ttl": "1h"} if long else {})}
    if own:
        return holder
    losses.drop("cache", f"{server.name} takes no cache marks")
    return rest


def _call_ids(message: Object, length: int) -> None:
    """Ids of calls and results in the only form the server takes: letters and digits, so many of them."""
    if isinstance(calls := message.get("tool_calls"), list):
        message["tool_calls"] = [{**call, "id": _short(call.get("id"), length)} for call in calls]
    if "tool_call_id" in message:
        message["tool_call_id"] = _short(message["tool_call_id"], length)


def _short(call_id: Any, length: int) -> str:
    text = str(call_id)
    return text if len(text) == length and text.isascii() and text.isalnum() else ids.mint("", text, length=length)
