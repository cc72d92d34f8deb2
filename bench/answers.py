"""The one answer of the upstream, in each of its dialects, as real servers put it on the wire.

Sources: https://platform.claude.com/docs/en/api/messages, https://docs.ollama.com/api/chat,
https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from bench import wire

_CREATED = "2026-11-22T12:00:00.000000Z"
_UNIX = 1_795_348_800
_PROMPT_TOKENS = 231
_MS = 1_000_000  # nanoseconds


class Answer(NamedTuple):
    """`whole` is the unstreamed answer.  A stream is `head`, the events of `deltas`, `tail`, all of type `media`."""

    whole: bytes
    media: str
    head: bytes
    deltas: list[bytes]
    tail: bytes


def anthropic(texts: list[str]) -> Answer:
    """A message, and its events."""
    message = {
        "id": "msg_01BenchBenchBenchBenchBen",
        "type": "message",
        "role": "assistant",
        "model": wire.MODELS["anthropic"],
        "stop_sequence": None,
    }
    usage = {
        "input_tokens": _PROMPT_TOKENS,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
        "output_tokens": len(texts),
    }
    content = [{"type": "text", "text": "".join(texts)}]
    start: dict[str, object] = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return Answer(
        whole=_json({**message, "content": content, "stop_reason": "end_turn", "usage": usage}),
        media="text/event-stream; charset=utf-8",
        head=_event("message_start", message=start)
        + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + _event("ping"),
        deltas=[_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts],
        tail=_event("content_block_stop", index=0)
        + _event("message_delta", delta=stop, usage=usage)
        + _event("message_stop"),
    )


def ollama(texts: list[str]) -> Answer:
    """A chat's one line, and its many."""
    end = {
        "done": True,
        "done_reason": "stop",
        "total_duration": 900 * _MS,
        "load_duration": 30 * _MS,
        "prompt_eval_count": _PROMPT_TOKENS,
        "prompt_eval_duration": 70 * _MS,
        "eval_count": len(texts),
        "eval_duration": 800 * _MS,
    }

    def line(text: str, **members: object) -> bytes:
        said = {"role": "assistant", "content": text}
        return _json({"model": wire.MODELS["ollama"], "created_at": _CREATED, "message": said, **members})

    return Answer(
        whole=line("".join(texts), **end),
        media="application/x-ndjson",
        head=b"",
        deltas=[line(text, done=False) + b"\n" for text in texts],
        tail=line("", **end) + b"\n",
    )


def openai(texts: list[str]) -> Answer:
    """A chat completion, and its chunks."""
    usage = {
        "prompt_tokens": _PROMPT_TOKENS,
        "completion_tokens": len(texts),
        "total_tokens": _PROMPT_TOKENS + len(texts),
    }

    def said(kind: str, members: Mapping[str, object], reason: str | None = None, **more: object) -> bytes:
        head = {"id": "chatcmpl-bench0000000000", "object": kind, "created": _UNIX, "model": wire.MODELS["openai"]}
        choice = {"index": 0, **members, "logprobs": None, "finish_reason": reason}
        return _json({**head, "system_fingerprint": "fp_bench", "choices": [choice], **more})

    def chunk(delta: Mapping[str, object], reason: str | None = None, **more: object) -> bytes:
        return b"data: %b\n\n" % said("chat.completion.chunk", {"delta": delta}, reason, **more)

    message = {"role": "assistant", "content": "".join(texts), "refusal": None}
    return Answer(
        whole=said("chat.completion", {"message": message}, "stop", usage=usage),
        media="text/event-stream",
        head=chunk({"role": "assistant", "content": ""}),
        deltas=[chunk({"content": text}) for text in texts],
        tail=chunk({}, "stop", usage=usage) + b"data: [DONE]\n\n",
    )


ANSWERS: Mapping[str, Callable[[list[str]], Answer]] = {"anthropic": anthropic, "ollama": ollama, "openai": openai}


# --- what else a gateway asks --------------------------------------------------------------------


def anthropic_models() -> bytes:
    """The one page of Anthropic's list of models."""
    name = wire.MODELS["anthropic"]
    model = {"type": "model", "id": name, "display_name": "Claude", "created_at": "2025-09-29T00:00:00Z"}
    return _json({"data": [model], "has_more": False, "first_id": name, "last_id": name})


def openai_models() -> bytes:
    """An OpenAI-compatible server's list of models."""
    model = {"id": wire.MODELS["openai"], "object": "model", "created": _UNIX, "owned_by": "bench"}
    return _json({"object": "list", "data": [model]})


def ollama_tags() -> bytes:
    """What an Ollama server has pulled."""
    name = wire.MODELS["ollama"]
    model = {"name": name, "model": name, "modified_at": _CREATED, "size": 4_920_753_328, "details": _DETAILS}
    return _json({"models": [model]})


def ollama_show() -> bytes:
    """What an Ollama server knows of its model."""
    info = {"general.architecture": "llama", "llama.context_length": 131_072}
    return _json({"details": _DETAILS, "model_info": info, "capabilities": ["completion", "tools"]})


_DETAILS = {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "8.0B"}


def _event(name: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _json({"type": name, **members}))


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
