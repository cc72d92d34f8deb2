"""Answers of the Messages API that are kept as whole messages, and the streams that add up to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dragoman.conversation import Object
from dragoman.framing import sse

HERE = Path(__file__).parent / "golden" / "server_tools"
NAMES = sorted(file.stem for file in HERE.glob("*.json"))


def message(name: str) -> Any:
    """A message object, fresh."""
    return msgspec.json.decode((HERE / f"{name}.json").read_bytes())


def stream(body: Object, size: int = 7) -> bytes:
    """The same as server-sent events; text comes in pieces of `size` characters."""
    return b"".join(sse(msgspec.json.encode(event), event["type"]) for event in _events(body, size))


def _events(body: Object, size: int) -> Iterator[Object]:
    usage = body["usage"]
    empty = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": empty}
    for index, block in enumerate(body["content"]):
        opening, deltas = _taken_apart(block, size)
        yield {"type": "content_block_start", "index": index, "content_block": opening}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}
    ending = {name: body[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield {"type": "message_delta", "delta": ending, "usage": usage}
    yield {"type": "message_stop"}


def _taken_apart(block: Object, size: int) -> tuple[Object, list[Object]]:
    match block:
        case {"type": "text", "text": text}:
            cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or []]
            opening = {**block, "text": ""} | ({"citations": []} if cited else {})
            return opening, [*cited, *({"type": "text_delta", "text": piece} for piece in _pieces(text, size))]
        case {"type": "thinking", "thinking": text, "signature": signature}:
            told = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(text, size)]
            return {**block, "thinking": "", "signature": ""}, [
                *told,
                {"type": "signature_delta", "signature": signature},
            ]
        case {"input": value}:
            pieces = ["", *_pieces(msgspec.json.encode(value).decode(), size)]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return block, []


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
