"""What clients say and hear during a measurement: their questions, and the answer read back in each dialect.

The answer (`answers`) is known beforehand, so every stream that a gateway delivers is compared with it in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

import msgspec

MODELS: Mapping[str, str] = {
    "anthropic": "claude-sonnet-4-5-20250929",
    "ollama": "llama3.1:8b",
    "openai": "mistral-small",
}
"""The one model of the upstream in each of its dialects: which one is asked for decides where a call goes."""
FIRST_TOKEN = "Lighthouses"
PACE_PATH = "/bench/pace"
STATS_PATH = "/bench/stats"

_SYSTEM = (
    "You are a patient assistant inside a home library application. Answer in plain sentences, say where an answer "
    "is uncertain, and keep to what the reader asked. Today is Sunday. The reader's shelf holds 412 books, most of "
    "them about seafaring, engineering and the history of the North Sea coast. Never invent a title; when a book is "
    "not on the shelf, say so and name the subject it would be filed under."
)
_TURNS = (
    "I found an old chart from 1871 with a light drawn at the river mouth, but my newer maps show nothing there. "
    "What could have happened to it? The chart has the note “Fl. W. 10s” beside the symbol.",
    "The note is the light's character: a white flash every ten seconds. Lights of that time were often moved when "
    "the channel shifted, replaced by a lightship, or lost to a storm; a notice to mariners would tell which.",
    "Then explain how such a tower was built on sand, in about a hundred words, and tell me which shelf to look at.",
)
_WORDS = (
    " on",
    " sand",
    " rested",
    " upon",
    " iron",
    " screw",
    " piles,",
    " turned",
    " by",
    " men",
    " at",
    " a",
    " capstan",
    " until",
    " the",
    " blades",
    " met",
    " firm",
    " clay;",
    " the",
    " open",
    " legs",
    " let",
    " waves",
    " through.",
)


def tokens(events: int) -> list[str]:
    """The text of each delta of a streamed answer."""
    return [FIRST_TOKEN, *islice(cycle(_WORDS), events - 1)]


# --- questions, in each client's dialect --------------------------------------------------------

# Low enough that an unstreamed call is unstreamed upstream, too, whoever answers it.
_MOST_TOKENS = 400


def ollama_chat(model: str, stream: bool) -> tuple[str, bytes]:
    """Path and body of an Ollama chat."""
    messages = [{"role": "system", "content": _SYSTEM}, *_turns()]
    options = {"temperature": 0.7, "num_predict": _MOST_TOKENS}
    return "/api/chat", _json({"model": model, "messages": messages, "stream": stream, "options": options})


def openai_chat(model: str, stream: bool) -> tuple[str, bytes]:
    """Path and body of an OpenAI chat completion."""
    messages = [{"role": "system", "content": _SYSTEM}, *_turns()]
    body = {"model": model, "messages": messages, "stream": stream, "max_tokens": _MOST_TOKENS, "temperature": 0.7}
    return "/v1/chat/completions", _json(body)


def anthropic_messages(model: str, stream: bool) -> tuple[str, bytes]:
    """Path and body of an Anthropic message."""
    body = {"model": model, "max_tokens": _MOST_TOKENS, "temperature": 0.7, "system": _SYSTEM, "stream": stream}
    return "/v1/messages", _json({**body, "messages": _turns()})


def _turns() -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in zip(cycle(("user", "assistant")), _TURNS, strict=False)]


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


# --- reading the answer back, in each client's dialect ------------------------------------------


def ollama_text(body: bytes) -> str:
    """The text of an NDJSON stream that ended properly; raises `ValueError` when it did not."""
    lines = [msgspec.json.decode(line) for line in body.splitlines() if line]
    if not lines or not lines[-1].get("done"):
        raise ValueError("the stream has no last line")
    return "".join(line["message"]["content"] for line in lines)


def openai_text(body: bytes) -> str:
    """The text of an OpenAI stream that ended properly; raises `ValueError` when it did not."""
    data = _events(body)
    if not data or data.pop() != b"[DONE]":
        raise ValueError("the stream has no [DONE]")
    chunks = [msgspec.json.decode(line) for line in data]
    choices: list[dict[str, Any]] = [choice for chunk in chunks for choice in chunk["choices"]]
    if not any(choice.get("finish_reason") == "stop" for choice in choices):
        raise ValueError("the stream has no finish_reason")
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def anthropic_text(body: bytes) -> str:
    """The text of an Anthropic stream that ended properly; raises `ValueError` when it did not."""
    events = [msgspec.json.decode(line) for line in _events(body)]
    if not events or events[-1]["type"] != "message_stop":
        raise ValueError("the stream has no message_stop")
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


def _events(body: bytes) -> list[bytes]:
    return [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]


READERS: Mapping[str, Callable[[bytes], str]] = {
    "ollama": ollama_text,
    "openai": openai_text,
    "anthropic": anthropic_text,
}
QUESTIONS: Mapping[str, Callable[[str, bool], tuple[str, bytes]]] = {
    "ollama": ollama_chat,
    "openai": openai_chat,
    "anthropic": anthropic_messages,
}
