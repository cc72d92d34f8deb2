"""Signed thinking in a request: whether there is any, the request without it, and what a model would not have."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable

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


class Unknown:
    """The proofs that models refused, as digests.  Bounded: the one seen longest ago is forgotten first.

    A server looks at the newest turn only.  What it refused there it would take one turn later, and the beginning of
    the conversation would not be what it was when the turns after it were signed.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def add(self, key: str, values: Iterable[str]) -> None:
        """The model `key` refused the thinking with these seals."""
        for value in values:
            self._seen[_digest(key, value)] = None
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def without(self, key: str, messages: list[Message]) -> list[Message]:
        """The messages without what the model `key` refused before; the list itself where there is nothing of it."""
        if not self._seen:
            return messages
        left = [self._left(key, message) for message in messages]
        return messages if all(new is old for new, old in zip(left, messages, strict=True)) else left

    def _left(self, key: str, message: Message) -> Message:
        content = [part for part in message.content if not self._has(key, part)]
        return message if len(content) == len(message.content) else replace(message, content=content)

    def _has(self, key: str, part: Part) -> bool:
        if not isinstance(part, Thinking) or part.seal is None:
            return False
        digest = _digest(key, part.seal.value)
        if digest not in self._seen:
            return False
        self._seen.move_to_end(digest)
        return True


def seals(messages: Iterable[Message]) -> set[str]:
    """Every seal in the messages."""
    parts = (part for message in messages for part in message.content)
    return {part.seal.value for part in parts if isinstance(part, Thinking) and part.seal is not None}


def _digest(key: str, value: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{value}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _is_sealed(part: Part, only: str = "") -> bool:
    return isinstance(part, Thinking) and part.seal is not None and only in ("", part.seal.value)
