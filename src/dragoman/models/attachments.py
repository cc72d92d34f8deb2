"""Pictures, documents and sounds: what a model cannot take is refused, with its place.

An answer to a question whose picture is missing is worse than no answer, so none of these is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from dragoman import media
from dragoman.conversation import Foreign, Media, Part, Request, ToolResult
from dragoman.errors import GatewayError, invalid
from dragoman.models.cards import Card


def check_attachments(request: Request, card: Card) -> None:
    """Raises `GatewayError` ("invalid_request") for the first part of the client's messages the model cannot take."""
    for index, message in enumerate(request.messages):
        if message.content and all(type(part) is Foreign and part.origin != card.dialect for part in message.content):
            at = f"messages[{index}].content"
            raise invalid(f"{at}: there is nothing in it that {card.id} could read", at)
        for part, at in _media(message.content, f"messages[{index}].content"):
            if (refusal := _refusal(part, request.origin, card, at)) is not None:
                raise refusal


def _media(content: list[Part], at: str) -> Iterator[tuple[Media, str]]:
    for index, part in enumerate(content):
        if type(part) is Media:
            yield part, f"{at}[{index}]"
        elif type(part) is ToolResult:
            yield from _media(part.content, f"{at}[{index}].content")


def _refusal(part: Media, origin: str, card: Card, at: str) -> GatewayError | None:
    if part.source == "file" and origin != card.dialect:
        return invalid(f"{at}: a file id is known only to the server that gave it; send the file itself", at)
    if part.source in ("url", "file"):
        return None  # the upstream fetches it, and knows better
    kind = (media.sniff(part.data) if part.source == "base64" else "") or part.media_type
    match part.kind:
        case "audio":
            return invalid(f"{at}: {card.id} does not take audio; send what is said in it as text", at)
        case "document" if part.source == "text" or kind in ("", "application/pdf"):
            return None if card.pdf_input else invalid(f"{at}: {card.id} does not take documents", at)
        case _ if not card.image_input:
            return invalid(f"{at}: {card.id} does not take images", at)
        case "image" if not kind:
            return None
        case _ if kind not in card.image_types:
            return invalid(f"{at}: {card.id} takes {_words(card)} and PDF, not {kind}; convert it first", at)
    return None


def _words(card: Card) -> str:
    return ", ".join(kind.removeprefix("image/").upper() for kind in card.image_types)
