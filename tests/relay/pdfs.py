"""Small PDFs written by hand, good ones and hostile ones."""

from __future__ import annotations

import base64
from collections.abc import Sequence

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def assembled(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Objects, numbered from 1, as a file; the first one is the catalogue."""
    out = b"%PDF-1.7\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer\n<< /Size %d /Root 1 0 R %b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        start,
    )


def stream(data: bytes, members: bytes = b"") -> bytes:
    return b"<< /Length %d %b>>\nstream\n%b\nendstream" % (len(data), members, data)


def text(words: str) -> bytes:
    """The content of a page with one line on it."""
    return b"BT /F1 24 Tf 72 700 Td (%b) Tj ET" % words.encode("latin-1")


DRAWING = b"1 0 0 rg 100 100 300 300 re f"
"""The content of a page with a red square."""
GREY_DRAWING = b"0.5 g 100 100 300 300 re f"


def pdf(*contents: bytes, trailer: bytes = b"", box: bytes = b"0 0 612 792", annots: Sequence[bytes] = ()) -> bytes:
    """A document with a page for each content; `annots` stand on the first page."""
    first = 4 + len(annots)
    kids = b" ".join(b"%d 0 R" % (first + 2 * i) for i in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(contents), kids),
        FONT,
        *annots,
    ]
    for index, content in enumerate(contents):
        notes = b" ".join(b"%d 0 R" % (4 + i) for i in range(len(annots))) if index == 0 else b""
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [%b] /Contents %d 0 R /Annots [%b] "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (box, first + 2 * index + 1, notes)
        )
        objects.append(stream(content))
    return assembled(objects, trailer)


def noted(words: str) -> bytes:
    """A document with an empty page and a note on it, as a filled form has: the words are in its appearance."""
    look = stream(
        b"BT /F1 12 Tf 2 5 Td (%b) Tj ET" % words.encode(),
        b"/Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 3 0 R >> >> ",
    )
    note = b"<< /Type /Annot /Subtype /FreeText /Rect [100 600 300 620] /F 4 /DA (/F1 12 Tf) /AP << /N 5 0 R >> >>"
    return pdf(b"", annots=[note, look])


def locked() -> bytes:
    """A document that wants a password (40 bits, revision 2; no password fits)."""
    crypt = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%b> /U <%b> >>" % (b"41" * 32, b"42" * 32)
    ids = b"<%b>" % (b"43" * 16)
    return pdf(text("secret"), trailer=b"/Encrypt %b /ID [%b %b] " % (crypt, ids, ids))


def in_base64(document: bytes) -> str:
    return base64.b64encode(document).decode()
