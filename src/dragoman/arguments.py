"""Tool arguments and other JSON values, as text and back."""

from __future__ import annotations

import msgspec

from dragoman.conversation import JSON, Object

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_syntax = msgspec.json.Decoder(msgspec.Raw).decode


def json_text(value: JSON) -> str:
    """Compact JSON, members in the order given."""
    return _encode(value).decode()


def is_json(text: str) -> bool:
    """Whether tool arguments are JSON at all; empty ones say nothing, and count."""
    try:
        if text.strip():
            _syntax(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def parse_arguments(text: str) -> Object:
    """Tool arguments as the object some wires want.

    Empty text is `{}`; JSON that is not an object is kept under `value`, and text that is not JSON at all
    under `_invalid_json`, so that the turn survives and the model can see what it wrote.
    """
    if not text.strip():
        return {}
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"_invalid_json": text}
    return value if isinstance(value, dict) else {"value": value}
