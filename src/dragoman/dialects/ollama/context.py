"""`context` of /api/generate: a conversation as a list of integers.

Ollama's are token ids, and clients keep and send them back without looking.  Ours hold the conversation itself, so it
continues without any memory in the gateway: a mark, then zlib-compressed JSON (which has its own checksum), three
bytes an integer, because some clients keep 32-bit ones.  Text only; images are not kept.
"""

from __future__ import annotations

import zlib
from typing import Literal

import msgspec
from msgspec import Struct

from dragoman.conversation import JSON, Message, Text

_MARK = 0xD7A60A  # the last digit is the version
_WIDTH = 3
_MAX_INTEGERS = 4 * 1024 * 1024
_MAX_TEXT = 16 * 1024 * 1024


class _Turn(Struct, array_like=True):
    role: Literal["system", "user", "assistant"]
    text: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[_Turn]).decode


def encode_context(messages: list[Message], answer: str) -> list[int]:
    """The conversation `messages`, and the `answer` to it."""
    turns = [_Turn(m.role if m.role != "developer" else "system", _text(m)) for m in messages]
    turns.append(_Turn("assistant", answer))
    data = zlib.compress(_encode(turns), 6)
    data += bytes(-len(data) % _WIDTH)
    pieces = (data[i : i + _WIDTH] for i in range(0, len(data), _WIDTH))
    return [_MARK, *(int.from_bytes(piece, "big") for piece in pieces)]


def decode_context(value: JSON) -> list[Message] | None:
    """The conversation in `value`; None when it is not one of ours, or is damaged, or would be too large."""
    if not isinstance(value, list) or not 1 < len(value) <= _MAX_INTEGERS or value[0] != _MARK:
        return None
    try:
        data = b"".join([number.to_bytes(_WIDTH, "big") for number in value[1:]])
        inflater = zlib.decompressobj()
        text = inflater.decompress(data, _MAX_TEXT)
        if not inflater.eof or len(inflater.unused_data) >= _WIDTH:
            return None
        turns = _decode(text)
    except (AttributeError, TypeError, OverflowError, zlib.error, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return [
        Message(role=turn.role, content=[Text(text=turn.text)] if turn.text else [], at="context") for turn in turns
    ]


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.content if isinstance(part, Text))
