"""Tiny but real files, in base64: a red picture as PNG, a grey one as JPEG, and a PDF of one page."""

from __future__ import annotations

import base64
import struct
import zlib


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int) -> bytes:
    rows = (b"\0" + b"\xff\0\0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(rows)) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


PNG_BYTES = _png(3, 2)
PNG = base64.b64encode(PNG_BYTES).decode()


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def _jpeg() -> bytes:
    """One grey pixel: a code of one bit for "no difference", another for "nothing more in this block"."""
    quantization = _segment(0xDB, b"\0" + b"\1" * 64)
    frame = _segment(0xC0, struct.pack(">BHHB", 8, 1, 1, 1) + b"\1\x11\0")
    one_code = b"\1" + bytes(15) + b"\0"
    tables = _segment(0xC4, b"\0" + one_code) + _segment(0xC4, b"\x10" + one_code)
    scan = _segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x3f"
    head = _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    return b"\xff\xd8" + head + quantization + frame + tables + scan + b"\xff\xd9"


JPEG_BYTES = _jpeg()
JPEG = base64.b64encode(JPEG_BYTES).decode()

PDF = base64.b64encode(
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
).decode()
