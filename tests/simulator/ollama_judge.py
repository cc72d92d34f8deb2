"""A strict judge of Ollama's wire: the official SDK's types, and nothing that they drop but what is named here."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from ollama import ChatResponse, EmbedResponse, GenerateResponse, ListResponse, ProcessResponse, ShowResponse
from ollama import ProgressResponse as Progress
from ollama._types import EmbeddingsResponse
from pydantic import BaseModel

TYPES: Mapping[str, type[BaseModel]] = {
    "/api/chat": ChatResponse,
    "/api/generate": GenerateResponse,
    "/api/embed": EmbedResponse,
    "/api/embeddings": EmbeddingsResponse,
    "/api/tags": ListResponse,
    "/api/ps": ProcessResponse,
    "/api/show": ShowResponse,
    "/api/pull": Progress,
}
# What a real server of today says and ollama-python 0.6.3 has no member for.
NEWER = {
    ".message.tool_calls[].id",
    ".message.tool_calls[].function.index",
    ".logprobs[].bytes",
    ".logprobs[].top_logprobs[].bytes",
    ".models[].name",
    ".models[].capabilities",
    ".models[].details.context_length",
    ".models[].details.embedding_length",
    ".system",
    ".tensors",
}
# Loading the system's certificates for every request takes longer than the request.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
PHI, QWEN, GPT, LLAMA, MISTRAL = "phi4:latest", "qwen3:8b", "gpt-oss:20b", "llama3.2-vision:11b", "mistral-small3.2:24b"
CODER, NOMIC = "qwen2.5-coder:1.5b", "nomic-embed-text:latest"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def judge(path: str, raw: bytes) -> Any:
    """One object or line, as decoded JSON.  Strict: nothing is converted, nothing unknown is dropped."""
    wire = msgspec.json.decode(raw)
    known = TYPES[path].model_validate_json(raw, strict=path not in ("/api/tags", "/api/ps"))
    lost = set(missing(wire, known.model_dump(mode="json", by_alias=True, exclude_unset=True)))
    assert lost <= NEWER, lost
    return wire


def missing(wire: Any, kept: Any, at: str = "") -> list[str]:
    """The paths of members that are on the wire and not in what the SDK made of it."""
    if isinstance(wire, dict) and isinstance(kept, dict):
        gone = [f"{at}.{name}" for name in wire.keys() - kept.keys()]
        return gone + [
            path for name in wire.keys() & kept.keys() for path in missing(wire[name], kept[name], f"{at}.{name}")
        ]
    if isinstance(wire, list) and isinstance(kept, list):
        return [path for one, other in zip(wire, kept, strict=True) for path in missing(one, other, f"{at}[]")]
    return []


def asked(scenario: str = "", words: str = "hello", **members: Any) -> dict[str, Any]:
    """A chat request, told how it is to be answered."""
    content = f"{words} [[simulate: {scenario}]]" if scenario else words
    return {"model": QWEN, "messages": [{"role": "user", "content": content}]} | members


def post(url: str, body: Any, path: str = "/api/chat", **headers: str) -> httpx.Response:
    """A request as it is, without the SDK's help."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return httpx.post(f"{url}{path}", content=data, headers=headers, timeout=20, verify=PLAIN)


def lines(response: httpx.Response, path: str = "/api/chat") -> list[Any]:
    """The judged lines of a stream."""
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content.endswith(b"\n")
    return [judge(path, line) for line in response.content[:-1].split(b"\n")]


def told(stream: list[Any]) -> str:
    """The text of a chat."""
    return "".join(line["message"]["content"] for line in stream)
