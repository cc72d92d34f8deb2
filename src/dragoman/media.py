"""What a piece of media really is: by its bytes, never by its label."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from dragoman.errors import invalid

# Each with where it stands.  Short ones that a text may begin with are looked at more closely, in `_is_really`.
_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"II*\0", 0, "image/tiff"),
    (b"MM\0*", 0, "image/tiff"),
    (b"\0\0\1\0", 0, "image/x-icon"),
    (b"\xff\x0a", 0, "image/jxl"),
    (b"\0\0\0\x0cJXL ", 0, "image/jxl"),
    (b"%PDF-", 0, "application/pdf"),
    (b"PK\x03\x04", 0, "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "application/x-ole-storage"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xfa", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"\xff\xf2", 0, "audio/mpeg"),
    (b"\xff\xf1", 0, "audio/aac"),
    (b"\xff\xf9", 0, "audio/aac"),
    (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
    (b"FORM", 0, "audio/aiff"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"AVI ", 8, "video/x-msvideo"),
    (b"ftyp", 4, "video/mp4"),
)
# What follows `ftyp`: one container for pictures, sounds and films.  https://mp4ra.org/registered-types/brands
_BRANDS: Mapping[bytes, str] = MappingProxyType(
    {
        b"heic": "image/heic",
        b"heix": "image/heic",
        b"mif1": "image/heic",
        b"msf1": "image/heic",
        b"avif": "image/avif",
        b"avis": "image/avif",
        b"M4A ": "audio/mp4",
        b"M4B ": "audio/mp4",
        b"qt  ": "video/quicktime",
    }
)
_HEAD = 64

_TEXTUAL = frozenset(
    {
        "application/json",
        "application/ld+json",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/javascript",
        "application/x-sh",
        "application/sql",
    }
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(data: str) -> str:
    """The media type of base64 `data` by its magic bytes, or "" when they say nothing."""
    try:
        head = base64.b64decode(data[:_HEAD])
    except (binascii.Error, ValueError):
        return ""
    for magic, offset, media_type in _MAGIC:
        if head[offset : offset + len(magic)] == magic and _is_really(magic, head):
            return _BRANDS.get(head[8:12], media_type) if magic == b"ftyp" else media_type
    return "application/pdf" if b"%PDF-" in head else ""  # a line may stand before it


def _is_really(magic: bytes, head: bytes) -> bool:
    """Whether the rest of the head agrees: "BM", "ID3" and "FORM" are words, too."""
    match magic:
        case b"BM":
            return not head[6:10].strip(b"\0")
        case b"ID3":
            return len(head) > 3 and head[3] < 0x10
        case b"FORM":
            return head[8:12] in (b"AIFF", b"AIFC")
        case b"WEBP" | b"WAVE" | b"AVI ":
            return head[:4] == b"RIFF"
        case _:
            return True


def is_textual(media_type: str) -> bool:
    """Whether a label says text: plain, marked up, or code."""
    label = media_type.partition(";")[0].strip().lower()
    return label.startswith("text/") or label in _TEXTUAL or label.endswith(("+json", "+xml", "+yaml"))


def text_in(data: str) -> str | None:
    """The text that base64 `data` is, in UTF-8; None when it is none."""
    try:
        text = base64.b64decode(data).decode("utf-8-sig")
    except ValueError:  # not base64, or not UTF-8
        return None
    return None if _CONTROLS.search(text) else text


def titled(text: str, name: str) -> str:
    """A text document as text: its name, an empty line, its words."""
    return f"{name}\n\n{text}" if name else text


def split_data_url(url: str) -> tuple[str, str]:
    """`data:image/png;base64,AAAA` as ("image/png", "AAAA"); text that is not a data URL as ("", text).

    Data that is written out, with percent signs, becomes base64 like all other.  https://www.rfc-editor.org/rfc/rfc2397
    """
    if not url.startswith("data:"):
        return "", url
    head, _, data = url[5:].partition(",")
    label, *more = (word.strip().lower() for word in head.split(";"))
    if "base64" not in more and data and not sniff(data):
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return label, data


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
