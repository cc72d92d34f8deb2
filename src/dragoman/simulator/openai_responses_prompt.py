"""A Responses request as a chat completion, which the simulator's brain knows, and the rules that only this API has.

https://platform.openai.com/docs/guides/migrate-to-responses
"""

from __future__ import annotations

from typing import Any

from dragoman.conversation import Object
from dragoman.ids import mint
from dragoman.simulator.openai_answer import PROOF
from dragoman.simulator.openai_flavors import Flavor, Model
from dragoman.simulator.openai_refused import Refusal, wrong
from dragoman.simulator.openai_responses_wire import COUNTED, RESPONSES

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = ("function_call_output", "custom_tool_call_output")


def sealed(item_id: str) -> str:
    """The proof of the reasoning in the item with this id."""
    return PROOF["encrypted"] + mint("", item_id, length=40)


def check_responses(body: Object, flavor: Flavor, model: Model) -> None:
    """The shape, then what hangs together.  Raises `Refused`."""
    RESPONSES(body, "", flavor.strict)
    if name := body.get("previous_response_id"):
        message = f"Previous response with id '{name}' not found."
        raise wrong(message, "previous_response_id", "previous_response_not_found")
    if flavor.strict and not model.thinks:
        if ENCRYPTED in (body.get("include") or []):
            raise wrong("Encrypted content is not supported with this model.", "include")
        if (body.get("reasoning") or {}).get("effort"):
            message = "Unsupported parameter: 'reasoning.effort' is not supported with this model."
            raise wrong(message, "reasoning.effort", "unsupported_parameter")
    calls: dict[str, str] = {}
    for index, item in enumerate(items(body)):
        at = f"input[{index}]"
        if item["type"] == "reasoning" and flavor.strict:
            _check_reasoning(item, at)
        elif item["type"] in _CALLS:
            calls[item["call_id"]] = at
        elif item["type"] in _RESULTS and item["call_id"] not in calls and flavor.strict:
            raise wrong(f"No tool call found for function call output with call_id {item['call_id']}.", "input")
    answered = {item["call_id"] for item in items(body) if item["type"] in _RESULTS}
    for call in calls.keys() - answered if flavor.strict else ():
        raise wrong(f"No tool output found for function call {call}.", "input")


def counted(body: Object, flavor: Flavor) -> Object:
    """What is counted, as a chat completion: nothing of it must be there.  Raises `Refused`."""
    COUNTED(body, "", flavor.strict)
    return as_chat({"model": "", "input": "", **body})


def _check_reasoning(item: Object, at: str) -> None:
    given = item.get("encrypted_content")
    if not given:
        message = f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. "
        message += "Try again with `store` set to true, or remove this item from your input."
        raise Refusal(404, "invalid_request_error", message, param="input")
    if given != sealed(str(item.get("id"))):
        message = f"The encrypted content {given[:8]}... could not be verified."
        raise wrong(message, f"{at}.encrypted_content", "invalid_encrypted_content")


def items(body: Object) -> list[Object]:
    """The items of `input`, each with its type."""
    given = body["input"]
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [{"type": "message", **item} if item.get("type") is None else item for item in given]


# --- as a chat completion ----------------------------------------------------------------------------


def as_chat(body: Object) -> Object:
    """The same request for chat completions; what they cannot say is left out."""
    chat: Object = {"model": body["model"], "messages": _messages(body)}
    tools = [tool for given in body.get("tools") or [] for tool in _tools(given)]
    if tools:
        chat["tools"] = tools
        for name in ("parallel_tool_calls", "tool_choice"):
            if body.get(name) is not None:
                chat[name] = _choice(body[name]) if name == "tool_choice" else body[name]
    for name in ("temperature", "top_p", "metadata"):
        if body.get(name) is not None:
            chat[name] = body[name]
    if effort := (body.get("reasoning") or {}).get("effort"):
        chat["reasoning_effort"] = effort
    if wanted := (body.get("text") or {}).get("format"):
        inner = {name: value for name, value in wanted.items() if name != "type"}
        chat["response_format"] = {"type": wanted["type"]} | ({"json_schema": inner} if inner else {})
    return chat


def searches(body: Object) -> bool:
    """Whether the server may search the web."""
    return any(tool["type"] == "web_search" for tool in body.get("tools") or [])


def namespaces(body: Object) -> dict[str, Object]:
    """Flat name → `namespace` and `name` of a call."""
    return {
        f"{space['name']}__{tool['name']}": {"namespace": space["name"], "name": tool["name"]}
        for space in body.get("tools") or []
        if space["type"] == "namespace"
        for tool in space["tools"]
    }


def _messages(body: Object) -> list[Object]:
    out: list[Object] = []
    if instructions := body.get("instructions"):
        out.append({"role": "system", "content": instructions})
    for item in items(body):
        match item["type"]:
            case "message" if item["role"] == "assistant":
                _assistant(out)["content"] = _content(item["content"])
            case "message":
                out.append({"role": item["role"], "content": _content(item["content"])})
            case "function_call" | "custom_tool_call":
                _assistant(out).setdefault("tool_calls", []).append(_call(item))
            case "function_call_output" | "custom_tool_call_output":
                _add_result(out, item)
    return out


def _assistant(out: list[Object]) -> Object:
    if not out or out[-1]["role"] != "assistant":
        out.append({"role": "assistant", "content": ""})
    return out[-1]


def _add_result(out: list[Object], item: Object) -> None:
    content = _content(item["output"])
    if isinstance(content, list):
        content = [part if part["type"] == "text" else {"type": "text", "text": "[image]"} for part in content]
    out.append({"role": "tool", "tool_call_id": item["call_id"], "content": content or "(no text)"})


def _call(item: Object) -> Object:
    space = item.get("namespace")
    name = f"{space}__{item['name']}" if space else item["name"]
    if item["type"] == "custom_tool_call":
        return {"id": item["call_id"], "type": "custom", "custom": {"name": name, "input": item["input"]}}
    return {"id": item["call_id"], "type": "function", "function": {"name": name, "arguments": item["arguments"]}}


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_part(part) for part in content] or ""


def _part(part: Object) -> Object:
    match part["type"]:
        case "input_image":
            return {"type": "image_url", "image_url": {"url": part.get("image_url") or ""}}
        case "input_file":
            members = {name: part[name] for name in ("file_data", "file_id", "filename") if part.get(name)}
            return {"type": "file", "file": members}
        case "refusal" | "input_audio":
            return part
        case _:
            return {"type": "text", "text": part["text"]}


def _tools(tool: Object, space: str = "") -> list[Object]:
    match tool["type"]:
        case "namespace":
            return [found for inner in tool["tools"] for found in _tools(inner, f"{tool['name']}__")]
        case "function" | "custom" as kind:
            known = ("name", "description", "parameters", "strict")
            inner = {name: tool[name] for name in known if tool.get(name) is not None}
            return [{"type": kind, kind: inner | {"name": space + tool["name"]}}]
        case _:
            return []


def _choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    match choice:
        case {"type": "allowed_tools", "mode": mode, "tools": tools}:
            named = [_choice(tool) for tool in tools]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
        case {"type": str(kind), "name": name}:
            return {"type": kind, kind: {"name": name}}
        case _:
            return "auto"
