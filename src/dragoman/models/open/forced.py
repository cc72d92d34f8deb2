"""A forced tool call on a server that cannot be told to make one.

The answer is held to a schema: the tool's own, or one branch a tool.  What the model then writes is the call, and is
handed to the client as one.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dragoman.arguments import json_text
from dragoman.conversation import Object, Tool, ToolCall
from dragoman.ids import mint
from dragoman.models.jsontext import OneValue
from dragoman.models.open.schema import Held

_decode = msgspec.json.Decoder().decode

_ONE = "You must call the tool {name}. Answer with one JSON object and nothing else: the arguments of this call."
_ANY = (
    "You must call one of these tools. Answer with one JSON object and nothing else: "
    '`{"name": the name of the tool, "arguments": the arguments of the call}`.'
)


class Forced(Struct, frozen=True):
    """`names`: the tools (as the target knows them) one of which must be called.  `seed` makes the id of the call."""

    names: tuple[str, ...]
    seed: str

    def call(self, text: str) -> ToolCall | None:
        """The call in the model's answer, or None when there is none in it."""
        value = _value(text)
        if value is None:
            return None
        if len(self.names) == 1:
            name, arguments = self.names[0], value
        else:
            match value:
                case {"name": str(name), "arguments": dict(arguments)} if name in self.names:
                    pass
                case _:
                    return None
        written = json_text(arguments)
        return ToolCall(id=mint("call_", self.seed, name, written), name=name, arguments=written)


def _value(text: str) -> Object | None:
    """The JSON object that `text` is, or that stands in it between words."""
    for candidate in (text, _one(text)):
        try:
            value = _decode(candidate)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _one(text: str) -> str:
    reader = OneValue()
    return reader.feed(text) + reader.close()


def forced_schema(tools: list[Tool]) -> Object:
    """The schema of an answer that is a call of one of `tools`."""
    if len(tools) == 1:
        return _arguments(tools[0])
    return {"anyOf": [_branch(tool) for tool in tools]}


def _branch(tool: Tool) -> Object:
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": [tool.name]}, "arguments": _arguments(tool)},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _arguments(tool: Tool) -> Object:
    schema = Held(tool.schema or {}).schema
    if not schema.get("properties") and "additionalProperties" not in schema:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return schema


def forced_words(tools: list[Tool]) -> str:
    """The instruction that goes with the schema: these servers show the model neither a schema nor, now, its tools."""
    head = _ONE.format(name=tools[0].name) if len(tools) == 1 else _ANY
    return "\n\n".join([head, *(_described(tool) for tool in tools)])


def _described(tool: Tool) -> str:
    words = [f"Tool {tool.name}", *([tool.description] if tool.description else [])]
    return "\n".join([*words, f"JSON Schema of its arguments: {json_text(tool.schema or {})}"])
