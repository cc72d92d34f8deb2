"""A picture scaled in a process of its own, which a hostile file may crash, stall or fill without harm to the gateway.

    python picture_worker.py '{"edge": 8000, "pixels": 0, "size": 7864320, ...}' < picture

Writes one JSON object: `{"data": "base64", "before": [9000, 6000], "after": [8000, 5333], "frames": 1}`, or
`{"error": "broken" | "large" | "stubborn" | "missing"}`.  The same picture gives the same bytes every time, as long as
Pillow stays the same.  Of the gateway it imports the bounds of `pdf_worker` alone; `scaling` is the other side.
"""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dragoman.relay.pdf_worker import bound, shut

if TYPE_CHECKING:
    from PIL.Image import Image

# What is opened at all.  Pillow knows sixty kinds, and each reader is one more that may have holes.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
# Of these a picture that has no noise of its own is likely: it stays as it is, if it is small enough so.
_EXACT = ("GIF", "BMP", "TIFF")
_QUALITIES = (90, 80, 70, 60)
# One that is still too large as a file is made smaller by this, a few times.
_STEP, _STEPS = 0.75, 8
_ORIENTATION = 0x0112  # EXIF: how the camera was held

Size = tuple[int, int]


class Order(NamedTuple):
    """What is wanted.  `edge`: the longest side, `pixels`: width times height, `size`: bytes of the file; 0 means any.
    The rest are bounds: pixels to unpack, bytes of memory, seconds."""

    edge: int
    pixels: int
    size: int
    most_pixels: int
    memory: int
    seconds: int


class RefusedError(Exception):
    """The picture cannot be scaled.  The argument is the word for it."""


def main() -> None:
    """Read a picture from standard input, write what became of it to standard output."""
    order = Order(**json.loads(sys.argv[1]))
    bound(order.memory, order.seconds)
    try:
        answer = scaled(sys.stdin.buffer.read(), order, alone=True)
    except RefusedError as refused:
        answer = {"error": refused.args[0]}
    except MemoryError:
        answer = {"error": "large"}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def scaled(data: bytes, order: Order, *, alone: bool = False) -> dict[str, Any]:
    """The picture, small enough.  Raises `RefusedError`.  `alone`: nothing may be opened any more, not even by us."""
    try:
        from PIL import Image, MpoImagePlugin  # noqa: F401, PLC0415  after the bounds are set
    except ImportError:
        raise RefusedError("missing") from None
    if alone:
        _warm(order)
        shut()
    Image.MAX_IMAGE_PIXELS = None  # they are counted here, after a JPEG was told to unpack to a smaller size
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            kind, frames = picture.format or "", getattr(picture, "n_frames", 1)
            image, before = _loaded(picture, order)
        image = _plain(image)
    except (RefusedError, MemoryError):
        raise
    except Exception:  # Pillow raises nearly anything for a broken file
        raise RefusedError("broken") from None
    exact = kind in _EXACT or "A" in image.getbands()
    for body, after in _tries(image, _fitting(before, order), order, exact=exact):
        if not order.size or len(body) <= order.size:
            encoded = base64.b64encode(body).decode()
            return {"data": encoded, "before": before, "after": after, "frames": frames}
    raise RefusedError("stubborn")


def _warm(order: Order) -> None:
    """Use every reader and writer once: they load parts of Python when they are first used."""
    from PIL import Image  # noqa: PLC0415

    for codec in ("latin-1", "ascii", "utf-16"):
        "".encode(codec)
    for kind in _FORMATS:
        file = io.BytesIO()
        Image.new("RGB", (2, 2)).save(file, kind, exif=Image.Exif())
        with Image.open(file, formats=_FORMATS) as picture:
            image = _plain(_loaded(picture, order)[0])
            str(getattr(picture, "n_frames", 1))
        list(zip(_tries(image, (1, 1), order, exact=True), range(2), strict=False))


def _loaded(picture: Image, order: Order) -> tuple[Image, Size]:
    """The picture unpacked and upright, and its whole size when it is upright."""
    turned = _turn(picture)
    lying = turned is not None and turned > 3  # the transpositions after a half turn swap the sides
    width, height = picture.size
    before = (height, width) if lying else (width, height)
    wide, high = _fitting(before, order)
    picture.draft(None, (high, wide) if lying else (wide, high))
    if math.prod(picture.size) > order.most_pixels:
        raise RefusedError("large")
    picture.load()
    return (picture.copy() if turned is None else picture.transpose(turned)), before


def _turn(picture: Image) -> Any:
    """How the picture must be turned to stand upright; None: not at all."""
    from PIL.Image import Transpose  # noqa: PLC0415

    turns = (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.ROTATE_180,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE,
        Transpose.ROTATE_270,
        Transpose.TRANSVERSE,
        Transpose.ROTATE_90,
    )
    if picture.format == "TIFF":
        return None  # Pillow does it itself
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # what a camera wrote is not the picture
        return None
    return turns[orientation - 2] if isinstance(orientation, int) and 2 <= orientation <= 8 else None


def _plain(image: Image) -> Image:
    """The picture as grey or red, green and blue, with transparency where there is any."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # of 16 bits the upper eight
        image = image.convert("F").point(lambda value: value * (1 / 256)).convert("L")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        clear = image.convert("RGBA")
        if clear.getchannel("A").getextrema() != (255, 255):
            return clear
        image = clear
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _fitting(size: Size, order: Order) -> Size:
    """The largest size of the same shape within what is wanted."""
    width, height = size
    scale = 1.0
    if order.edge:
        scale = min(scale, order.edge / max(size))
    if order.pixels:
        scale = min(scale, math.sqrt(order.pixels / (width * height)))
    return size if scale == 1.0 else (max(1, int(width * scale)), max(1, int(height * scale)))


def _tries(image: Image, size: Size, order: Order, *, exact: bool) -> Iterator[tuple[bytes, Size]]:
    """The picture as a file, each time a little less of it: first in quality, then in size."""
    from PIL.Image import Resampling  # noqa: PLC0415

    for step in range(_STEPS):
        image = image if image.size == size else image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
        clear = "A" in image.getbands()
        body = b""
        if clear or (exact and step == 0):
            yield (body := _saved(image, "PNG")), size
        if not clear:
            for quality in _QUALITIES:
                yield (body := _saved(image, "JPEG", quality=quality)), size
        shrink = min(_STEP, math.sqrt(order.size / len(body)))
        size = max(1, int(size[0] * shrink)), max(1, int(size[1] * shrink))


def _saved(image: Image, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.info = {}  # no place, no owner, no camera
    image.save(file, kind, **how)
    return file.getvalue()


if __name__ == "__main__":
    main()
