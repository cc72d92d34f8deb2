"""Pictures that are too large for a server, or of a kind it does not read, made into ones that it takes.

Only where it is configured (`scale_images`), and always reported.  Pillow does it, in a process of its own
(`picture_worker`): a small file may unpack to a whole memory.  The same picture stands in every turn of a conversation:
it is scaled once, and kept under a digest of its bytes; scaled again after it was forgotten, it is the same bytes.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from dragoman import media
from dragoman.conversation import Media
from dragoman.errors import GatewayError, invalid
from dragoman.models.attachments import CONVERTIBLE
from dragoman.models.bounds import Bounds, excess
from dragoman.models.cards import Card
from dragoman.relay import picture_worker, workers
from dragoman.relay.kept import Kept
from dragoman.relay.turns import Turns

MAX_PIXELS = 100_000_000
MEMORY = 1536 * 1024 * 1024
MAX_OUTPUT = 64 * 1024 * 1024
DEADLINE = 30.0
_AT_ONCE = 2
_KEPT_BYTES = 128 * 1024 * 1024
_KEPT_AGE = 3600.0


class Scaled(Struct, frozen=True):
    """`data` is base64, of the type `media_type`; sizes are pixels.  `frames`: of how many it is the first."""

    data: str
    before: tuple[int, int]
    after: tuple[int, int]
    frames: int = 1
    media_type: str = ""


class _Answer(Struct):
    """What the worker writes."""

    data: str = ""
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    frames: int = 1
    error: str = ""


def needs_scaling(part: Media, card: Card, images: int) -> bool:
    """Whether a picture is more than the model of `card` takes in a request of `images`, or of another kind."""
    if part.kind != "image" or part.source != "base64" or not card.image_input:
        return False
    kind = media.sniff(part.data)
    return (kind in CONVERTIBLE and kind not in card.image_types) or bool(excess(part, card.media, images, ""))


def counted(card: Card, images: int) -> int:
    """As how many a request's pictures count.

    Among many, each has to be smaller.  A model that binds its thinking to what came before would lose it when old
    pictures are scaled anew, so there they are among many from the first.
    """
    return max(images, card.media.many + 1) if card.thinking_prefix_check and card.media.many else images


class Scaler:
    """Scales pictures, and remembers them.  `clock` gives monotonic seconds, `worker` is the worker's file."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = DEADLINE,
        worker: str = picture_worker.__file__,
    ) -> None:
        self._deadline = deadline
        self._worker = worker
        self._places = Turns(_AT_ONCE, _AT_ONCE)
        self._kept: Kept[tuple[bytes, int, int, int], Scaled] = Kept(clock, _KEPT_BYTES, _KEPT_AGE)
        self.done = 0
        """How many pictures a worker was asked to scale."""

    async def scaled(self, part: Media, bounds: Bounds, images: int, at: str) -> tuple[Media, str]:
        """`part` within `bounds` for a request of `images` pictures, and what was done to it.

        Raises `GatewayError` ("invalid_request") with `at`, the path of the picture, for one that is damaged or would
        fill the memory.
        """
        edge, pixels, size = bounds.side(images), bounds.pixels, bounds.image_bytes * 3 // 4
        key = (await asyncio.to_thread(workers.digest, part.data), edge, pixels, size)
        found = self._kept.get(key)
        if found is None:
            body = await asyncio.to_thread(base64.b64decode, media.clean_base64(part.data, at))
            async with self._places.one():
                found = self._kept.get(key)  # scaled by another call in the meantime
                if found is None:
                    self.done += 1
                    found = await self._run(body, edge, pixels, size, at)
                    self._kept.put(key, found, len(found.data))
        new = Media(kind="image", data=found.data, media_type=found.media_type, name=part.name)
        return new, _told(part, found)

    async def _run(self, body: bytes, edge: int, pixels: int, size: int, at: str) -> Scaled:
        order = picture_worker.Order(edge, pixels, size, MAX_PIXELS, MEMORY, max(1, int(self._deadline)))
        try:
            done = await workers.done(self._worker, order._asdict(), body, deadline=self._deadline, most=MAX_OUTPUT)
        except TimeoutError:
            raise invalid(f"{at}: {_REFUSALS['slow']}", at) from None
        except workers.FloodError:
            raise invalid(f"{at}: {_REFUSALS['broken']}", at) from None
        return _judged(done, order, at)


_REFUSALS = {
    "slow": "the image takes too long to be scaled; send a smaller one",
    "broken": "the image is damaged, or too large to be unpacked, and could not be scaled; send a smaller one",
    "large": f"the image has more pixels than are scaled here ({MAX_PIXELS // 10**6} million); send a smaller one",
    "stubborn": "the image could not be made small enough; send a smaller one",
}


def _judged(done: workers.Done, order: picture_worker.Order, at: str) -> Scaled:
    """What a worker made.  Raises when it made nothing, and for what no honest worker writes."""
    if done.slow:
        raise invalid(f"{at}: {_REFUSALS['slow']}", at)
    try:
        answer = msgspec.json.decode(done.output, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = _Answer(error="broken")
    if answer.error == "missing":
        raise GatewayError("internal", "this gateway cannot scale images: the package Pillow is not installed")
    kind = media.sniff(answer.data)
    fits = not order.size or len(answer.data) * 3 // 4 <= order.size + 2
    if answer.error or kind not in ("image/png", "image/jpeg") or not fits:
        raise invalid(f"{at}: {_REFUSALS.get(answer.error, _REFUSALS['broken'])}", at)
    return Scaled(answer.data, answer.before, answer.after, answer.frames, kind)


def _told(part: Media, found: Scaled) -> str:
    """What was done, in words."""
    (width, height), (wide, high) = found.before, found.after
    before, after = media.sniff(part.data), found.media_type
    words = f"scaled from {width}x{height} to {wide}x{high}"
    if found.before == found.after:
        words = "compressed" if before == after else f"converted from {before} to {after}"
    return f"{words}, its first frame" if found.frames > 1 else words
