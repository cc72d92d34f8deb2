"""Pictures, documents and sounds: what a model cannot take is refused, with its place.

An answer to a question whose picture is missing is worse than no answer, so none of these is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from dragoman import media
from dragoman.conversation import Foreign, Media, Request, ToolResult
from dragoman.errors import GatewayError, invalid
from dragoman.models.cards import Card
from dragoman.models.open.places import inner_places, part_places, place


def check_attachments(request: Request, card: Card) -> None:
    """Raises `GatewayError` ("invalid_request") for the first part of the client's messages the model cannot take."""
    refuse = _refusal if card.dialect == "anthropic" else _refusal_open
    for index, message in enumerate(request.messages):
        if not any(type(part) in _JUDGED for part in message.content):
            continue
        if all(type(part) is Foreign and part.origin != card.dialect for part in message.content):
            at = place(request.messages, request.origin, index)
            at = at if at == "system" else f"{at}.content"
            raise invalid(f"{at}: there is nothing in it that {card.id} could read", at)
        for part, where in _media(request, index):
            if (refusal := refuse(part, request.origin, card, where)) is not None:
                raise refusal


_JUDGED = (Foreign, Media, ToolResult)


def _media(request: Request, index: int) -> Iterator[tuple[Media, str]]:
    """The media of a message, each with its place."""
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
    kind = _kind(part)
    match part.kind:
        case "audio":
            return invalid(f"{at}: {card.id} does not take audio; send what is said in it as text", at)
        case "document" if part.source == "text" or kind in ("", "application/pdf"):
            return None if card.pdf_input else invalid(f"{at}: {card.id} does not take documents", at)
        case _:
            return _image_refusal(kind, part.kind, card, at)


def _refusal_open(part: Media, origin: str, card: Card, at: str) -> GatewayError | None:
    """Texts are taken by all of them, other documents by few, and Ollama fetches nothing."""
    if part.source == "file" and origin != card.dialect:
        return _unknown_file(at)
    kind = _kind(part)
    match part.kind:
        case "audio" if card.audio_input and part.source != "url":
            return None
        case "audio":
            return invalid(f"{at}: {card.id} does not take audio; send what is said in it as text", at)
        case "document" if part.source == "text":
            return None
        case "document" if kind in ("", "application/pdf") or not kind.startswith("image/"):
            if card.pdf_input:
                return None
            return invalid(f"{at}: {card.id} does not read documents; send the text of this one, or its pages", at)
        case _ if part.source == "url" and card.image_input and card.dialect == "ollama":
            return invalid(f"{at}: an Ollama server fetches no images; send the image itself", at)
        case _:
            return _image_refusal(kind, part.kind, card, at)


def _unknown_file(at: str) -> GatewayError:
    return invalid(f"{at}: a file id is known only to the server that gave it; send the file itself", at)


def _kind(part: Media) -> str:
    return (media.sniff(part.data) if part.source == "base64" else "") or part.media_type


def _image_refusal(kind: str, declared: str, card: Card, at: str) -> GatewayError | None:
    if not card.image_input:
        return invalid(f"{at}: {card.id} does not take images", at)
    if (declared == "image" and not kind) or kind in card.image_types:
        return None
    return invalid(f"{at}: {card.id} takes {_words(card)}, not {kind}; convert it first", at)


def _words(card: Card) -> str:
    kinds = [kind.removeprefix("image/").upper() for kind in card.image_types]
    return ", ".join(kinds) + (" and PDF" if card.pdf_input else "")
