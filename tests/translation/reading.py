"""What each client's official SDK makes of an answer, streamed and whole, in one form that can be compared."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from ollama import ChatResponse
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from dragoman.framing import NDJSON, SSE

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


class Read(NamedTuple):
    """An answer as a program sees it.  `calls` are names and arguments; `tokens` of prompt and answer."""

    text: str
    thinking: str
    calls: list[tuple[str, Any]]
    ids: list[str]
    reason: str
    tokens: tuple[int, int]
    refusal: str = ""


# --- Anthropic -------------------------------------------------------------------------------------


def anthropic_stream(data: bytes) -> Read:
    snapshot: Any = None
    inputs: dict[int, Any] = {}
    for frame in SSE().feed(data):
        event = _EVENT.validate_json(frame)
        if event.type != "ping":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=inputs)
    return _anthropic(snapshot)


def anthropic_whole(body: Any) -> Read:
    return _anthropic(AnthropicMessage.model_validate(body))


def _anthropic(message: Any) -> Read:
    blocks = message.content
    calls = [block for block in blocks if block.type == "tool_use"]
    assert all(block.signature for block in blocks if block.type == "thinking")
    return Read(
        "".join(block.text for block in blocks if block.type == "text"),
        "".join(block.thinking for block in blocks if block.type == "thinking"),
        [(call.name, call.input) for call in calls],
        [call.id for call in calls],
        message.stop_reason,
        (message.usage.input_tokens, message.usage.output_tokens),
    )


# --- OpenAI ----------------------------------------------------------------------------------------


def openai_stream(data: bytes) -> Read:
    state = ChatCompletionStreamState()
    frames = SSE().feed(data)
    assert frames[-1] == b"[DONE]"
    thinking = ""
    for frame in frames[:-1]:
        chunk = ChatCompletionChunk.model_validate_json(frame)
        state.handle_chunk(chunk)
        # The SDK joins what it does not know, too; a program that reads the deltas sees the same.
        for choice in chunk.choices:
            thinking += getattr(choice.delta, "reasoning_content", None) or ""
    return _openai(state.current_completion_snapshot, thinking)


def openai_whole(body: Any) -> Read:
    message = body["choices"][0]["message"]
    return _openai(ChatCompletion.model_validate(body), message.get("reasoning_content") or "")


def _openai(completion: Any, thinking: str) -> Read:
    (choice,) = completion.choices
    message, calls = choice.message, choice.message.tool_calls or []
    return Read(
        message.content or "",
        thinking,
        [(call.function.name, msgspec.json.decode(call.function.arguments)) for call in calls],
        [call.id for call in calls],
        choice.finish_reason,
        (completion.usage.prompt_tokens, completion.usage.completion_tokens) if completion.usage else (0, 0),
        message.refusal or "",
    )


# --- Ollama ----------------------------------------------------------------------------------------


def ollama_stream(data: bytes) -> Read:
    return _ollama([msgspec.json.decode(line) for line in NDJSON().feed(data)])


def ollama_whole(body: Any) -> Read:
    return _ollama([body])


def _ollama(bodies: list[Any]) -> Read:
    read = [ChatResponse.model_validate(body) for body in bodies]
    assert [bool(body.done) for body in read] == [False] * (len(read) - 1) + [True]
    calls = [call for body in bodies for call in body["message"].get("tool_calls") or []]
    return Read(
        "".join(body.message.content or "" for body in read),
        "".join(body.message.thinking or "" for body in read),
        [(call["function"]["name"], call["function"]["arguments"]) for call in calls],
        [call["id"] for call in calls],
        str(read[-1].done_reason),
        (read[-1].prompt_eval_count or 0, read[-1].eval_count or 0),
    )


READERS = {
    "anthropic": (anthropic_stream, anthropic_whole),
    "openai_chat": (openai_stream, openai_whole),
    "ollama": (ollama_stream, ollama_whole),
}
