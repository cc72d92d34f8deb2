"""Three servers that say exactly what a test wants them to, and five clients that read what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from dragoman.config import Secret, Settings, Upstream
from dragoman.conversation import Object
from tests.relay.scripted import Scripted, event, response, scripted
from tests.running import run_gateway

Dialect = Literal["anthropic", "ollama", "openai_chat"]
DIALECTS: tuple[Dialect, ...] = ("anthropic", "ollama", "openai_chat")
MODELS: Mapping[Dialect, str] = {
    "anthropic": "claude-sonnet-4-5-20250929",
    "ollama": "qwen3:8b",
    "openai_chat": "some-model",
}
CALL = {"name": "look", "arguments": {"at": "it"}}


@dataclass
class Said:
    """What a server says; `usage` and `ending` are in its own words.  `cut`: a call breaks off in its arguments.

    `broken`: the stream ends in the middle.  `pause` (seconds) is before each of: head, first word, second word, end.
    """

    usage: Object | None
    ending: Object
    text: str = "Hello"
    call: bool = False
    cut: bool = False
    broken: bool = False
    pause: float = 0.0
    listed: Object = field(default_factory=dict)


def _arguments(said: Said) -> str:
    text = json.dumps(CALL["arguments"])
    return text[:-3] if said.cut else text


def anthropic_stream(said: Said) -> Iterator[bytes]:
    usage = said.usage or {}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODELS["anthropic"], "content": []}
    yield event(
        "message_start",
        message=message | {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}},
    )
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in (said.text[:2], said.text[2:]):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    if said.broken:
        return
    if said.call:
        block = {"type": "tool_use", "id": "toolu_1", "name": CALL["name"], "input": {}}
        yield event("content_block_start", index=1, content_block=block)
        delta = {"type": "input_json_delta", "partial_json": _arguments(said)}
        yield event("content_block_delta", index=1, delta=delta)
        yield event("content_block_stop", index=1)
    yield event("message_delta", delta=said.ending, usage=usage) + event("message_stop")


def anthropic_whole(said: Said) -> Object:
    content: list[Object] = [{"type": "text", "text": said.text}]
    if said.call:
        arguments = {} if said.cut else CALL["arguments"]
        content.append({"type": "tool_use", "id": "toolu_1", "name": CALL["name"], "input": arguments})
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODELS["anthropic"], "content": content}
    return message | {"stop_sequence": None, "usage": said.usage} | said.ending


def openai_stream(said: Said) -> Iterator[bytes]:
    def chunk(delta: Object, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None} | more
        return (
            b"data: %b\n\n" % json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode()
        )

    yield chunk({"role": "assistant", "content": ""})
    yield chunk({"content": said.text[:2]})
    yield chunk({"content": said.text[2:]})
    if said.broken:
        return
    if said.call:
        function = {"name": CALL["name"], "arguments": _arguments(said)}
        yield chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})
    yield chunk({}, **said.ending)
    if said.usage is not None:
        yield b"data: %b\n\n" % json.dumps({"id": "c", "choices": [], "usage": said.usage}).encode()
    yield b"data: [DONE]\n\n"


def openai_whole(said: Said) -> Object:
    message: Object = {"role": "assistant", "content": said.text}
    if said.call:
        function = {"name": CALL["name"], "arguments": _arguments(said)}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "logprobs": None} | said.ending
    body: Object = {"id": "c", "object": "chat.completion", "created": 1, "model": "some-model", "choices": [choice]}
    return body | ({} if said.usage is None else {"usage": said.usage})


def ollama_stream(said: Said) -> Iterator[bytes]:
    def line(message: Object, **more: Any) -> bytes:
        body = {"model": "m", "created_at": "2026-11-22T06:00:00Z", "message": {"role": "assistant", **message}}
        return json.dumps(body | {"done": False} | more).encode() + b"\n"

    yield line({"content": said.text[:2]})
    yield line({"content": said.text[2:]})
    if said.broken:
        return
    if said.call:
        yield line({"content": "", "tool_calls": [{"function": CALL}]})
    yield line({"content": ""}, done=True, **said.ending, **(said.usage or {}))


def ollama_whole(said: Said) -> Object:
    message: Object = {"role": "assistant", "content": said.text}
    if said.call:
        message["tool_calls"] = [{"function": CALL}]
    body = {"model": "m", "created_at": "2026-11-22T06:00:00Z", "message": message, "done": True}
    return body | said.ending | (said.usage or {})


_STREAMS = {"anthropic": anthropic_stream, "openai_chat": openai_stream, "ollama": ollama_stream}
_WHOLE = {"anthropic": anthropic_whole, "openai_chat": openai_whole, "ollama": ollama_whole}


@dataclass
class Told:
    """What a client was told.  Counts are None where its dialect has no place for them, or they were left out."""

    answer: httpx.Response
    documents: list[Object]
    input: int | None = None
    read: int | None = None
    write: int | None = None
    output: int | None = None
    thinking: int | None = None
    reason: str | None = None
    stop: str | None = None
    calls: list[str] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int | None, ...]:
        return (self.input, self.read, self.write, self.output, self.thinking)


class World:
    """A gateway before three scripted servers."""

    def __init__(self, url: str, servers: Mapping[Dialect, Scripted]) -> None:
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self.servers = servers

    def play(self, dialect: Dialect, said: Said) -> None:
        """From now on the server says this, streamed if it is asked to."""
        server = self.servers[dialect]

        async def step(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(said.pause)
            if not server.requests[-1].document.get("stream"):
                writer.write(response(json.dumps(_WHOLE[dialect](said)).encode()))
                return
            kind = b"application/x-ndjson" if dialect == "ollama" else b"text/event-stream"
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind)
            for piece in _STREAMS[dialect](said):
                await asyncio.sleep(said.pause)
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            if said.broken:
                writer.close()
            else:
                writer.write(b"0\r\n\r\n")

        server.play([step])

    def ask(self, path: str, dialect: Dialect, *, stream: bool, **more: Any) -> Told:
        """One call, which reaches the server of that dialect."""
        asked: Object = {"model": MODELS[dialect], "stream": stream}
        if path in ("/api/generate", "/v1/completions"):
            asked["prompt"] = "Hi"
        else:
            asked["messages"] = [{"role": "user", "content": "Hi"}]
        if path == "/v1/messages":
            asked["max_tokens"] = 1000
        elif stream and path.startswith("/v1"):
            asked["stream_options"] = {"include_usage": True}
        headers = {"anthropic-version": "2023-06-01"} if path == "/v1/messages" else {}
        answer = self.http.post(path, json=asked | more, headers=headers)
        return READERS[path](answer, stream)


@contextmanager
def world(**settings: Any) -> Iterator[World]:
    """Everything."""
    with ExitStack() as stack:
        servers = {dialect: stack.enter_context(scripted()) for dialect in DIALECTS}
        upstreams = tuple(
            Upstream(name=name, dialect=name, base_url=server.url, key=Secret("k"), models=(MODELS[name],))
            for name, server in servers.items()
        )
        values: Object = {"host": "127.0.0.1", "port": 0, "upstreams": upstreams, "retries": 0, "refresh": 0}
        gateway = stack.enter_context(run_gateway(Settings(**(values | settings))))
        it = World(gateway.url, servers)
        stack.callback(it.http.close)
        yield it


# --- the clients -----------------------------------------------------------------------------------


def _documents(answer: httpx.Response, stream: bool) -> list[Object]:
    assert answer.status_code == 200, answer.text
    if not stream:
        return [answer.json()]
    if "ndjson" in answer.headers["content-type"]:
        return [json.loads(line) for line in answer.text.splitlines()]
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def read_anthropic(answer: httpx.Response, stream: bool) -> Told:
    documents = _documents(answer, stream)
    told = Told(answer, documents)
    if not stream:
        usage, ending = documents[0]["usage"], documents[0]
        told.calls = [block["name"] for block in documents[0]["content"] if block["type"] == "tool_use"]
    else:
        by_type = {document["type"]: document for document in documents}
        last = by_type.get("message_delta", {"usage": {}, "delta": {}})
        usage, ending = by_type["message_start"]["message"]["usage"] | last["usage"], last["delta"]
        starts = [document["content_block"] for document in documents if document["type"] == "content_block_start"]
        told.calls = [block["name"] for block in starts if block["type"] == "tool_use"]
    told.input, told.output = usage["input_tokens"], usage["output_tokens"]
    told.read, told.write = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    told.thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    told.reason, told.stop = ending.get("stop_reason"), ending.get("stop_sequence")
    return told


def read_openai(answer: httpx.Response, stream: bool) -> Told:
    documents = _documents(answer, stream)
    told = Told(answer, documents)
    usages = [document["usage"] for document in documents if document.get("usage")]
    choices = [choice for document in documents for choice in document.get("choices", [])]
    for choice in choices:
        told.reason, told.stop = choice.get("finish_reason") or told.reason, choice.get("stop_reason") or told.stop
        said = choice.get("delta") or choice.get("message") or {}
        told.calls += [
            call["function"]["name"] for call in said.get("tool_calls") or [] if call["function"].get("name")
        ]
    if usages:
        [usage] = usages
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        prompt = usage.get("prompt_tokens_details") or {}
        told.input, told.output = usage["prompt_tokens"], usage["completion_tokens"]
        told.read, told.write = prompt.get("cached_tokens"), prompt.get("cache_write_tokens")
        told.thinking = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return told


def read_ollama(answer: httpx.Response, stream: bool) -> Told:
    documents = _documents(answer, stream)
    told = Told(answer, documents)
    last = documents[-1]
    told.input, told.output, told.reason = (
        last.get(name) for name in ("prompt_eval_count", "eval_count", "done_reason")
    )
    for document in documents:
        calls = (document.get("message") or {}).get("tool_calls") or []
        told.calls += [call["function"]["name"] for call in calls]
    return told


READERS = {
    "/v1/messages": read_anthropic,
    "/v1/chat/completions": read_openai,
    "/v1/completions": read_openai,
    "/api/chat": read_ollama,
    "/api/generate": read_ollama,
}
