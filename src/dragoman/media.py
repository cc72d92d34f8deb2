"""What a piece of media really is: by its first bytes, never by its label."""

from __future__ import annotations

import base64
import binascii

from dragoman.errors import invalid

_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"%PDF-", 0, "application/pdf"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
)


def sniff(data: str) -> str:
    """The media type of base64 `data` by its magic bytes, or "" when they say nothing."""
    try:
        head = base64.b64decode(data[:64])
    except (binascii.Error, ValueError):
        return ""
    for magic, offset, media_type in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return media_type
    return ""


def split_data_url(url: str) -> tuple[str, str]:
    """`data:image/png;base64,AAAA` as ("image/png", "AAAA"); text that is not a data URL as ("", text)."""
    if not url.startswith("data:"):
        return "", url
    head, _, data = url[5:].partition(",")
    return head.split(";", 1)[0].strip().lower(), data


def clean_base64(data: str, at: str) -> str:
    """Base64 as wires want it: standard alphabet, padded, no line breaks.  Raises when it is not base64 or is empty."""
    if any(c in data for c in " \r\n\t"):
        data = "".join(data.split())
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    if len(data) % 4:
        data = data.rstrip("=")
        data += "=" * (-len(data) % 4)
    try:
        if not binascii.a2b_base64(data, strict_mode=True):
            raise invalid(f"{at} is empty", at)
    except (binascii.Error, ValueError):
        raise invalid(f"{at} is not base64 data", at) from None
    return data
