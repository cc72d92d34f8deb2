"""Content parts: text, images, sounds, files and refusals.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from dragoman import media
from dragoman.conversation import JSON, Foreign, Media, MediaKind, MediaSource, Object, Part, Refusal, Text, Thinking
from dragoman.dialects.openai_chat.reasoning import decode_block
from dragoman.dialects.openai_chat.vocabulary import NAME
from dragoman.dialects.reading import check, keep, laid_over, need, path, take
from dragoman.errors import invalid
from dragoman.losses import Losses

Cache = Literal["5m", "1h"]

_AUDIO_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}


# --- content ------------------------------------------------------------------------------------


def decode_content(content: JSON, at: str) -> list[Part]:
    """A string, null, one part or an array of parts (or of bare strings).  Empty text says nothing and is left out."""
    match content:
        case None | "":
            return []
        case str():
            return [Text(text=content)]
        case dict():
            return [decode_part(content, at)]
        case _:
            return [decode_part(part, path(at, i)) for i, part in enumerate(check(content, list, at))]


def encode_content(parts: Sequence[tuple[Part, str]], own: bool, losses: Losses) -> JSON:
    """`parts`, each with its path, as a string where one plain text is all there is, else as an array."""
    wire = [w for part, at in parts if (w := encode_part(part, own, losses, at)) is not None]
    if not wire:
        return ""
    if len(wire) == 1 and wire[0].keys() == {"type", "text"}:
        return wire[0]["text"]
    return wire


# --- one part -----------------------------------------------------------------------------------


def decode_part(value: JSON, at: str) -> Part:
    """One content part; a type this wire does not know becomes a `Foreign` of this dialect."""
    if isinstance(value, str):
        return Text(text=value)
    part = check(value, dict, at)
    kind = take(part, "type", str, at) or next((k for k in ("text", "image_url", "file") if k in part), None)
    if kind is None:
        raise invalid(f"{at}.type is required", f"{at}.type")
    if (decoder := _DECODERS.get(kind)) is None:
        return Foreign(origin=NAME, extra={"type": kind, **part})
    cache = take_cache(part, at)
    decoded = decoder(part, at)
    decoded.cache = cache
    return decoded


def encode_part(part: Part, own: bool, losses: Losses, at: str) -> Object | None:
    """The wire's part, or None with a word in `losses`."""
    extra = part.extra if own else {}
    match part:
        case Text():
            wire: Object | None = {"type": "text", "text": part.text, **extra}
        case Refusal():
            wire = {"type": "refusal", "refusal": part.text, **extra}
        case Media():
            wire = _encode_media(part, own, losses, at)
        case Foreign(origin=origin) if own and origin == NAME:
            return dict(extra)
        case Foreign():
            losses.drop(at, "only the dialect it was written in knows this kind of block")
            return None
        case _:
            losses.drop(at, "it has no place in the content of a chat message")
            return None
    if wire is not None and part.cache:
        wire = laid_over({**wire, "prompt_cache_breakpoint": encode_cache(part.cache)}, extra)
    return wire


def _decode_text(part: Object, at: str) -> Part:
    return Text(text=need(part, "text", str, at), extra=part)


def _decode_refusal(part: Object, at: str) -> Part:
    return Refusal(text=need(part, "refusal", str, at), extra=part)


def _decode_thinking(part: Object, at: str) -> Part:
    """Anthropic's blocks, which programs for several vendors leave here, and Mistral's, whose text is in parts."""
    if isinstance(texts := part.get("thinking"), list):
        part["thinking"] = "".join(
            text for p in texts if isinstance(p, dict) and isinstance(text := p.get("text"), str)
        )
    return decode_block({"type": "redacted_thinking" if "data" in part else "thinking", **part}, at) or Thinking(
        text=""
    )


def _decode_image(part: Object, at: str) -> Part:
    image, where = part.pop("image_url", None), path(at, "image_url")
    if isinstance(image, dict):
        rest = image
        if (detail := take(rest, "detail", str, where)) not in (None, "auto"):
            rest["detail"] = detail
        image, where = rest.pop("url", None), path(where, "url")
        keep(part, "image_url", rest)
    if image is None:
        raise invalid(f"{where} is required", where)
    source, data, media_type = locate(check(image, str, where), where)
    return Media(kind="image", data=data, source=source, media_type=media_type, extra=part)


def _decode_audio(part: Object, at: str) -> Part:
    audio, where = need(part, "input_audio", dict, at), path(at, "input_audio")
    form = take(audio, "format", str, where) or ""
    declared, data = media.split_data_url(need(audio, "data", str, where))
    data = media.clean_base64(data, path(where, "data"))
    media_type = _AUDIO_TYPES.get(form, f"audio/{form}" if form else declared)
    keep(part, "input_audio", audio)
    return Media(kind="audio", data=data, media_type=media_type, extra=part)


