"""Pictures that tools made, for a model that cannot see.

A picture of the user's own is refused: the question is about it.  One in a tool's result stays in the conversation for
good, and refusing it would end a session that a word can save.
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Media, Message, Part, Request, Text, ToolResult
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.open.places import inner_places, part_places

NOTE = "[A picture that this model cannot see.]"


def without_unseen(request: Request, card: Card, losses: Losses) -> Request:
    """`request` with a word in the place of each picture in a tool's result.  Each is reported."""
    if card.image_input or not any(_shown(message) for message in request.messages):
        return request
    messages = [
        _told(request, index, card, losses) if _shown(message) else message
        for index, message in enumerate(request.messages)
    ]
    return replace(request, messages=messages)


def _shown(message: Message) -> bool:
    return any(type(part) is ToolResult and any(map(_is_picture, part.content)) for part in message.content)


def _is_picture(part: Part) -> bool:
    return type(part) is Media and part.kind == "image"


def _told(request: Request, index: int, card: Card, losses: Losses) -> Message:
    message = request.messages[index]
    content: list[Part] = []
    for part, at in zip(message.content, part_places(request.messages, request.origin, index), strict=True):
        if type(part) is not ToolResult:
            content.append(part)
            continue
        inner: list[Part] = []
        for piece, where in zip(part.content, inner_places(part, at, request.origin), strict=True):
            if _is_picture(piece):
                losses.drop(where, f"{card.id} does not take images: the model is told that there was one")
            inner.append(Text(text=NOTE) if _is_picture(piece) else piece)
        content.append(replace(part, content=inner))
    return replace(message, content=content)
