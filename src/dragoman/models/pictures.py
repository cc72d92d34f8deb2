"""How large a picture is, read from the header of its bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType

from dragoman.media import sniff

# Nearly every picture says its size at once; a JPEG may carry a thumbnail and a colour profile before.
_HEADS = (1024, 512 * 1024)
# Of a JPEG, segments looked at: an honest one has a few dozen.
_SEGMENTS = 1000


def pixel_size(data: str) -> tuple[int, int] | None:
    """Width and height of a base64 PNG, GIF, JPEG, WebP or BMP; None when the bytes do not say."""
    reader = _READERS.get(sniff(data))
    if reader is None:
        return None
    for head in _HEADS:
        try:
            width, height = reader(base64.b64decode(data[:head]))
        except (binascii.Error, ValueError):
            return None
        except IndexError:
            continue  # it is further on, if anywhere
        return (width, height) if width > 0 and height > 0 else None
    return None


def _cut(raw: bytes, at: int, size: int) -> bytes:
    if len(raw) < at + size:
        raise IndexError
    return raw[at : at + size]


def _big(raw: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(_cut(raw, at, size), "big")


def _little(raw: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(_cut(raw, at, size), "little")


def _png(raw: bytes) -> tuple[int, int]:
    return _big(raw, 16), _big(raw, 20)


def _gif(raw: bytes) -> tuple[int, int]:
    return _little(raw, 6, 2), _little(raw, 8, 2)


def _bmp(raw: bytes) -> tuple[int, int]:
    height = int.from_bytes(_cut(raw, 22, 4), "little", signed=True)  # negative: the rows run downwards
    return _little(raw, 18), abs(height)


def _jpeg(raw: bytes) -> tuple[int, int]:
    """Segments are skipped until the frame header, which has the size."""
    at = 2
    for _ in range(_SEGMENTS):
        if raw[at] != 0xFF:
            break
        marker = raw[at + 1]
        if marker == 0xFF:  # padding between segments
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(raw, at + 7, 2), _big(raw, at + 5, 2)
        else:
            at += 2 + max(_big(raw, at + 2, 2), 2)
    return 0, 0


def _webp(raw: bytes) -> tuple[int, int]:
    match raw[12:16]:
        case b"VP8 ":
            return _little(raw, 26, 2) & 0x3FFF, _little(raw, 28, 2) & 0x3FFF
        case b"VP8L":
            bits = _little(raw, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _little(raw, 24, 3) + 1, _little(raw, 27, 3) + 1
        case _:
            return 0, 0


_READERS: Mapping[str, Callable[[bytes], tuple[int, int]]] = MappingProxyType(
    {"image/png": _png, "image/gif": _gif, "image/bmp": _bmp, "image/jpeg": _jpeg, "image/webp": _webp}
)
