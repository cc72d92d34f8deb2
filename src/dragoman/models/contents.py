"""Media told by what is in them, whatever the client calls them: a PDF among the images, a text labelled as a PDF."""

from __future__ import annotations

from typing import cast

from msgspec.structs import replace

from dragoman import media
from dragoman.conversation import Media, MediaKind, Part, Request, ToolResult
from dragoman.errors import invalid


def by_content(request: Request) -> Request:
    """`request` with each piece of media as the kind that its bytes say; text files become text.

    Nothing is lost by that, so nothing is reported.  The very same request where there is nothing to do.
    """
    if not any(_concerns(part) for message in request.messages for part in message.content):
        return request
    messages = [
        replace(message, content=[_told(part) for part in message.content])
        if any(map(_concerns, message.content))
        else message
        for message in request.messages
    ]
    return replace(request, messages=messages)


def family(media_type: str) -> MediaKind:
    """The kind of part that a media type belongs in."""
    kind = media_type.partition("/")[0]
    return cast(MediaKind, kind) if kind in ("image", "audio") else "document"


def text_of(part: Media, at: str) -> str | None:
    """The words of a text document; None when it is another kind of file.  Raises when its label says text, wrongly."""
    if part.source == "text":
        return part.data
    if media.sniff(part.data):
        return None
    text = media.text_in(media.clean_base64(part.data, at))
    if text is None and media.is_textual(part.media_type):
        label = part.media_type.partition(";")[0].strip().lower()
        raise invalid(f"{at} says it is {label}, but it is not UTF-8 text", at)
    return text


def _concerns(part: Part) -> bool:
    if type(part) is ToolResult:
        return any(map(_concerns, part.content))
    if type(part) is not Media or part.source != "base64":
        return False
    kind = media.sniff(part.data)
    return family(kind) != part.kind if kind else part.kind == "document"


def _told(part: Part) -> Part:
    if type(part) is ToolResult and _concerns(part):
        return replace(part, content=[_told(inner) for inner in part.content])
    if type(part) is not Media or not _concerns(part):
        return part
    if kind := media.sniff(part.data):
        return replace(part, kind=family(kind), media_type=kind)
    text = media.text_in(part.data)
    if text is None or not text.strip():
        return part
    label = part.media_type if media.is_textual(part.media_type) else "text/plain"
    return replace(part, source="text", data=text, media_type=label)
