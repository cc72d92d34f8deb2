"""Content parts: text, images, sounds, files and refusals.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from dragoman import media
from dragoman.conversation import JSON, Foreign, Media, Object, Part, Refusal, Text
from dragoman.dialects.openai_chat.parts import decode_part as decode_chat_part
from dragoman.dialects.openai_chat.parts import encode_cache, encode_part, file_media, locate, take_cache
from dragoman.dialects.openai_responses.vocabulary import ITEM, NAME
from dragoman.dialects.reading import check, keep, laid_over, need, path, take
from dragoman.errors import invalid
from dragoman.losses import Losses

# --- decode -------------------------------------------------------------------------------------


def decode_content(content: JSON, at: str) -> list[tuple[Part, str]]:
    """A string, null, one part or an array of parts (or of bare strings), each with its path.  Empty text says nothing
    and is left out."""
    match content:
        case None | "":
            return []
        case str() | dict():
            return [(decode_part(content, at), at)]
        case _:
            return [(decode_part(each, path(at, i)), path(at, i)) for i, each in enumerate(check(content, list, at))]


def decode_part(value: JSON, at: str) -> Part:
    """One content part; a type this wire does not know becomes a `Foreign` of this dialect."""
    if isinstance(value, str):
        return Text(text=value)
    part = check(value, dict, at)
    kind = take(part, "type", str, at) or next((k for k in _KNOWN_BY if k in part), None)
    if kind is None:
        raise invalid(f"{at}.type is required", f"{at}.type")
    if kind in _AS_IN_CHAT:
        return decode_chat_part({"type": kind, **part}, at)
    if (decoder := _DECODERS.get(kind)) is None:
        return Foreign(origin=NAME, extra={"type": kind, **part})
    cache = take_cache(part, at)
    decoded = decoder(part, at)
    decoded.cache = cache
    return decoded


def _decode_text(part: Object, at: str) -> Part:
    """Of an answer that comes back: with what it cited."""
    for name in ("annotations", "logprobs"):
        if not part.get(name):
            part.pop(name, None)
    return Text(text=need(part, "text", str, at), extra=part)


def _decode_refusal(part: Object, at: str) -> Part:
    return Refusal(text=need(part, "refusal", str, at), extra=part)


def _decode_image(part: Object, at: str) -> Part:
    _detail(part, at)
    image, where = part.pop("image_url", None), path(at, "image_url")
    if isinstance(image, dict):  # as in chat completions
        _detail(image, where)
        rest, image, where = image, image.pop("url", None), path(where, "url")
        keep(part, "image_url", rest)
    if image is None:
        if (file_id := take(part, "file_id", str, at)) is None:
            raise invalid(f"{where} is required", where)
        return Media(kind="image", data=file_id, source="file", extra=part)
    if part.get("file_id") is None:
        part.pop("file_id", None)
    source, data, media_type = locate(check(image, str, where), where)
    return Media(kind="image", data=data, source=source, media_type=media_type, extra=part)


def _decode_file(part: Object, at: str) -> Part:
    _detail(part, at)
    name = take(part, "filename", str, at) or ""
    data, url, file_id = (take(part, key, str, at) or None for key in ("file_data", "file_url", "file_id"))
    others = {"file_url": url, "file_id": file_id} if data else {"file_id": file_id} if url else {}
    part |= {key: value for key, value in others.items() if value is not None}  # what is not used stays, to be told
    if data is not None:
        return file_media(data, name, path(at, "file_data"), part)
    if url is not None:
        source, data, media_type = locate(url, path(at, "file_url"))
        return Media(kind="document", data=data, source=source, media_type=media_type, name=name, extra=part)
    if file_id is None:
        where = path(at, "file_data")
        raise invalid(f"{where} is required", where)
    return Media(kind="document", data=file_id, source="file", name=name, extra=part)


def _detail(owner: Object, at: str) -> None:
    """How closely it is to be looked at; "auto" says nothing."""
    if (detail := take(owner, "detail", str, at)) not in (None, "auto"):
        owner["detail"] = detail


_KNOWN_BY = ("text", "refusal", "image_url", "file_data", "file_url")
_AS_IN_CHAT = frozenset({"input_audio", "file", "thinking", "redacted_thinking"})
_DECODERS: MappingProxyType[str, Callable[[Object, str], Part]] = MappingProxyType(
    {
        "text": _decode_text,
        "input_text": _decode_text,
        "output_text": _decode_text,
        "summary_text": _decode_text,
        "reasoning_text": _decode_text,
        "refusal": _decode_refusal,
        "image_url": _decode_image,
        "input_image": _decode_image,
        "input_file": _decode_file,
        "file_data": _decode_file,
        "file_url": _decode_file,
    }
)


# --- encode -------------------------------------------------------------------------------------

Placed = Sequence[tuple[Part, str]]
"""Parts, each with its path in the conversation."""


def encode_content(placed: Placed, own: bool, losses: Losses, *, said: bool = False) -> JSON:
    """`placed` as a string where one plain text is all there is, which every server takes, else as an array.

    `said`: the model said it.  `own`: what only this wire knows of the parts is meant for this server.
    """
    wire = [w for part, at in placed if (w := _encode_part(part, own, losses, at, said=said)) is not None]
    if not wire:
        return ""
    if len(wire) == 1 and wire[0].keys() <= {"type", "text", "annotations"} and not wire[0].get("annotations"):
        return wire[0].get("text", "")
    return wire


def _encode_part(part: Part, own: bool, losses: Losses, at: str, *, said: bool) -> Object | None:
    extra = {key: value for key, value in part.extra.items() if key != ITEM} if own else {}
    match part:
        case Text() if said:
            return {"type": "output_text", "text": part.text, "annotations": [], **extra}
        case Refusal() if said:
            return {"type": "refusal", "refusal": part.text, **extra}
        case Text(text=text) | Refusal(text=text):
            wire: Object | None = {"type": "input_text", "text": text}
            for name in ("annotations", "logprobs"):
                if extra.pop(name, None) is not None:
                    losses.drop(f"{at}.{name}", "only what the model said has them")
        case Media():
            wire = _encode_media(part, own, losses, at)
        case Foreign(origin=origin) if origin == NAME:
            return dict(part.extra)
        case Foreign():
            losses.drop(at, "only the dialect it was written in knows this kind of block")
            return None
        case _:
            losses.drop(at, "it has no place in the content of a message")
            return None
    if wire is not None and part.cache:
        wire["prompt_cache_breakpoint"] = encode_cache(part.cache)
    return None if wire is None else laid_over(wire, extra)


def _encode_media(part: Media, own: bool, losses: Losses, at: str) -> Object | None:
    kind = (media.sniff(part.data) if part.source == "base64" else "") or part.media_type
    data_url = f"data:{kind};base64,{part.data}"
    named: Object = {"filename": part.name} if part.name else {}
    match part.kind, part.source:
        case "image", "base64" | "url":
            return {"type": "input_image", "image_url": part.data if part.source == "url" else data_url, **_DETAIL}
        case "image", "file" if own:
            return {"type": "input_image", "file_id": part.data, **_DETAIL}
        case "audio", "base64":
            return encode_part(Media(kind="audio", data=part.data, media_type=part.media_type), False, losses, at)
        case "document", "base64":
            return {"type": "input_file", "filename": part.name or "document.pdf", "file_data": data_url}
        case "document", "url":
            return {"type": "input_file", "file_url": part.data, **named}
        case "document", "file" if own:
            return {"type": "input_file", "file_id": part.data, **named}
        case "document", "text":
            # Only PDF is read from `input_file` by every model; text is read as text by every server.
            losses.emulate(at, "the text document was sent as text")
            return {"type": "input_text", "text": media.titled(part.data, part.name)}
        case _:
            losses.drop(at, f"a Responses server cannot be sent this {part.kind} ({part.source})")
            return None


_DETAIL = MappingProxyType({"detail": "auto"})
