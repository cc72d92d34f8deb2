"""Signed thinking in a request: whether there is any, and the request without it."""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Message, Part, Request, Thinking
from dragoman.errors import GatewayError

# Where a complaint about one block says that it is.  One that is bound to another conversation is never alone.
_PLACE = re.compile(r"^messages\.(\d+)\.content\.(\d+): (?!.*bound to a different conversation)")
_MEMBERS = ("signature", "data")

_decode = msgspec.json.Decoder().decode


def is_sealed(request: Request) -> bool:
    """Whether the client sends signed thinking back."""
    return any(_is_sealed(part) for message in request.messages for part in message.content)


def refused_seal(body: bytes, error: GatewayError) -> str:
    """The seal of the one block of a `POST /v1/messages` body that `error` is about; "" when it is about more."""
    if (place := _PLACE.match(error.message)) is None:
        return ""
    try:
        block = _decode(body)["messages"][int(place[1])]["content"][int(place[2])]
        return next((block[name] for name in _MEMBERS if isinstance(block.get(name), str)), "")
    except (LookupError, TypeError, AttributeError):
        return ""


def unsealed(messages: list[Message], only: str = "") -> list[Message]:
    """The messages without signed thinking, or without the one that has the seal `only`."""
    return [
        replace(message, content=[part for part in message.content if not _is_sealed(part, only)])
        for message in messages
    ]


def _is_sealed(part: Part, only: str = "") -> bool:
    return isinstance(part, Thinking) and part.seal is not None and only in ("", part.seal.value)
