"""Rules about images and documents: what the bytes are, how large, how many."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator.pictures import pages, read_picture
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.rules_messages import blocks

_MOST_BYTES = 10 * 1024 * 1024  # of base64 text, for one image
_LONGEST_SIDE = 8000
_LONGEST_SIDE_OF_MANY = 2000
_MANY = 20
_SMALL_WINDOW, _LARGE_WINDOW_MEDIA, _SMALL_WINDOW_MEDIA = 200_000, 600, 100


def media(messages: list[Object]) -> Iterator[tuple[Object, str]]:
    """Every image and document with its path, those inside tool results included."""
    for index, message in enumerate(messages):
        for at, block in enumerate(blocks(message)):
            where = f"messages.{index}.content.{at}"
            yield from _inside(block, where)
            content = block.get("content")
            if block["type"] == "tool_result" and isinstance(content, list):
                for number, part in enumerate(content):
                    yield from _inside(part, f"{where}.tool_result.content.{number}")


def _inside(block: Object, at: str) -> Iterator[tuple[Object, str]]:
    if block["type"] in ("image", "document"):
        yield block, f"{at}.{block['type']}"
    if block["type"] == "document" and isinstance(parts := block["source"].get("content"), list):
        for number, part in enumerate(parts):
            yield from _inside(part, f"{at}.document.source.content.content.{number}")


def check_media(body: Object, card: Card) -> None:
    """Each image and document by itself, then all of them together."""
    found = list(media(body["messages"]))
    images = sum(block["type"] == "image" for block, _ in found)
    longest = _LONGEST_SIDE_OF_MANY if images > _MANY else _LONGEST_SIDE
    document_pages = 0
    for block, at in found:
        if block["type"] == "image":
            _image(block, at, card, longest)
        else:
            document_pages += _document(block, at, card)
    most = _SMALL_WINDOW_MEDIA if card.context_window <= _SMALL_WINDOW else _LARGE_WINDOW_MEDIA
    if images > most or document_pages > most:
        raise bad(f"messages: Too much media: {document_pages} document pages + {images} images > {most}")


def _remote(source: Object, at: str) -> bool:
    if source["type"] == "url" and not source["url"].startswith("https://"):
        raise bad(f"{at}.source.url.url: Only HTTPS URLs are supported.")
    if source["type"] == "file":
        raise Refused(404, "not_found_error", f"File not found: {source['file_id']}")
    return bool(source["type"] == "url")


def _image(block: Object, at: str, card: Card, longest: int) -> None:
    if not card.image_input:
        raise bad(f"{at}: '{card.id}' does not support image input")
    source: Object = block["source"]
    if _remote(source, at):
        return
    at = f"{at}.source.base64"
    data: str = source["data"]
    if len(data) > _MOST_BYTES:
        raise bad(f"{at}: image exceeds 10 MB maximum: {len(data)} bytes > {_MOST_BYTES} bytes")
    try:
        picture = read_picture(data)
    except ValueError:
        raise bad(f"{at}.data: Invalid base64 data") from None
    if picture is None:
        raise bad("Could not process image")
    declared = source["media_type"]
    if picture.media_type != declared:
        raise bad(
            f"{at}.data: The image was specified using the {declared} media type, but the image appears to be a "
            f"{picture.media_type} image"
        )
    if max(picture.width, picture.height) > longest:
        many = " for many-image requests" if longest < _LONGEST_SIDE else ""
        raise bad(f"{at}.data: At least one of the image dimensions exceed max allowed size{many}: {longest} pixels")
    resized = max(picture.width, picture.height) > (card.image_max_edge_px or _LONGEST_SIDE)
    if resized and (block.get("transformations") or {}).get("oversized_image") == "error":
        raise bad(f"{at}.data: image is larger than {card.image_max_edge_px} pixels and would be downsized")


def _document(block: Object, at: str, card: Card) -> int:
    source: Object = block["source"]
    if source["type"] == "text":
        if not source["data"].strip():
            raise bad(f"{at}.source.text.data: text documents must be non-empty")
        return 0
    if source["type"] == "content":
        return 0
    if not card.pdf_input:
        raise bad(f"{at}: '{card.id}' does not support PDF input")
    if _remote(source, at):
        return 1
    try:
        count = pages(source["data"])
    except ValueError:
        raise bad(f"{at}.source.base64.data: Invalid base64 data") from None
    if not count:
        raise bad(f"{at}.source.base64.data: The PDF specified was not valid.")
    return count
