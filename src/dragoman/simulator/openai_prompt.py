"""A chat completion as the simulator's brain sees it, and how many tokens its prompt is.

The brain thinks in blocks, so the messages become blocks here.  Tokens are counted on the prompt that a chat template
would make: what `/apply-template` shows, `/tokenize` counts and `usage` says agree.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, NamedTuple

import msgspec

from dragoman.arguments import json_text, parse_arguments
from dragoman.conversation import Object
from dragoman.media import split_data_url
from dragoman.simulator.openai_flavors import Flavor, Model
from dragoman.simulator.openai_rules import texts

_PIECE = re.compile(r"\s?[^\s]{1,5}|\s")
_VOCABULARY = 100_000
_MEDIA = 256  # tokens of a picture, a page, a sound
_FREEFORM: Object = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
_OPEN: Object = {"type": "object", "properties": {}}


class View(NamedTuple):
    """The brain's `body`, the names of tools whose input is free text, and whether the model thinks."""

    body: Object
    freeform: frozenset[str]
    thinks: bool
    effort: str


def view(body: Object, flavor: Flavor, model: Model) -> View:
    """A request that was approved."""
    messages = body["messages"]
    system = [words for message in messages if _is_system(message) for words in texts(message)]
    shown = _turns(messages)
    wanted = body.get("response_format") or {"type": "text"}
    out: Object = {"messages": shown}
    if schema := (wanted.get("json_schema") or {}).get("schema") or wanted.get("schema"):
        out["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif wanted["type"] != "text":
        system.append("Answer in JSON.")
    out["system"] = [{"type": "text", "text": words} for words in system]
    tools = [_tool(tool) for tool in [*(body.get("tools") or []), *_functions(body)]]
    if tools:
        out |= _chosen(tools, body, flavor)
    custom = frozenset(tool["custom"]["name"] for tool in body.get("tools") or [] if tool["type"] == "custom")
    return View(out, custom, *_thinking(body, model))


def _is_system(message: Object) -> bool:
    return message["role"] in ("system", "developer")


# --- turns -------------------------------------------------------------------------------------------


def _turns(messages: list[Object]) -> list[Object]:
    """User and assistant in blocks; an answer the client ends with is history: a new turn begins."""
    out: list[Object] = []
    called: dict[str, str] = {}
    for message in messages:
        match message["role"]:
            case "system" | "developer":
                continue
            case "assistant":
                block = _answer(message)
                called |= {part["id"]: part["name"] for part in block if part["type"] == "tool_use"}
                out.append({"role": "assistant", "content": block})
            case "tool" | "function":
                _add_result(out, message, called)
            case _:
                out.append({"role": "user", "content": _blocks(message)})
    if not out or out[-1]["role"] == "assistant":
        out.append({"role": "user", "content": []})
    return out


def _answer(message: Object) -> list[Object]:
    blocks: list[Object] = [{"type": "text", "text": words} for words in texts(message) if words]
    calls = [*(message.get("tool_calls") or [])]
    if isinstance(function := message.get("function_call"), dict):
        calls.append({"id": function["name"], "type": "function", "function": function})
    for call in calls:
        inner = call[call["type"]]
        given = parse_arguments(inner["arguments"]) if "arguments" in inner else {"input": inner["input"]}
        blocks.append({"type": "tool_use", "id": call["id"], "name": inner["name"], "input": given})
    return blocks


def _add_result(out: list[Object], message: Object, called: dict[str, str]) -> None:
    call_id = message.get("tool_call_id") or message["name"]
    content = _blocks(message)
    block: Object = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    if call_id not in called:  # some servers take a result that belongs to nothing
        block = {"type": "text", "text": " ".join(texts(message))}
    if out and out[-1]["role"] == "user" and any(b["type"] == "tool_result" for b in out[-1]["content"]):
        out[-1]["content"].append(block)
    else:
        out.append({"role": "user", "content": [block]})


def _blocks(message: Object) -> list[Object]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(part) for part in content or []]


def _block(part: Object) -> Object:
    match part["type"]:
        case "image_url":
            return {"type": "image", "source": _source(part["image_url"]["url"])}
        case "file":
            return {"type": "document", "source": _source(part["file"]["file_data"])}
        case "input_audio":
            audio = part["input_audio"]
            return {"type": "text", "text": f"(a {audio['format']} sound, {len(audio['data'])} characters)"}
        case _:
            return {"type": "text", "text": part["text"]}


