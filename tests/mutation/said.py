"""Short ways to write the requests of the tables."""

from __future__ import annotations

from typing import Any

from tests.mutation.rows import Object
from tests.sdks.media import PNG

CITY: Object = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BRANCHES: Object = {"anyOf": [CITY, {"type": "object", "properties": {"zip": {"type": "string"}}}]}
MARK: Object = {"type": "ephemeral"}
PICTURE: Object = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
DATA_URL = f"data:image/png;base64,{PNG}"


def said(*turns: Any, **members: Any) -> Object:
    """A body whose user and assistant speak in turn; a turn that is an object is a message as it stands."""
    messages: list[Object] = []
    for turn in turns:
        user = not messages or messages[-1]["role"] != "user"
        whole = isinstance(turn, dict)
        messages.append(turn if whole else {"role": "user" if user else "assistant", "content": turn})
    return {"model": "x", "messages": messages, **members}


def system(text: str) -> Object:
    return {"role": "system", "content": text}


def asked(**members: Any) -> Object:
    """A plain question, with these members of the request."""
    return said("Hi", **members)


def function(name: str = "f", schema: Object | None = None, **members: Any) -> Object:
    """A tool as OpenAI and Ollama programs write it."""
    return {"type": "function", "function": {"name": name, "parameters": schema or CITY, **members}}


def tool(name: str = "f", schema: Object | None = None, **members: Any) -> Object:
    """A tool as Anthropic programs write it."""
    return {"name": name, "input_schema": schema or CITY, **members}


CUSTOM: Object = {"type": "custom", "custom": {"name": "f", "description": "Runs it."}}
NAMED: Object = {"type": "function", "function": {"name": "f"}}


def allowed(mode: str, *names: str) -> Object:
    """A choice among some of the tools."""
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def call(id: str, name: str = "f", arguments: str = "{}") -> Object:
    """A message of the assistant with one call, by OpenAI's wire."""
    calls = [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(id: str, content: Any = "done") -> Object:
    """What a tool returned, by OpenAI's wire."""
    return {"role": "tool", "tool_call_id": id, "content": content}


def use(id: str = "toolu_1", name: str = "f") -> Object:
    """A call, as a block of Anthropic's."""
    return {"type": "tool_use", "id": id, "name": name, "input": {}}


def returned(*content: Any, id: str = "toolu_1", **members: Any) -> Object:
    """A result, as a block of Anthropic's."""
    return {"type": "tool_result", "tool_use_id": id, "content": list(content), **members}


def text(words: str, **members: Any) -> Object:
    return {"type": "text", "text": words, **members}


def schema(shape: Object, **members: Any) -> Object:
    """OpenAI's `response_format`."""
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": shape, **members}}
