"""Pictures, documents and sounds: what a model cannot take is refused, with its place.

An answer to a question whose picture is missing is worse than no answer, so none of these is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dragoman import media
from dragoman.conversation import Foreign, Media, Request, ToolResult
from dragoman.errors import GatewayError, invalid
from dragoman.models.bounds import check_bounds, check_size
from dragoman.models.cards import Card
from dragoman.models.contents import text_of
from dragoman.models.open.places import inner_places, part_places, place


def check_attachments(request: Request, card: Card) -> None:
    """Raises `GatewayError` ("invalid_request") for the first part of the client's messages the model cannot take."""
    found: list[tuple[Media, str]] = []
    for index, message in enumerate(request.messages):
        if not any(type(part) in _JUDGED for part in message.content):
            continue
        if all(type(part) is Foreign and part.origin != card.dialect for part in message.content):
            at = place(request.messages, request.origin, index)
            at = at if at == "system" else f"{at}.content"
            raise invalid(f"{at}: there is nothing in it that {card.id} could read", at)
        found += media_of(request, index)
    if found:
        check_media(found, request.origin, card)


def check_media(found: Sequence[tuple[Media, str]], origin: str, card: Card) -> None:
    """The same for media that a client of the dialect `origin` sent, each with its place."""
    refuse = _refusal if card.dialect == "anthropic" else _refusal_open
    for part, at in found:
        if (refusal := refuse(part, origin, card, at)) is not None:
            raise refusal
    check_bounds(found, card.media, card.id)


def check_body(size: int, request: Request, card: Card) -> None:
    """Raises `GatewayError` ("too_large") when a body of `size` bytes, made of `request`, is more than the server of
    `card` takes."""
    if 0 < card.media.request_bytes < size:
        found = [each for index in range(len(request.messages)) for each in media_of(request, index)]
        check_size(size, card.media, card.id, found)


_JUDGED = (Foreign, Media, ToolResult)


def media_of(request: Request, index: int) -> Iterator[tuple[Media, str]]:
    """The media of a message, those in results of tools too, each with its place."""
    places = part_places(request.messages, request.origin, index)
    for part, at in zip(request.messages[index].content, places, strict=True):
        if type(part) is Media:
            yield part, at
        elif type(part) is ToolResult and any(type(inner) is Media for inner in part.content):
            inside = zip(part.content, inner_places(part, at, request.origin), strict=True)
            yield from ((inner, where) for inner, where in inside if type(inner) is Media)


def _refusal(part: Media, origin: str, card: Card, at: str) -> GatewayError | None:
    if part.source == "file" and origin != card.dialect:
        return _unknown_file(at)
    if part.source in ("url", "file"):
        return None  # the upstream fetches it, and knows better
    match part.kind:
        case "audio":
            return _unheard(card, at)
        case "document" if part.source == "text":
            return None
        case "document" if _is_pdf(part):
            return None if card.pdf_input else invalid(f"{at}: {card.id} does not take documents", at)
        case "document" if not kind_of(part).startswith("image/"):
            return _unread(part, card, at)
        case _:
            return _image_refusal(part, card, at)


def _refusal_open(part: Media, origin: str, card: Card, at: str) -> GatewayError | None:
    """Texts are taken by all of them, other documents by few, and Ollama fetches nothing."""
    if part.source == "file" and origin != card.dialect:
        return _unknown_file(at)
    match part.kind:
        case "audio":
            return None if card.audio_input and part.source != "url" else _unheard(card, at)
        case "document" if part.source == "text":
            return None
        case "document" if not kind_of(part).startswith("image/"):
            if card.pdf_input:
                return None
            return invalid(f"{at}: {card.id} does not read documents; send the text of this one, or its pages", at)
        case _ if part.source == "url" and card.image_input and card.dialect == "ollama":
            return invalid(f"{at}: an Ollama server fetches no images; send the image itself", at)
        case _:
            return _image_refusal(part, card, at)


def _unknown_file(at: str) -> GatewayError:
    return invalid(f"{at}: a file id is known only to the server that gave it; send the file itself", at)


def _unheard(card: Card, at: str) -> GatewayError:
    return invalid(f"{at}: {card.id} does not take audio; send what is said in it as text", at)


def _unread(part: Media, card: Card, at: str) -> GatewayError | None:
    if text_of(part, at) is not None:
        return None
    kind = kind_of(part) or "of a kind that is not known"
    return invalid(f"{at}: the document is {kind}; {card.id} can be given PDF and text only", at)


def kind_of(part: Media) -> str:
    """The media type that the bytes of `part` tell, else its label; the label of an archive says what is in it."""
    kind = media.sniff(part.data) if part.source == "base64" else ""
    return part.media_type or kind if kind in _ARCHIVES and part.kind == "document" else kind or part.media_type


# What office documents are on the outside.
_ARCHIVES = ("application/zip", "application/x-ole-storage")


def _is_pdf(part: Media) -> bool:
    return media.sniff(part.data) == "application/pdf"


def _image_refusal(part: Media, card: Card, at: str) -> GatewayError | None:
    if not card.image_input:
        return invalid(f"{at}: {card.id} does not take images", at)
    kind = kind_of(part)
    if (part.kind == "image" and not kind) or kind in card.image_types:
        return None
    return invalid(f"{at}: {card.id} takes {_words(card)}, not {kind}; convert it first{_advice(kind)}", at)


def _advice(kind: str) -> str:
    return ", or let the gateway do so (scale_images)" if kind in CONVERTIBLE else ""


CONVERTIBLE = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff")
"""What the gateway can make another kind of picture of."""


def _words(card: Card) -> str:
    kinds = [kind.removeprefix("image/").upper() for kind in card.image_types]
    return ", ".join(kinds) + (" and PDF" if card.pdf_input else "")
