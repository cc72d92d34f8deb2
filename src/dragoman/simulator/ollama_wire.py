"""What an Ollama request may look like: every member and the Go type it must fit, with the complaints Go makes.

Members nobody knows are ignored, as a real server does: that is how `tool_choice` goes unheard.
https://docs.ollama.com/api/chat, https://docs.ollama.com/api/generate, https://docs.ollama.com/api/embed
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.simulator.refused import bad

_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}")


class Kind(NamedTuple):
    """A Go type: its name, the Python types JSON gives for it, and what is inside."""

    go: str
    takes: tuple[type, ...]
    each: Kind | None = None
    members: Mapping[str, Kind] | None = None


STRING = Kind("string", (str,))
BOOL = Kind("bool", (bool,))
INT = Kind("int", (int,))
ANY = Kind("interface {}", (object,))
MAP = Kind("map[string]interface {}", (dict,))
IMAGE = Kind("api.ImageData", (str,))


def listed(kind: Kind) -> Kind:
    """A Go slice."""
    return Kind(f"[]{kind.go}", (list,), each=kind)


def struct(go: str, **members: Kind) -> Kind:
    """A Go struct."""
    return Kind(go, (dict,), members=members)


_STRINGS = listed(STRING)
# Only these members of a tool's schema reach the model; the server keeps nothing else.
PROPERTY_MEMBERS = ("anyOf", "type", "items", "description", "enum", "properties", "required")
PARAMETER_MEMBERS = ("type", "$defs", "items", "required", "properties")
_FUNCTION_CALL = struct(
    "api.ToolCallFunction",
    index=INT,
    name=STRING,
    arguments=Kind("api.ToolCallFunctionArguments", (dict,)),
)
_MESSAGE = struct(
    "api.Message",
    role=STRING,
    content=STRING,
    thinking=STRING,
    images=listed(IMAGE),
    tool_calls=listed(struct("api.ToolCall", id=STRING, function=_FUNCTION_CALL)),
    tool_name=STRING,
    tool_call_id=STRING,
)
_PARAMETERS = struct(
    "api.ToolFunctionParameters",
    type=STRING,
    required=_STRINGS,
    properties=Kind("map[string]api.ToolProperty", (dict,), each=Kind("api.ToolProperty", (dict,))),
)
_TOOL = struct(
    "api.Tool",
    type=STRING,
    function=struct("api.ToolFunction", name=STRING, description=STRING, parameters=_PARAMETERS),
)
_SHARED = {
    "model": STRING,
    "stream": BOOL,
    "format": ANY,
    "options": MAP,
    "think": ANY,
    "keep_alive": ANY,
    "truncate": BOOL,
    "shift": BOOL,
    "logprobs": BOOL,
    "top_logprobs": INT,
}
_STRING_MAP = Kind("map[string]string", (dict,), each=STRING)
_EMBED = {"model": STRING, "options": MAP, "keep_alive": ANY, "truncate": BOOL}

REQUESTS: Mapping[str, Kind] = {
    "/api/chat": struct("ChatRequest", **_SHARED, messages=listed(_MESSAGE), tools=listed(_TOOL)),
    "/api/generate": struct(
        "GenerateRequest",
        **_SHARED,
        prompt=STRING,
        suffix=STRING,
        system=STRING,
        template=STRING,
        context=listed(INT),
        raw=BOOL,
        images=listed(IMAGE),
    ),
    "/api/embed": struct("EmbedRequest", **_EMBED, input=ANY, dimensions=INT),
    "/api/embeddings": struct("EmbeddingRequest", **_EMBED, prompt=STRING),
    "/api/show": struct("ShowRequest", model=STRING, name=STRING, system=STRING, verbose=BOOL, options=MAP),
    "/api/pull": struct("PullRequest", model=STRING, name=STRING, stream=BOOL, insecure=BOOL),
    "/api/push": struct("PushRequest", model=STRING, name=STRING, stream=BOOL, insecure=BOOL),
    "/api/copy": struct("CopyRequest", source=STRING, destination=STRING),
    "/api/delete": struct("DeleteRequest", model=STRING, name=STRING),
    "/api/create": struct(
        "CreateRequest",
        **dict.fromkeys(("model", "name", "from", "template", "system", "quantize", "renderer", "parser"), STRING),
        stream=BOOL,
        files=_STRING_MAP,
        adapters=_STRING_MAP,
        parameters=MAP,
        messages=listed(_MESSAGE),
        license=ANY,
    ),
}


def decode(raw: bytes, path: str) -> Object:
    """What a server hears of the body of a request to `path`: members it knows, `null`s left out.

    Raises `Refused` with Go's words.
    """
    if not raw.strip():
        raise bad("missing request body")
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(_syntax(raw, str(error))) from None
    kind = REQUESTS[path]
    if not isinstance(body, dict):
        raise bad(f"json: cannot unmarshal {_word(body)} into Go value of type api.{kind.go}")
    bound: Object = _bind(body, kind, kind.go)
    return {name: value for name, value in bound.items() if name in (kind.members or {})}


def _syntax(raw: bytes, words: str) -> str:
    if "recursion" in words:
        return "exceeded max depth"
    found = re.search(r"\(byte (\d+)\)", words)
    at = int(found[1]) if found else len(raw)
    if at >= len(raw) or "truncated" in words:
        return "unexpected EOF"
    return f"invalid character {chr(raw[at])!r} looking for beginning of value"


def _bind(value: Any, kind: Kind, path: str) -> Any:
    """`value` without what is `null`.  In a list `null` is the zero of its kind."""
    if not _takes(kind, value):
        raise bad(f"json: cannot unmarshal {_word(value)} into Go struct field {path} of type {kind.go}")
    if kind is IMAGE:
        picture_bytes(value)
    if kind.each and isinstance(value, dict):
        return {name: _bind(_or_zero(item, kind.each), kind.each, path) for name, item in value.items()}
    if kind.each:
        return [_bind(_or_zero(item, kind.each), kind.each, path) for item in value]
    if kind.members is None:
        return value
    return {
        name: _bind(item, kind.members[name], f"{path}.{name}") if name in kind.members else item
        for name, item in value.items()
        if item is not None
    }


def _takes(kind: Kind, value: Any) -> bool:
    if isinstance(value, bool):  # which is a number to Python
        return bool in kind.takes or object in kind.takes
    return isinstance(value, kind.takes)


def _or_zero(item: Any, kind: Kind) -> Any:
    return kind.takes[0]() if item is None else item


def _word(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case float():
            return f"number {value:g}" if math.isfinite(value) else "number"
        case int():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "null"


def picture_bytes(data: str) -> bytes:
    """Base64 as Go reads it: no URL, no `data:` prefix.  Raises `Refused` saying where it stops being base64."""
    found = _BASE64.match(data)
    end = found.end() if found else 0
    try:
        if end < len(data):
            raise ValueError
        return base64.b64decode(re.sub(r"[\r\n]", "", data), validate=True)
    except (binascii.Error, ValueError):
        raise bad(f"illegal base64 data at input byte {min(end, len(data) // 4 * 4)}") from None
