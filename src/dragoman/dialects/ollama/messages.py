"""The messages of a chat, both ways.

A run of `tool` messages is one user message of tool results here.  Ollama's messages hold one text each: several text
parts are joined by a line break on the way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast, get_args

from dragoman import media
from dragoman.arguments import json_text, parse_arguments
from dragoman.conversation import (
    JSON,
    TOOL_FAILED,
    Foreign,
    Media,
    MediaKind,
    Message,
    Object,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.ollama.pairing import Pairing
from dragoman.dialects.ollama.vocabulary import NAME
from dragoman.dialects.reading import need, objects, path, strings, take
from dragoman.errors import invalid
from dragoman.losses import Losses

_ROLES = frozenset(get_args(Role))
_TOOL_ROLES = ("tool", "function")


# --- in ------------------------------------------------------------------------------------------


def decode_messages(value: JSON, at: str = "messages") -> list[Message]:
    """A client's history, with the ids it left out.  Raises "invalid_request" with the path."""
    pairing = Pairing()
    results: list[ToolResult] = []
    for body, where in objects(value, at):
        role = need(body, "role", str, where).lower()
        if role in _TOOL_ROLES:
            results.append(_decode_result(body, where))
            continue
        if results:
            pairing.add_results(results)
            results = []
        if role not in _ROLES:
            where = path(where, "role")
            raise invalid(f"{where} must be system, user, assistant or tool, not {role!r}", where)
        pairing.add(_decode_message(cast(Role, role), body, where))
    if results:
        pairing.add_results(results)
    return pairing.messages


def _decode_message(role: Role, body: Object, at: str) -> Message:
    if len(body) == 1 and type(plain := body.get("content")) is str and plain:
        return Message(role=role, content=[Text(text=plain)])  # nearly every message
    content: list[Part] = []
    if role == "assistant" and (thinking := take(body, "thinking", str, at)):
        content.append(Thinking(text=thinking))
    content += decode_images(body, at)
    if text := take(body, "content", str, at):
        content.append(Text(text=text))
    if role == "assistant":
        content += decode_calls(body, at)
    return Message(role=role, content=content, name=take(body, "name", str, at) or "", extra=_said(body))


def _decode_result(body: Object, at: str) -> ToolResult:
    text = take(body, "content", str, at)
    name = take(body, "tool_name", str, at) or take(body, "name", str, at) or ""
    return ToolResult(
        id=take(body, "tool_call_id", str, at) or "",
        name=name,
        content=[*([Text(text=text)] if text else []), *decode_images(body, at)],
        extra=_said(body),
    )


def decode_images(body: Object, at: str) -> list[Media]:
    """`images`: base64 without a label, though some clients send data URLs and even addresses."""
    value = body.pop("images", None)
    where = path(at, "images")
    return [] if not value else [_decode_image(data, path(where, i)) for i, data in enumerate(strings(value, where))]


def _decode_image(data: str, at: str) -> Media:
    if data.startswith(("http://", "https://")):
        return Media(kind="image", data=data, source="url")
    label, data = media.split_data_url(data)
    data = media.clean_base64(data, at)
    media_type = media.sniff(data) or label
    return Media(kind=_kind(media_type), data=data, media_type=media_type)


def _kind(media_type: str) -> MediaKind:
    """Newer models of Ollama hear sound through the same member."""
    if media_type.startswith("audio/"):
        return "audio"
    return "document" if media_type == "application/pdf" else "image"


def decode_calls(body: Object, at: str) -> list[ToolCall]:
    """`tool_calls`; an id that is not there is empty.  Arguments should be an object, and often are its text."""
    calls = body.pop("tool_calls", None)
    return [] if not calls else [_decode_call(call, where) for call, where in objects(calls, path(at, "tool_calls"))]


def _decode_call(call: Object, at: str) -> ToolCall:
    function = need(call, "function", dict, at)
    where = path(at, "function")
    function.pop("index", None)
    call.pop("type", None)
    decoded = ToolCall(
        id=take(call, "id", str, at) or "",
        name=need(function, "name", str, where),
        arguments=_decode_arguments(function, where),
        extra=call,
    )
    if function:
        call["function"] = function
    return decoded


