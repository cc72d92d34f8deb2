"""Requests that make sense around the member that is probed: what it answers, what answers it, what it refers to.

Two messages of the user stand before it: they become one on most wires, and a report that counts what is sent instead
of what the client wrote is off by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

_BEFORE: tuple[Object, ...] = ({"role": "user", "content": "One."}, {"role": "user", "content": "Two."})
_AFTER: Object = {"role": "user", "content": "Go on."}
_ANSWER: Object = {"role": "assistant", "content": "Well."}
_SCHEMA: Object = {"type": "object", "properties": {}}


def around(dialect: str, path: str, role: str, inside: Object | None) -> tuple[Object, int]:
    """A request of `dialect` with the message, or the members, `inside`; and the number of the message in it."""
    if dialect == "openai_responses" and path.startswith("input["):
        item = inside
        before, after = _item_frame(item)
        number = len(_BEFORE) + len(before)
        items = [*_BEFORE, *before, *([item] if item is not None else []), *after]
        return {**_bare(dialect), "input": items}, number
    if not path.startswith("messages"):
        return _complete(dialect, path, {**_bare(dialect), **(inside or {})}), -1
    messages: list[Object] = [*_BEFORE]
    message = inside
    if message is not None:
        if dialect == "ollama" and path != "messages[].role":
            message["role"] = "user"
        before, after = _FRAMES[dialect](message, role)
        messages = [*_BEFORE, *before]
        number = len(messages)
        return _complete(dialect, path, {**_bare(dialect), "messages": [*messages, message, *after]}), number
    return _complete(dialect, path, {**_bare(dialect), "messages": messages}), len(messages)


def _bare(dialect: str) -> Object:
    match dialect:
        case "anthropic":
            return {"model": "m", "max_tokens": 9000, "system": "Be kind.", "messages": [*_BEFORE]}
        case "openai_completions" | "ollama_generate":
            return {"model": "m", "prompt": "Well then."}
        case "openai_responses":
            return {"model": "m", "input": [*_BEFORE]}
        case _:
            return {"model": "m", "messages": [*_BEFORE]}


# --- what stands around a message ------------------------------------------------------------------


def _anthropic(message: Object, role: str) -> tuple[list[Object], list[Object]]:
    blocks = [block for block in message["content"] if isinstance(block, dict)] if _is_list(message) else []
    if role == "assistant":
        calls = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call, "content": "Done."} for call in calls]
        return [], [{"role": "user", "content": [*results, {"type": "text", "text": "Go on."}]}]
    if role == "system":
        return [], [_ANSWER, _AFTER]
    answered = [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
    calls = [{"type": "tool_use", "id": call, "name": "look", "input": {}} for call in answered]
    return ([{"role": "assistant", "content": calls}] if calls else []), []


def _openai(message: Object, role: str) -> tuple[list[Object], list[Object]]:
    match role:
        case "assistant":
            results = [
                {"role": "tool", "tool_call_id": call["id"], "content": "Done."}
                for call in message.get("tool_calls", ())
            ]
            if function := message.get("function_call"):
                results = [{"role": "function", "name": function["name"], "content": "Done."}]
            return [], [*results, _AFTER]
        case "tool":
            call = {"id": message["tool_call_id"], "type": "function", "function": {"name": "look", "arguments": "{}"}}
            return [{"role": "assistant", "content": None, "tool_calls": [call]}], []
        case "function":
            call = {"name": message["name"], "arguments": "{}"}
            return [{"role": "assistant", "content": None, "function_call": call}], []
        case _:
            return [], [_AFTER]


def _ollama(message: Object, _: str) -> tuple[list[Object], list[Object]]:
    if calls := message.get("tool_calls"):
        message["role"] = "assistant"
        names = [call["function"]["name"] for call in calls if isinstance(call, dict)]
        return [], [*({"role": "tool", "tool_name": name, "content": "Done."} for name in names), _AFTER]
    if "tool_name" in message or "tool_call_id" in message:
        message["role"], message["content"] = "tool", "Done."
        call: Object = {"function": {"name": message.get("tool_name", "look"), "arguments": {}}}
        if "tool_call_id" in message:
            call["id"] = message["tool_call_id"]
        return [{"role": "assistant", "content": "", "tool_calls": [call]}], [_AFTER]
    if "thinking" in message:
        message["role"] = "assistant"
        message.setdefault("content", "Well.")
        return [], [_AFTER]
    message.setdefault("content", "Look here.")
    return [], [_AFTER]


_OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
_CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def _item_frame(item: Object | None) -> tuple[list[Object], list[Object]]:
    """What stands before and after an item: the call that is answered, the result of one."""
    kind, call_id = ("", "") if item is None else (str(item.get("type")), item.get("call_id"))
    if kind in _OUTPUTS and call_id:
        words = {"input": "x"} if kind.startswith("custom") else {"arguments": "{}"}
        return [{"type": _OUTPUTS[kind], "call_id": call_id, "name": "look", **words}], [_AFTER]
    if kind == "reasoning":
        return [], [_ANSWER, _AFTER]
    if kind in _CALLS:
        return [], [{"type": _CALLS[kind], "call_id": call_id, "output": "Done."}, _AFTER]
    return [], [_AFTER]


def _is_list(message: Object) -> bool:
    return isinstance(message.get("content"), list)


_FRAMES = {"anthropic": _anthropic, "openai_chat": _openai, "ollama": _ollama}


# --- what a member refers to -----------------------------------------------------------------------


def _complete(dialect: str, path: str, body: Object) -> Object:
    """`body` with what `path` needs beside it: the tools a choice names, the switch an option goes with."""
    key = path.partition(".")[0].partition("[")[0]
    if dialect == "anthropic" and key == "tool_choice":
        named = [name for name in _names(body.get("tool_choice")) if name]
        body["tools"] = [{"name": name, "input_schema": _SCHEMA} for name in [*named, "first"]]
    elif key in ("tool_choice", "parallel_tool_calls"):
        named = list(_names(body.get("tool_choice")))
        kind = "custom" if path.startswith("tool_choice[custom]") else "function"
        body["tools"] = [
            {"type": kind, kind: {"name": name} | ({"parameters": _SCHEMA} if kind == "function" else {})}
            for name in [*named, "first"]
        ]
    elif key == "function_call":
        body["functions"] = [{"name": name, "parameters": _SCHEMA} for name in [*_names(body.get(key)), "first"]]
    elif key == "stream_options":
        body["stream"] = True
    elif key == "top_logprobs":
        body["logprobs"] = True
    return body


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "name" and isinstance(inner, str):
                yield inner
            else:
                yield from _names(inner)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)