def _decode_file(part: Object, at: str) -> Part:
    file, where = need(part, "file", dict, at), path(at, "file")
    name = take(file, "filename", str, where) or ""
    if (data := take(file, "file_data", str, where)) is None:
        media_id = need(file, "file_id", str, where)
        keep(part, "file", file)
        return Media(kind="document", data=media_id, source="file", name=name, extra=part)
    keep(part, "file", file)
    return file_media(data, name, path(where, "file_data"), part)


def file_media(data: str, name: str, where: str, extra: Object) -> Media:
    """A file by its content: its base64, its data URL or its address, as it stands at `where`."""
    source, data, media_type = locate(data, where, bare=True)
    kind: MediaKind = "document"
    if source == "base64":
        media_type = media.sniff(data) or media_type
        if media_type.startswith("image/"):
            kind = "image"
        elif media_type.startswith("audio/"):
            kind = "audio"
        elif (text := _as_text(data, media_type, where)) is not None:
            source, data = "text", text
            media_type = media_type or "text/plain"
    return Media(kind=kind, data=data, source=source, media_type=media_type, name=name, extra=extra)


def _as_text(data: str, media_type: str, at: str) -> str | None:
    """The text of base64 `data` when that is what it is: by its type or, without one, when it reads as text."""
    textual = media.is_textual(media_type)
    if not textual and media_type:
        return None
    text = media.text_in(data)
    if text is None and textual:
        raise invalid(f"{at} says it is {media_type}, but it is not UTF-8 text", at)
    return text


def locate(url: str, at: str, bare: bool = False) -> tuple[MediaSource, str, str]:
    """(source, data, media type) of a data URL or a web address.

    Base64 without its URL, which sloppy clients send, counts where it is allowed (`bare`) or plainly is media.
    """
    if url[:8].lower().startswith(("http://", "https://")):
        return "url", url, ""
    media_type, data = media.split_data_url(url)
    if not url.startswith("data:") and not bare and not media.sniff(data):
        raise invalid(f"{at} must be an http(s) URL or a data URL with base64 data", at)
    return "base64", media.clean_base64(data, at), media_type


def _encode_media(part: Media, own: bool, losses: Losses, at: str) -> Object | None:
    extra = part.extra if own else {}
    media_type = (media.sniff(part.data) if part.source == "base64" else "") or part.media_type
    data_url = f"data:{media_type};base64,{part.data}"
    match part.kind, part.source:
        case "image", "base64" | "url":
            image: Object = {"url": part.data if part.source == "url" else data_url}
            return laid_over({"type": "image_url", "image_url": image}, extra)
        case "audio", "base64":
            audio = {"data": part.data, "format": _AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/"))}
            return laid_over({"type": "input_audio", "input_audio": audio}, extra)
        case "document", "base64" | "url":  # the address of a document is an extension that gateways understand
            file = {
                "file_data": part.data if part.source == "url" else data_url,
                "filename": part.name or "document.pdf",
            }
            return laid_over({"type": "file", "file": file}, extra)
        case "document", "text":
            # OpenAI reads only PDF from `file`; text is read as text by every server.
            losses.emulate(at, "the text document was sent as text")
            return {"type": "text", "text": media.titled(part.data, part.name)}
        case "document", "file" if own:
            file = {"file_id": part.data} | ({"filename": part.name} if part.name else {})
            return laid_over({"type": "file", "file": file}, extra)
        case _:
            losses.drop(at, f"chat completions cannot carry this {part.kind} ({part.source})")
            return None


_DECODERS: dict[str, Callable[[Object, str], Part]] = {
    "text": _decode_text,
    "input_text": _decode_text,
    "output_text": _decode_text,
    "refusal": _decode_refusal,
    "image_url": _decode_image,
    "input_image": _decode_image,
    "input_audio": _decode_audio,
    "file": _decode_file,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_thinking,
}


# --- cache marks --------------------------------------------------------------------------------


def take_cache(owner: Object, at: str) -> Cache | None:
    """Pop a cache mark: OpenAI's `prompt_cache_breakpoint`, or Anthropic's `cache_control`, which many send here."""
    for name, longest in _MARKS:
        if (mark := take(owner, name, dict, at)) is not None:
            keep(owner, name, {key: value for key, value in mark.items() if key not in ("mode", "type", "ttl")})
            return "1h" if mark.get("ttl") == longest else "5m"
    return None


_MARKS = (("prompt_cache_breakpoint", "12h"), ("cache_control", "1h"))


def encode_cache(cache: Cache) -> Object:
    """OpenAI's own lifetimes are 30 minutes (its default) and 12 hours."""
    return {"mode": "explicit", "ttl": "12h"} if cache == "1h" else {"mode": "explicit"}
