"""What `dragoman smoke` says on each surface, and how it reads the answers.

This speaks as the programs do that use a gateway, on purpose without our codecs: what they get wrong must show.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol

from dragoman.conversation import Object
from dragoman.framing import NDJSON, SSE

TOOL = "get_weather"
_ABOUT = "The weather in a city."
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FUNCTION = {"type": "function", "function": {"name": TOOL, "description": _ABOUT, "parameters": _SCHEMA}}


class Call(NamedTuple):
    """A tool call that was read from a reply."""

    id: str
    name: str
    arguments: object


class Wire(Protocol):
    """One surface as a client sees it.  Readers raise KeyError, TypeError, IndexError or ValueError on what is not as
    it should be."""

    name: str
    path: str
    listing: str
    """Path of the list of models."""
    tools: bool

    def models(self, body: Any) -> list[str]: ...
    def ask(self, model: str, prompt: str, *, stream: bool = False, tool: bool = False, image: str = "") -> Object:
        """A request; `image` is a PNG in base64."""

    def text(self, reply: Any) -> str: ...
    def call(self, reply: Any) -> Call | None: ...
    def again(self, request: Object, reply: Any, call: Call, result: str) -> Object:
        """The request that sends the tool's result back."""

    def frames(self) -> NDJSON | SSE: ...
    def piece(self, frame: bytes) -> tuple[str, bool]:
        """The text in a frame of a stream, and whether it ends the answer.  Raises ValueError on an error frame."""


def _ended_badly(chunk: Any) -> ValueError:
    error = chunk["error"]
    return ValueError(
        f"the stream ends in an error: {error.get('message', error) if isinstance(error, dict) else error}"
    )


class OllamaChat:
    name, path, listing, tools = "Ollama chat", "/api/chat", "/api/tags", True

    def models(self, body: Any) -> list[str]:
        return [model["name"] for model in body["models"]]

    def ask(self, model: str, prompt: str, *, stream: bool = False, tool: bool = False, image: str = "") -> Object:
        message = {"role": "user", "content": prompt} | ({"images": [image]} if image else {})
        body: Object = {"model": model, "messages": [message], "stream": stream}
        return body | ({"tools": [_FUNCTION]} if tool else {})

    def text(self, reply: Any) -> str:
        return str(reply["message"]["content"])

    def call(self, reply: Any) -> Call | None:
        for call in reply["message"].get("tool_calls") or []:
            return Call(call.get("id", ""), call["function"]["name"], call["function"]["arguments"])
        return None

    def again(self, request: Object, reply: Any, call: Call, result: str) -> Object:
        answer = {"role": "tool", "tool_name": call.name, "content": result}
        return request | {"messages": [*request["messages"], reply["message"], answer]}

    def frames(self) -> NDJSON | SSE:
        return NDJSON()

    def piece(self, frame: bytes) -> tuple[str, bool]:
        chunk = json.loads(frame)
        if "error" in chunk:
            raise _ended_badly(chunk)
        return self.text(chunk), bool(chunk["done"])


class OllamaGenerate(OllamaChat):
    name, path, listing, tools = "Ollama generate", "/api/generate", "/api/tags", False

    def ask(self, model: str, prompt: str, *, stream: bool = False, tool: bool = False, image: str = "") -> Object:
        body: Object = {"model": model, "prompt": prompt, "stream": stream}
        return body | ({"images": [image]} if image else {})

    def text(self, reply: Any) -> str:
        return str(reply["response"])

    def call(self, reply: Any) -> Call | None:
        return None

    def again(self, request: Object, reply: Any, call: Call, result: str) -> Object:
        return request


class OpenAIChat:
    name, path, listing, tools = "OpenAI chat", "/v1/chat/completions", "/v1/models", True

    def models(self, body: Any) -> list[str]:
        return [model["id"] for model in body["data"]]

    def ask(self, model: str, prompt: str, *, stream: bool = False, tool: bool = False, image: str = "") -> Object:
        content: Any = prompt
        if image:
            url = {"url": f"data:image/png;base64,{image}"}
            content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": url}]
        body: Object = {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream}
        return body | ({"tools": [_FUNCTION]} if tool else {})

    def text(self, reply: Any) -> str:
        return reply["choices"][0]["message"]["content"] or ""

    def call(self, reply: Any) -> Call | None:
        for call in reply["choices"][0]["message"].get("tool_calls") or []:
            return Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        return None

    def again(self, request: Object, reply: Any, call: Call, result: str) -> Object:
        message = reply["choices"][0]["message"]
        answers = [{"role": "tool", "tool_call_id": each["id"], "content": result} for each in message["tool_calls"]]
        return request | {"messages": [*request["messages"], message, *answers]}

    def frames(self) -> NDJSON | SSE:
        return SSE()

    def piece(self, frame: bytes) -> tuple[str, bool]:
        if frame == b"[DONE]":
            return "", True
        chunk = json.loads(frame)
        if "error" in chunk:
            raise _ended_badly(chunk)
        return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"]), False


class AnthropicMessages:
    name, path, listing, tools = "Anthropic", "/v1/messages", "/v1/models", True

    def models(self, body: Any) -> list[str]:
        return [model["id"] for model in body["data"]]

    def ask(self, model: str, prompt: str, *, stream: bool = False, tool: bool = False, image: str = "") -> Object:
        content: Any = prompt
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": image}
            content = [{"type": "image", "source": source}, {"type": "text", "text": prompt}]
        body: Object = {"model": model, "max_tokens": 4096, "stream": stream}
        body["messages"] = [{"role": "user", "content": content}]
        return body | ({"tools": [{"name": TOOL, "description": _ABOUT, "input_schema": _SCHEMA}]} if tool else {})

    def text(self, reply: Any) -> str:
        return "".join(block["text"] for block in reply["content"] if block["type"] == "text")

    def call(self, reply: Any) -> Call | None:
        for block in reply["content"]:
            if block["type"] == "tool_use":
                return Call(block["id"], block["name"], block["input"])
        return None

    def again(self, request: Object, reply: Any, call: Call, result: str) -> Object:
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": result}
            for block in reply["content"]
            if block["type"] == "tool_use"
        ]
        turns = [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": results}]
        return request | {"messages": [*request["messages"], *turns]}

    def frames(self) -> NDJSON | SSE:
        return SSE()

    def piece(self, frame: bytes) -> tuple[str, bool]:
        event = json.loads(frame)
        if event["type"] == "error":
            raise _ended_badly(event)
        return event.get("delta", {}).get("text") or "", event["type"] == "message_stop"


def wires() -> tuple[Wire, ...]:
    """Every surface, in the order of the report."""
    return OllamaChat(), OllamaGenerate(), OpenAIChat(), AnthropicMessages()
