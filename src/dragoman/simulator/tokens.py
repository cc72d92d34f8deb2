"""How many tokens a prompt and an answer are: a deterministic estimate, near enough to be useful.

A prompt is counted by characters; an answer by the pieces in which it is streamed, so that what a client counts on the
wire, what `max_tokens` cuts and what `usage` says agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator.pictures import pages, picture_tokens, read_picture
from dragoman.simulator.rules_messages import blocks
from dragoman.simulator.seals import canonical

_CHARACTERS_PER_TOKEN = {"classic": 3.6, "new": 2.8}
_TOOLS_PREAMBLE = 300
_MESSAGE = 4
_REMOTE = 1500
_PAGE = 1800
_PIECE = re.compile(r"\s*\S{1,12}|\s+\Z")
_JSON_PIECE = 14


class Segment(NamedTuple):
    """A block of the prompt, in the order caches see it.  `mark`: the ttl of its cache mark, or ""."""

    value: Any
    tokens: int
    mark: str
    message: bool


def pieces(text: str) -> list[str]:
    """`text` in the pieces it is streamed in; each is one token.  `"".join(pieces(text)) == text`."""
    return _PIECE.findall(text)


def json_pieces(text: str) -> list[str]:
    """The text of a tool's input in the pieces it is streamed in."""
    return [text[start : start + _JSON_PIECE] for start in range(0, len(text), _JSON_PIECE)]


def prompt_tokens(body: Object, card: Card) -> int:
    """Every token of the prompt, cached or not."""
    return sum(segment.tokens for segment in segments(body, card))


def segments(body: Object, card: Card) -> Iterator[Segment]:
    """The prompt in blocks: tools, then system, then messages."""
    for number, tool in enumerate(body.get("tools") or []):
        yield _segment(tool, _count(tool, card) + _TOOLS_PREAMBLE * (number == 0), message=False)
    system = body.get("system") or []
    for part in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        yield _segment(part, _block_tokens(part, card), message=False)
    for message in body["messages"]:
        for at, block in enumerate(blocks(message)):
            tokens = _block_tokens(block, card) + _MESSAGE * (at == 0)
            segment = _segment(block, tokens, message=True)
            yield segment._replace(value=[message["role"], block])


def _segment(block: Object, tokens: int, *, message: bool) -> Segment:
    mark = block.get("cache_control")
    return Segment(block, tokens, mark.get("ttl", "5m") if mark else "", message)


def _count(value: Any, card: Card) -> int:
    text = value if isinstance(value, str) else msgspec.json.encode(canonical(value)).decode()
    return max(1, round(len(text) / _CHARACTERS_PER_TOKEN["classic" if card.tokenizer == "classic" else "new"]))


def _block_tokens(block: Object, card: Card) -> int:
    match block:
        case {"type": "text", "text": str(text)}:
            return _count(text, card)
        case {"type": "image", "source": {"type": "base64", "data": str(data)}}:
            picture = read_picture(data)
            return picture_tokens(picture, card.image_max_edge_px, card.image_max_tokens) if picture else 1
        case {"type": "document", "source": {"type": "base64", "data": str(data)}}:
            return _PAGE * pages(data)
        case {"type": "image" | "document", "source": {"type": "url" | "file"}}:
            return _REMOTE
        case {"type": "thinking" | "redacted_thinking"}:
            return 0 if not block.get("thinking") else _count(block["thinking"], card)
        case {"type": "tool_result", "content": list(parts)}:
            return 8 + sum(_block_tokens(part, card) for part in parts)
        case _:
            return _count(block, card)
