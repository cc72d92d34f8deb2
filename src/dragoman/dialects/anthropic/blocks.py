"""Content blocks, both ways.

A block we have a part for becomes that part; anything else is `Foreign` and goes home whole.  Members of a known
block that have no name in the conversation ride in `extra`, and are written back only when the origin is this wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from dragoman import media
from dragoman.arguments import json_text, parse_arguments
from dragoman.conversation import (
    JSON,
    Citation,
    Foreign,
    Media,
    MediaKind,
    Object,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.anthropic.answer import origin_id
from dragoman.dialects.anthropic.marker import is_marked_citation, read_signature
from dragoman.dialects.anthropic.vocabulary import NAME
from dragoman.dialects.reading import check, keep, laid_over, need, objects, path, take
from dragoman.dialects.sources import CITATIONS
from dragoman.errors import invalid
from dragoman.losses import Losses

P = TypeVar("P", Text, Thinking, Media, ToolCall, ToolResult)

_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def decode_content(content: JSON, at: str) -> list[Part]:
    """A string, or an array of blocks, as parts."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    return [decode_block(block, where) for block, where in objects(content, at)]


def encode_content(parts: list[Part], origin: str, losses: Losses, at: str) -> list[Object]:
    """The blocks for `parts`; what this wire cannot say is reported with its path below `at`."""
    blocks: list[Object] = []
    for index, part in enumerate(parts):
        if type(part) is Text and not (part.cache or part.citations or part.extra):
            blocks.append({"type": "text", "text": part.text})  # nearly all there is
        elif (block := encode_part(part, origin, losses, path(at, index))) is not None:
            blocks.append(block)
    return blocks


def decode_block(block: Object, at: str) -> Part:
    """One content block.  Takes `block` apart."""
    if len(block) == 2 and block.get("type") == "text" and type(text := block.get("text")) is str:
        return Text(text=text)  # nearly all there is
    kind = check(block.get("type"), str, path(at, "type"))
    decode = _DECODERS.get(kind)
    return decode(block, at) if decode else Foreign(origin=NAME, extra=block)


def encode_part(part: Part, origin: str, losses: Losses, at: str) -> Object | None:
    """One part as a block, or None when there is nothing to say (then the loss is reported)."""
    block = _encode_known(part, origin, losses, at)
    if block is None or isinstance(part, Foreign):
        return block
    if part.cache and not isinstance(part, Thinking):
        block["cache_control"] = encode_cache(part.cache)
    if origin == NAME:
        block = laid_over(block, part.extra)
    return block


def _encode_known(part: Part, origin: str, losses: Losses, at: str) -> Object | None:
    match part:
        case Text():
            # What Claude said itself goes home with its citations, whoever kept it.
            cited = [
                c.extra for c in part.citations if c.extra and (origin == NAME or c.extra.get("type") in CITATIONS)
            ]
            return {"type": "text", "text": part.text} | ({"citations": cited} if cited else {})
        case Thinking():
            return _encode_thinking(part, losses, at)
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": parse_arguments(part.arguments)}
        case ToolResult():
            block: Object = {"type": "tool_result", "tool_use_id": part.id}
            if content := encode_content(part.content, origin, losses, path(at, "content")):
                block["content"] = content
            return block | ({"is_error": True} if part.is_error else {})
        case Media():
            return _encode_media(part, losses, at)
        case Refusal():
            return {"type": "text", "text": part.text}
        case Foreign(origin="anthropic"):
            return part.extra
        case Foreign():
            losses.drop(at, f"a {part.extra.get('type', 'foreign')} block has no form in the Messages API")
            return None


def decode_cache(block: Object) -> Literal["5m", "1h"] | None:
    """Pop `cache_control`: "5m", "1h", or None.  One that says more than a lifetime stays, so nothing of it is lost."""
    control = block.get("cache_control")
    if not isinstance(control, dict):
        block.pop("cache_control", None)
        return None
    if control in ({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}):
        del block["cache_control"]
    return "1h" if control.get("ttl") == "1h" else "5m"


