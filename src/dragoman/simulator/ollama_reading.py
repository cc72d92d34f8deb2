"""An Ollama request as the brain reads it: in the shape of the Messages API, whose blocks the brain knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dragoman.conversation import Object
from dragoman.media import sniff
from dragoman.simulator.ollama_models import Model
from dragoman.simulator.ollama_wire import PARAMETER_MEMBERS, PROPERTY_MEMBERS
from dragoman.simulator.rules import Approved

_JSON_MODE = {"role": "system", "content": "Respond in JSON."}


def conversation(messages: list[Object]) -> list[Object]:
    """Messages with blocks.  Results find their calls by id, else by name, else by place; a result nobody asked for
    gets a call of its own."""
    out: list[Object] = []
    pending: list[Object] = []
    for turn, message in enumerate(messages):
        match str(message.get("role") or "").lower():
            case "assistant":
                pending = list(_calls(message, turn))
                out.append({"role": "assistant", "content": [*_text(message), *pending]})
            case "tool":
                call = _answered(message, pending)
                if call is None:
                    call = _call(f"toolu_{turn}_orphan", message.get("tool_name") or "unknown", {})
                    out.append({"role": "assistant", "content": [call]})
                result = {"type": "tool_result", "tool_use_id": call["id"], "content": message.get("content") or ""}
                out.append({"role": "user", "content": [result, *_pictures(message)]})
            case "system":
                out.append({"role": "system", "content": message.get("content") or ""})
            case _:
                out.append({"role": "user", "content": [*_text(message), *_pictures(message)]})
    return out


def _text(message: Object) -> list[Object]:
    words = message.get("content") or ""
    return [{"type": "text", "text": words}] if words else []


def _pictures(message: Object) -> Iterator[Object]:
    for data in message.get("images") or []:
        yield {"type": "image", "source": {"type": "base64", "media_type": sniff(data), "data": data}}


def _call(call_id: str, name: str, arguments: Object) -> Object:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def _calls(message: Object, turn: int) -> Iterator[Object]:
    for number, call in enumerate(message.get("tool_calls") or []):
        function = call.get("function") or {}
        call_id = call.get("id") or f"toolu_{turn}_{number}"
        yield _call(call_id, function.get("name") or "", function.get("arguments") or {})


def _answered(message: Object, pending: list[Object]) -> Object | None:
    """The call that a result answers, which is then no longer pending."""
    if not pending:
        return None
    by_id = [call for call in pending if call["id"] == message.get("tool_call_id")]
    by_name = [call for call in pending if call["name"] == message.get("tool_name")]
    call = (by_id or by_name or pending)[0]
    pending.remove(call)
    return call


def tools(given: list[Object] | None) -> list[Object]:
    """The tools that have a name, with as much of their schemas as the server keeps."""
    out = []
    for tool in given or []:
        function = tool.get("function") or {}
        schema = {k: v for k, v in (function.get("parameters") or {}).items() if k in PARAMETER_MEMBERS}
        schema["properties"] = {k: _property(v) for k, v in (schema.get("properties") or {}).items()}
        if name := function.get("name"):
            words = function.get("description") or ""
            out.append({"name": name, "description": words, "input_schema": {**schema, "type": "object"}})
    return out


def _property(schema: Any) -> Object:
    if not isinstance(schema, dict):
        return {}
    kept = {key: value for key, value in schema.items() if key in PROPERTY_MEMBERS and value is not None}
    if isinstance(inner := kept.get("properties"), dict):
        kept["properties"] = {name: _property(value) for name, value in inner.items()}
    if isinstance(unions := kept.get("anyOf"), list):
        kept["anyOf"] = [_property(each) for each in unions]
    return kept


def approved(model: Model, messages: list[Object], given: list[Object], effort: str, wanted: Object | str) -> Approved:
    """What the brain answers.

    With a `format` the grammar governs from the first token on, so no tool is ever called.
    https://github.com/ollama/ollama/issues/8095
    """
    said = conversation(messages)
    body: Object = {"messages": said, "tools": [] if wanted else given}
    if isinstance(wanted, dict):
        body["output_config"] = {"format": {"type": "json_schema", "schema": wanted}}
    elif wanted:
        body["messages"] = [_JSON_MODE, *said]
    return Approved(
        card=model.card,
        sent=body,
        body=body,
        thinks=bool(effort),
        display="summarized",
        interleaved=True,
        effort=effort,
        prompt_tokens=0,
        dropped=[],
    )
