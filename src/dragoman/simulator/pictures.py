"""How large a picture is and how many pages a document has, read from the bytes' own headers."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.media import sniff

_PAGE = re.compile(rb"/Type\s*/Page(?![s\w])")
_DEFAULT_EDGE = 1568
_DEFAULT_TOKENS = 1568


class Picture(NamedTuple):
    """What the bytes are (`image/png`), and their size in pixels."""

    media_type: str
    width: int
    height: int


def read_picture(data: str) -> Picture | None:
    """The picture in base64 `data`, or None when it cannot be processed.  Raises ValueError when it is not base64."""
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    media_type = sniff(data)
    reader = _SIZES.get(media_type)
    if reader is None:
        return None
    try:
        width, height = reader(raw)
    except (struct.error, IndexError):
        return None
    return Picture(media_type, width, height) if width and height else None


def pages(data: str) -> int:
    """The number of pages of a base64 PDF, at least one; 0 when it is no PDF.  Raises ValueError as above."""
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    return max(1, len(_PAGE.findall(raw))) if sniff(data) == "application/pdf" else 0


def picture_tokens(picture: Picture, edge: int | None, most: int | None) -> int:
    """Tokens a picture costs: one for each 28 × 28 square, after it is scaled down to `edge` pixels a side."""
    edge, most = edge or _DEFAULT_EDGE, most or _DEFAULT_TOKENS
    scale = min(1.0, edge / max(picture.width, picture.height))
    squares = math.ceil(picture.width * scale / 28) * math.ceil(picture.height * scale / 28)
    return min(squares, most)


def describe(block: Object) -> str:
    """What an `image` or `document` block is, in a few words."""
    source: Object = block["source"]
    if source["type"] in ("url", "file"):
        return f"at {source.get('url') or source.get('file_id')}"
    if source["type"] != "base64":
        content = source.get("data") or source.get("content") or ""
        return f"text, {len(content)} {'characters' if isinstance(content, str) else 'blocks'}"
    if block["type"] == "document":
        count = pages(source["data"])
        return f"application/pdf, {count} page{'s' * (count != 1)}"
    picture = read_picture(source["data"])
    return f"{picture.media_type}, {picture.width} × {picture.height} pixels" if picture else "unreadable"


def _png(raw: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", raw[16:24])
    return width, height


def _gif(raw: bytes) -> tuple[int, int]:
    width, height = struct.unpack("<HH", raw[6:10])
    return width, height


def _jpeg(raw: bytes) -> tuple[int, int]:
    at = 2
    while raw[at] == 0xFF:
        marker, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", raw[at + 5 : at + 9])
            return width, height
        else:
            at += 2 + length
    return 0, 0


def _webp(raw: bytes) -> tuple[int, int]:
    match raw[12:16]:
        case b"VP8 ":
            width, height = struct.unpack("<HH", raw[26:30])
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(raw[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1
        case _:
            return 0, 0


_SIZES = {"image/png": _png, "image/gif": _gif, "image/jpeg": _jpeg, "image/webp": _webp}