def _decode_arguments(function: Object, at: str) -> str:
    match function.pop("arguments", None):
        case None | "":
            return "{}"
        case dict() as arguments:
            return json_text(arguments)
        case str() as text:
            return text
        case _:
            where = path(at, "arguments")
            raise invalid(f"{where} must be an object", where)


def _said(body: Object) -> Object:
    return {key: value for key, value in body.items() if value is not None}


# --- out -----------------------------------------------------------------------------------------


def encode_messages(messages: list[Message], origin: str, losses: Losses) -> list[Object]:
    """The history as /api/chat wants it.  `origin` is the dialect that `extra` belongs to."""
    out: list[Object] = []
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        names |= {part.id: part.name for part in message.content if isinstance(part, ToolCall)}
        if message.name and origin != NAME:
            losses.drop(f"{at}.name", "Ollama has no names of speakers")
        out += _encode_message(message, names, origin, losses, at)
    return out


def _encode_message(message: Message, names: dict[str, str], origin: str, losses: Losses, at: str) -> list[Object]:
    out: list[Object] = []
    rest: list[tuple[Part, str]] = []
    for place, part in enumerate(message.content):
        where = f"{at}.content[{place}]"
        if isinstance(part, ToolResult):
            out.append(_encode_result(part, names, origin, losses, where))
        else:
            rest.append((part, where))
    if rest or not out:
        role = "system" if message.role == "developer" else message.role
        body = {"role": role, **encode_parts(rest, origin, losses)}
        if message.name and origin == NAME:
            body["name"] = message.name
        out.append(body | (message.extra if origin == NAME else {}))
    return out


def encode_parts(parts: Iterable[tuple[Part, str]], origin: str, losses: Losses) -> Object:
    """`content`, and `thinking`, `images` and `tool_calls` where there are any, of parts each with its path."""
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[str] = []
    calls: list[Object] = []
    for part, at in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                texts.append(text)
            case Thinking(redacted=True):
                losses.drop(at, "Ollama cannot carry redacted reasoning")
            case Thinking(text=text):
                thoughts.append(text)
            case Media(source="text", data=text, name=name):
                losses.emulate(at, "the document became text")
                texts.append(media.titled(text, name))
            case Media(source="base64", kind="image" | "audio", data=data):  # models that hear find sounds there, too
                images.append(data)
            case Media(kind=kind, source=source):
                losses.drop(at, f"Ollama takes no {kind} by {source}" if kind == "image" else f"Ollama takes no {kind}")
            case ToolCall():
                calls.append(encode_call(part, len(calls), part.extra if origin == NAME else {}))
            case Foreign(extra=extra):
                losses.drop(at, f"Ollama has no {extra.get('type', 'such')} block")
    body: Object = {"content": "\n".join(texts)}
    if thought := "\n".join(thoughts):
        body["thinking"] = thought
    if images:
        body["images"] = images
    if calls:
        body["tool_calls"] = calls
    return body


def encode_call(call: ToolCall, index: int, extra: Object | None = None) -> Object:
    """One whole call; the arguments are an object, free text being its `input`."""
    arguments = {"input": call.arguments} if call.freeform else parse_arguments(call.arguments)
    body = dict(extra or {})
    function = {"index": index, "name": call.name, "arguments": arguments} | body.pop("function", {})
    return {"id": call.id, "function": function} | body


def _encode_result(result: ToolResult, names: dict[str, str], origin: str, losses: Losses, at: str) -> Object:
    body: Object = {"role": "tool", **encode_parts(((p, at) for p in result.content), origin, losses)}
    if result.is_error:
        body["content"] = TOOL_FAILED + body["content"]
        losses.emulate(f"{at}.is_error", f"the result begins with {TOOL_FAILED.strip()!r}")
    if name := result.name or names.get(result.id, ""):
        body["tool_name"] = name
    body["tool_call_id"] = result.id
    return body | (result.extra if origin == NAME else {})
