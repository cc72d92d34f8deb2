"""Sealed reasoning, remembered for clients that have nowhere to put it.

Claude wants the signed thinking that led to a tool call back with the call's result.  Ollama's wire has no place for a
signature, and most OpenAI clients throw theirs away.  So it is kept here, under a digest of everything the client
itself will send again: all that was said before, and the turn's own words and calls.  Whoever cannot repeat the
conversation cannot find it.  Bounded in bytes and time; where it has nothing, `fit` goes on without thinking.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from dragoman.arguments import parse_arguments
from dragoman.conversation import Media, Message, Part, Request, Text, Thinking, ToolCall, ToolResult

MAX_BYTES = 16 * 1024 * 1024
MAX_AGE = 24 * 3600.0

_sorted = msgspec.json.Encoder(order="sorted").encode


class Recall:
    """`clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], max_bytes: int = MAX_BYTES, max_age: float = MAX_AGE) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._entries: OrderedDict[bytes, tuple[float, int, list[Part]]] = OrderedDict()
        self._size = 0

    def remember(self, request: Request, content: Sequence[Part]) -> None:
        """Keep the sealed thinking of an answer to `request` (the client's own) that ended in tool calls."""
        if not any(isinstance(part, ToolCall) for part in content):
            return
        thoughts = [part for part in content if isinstance(part, Thinking) and part.seal is not None]
        if not thoughts:
            return
        digest = _Digest()
        for message in request.messages:
            digest.message(message)
        key = digest.turn(content)
        kept = [_kept(part) for part in content]
        size = sum(map(_size, kept)) + 200
        self._forget(key)
        self._entries[key] = (self._clock() + self._max_age, size, kept)
        self._size += size
        self._trim()

    def restore(self, request: Request) -> Request:
        """`request` with every remembered thought back in its place."""
        if not self._entries or not any(_lost(message) for message in request.messages):
            return request
        digest = _Digest()
        messages = []
        for message in request.messages:
            if _lost(message) and (kept := self._find(digest.turn(message.content))) is not None:
                restored = replace(message, content=list(_woven(kept, message.content)))
                messages.append(restored)
            else:
                messages.append(message)
            digest.message(message)
        return replace(request, messages=messages)

    def _find(self, key: bytes) -> list[Part] | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] < self._clock():
            return None
        self._entries.move_to_end(key)
        return entry[2]

    def _forget(self, key: bytes) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._size -= entry[1]

    def _trim(self) -> None:
        while self._entries and (self._size > self._max_bytes or next(iter(self._entries.values()))[0] < self._clock()):
            _, (_, size, _) = self._entries.popitem(last=False)
            self._size -= size


def _lost(message: Message) -> bool:
    """Whether an assistant turn called tools and has no sealed thinking."""
    if message.role != "assistant" or not any(isinstance(part, ToolCall) for part in message.content):
        return False
    return not any(isinstance(part, Thinking) and part.seal is not None for part in message.content)


def _kept(part: Part) -> Part:
    """Calls come back from the client under ids of its own; only their place is kept."""
    match part:
        case ToolCall():
            return ToolCall(id="", name="", arguments="")
        case Text():
            return Text(text=part.text)
        case _:
            return part


def _size(part: Part) -> int:
    """About how many bytes a part holds."""
    match part:
        case Text(text=text):
            return len(text.encode("utf-8", "surrogatepass"))
        case Thinking(text=text, seal=seal):
            return len(text.encode("utf-8", "surrogatepass")) + len(seal.value if seal else "")
        case _:
            return 0


def _woven(kept: Sequence[Part], sent: Sequence[Part]) -> Iterator[Part]:
    """The turn as the model wrote it, with the client's own calls."""
    calls = iter([part for part in sent if isinstance(part, ToolCall)])
    for part in kept:
        if isinstance(part, ToolCall):
            yield from (call for call in [next(calls, None)] if call is not None)
        else:
            yield part
    yield from calls


class _Digest:
    """A running digest of what clients send back: words, calls, results, media; not ids, not thoughts."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def message(self, message: Message) -> None:
        self._hash.update(message.role.encode())
        self._parts(self._hash, message.content)

    def turn(self, content: Sequence[Part]) -> bytes:
        """The digest of everything so far and one more assistant turn, which is not added."""
        branch = self._hash.copy()
        branch.update(b"assistant")
        self._parts(branch, content)
        return branch.digest()

    def _parts(self, into: hashlib.blake2b, content: Sequence[Part]) -> None:
        text = "".join(part.text for part in content if isinstance(part, Text))
        into.update(b"\0" + text.strip().encode("utf-8", "surrogatepass"))
        for part in content:
            match part:
                case ToolCall():
                    into.update(b"\1" + part.name.encode() + b"\0" + _sorted(parse_arguments(part.arguments)))
                case ToolResult():
                    into.update(b"\2")
                    self._parts(into, part.content)
                case Media():
                    into.update(b"\3" + part.data.encode())
                case _:
                    pass
