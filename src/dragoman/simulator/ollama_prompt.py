"""The prompt as the model gets it: tokens, cut from the front without a word when the context is too small.

Tokens are an estimate that is near the real ones for English and code and high for other scripts: what fits here fits
there.  The template is one for all models, and it shows the thinking of earlier turns too, so that a conversation that
is only added to is a prompt that is only added to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.simulator.refused import bad

_TOKEN = re.compile(r" ?[A-Za-zÀ-ɏ]{1,8}|\d{1,3}|[぀-ヿ㐀-鿿가-힯]| ?[^\W\d_]{1,3}| ?(?:[^\w\s]|_)|\s+|\w")
_PICTURE = 256
_KEEP = 4

Tokens = list[str]


class Prompt(NamedTuple):
    """What is evaluated, which messages are left in it, and how many tokens were cut off."""

    tokens: Tokens
    messages: list[Object]
    truncated: int


def tokenize(text: str) -> Tokens:
    """`text` in tokens; `"".join` gives it back."""
    return _TOKEN.findall(text)


def build(messages: list[Object], tools: Any, window: int, *, truncate: bool, head: Sequence[int] = ()) -> Prompt:
    """The prompt of a conversation, no longer than `window` tokens.

    The oldest messages go first; system messages, tools and the last message stay, and lose tokens after the first
    four when they alone are too long.  Raises `Refused` where cutting is forbidden.
    """
    start = [f"<context:{token}>" for token in head] + _tools(tools)
    said = [_message(message) for message in messages]
    opened = not messages or messages[-1].get("role") != "assistant"
    end = ["<|im_start|>", "assistant", "\n"] if opened else []
    if not opened:
        said[-1] = said[-1][:-2]
    first = 0
    if truncate:
        first = _first_that_fits(messages, said, window - len(start) - len(end))
    kept = [at for at, message in enumerate(messages) if at >= first or message.get("role") == "system"]
    tokens = start + [token for at in kept for token in said[at]] + end
    whole = len(start) + sum(map(len, said)) + len(end)
    if len(tokens) > window:
        if not truncate:
            raise bad("the input length exceeds the context length")
        tokens = tokens[:_KEEP] + tokens[len(tokens) - window + _KEEP :]
    return Prompt(tokens, [messages[at] for at in kept], whole - len(tokens))


def build_raw(text: str, window: int, *, truncate: bool) -> Prompt:
    """A prompt without a template."""
    tokens = tokenize(text)
    if len(tokens) > window and not truncate:
        raise bad("the input length exceeds the context length")
    kept = tokens if len(tokens) <= window else tokens[:_KEEP] + tokens[len(tokens) - window + _KEEP :]
    return Prompt(kept, [{"role": "user", "content": text}], len(tokens) - len(kept))


def shared(one: Tokens, other: Tokens) -> int:
    """How many tokens two prompts begin with in common: what a prompt cache saves."""
    for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return at
    return min(len(one), len(other))


def _first_that_fits(messages: list[Object], said: list[Tokens], room: int) -> int:
    """The first of the newest messages that fit together with every system message."""
    last = len(messages) - 1
    systems = [len(tokens) if m.get("role") == "system" else 0 for m, tokens in zip(messages, said, strict=True)]
    first, size, before = last, 0, sum(systems)
    for at in range(last, -1, -1):
        size += len(said[at])
        before -= systems[at]
        if size + before > room and at < last:
            break
        first = at
    return max(first, 0)


def _tools(tools: Any) -> Tokens:
    if not tools:
        return []
    lines = "\n".join(msgspec.json.encode(tool).decode() for tool in tools)
    return ["<tools>", *tokenize(lines), "</tools>"]


def _message(message: Object) -> Tokens:
    out = ["<|im_start|>", message.get("role") or "", "\n"]
    if thinking := message.get("thinking"):
        out += ["<think>", *tokenize(thinking), "</think>"]
    for picture in message.get("images") or []:
        digest = hashlib.blake2b(picture.encode(), digest_size=6).hexdigest()
        out += [f"<image:{digest}>"] * _PICTURE
    out += tokenize(message.get("content") or "")
    for call in message.get("tool_calls") or []:
        out += ["<tool_call>", *tokenize(msgspec.json.encode(call.get("function")).decode()), "</tool_call>"]
    return [*out, "<|im_end|>", "\n"]
