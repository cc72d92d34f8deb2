"""How much media a server takes: how many pictures, how large each, how many pages, how much altogether.

The numbers are data (`claude.toml`, `servers.toml`), on the card of each model.  What is too much is refused here, with
its place, the limit and the actual figure, before anything is sent: a server's own answer names neither in the client's
words.  Pictures that are too large may be scaled instead, where that is configured (`relay.scaling`).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dragoman import media
from dragoman.conversation import Media
from dragoman.errors import GatewayError, invalid
from dragoman.models.pictures import pixel_size


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that a server takes of each; 0 where it has no limit, or nobody knows it.

    `images` in one request; `image_bytes` of one, as base64; `edge`, the longer side of one in pixels, which is
    `edge_of_many` in a request with more than `many`; `pixels`, width times height.  `pages` of all the PDFs together;
    `file_bytes` of one document, as bytes; `request_bytes` of the whole body.  `sounds`: the types of sound it hears,
    empty for any.
    """

    images: int = 0
    image_bytes: int = 0
    edge: int = 0
    many: int = 0
    edge_of_many: int = 0
    pixels: int = 0
    pages: int = 0
    file_bytes: int = 0
    request_bytes: int = 0
    sounds: tuple[str, ...] = ()

    def side(self, images: int) -> int:
        """The longest side a picture may have in a request with so many; 0: any."""
        return self.edge_of_many if self.many and images > self.many else self.edge


def images_in(found: Sequence[tuple[Media, str]]) -> int:
    """How many pictures there are among media."""
    return sum(part.kind == "image" for part, _ in found)


def excess(part: Media, bounds: Bounds, images: int, name: str) -> str:
    """Why a picture is too large for a request with `images` pictures to the model `name`; "" when it is not."""
    if part.kind != "image" or part.source != "base64":
        return ""
    if 0 < bounds.image_bytes < len(part.data):
        return f"the image is {_size(len(part.data))} as base64, and {name} takes {_size(bounds.image_bytes)}"
    side = bounds.side(images)
    size = pixel_size(part.data) if side or bounds.pixels else None
    if size is None:
        return ""
    width, height = size
    if 0 < side < max(size):
        many = f" in a request with more than {bounds.many} images" if bounds.many and images > bounds.many else ""
        return f"the image is {width}x{height} pixels, and {name} takes {side} on a side{many}"
    if 0 < bounds.pixels < width * height:
        return f"the image has {width * height} pixels ({width}x{height}), and {name} takes {bounds.pixels}"
    return ""


def check_bounds(found: Sequence[tuple[Media, str]], bounds: Bounds, name: str) -> None:
    """Raises `GatewayError` ("invalid_request") for the first of these media, each with its place, that is too much."""
    images = images_in(found)
    seen = 0
    for part, at in found:
        seen += part.kind == "image"
        if 0 < bounds.images < seen:
            raise invalid(
                f"{at}: there are {images} images in the request, and {name} takes {bounds.images}; send fewer", at
            )
        if over := excess(part, bounds, images, name):
            raise invalid(f"{at}: {over}; send a smaller one, or let the gateway scale it (scale_images)", at)
        size = len(part.data) * 3 // 4
        if part.kind == "document" and part.source == "base64" and 0 < bounds.file_bytes < size:
            raise invalid(
                f"{at}: the document is {_size(size)}, and {name} takes {_size(bounds.file_bytes)}; send a part of it",
                at,
            )
        kind = media.sniff(part.data) if part.kind == "audio" and part.source == "base64" else ""
        if kind and bounds.sounds and kind not in bounds.sounds:
            raise invalid(f"{at}: {name} takes {sounds(bounds)}, not {kind}; convert it first", at)


def sounds(bounds: Bounds) -> str:
    """The types of sound, in words."""
    return ", ".join(kind.removeprefix("audio/").upper().replace("MPEG", "MP3") for kind in bounds.sounds)


def check_pages(pages: int, bounds: Bounds, name: str, at: str) -> None:
    """Raises `GatewayError` when the PDFs of a request, of which the last stands at `at`, have too many pages."""
    if 0 < bounds.pages < pages:
        raise invalid(
            f"{at}: the PDFs of the request have {pages} pages, and {name} takes {bounds.pages}; send a part of them",
            at,
        )


def check_size(size: int, bounds: Bounds, name: str, found: Sequence[tuple[Media, str]]) -> None:
    """Raises `GatewayError` ("too_large") for a body of `size` bytes that is too large; the largest of the media in
    it is named."""
    if not 0 < bounds.request_bytes < size:
        return
    most = f"the request is {_size(size)}, and {name} takes {_size(bounds.request_bytes)}"
    part, at = max(found, key=lambda each: len(each[0].data), default=(None, None))
    if part is None or at is None:
        raise GatewayError("too_large", most)
    raise GatewayError("too_large", f"{at}: {most}; this is its largest file ({_size(len(part.data))})", param=at)


def _size(size: int) -> str:
    return f"{size / 2**20:.3g} MiB" if size >= 2**20 else f"{size} bytes"
