"""The OpenAI simulators on loopback ports, the official SDK pointed at them, and a strict judge: the SDK's types."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import openai
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dragoman.framing import SSE
from dragoman.simulator.openai_flavors import flavors
from tests.simulator.judge import extras

FLAVORS = flavors()
WELL_BEHAVED = [name for name in FLAVORS if name != "ollama"]
CHAT = {name: next(m.id for m in flavor.models if "chat" in m.does) for name, flavor in FLAVORS.items()}
SDKS = dict[str, openai.OpenAI]
HEADERS = {"authorization": "Bearer k"}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
NOW: Any = {"type": "function", "function": {"name": "get_time"}}
# What servers add to OpenAI's types, where it may stand.
_ADDED = {
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "stop_reason",
    "native_finish_reason",
    "provider",
    "timings",
    "stats",
    "model_info",
    "cost",
    "is_byok",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
}


def client(url: str) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(verify=_no_certificates())
    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=20, http_client=http)


def _no_certificates() -> ssl.SSLContext:
    """Loading the system's certificates would take longer than a test."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def asked(words: str = "hello", model: str = "gpt-4.1-mini", **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": words}]} | members


def told(scenario: str, words: str = "hello", **members: Any) -> dict[str, Any]:
    return asked(f"{words} [[simulate: {scenario}]]", **members)


def post(url: str, body: Any, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    """A request as bytes, without the SDK's help."""
    return httpx.post(f"{url}{path}", json=body, headers=HEADERS | headers, timeout=20, verify=_no_certificates())


def chunks(raw: bytes) -> list[Any]:
    """The JSON of a stream's events, `[DONE]` left out."""
    return [msgspec.json.decode(frame) for frame in SSE().feed(raw) if frame != b"[DONE]"]


def deltas(raw: bytes) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks(raw) for choice in chunk.get("choices") or []]


def fragments(raw: bytes) -> list[dict[str, Any]]:
    return [fragment for delta in deltas(raw) for fragment in delta.get("tool_calls") or []]


def text_of(raw: bytes) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(raw) if delta)


def judge(kind: type[ChatCompletion | ChatCompletionChunk | Completion], data: bytes) -> Any:
    """The value as the SDK's type has it; nothing is converted, and only known extensions are extra."""
    value = kind.model_validate_json(data, strict=True)
    strange = [path for path in extras(value) if path.rsplit(".", 1)[-1] not in _ADDED]
    assert strange == []
    return value


def judge_stream(raw: bytes) -> list[ChatCompletionChunk]:
    """Every chunk by its type; then the rules between chunks."""
    frames = SSE().feed(raw)
    assert frames[-1] == b"[DONE]"
    judged: list[ChatCompletionChunk] = [judge(ChatCompletionChunk, frame) for frame in frames[:-1]]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in judged}) == 1
    by_choice: dict[int, list[Any]] = {}
    for chunk in judged:
        for choice in chunk.choices:
            by_choice.setdefault(choice.index, []).append(choice)
    assert sorted(by_choice) == list(range(len(by_choice)))
    for choices in by_choice.values():
        assert [choice.delta.role for choice in choices] == ["assistant"] + [None] * (len(choices) - 1)
        assert [bool(choice.finish_reason) for choice in choices] == [False] * (len(choices) - 1) + [True]
        _judge_calls(call for choice in choices for call in choice.delta.tool_calls or [])
    return judged


def _judge_calls(calls: Iterable[Any]) -> None:
    """A call opens with index, id and name, goes on with its index alone, and ends before the next begins."""
    last = -1
    for call in calls:
        opens = call.index > last
        assert call.index == last + opens
        assert (call.id is not None, call.type, call.function.name is not None) == (
            opens,
            "function" if opens else None,
            opens,
        )
        last = call.index