def encode_cache(cache: str) -> Object:
    """`cache_control` that keeps for "5m" or "1h".  https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""
    return {"type": "ephemeral", "ttl": "1h"} if cache == "1h" else {"type": "ephemeral"}


def _finish(part: P, block: Object) -> P:
    """Give `part` what is left of its block."""
    block.pop("type", None)
    part.cache = decode_cache(block)
    part.extra = block
    return part


def _decode_text(block: Object, at: str) -> Part:
    cited = [c for c in take(block, "citations", list, at) or [] if isinstance(c, dict)]
    return _finish(Text(text=need(block, "text", str, at), citations=[decode_citation(c) for c in cited]), block)


def decode_citation(citation: Object) -> Citation:
    """Any of the five citation objects; `extra` keeps all of it, unless it is one that we made."""
    return Citation(
        url=_first_text(citation, "url", "source"),
        title=_first_text(citation, "title", "document_title"),
        text=_first_text(citation, "cited_text"),
        extra={} if is_marked_citation(citation) else citation,
    )


def _first_text(owner: Object, *keys: str) -> str:
    return next((value for key in keys if isinstance(value := owner.get(key), str) and value), "")


def _decode_thinking(block: Object, at: str) -> Part:
    # An empty signature is what old SDKs keep of one they could not read: it proves nothing.
    seal = read_signature(take(block, "signature", str, at) or "")
    return _finish(Thinking(text=take(block, "thinking", str, at) or "", seal=seal), block)


def _decode_redacted(block: Object, at: str) -> Part:
    return _finish(Thinking(text="", redacted=True, seal=read_signature(need(block, "data", str, at))), block)


def _encode_thinking(part: Thinking, losses: Losses, at: str) -> Object | None:
    match part.seal:
        case Seal(origin="anthropic", value=value) if part.redacted:
            return {"type": "redacted_thinking", "data": value}
        case Seal(origin="anthropic", value=value):
            return {"type": "thinking", "thinking": part.text, "signature": value}
        case _:
            # Claude refuses thinking it did not sign, and history without it is legal.
            losses.drop("thinking", "earlier reasoning came back without the signature Claude wants to see")
            return None


def _decode_tool_use(block: Object, at: str) -> Part:
    arguments = json_text(take(block, "input", dict, at) or {})
    id = origin_id(need(block, "id", str, at))
    return _finish(ToolCall(id=id, name=need(block, "name", str, at), arguments=arguments), block)


def _decode_tool_result(block: Object, at: str) -> Part:
    content = decode_content(block.pop("content", None), path(at, "content"))
    is_error = take(block, "is_error", bool, at) or False
    id = origin_id(need(block, "tool_use_id", str, at))
    return _finish(ToolResult(id=id, content=content, is_error=is_error), block)


def _media_decoder(kind: MediaKind) -> Callable[[Object, str], Part]:
    def decode(block: Object, at: str) -> Part:
        part = _decode_source(kind, check(block.get("source"), dict, path(at, "source")), path(at, "source"))
        if part is None:
            return Foreign(origin=NAME, extra=block)
        rest = {name: value for name, value in block.pop("source").items() if name not in _SOURCE}
        keep(block, "source", rest)
        part.name = take(block, "title", str, at) or "" if kind == "document" else ""
        return _finish(part, block)

    return decode


_SOURCE = ("type", "media_type", "data", "url", "file_id")


def _decode_source(kind: MediaKind, source: Object, at: str) -> Media | None:
    """The data in a `source`, which stays whole; None for a kind of source we have no part for."""
    match source.get("type"):
        case "base64":
            declared, data = media.split_data_url(check(source.get("data"), str, path(at, "data")))
            data = media.clean_base64(data, path(at, "data"))
            media_type = declared or _first_text(source, "media_type")
            if kind == "document" and media_type.startswith("text/") and not media.sniff(data):
                return Media(kind=kind, source="text", data=_utf8(data, path(at, "data")), media_type=media_type)
            return Media(kind=kind, data=data, media_type=media_type)
        case "text":
            text = check(source.get("data"), str, path(at, "data"))
            return Media(kind=kind, source="text", data=text, media_type=_first_text(source, "media_type"))
        case "url":
            url = check(source.get("url"), str, path(at, "url"))
            if url.startswith("data:"):
                declared, data = media.split_data_url(url)
                return Media(kind=kind, data=media.clean_base64(data, path(at, "url")), media_type=declared)
            return Media(kind=kind, source="url", data=url)
        case "file":
            return Media(kind=kind, source="file", data=check(source.get("file_id"), str, path(at, "file_id")))
        case _:
            return None


def _utf8(data: str, at: str) -> str:
    if (text := media.text_in(data)) is None:
        raise invalid(f"{at} is said to be text, but it is not UTF-8", at)
    return text


def _encode_media(part: Media, losses: Losses, at: str) -> Object | None:
    sniffed = media.sniff(part.data) if part.source == "base64" else ""
    media_type = sniffed or part.media_type
    kind = part.kind
    if kind == "document" and media_type in _IMAGE_TYPES:
        kind = "image"
    wrong_image = kind == "image" and part.source != "url" and media_type and media_type not in _IMAGE_TYPES
    if kind == "audio" or wrong_image:
        losses.drop(at, f"Claude does not take {media_type or kind}")
        return None
    source: Object
    match part.source:
        case "base64" if kind == "document":
            source = {"type": "base64", "media_type": "application/pdf", "data": part.data}
        case "base64":
            source = {"type": "base64", "media_type": media_type or "image/png", "data": part.data}
        case "text":
            source = {"type": "text", "media_type": "text/plain", "data": part.data}
        case "url":
            source = {"type": "url", "url": part.data}
        case "file":
            source = {"type": "file", "file_id": part.data}
    return {"type": kind, "source": source} | ({"title": part.name} if part.name and kind == "document" else {})


_DECODERS: dict[str, Callable[[Object, str], Part]] = {
    "text": _decode_text,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_tool_use,
    "tool_result": _decode_tool_result,
    "image": _media_decoder("image"),
    "document": _media_decoder("document"),
}
