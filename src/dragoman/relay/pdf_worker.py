"""A PDF read in a process of its own, which a hostile file may crash, stall or fill without harm to the gateway.

    python pdf_worker.py '{"pictures": "auto", "edge": 1568, ...}' < file.pdf

Writes one JSON object: `{"pages": [{"text": "...", "picture": "base64 PNG or empty", "blank": false}, ...]}`, or
`{"error": "encrypted" | "broken" | "empty" | "pages" | "pictures" | "size" | "missing", "count": 12}`.  It imports
nothing of the gateway, so that it starts quickly and knows none of its secrets.  Before it looks at the file it gives
up opening anything: no files, no sockets, no further processes.  `documents` is the other side.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import math
import os
import struct
import sys
import zlib
from typing import Any, NamedTuple

if sys.platform != "win32":  # there the deadline of the other side is all there is
    import resource

# A page with fewer characters than this, and something drawn besides, is taken for a scan with a stamp on it.
_FEW = 24
# Small pages are not blown up beyond this (pixels per point).
_MAX_SCALE = 4.0


class Order(NamedTuple):
    """What is wanted.  `pictures`: of no page ("none"), of those without text ("auto"), of each ("all"); "count" asks
    for the number of pages and nothing else.  `edge`: the longer side of a picture in pixels.  The rest are bounds:
    pages, pictures, bytes out, bytes of memory, seconds."""

    pictures: str
    edge: int
    max_pages: int
    max_pictures: int
    max_output: int
    memory: int
    seconds: int


class RefusedError(Exception):
    """The document cannot be had whole.  `args` are the word for it, and a number."""


def main() -> None:
    """Read a PDF from standard input, write its pages to standard output."""
    order = Order(**json.loads(sys.argv[1]))
    bound(order.memory, order.seconds)
    try:
        answer: dict[str, Any] = read(sys.stdin.buffer.read(), order)
    except RefusedError as refused:
        answer = {"error": refused.args[0], "count": refused.args[1]}
    except MemoryError:
        answer = {"error": "size", "count": 0}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def bound(memory: int, seconds: int) -> None:
    """Bound what this process may use (bytes, seconds), and take from it what it does not need."""
    if sys.platform == "win32":
        return
    os.nice(5)  # answers that are being streamed go first
    limits = (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    )
    for which, limit in limits:
        with contextlib.suppress(ValueError, OSError):  # not every system has each
            resource.setrlimit(which, (limit, limit))


def shut() -> None:
    """Open nothing from now on: no file, no socket.  PDFium then draws with its own fonts and those in the document."""
    "".encode("utf-16-le")  # the codec is loaded from a file when it is first used
    if sys.platform != "win32":
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def read(data: bytes, order: Order) -> dict[str, Any]:
    """The pages of a PDF, or how many there are.  Raises `RefusedError`."""
    try:
        import pypdfium2  # type: ignore[import-untyped]  # noqa: PLC0415  after the bounds are set
    except ImportError:
        raise RefusedError("missing", 0) from None
    shut()
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY)
        raise RefusedError("encrypted" if locked else "broken", 0) from None
    with contextlib.suppress(pypdfium2.PdfiumError):
        document.init_forms()  # what was filled in is drawn by the form, and not by the page
    count = len(document)
    if order.pictures == "count":
        return {"count": count}
    if not 0 < count <= order.max_pages:
        raise RefusedError("pages" if count > 0 else "empty", count)
    pages, pictures, room = [], 0, order.max_output
    for index in range(count):
        try:
            page = read_page(pypdfium2, document, index, order)
        except pypdfium2.PdfiumError:
            raise RefusedError("broken", index + 1) from None
        pictures += bool(page["picture"])
        room -= len(page["picture"]) + 2 * len(page["text"])
        if pictures > order.max_pictures:
            raise RefusedError("pictures", count)
        if room < 0:
            raise RefusedError("size", count)
        pages.append(page)
    return {"pages": pages}


def read_page(pypdfium2: Any, document: Any, index: int, order: Order) -> dict[str, Any]:
    """One page's text, and its picture where that is wanted."""
    raw = pypdfium2.raw
    page = document[index]
    if raw.FPDFPage_GetAnnotCount(page) > 0 and raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) != raw.FLATTEN_FAIL:
        page.close()
        page = document[index]  # fields that were filled in and notes now are part of the page
    words = page.get_textpage()
    text = cleaned(words.get_text_bounded())
    words.close()
    drawn = has_drawings(raw, page)
    seen = sum(map(readable, text[:1000]))
    wanted = order.pictures == "all" or (order.pictures == "auto" and drawn and seen < _FEW)
    picture = base64.b64encode(photograph(page, order.edge)).decode() if wanted else ""
    page.close()
    return {"text": text if seen else "", "picture": picture, "blank": not seen and not drawn}


def has_drawings(raw: Any, page: Any) -> bool:
    """Whether there is anything on the page that is not text."""
    return any(
        raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, place)) != raw.FPDF_PAGEOBJ_TEXT
        for place in range(raw.FPDFPage_CountObjects(page))
    )


def cleaned(text: str) -> str:
    """Text with plain line ends, without what PDFium marks in it and what JSON and models mistake."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "-")
    kept = (c for c in text if c in "\n\t" or not (c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff"))
    return "\n".join(line.rstrip() for line in "".join(kept).split("\n")).strip("\n")


def readable(c: str) -> bool:
    """Whether a character says something.  Fonts without a table of characters give private ones, which do not."""
    return not c.isspace() and not "\ue000" <= c <= "\uf8ff" and c not in "\ufffd\uffff" and c < "\U000f0000"


def photograph(page: Any, edge: int) -> bytes:
    """The page as a PNG."""
    width, height = page.get_size()
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        return b""
    scale = min(edge / max(width, height), _MAX_SCALE)
    bitmap = page.render(scale=scale, rev_byteorder=True)
    channels = bitmap.n_channels
    lines = ctypes.string_at(bitmap.buffer, bitmap.stride * bitmap.height)
    wide, used = bitmap.width, bitmap.width * channels
    rows = b"".join(lines[at : at + used] for at in range(0, bitmap.stride * bitmap.height, bitmap.stride))
    bitmap.close()
    if channels == 4:
        red, green, blue = rows[0::4], rows[1::4], rows[2::4]
    elif channels == 3:
        red, green, blue = rows[0::3], rows[1::3], rows[2::3]
    else:
        red = green = blue = rows
    if red == green == blue:
        return png(wide, 1, red)
    joined = bytearray(3 * len(red))
    joined[0::3], joined[1::3], joined[2::3] = red, green, blue
    return png(wide, 3, bytes(joined))


def png(width: int, channels: int, pixels: bytes) -> bytes:
    """Pixels of 8 bits a channel, 1 (grey) or 3 (red, green, blue), as a PNG.  https://www.w3.org/TR/png-3/

    Each row is written as its difference from the row above (filter 2, "Up"), byte by byte and modulo 256.  All bytes
    are subtracted at once, as one long number: the high bit of each is kept out, so that nothing is borrowed from the
    next byte, and then put right.
    """
    stride = width * channels
    size = len(pixels)
    high = int.from_bytes(b"\x80" * size)
    low = high ^ int.from_bytes(b"\xff" * size)
    this = int.from_bytes(pixels)
    above = this >> (8 * stride)
    difference = (((this | high) - (above & low)) ^ (~(this ^ above) & high)).to_bytes(size)
    rows = b"".join(b"\x02" + difference[at : at + stride] for at in range(0, size, stride))
    head = struct.pack(">IIBBBBB", width, size // stride, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


if __name__ == "__main__":
    main()