def _source(url: str) -> Object:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    media_type, data = split_data_url(url)
    return {"type": "base64", "media_type": media_type, "data": data}


# --- tools and thinking ------------------------------------------------------------------------------


def _functions(body: Object) -> list[Object]:
    return [{"type": "function", "function": function} for function in body.get("functions") or []]


def _tool(tool: Object) -> Object:
    if tool["type"] == "custom":
        return {"name": tool["custom"]["name"], "input_schema": _FREEFORM}
    function = tool["function"]
    return {"name": function["name"], "input_schema": function.get("parameters") or _OPEN}


def _chosen(tools: list[Object], body: Object, flavor: Flavor) -> Object:
    """`tools` and `tool_choice`, as far as this server looks at the choice."""
    choice = body.get("tool_choice") or body.get("function_call") or "auto"
    if isinstance(choice, dict) and not flavor.named_choice:
        choice = "auto"
    told: Object = {"type": {"none": "none", "required": "any"}.get(choice, "auto")} if isinstance(choice, str) else {}
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = {tool[tool["type"]]["name"] for tool in choice["allowed_tools"]["tools"]}
        tools = [tool for tool in tools if tool["name"] in allowed]
        told = {"type": "any" if choice["allowed_tools"]["mode"] == "required" else "auto"}
    elif isinstance(choice, dict):
        told = {"type": "tool", "name": choice[choice["type"]]["name"] if "type" in choice else choice["name"]}
    if body.get("parallel_tool_calls") is False:
        told["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": told}


def _thinking(body: Object, model: Model) -> tuple[bool, str]:
    """(whether the model thinks, how hard), from all the members that servers have for it."""
    reasoning: Any = body.get("reasoning")
    reasoning = reasoning if isinstance(reasoning, dict) else {}
    effort = str(body.get("reasoning_effort") or reasoning.get("effort") or "medium")
    template: Any = body.get("chat_template_kwargs") or {}
    off = (
        effort == "none"
        or reasoning.get("enabled") is False
        or (isinstance(thinking := body.get("thinking"), dict) and thinking.get("type") == "disabled")
        or (isinstance(template, dict) and False in (template.get("enable_thinking"), template.get("thinking")))
    )
    return model.thinks and not off, {"minimal": "low"}.get(effort, effort)


# --- the prompt --------------------------------------------------------------------------------------


def template(body: Object) -> str:
    """The messages and tools as one text, in the manner of ChatML."""
    lines = []
    if tools := body.get("tools") or body.get("functions"):
        lines.append(f"<|im_start|>system\n# Tools\n{json_text(tools)}<|im_end|>\n")
    for message in body["messages"]:
        words = "".join(texts(message)) + "<media>" * sum(_is_media(part) for part in _list(message))
        calls = message.get("tool_calls") or []
        words += f"<tool_call>{json_text(calls)}</tool_call>" if calls else ""
        lines.append(f"<|im_start|>{message['role']}\n{words}<|im_end|>\n")
    return "".join([*lines, "<|im_start|>assistant\n"])


def _list(message: Object) -> list[Object]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _is_media(part: Object) -> bool:
    return part.get("type") in ("image_url", "input_audio", "file")


def token_ids(text: str) -> list[int]:
    """The tokens of a text, at most five characters each."""
    return [zlib.crc32(piece.encode("utf-8", "surrogatepass")) % _VOCABULARY for piece in _PIECE.findall(text)]


def prompt_tokens(body: Object) -> int:
    """Of a chat completion, pictures included."""
    media = sum(_is_media(part) for message in body["messages"] for part in _list(message))
    return len(_PIECE.findall(template(body))) + media * _MEDIA


def decode_prompt(value: Any) -> list[str]:
    """The texts of a `prompt` or `input`: token ids are told as numbers, there is no way back from them."""
    if isinstance(value, str):
        return [value]
    if value and isinstance(value[0], int):
        return [_spelled(value)]
    return [item if isinstance(item, str) else _spelled(item) for item in value]


def _spelled(ids: list[int]) -> str:
    return msgspec.json.encode(ids).decode()
