"""What a model said and clients cannot send back, remembered for them.

Claude wants the signed thinking that led to a tool call back with the call's result.  Ollama's wire has no place for a
signature, and most OpenAI clients throw theirs away.  So it is kept here, under a digest of everything the client
itself will send again: all that was said before, and the turn's own words and calls.  Whoever cannot repeat the
conversation cannot find it.  Bounded in bytes and time, and shared between gateways where a store is configured.

A signature may hold only after what it was made after.  So a turn is kept with the one before it that was whole again
when it was made, and what was missing then stays missing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.arguments import parse_arguments
from dragoman.conversation import Foreign, Media, Message, Part, Request, Text, Thinking, ToolCall, ToolResult
from dragoman.relay.beginnings import SIZE, Beginnings
from dragoman.relay.kept import Kept
from dragoman.store.patient import Patient
from dragoman.store.sealed import key_of, seal, unseal

MAX_BYTES = 16 * 1024 * 1024
MAX_AGE = 24 * 3600.0

# About what an entry takes besides its own bytes.
_OVERHEAD = 250
# Turns that are looked for in the shared store at once: the last ones.
_MOST_ASKED = 512

_sorted = msgspec.json.Encoder(order="sorted").encode


class _Entry(Struct, array_like=True):
    """A turn as the model wrote it; no parts where there was nothing that its client could not send again.  `after` is
    the digest of the last turn before it that had been made whole, if any."""

    after: bytes
    parts: list[Part]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Entry).decode


class Recalled(Struct, frozen=True):
    """`request` with what was remembered of it.  `last` is for `remember`; `forgotten`: nobody knows how the tool calls
    came about that it answers."""

    request: Request
    last: bytes = b""
    forgotten: bool = False


class Recall:
    """`clock` gives monotonic seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        shared: Patient | None = None,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE,
    ) -> None:
        self._shared = shared
        self._max_age = max_age
        self._kept: Kept[bytes, bytes] = Kept(clock, max_bytes, max_age)
        room = bytearray(SIZE) if shared is None else shared.room(SIZE)
        self._begun = None if room is None else Beginnings(clock, max_age, room)
        self.hits = self.misses = 0
        """Turns that were made whole, and calls' turns that nobody remembers."""

    @property
    def failures(self) -> int:
        """How often the shared store failed."""
        return 0 if self._shared is None else self._shared.failures

    async def close(self) -> None:
        """Finish what is being put into the shared store."""
        if self._shared is not None:
            await self._shared.close()

    def remember(
        self, request: Request, content: Sequence[Part], told: Sequence[Part] | None = None, after: bytes = b""
    ) -> asyncio.Task[None] | None:
        """Keep the turn with which a model answered `request` (the client's own), if its client cannot send it again.

        `told` is the turn as its client will repeat it, where that is not the same; `after` is `Recalled.last`.
        Where others are to remember it too, the task that tells them: its client may go on with one of those at once.
        """
        told = content if told is None else told
        worth = any(map(_is_lost, content))
        if not worth and not any(isinstance(part, ToolCall) for part in content):
            return None
        digest = _Digest()
        for message in request.messages:
            digest.message(message)
        key = digest.turn(told)
        try:
            data = _encode(_Entry(after, [_kept(part) for part in content] if worth else []))
        except (UnicodeEncodeError, OverflowError):  # half a character, or a number of another kind
            return None
        self._keep(key, data)
        if self._begun is not None:
            self._begun.add(request)
        if self._shared is None:
            return None
        return self._shared.put(key_of(key), seal(key, data), self._max_age)

    async def restore(self, request: Request, home: str = "anthropic") -> Recalled:
        """`request` with every turn as the model wrote it, as far as it is remembered and still fits.

        `home` is the dialect of the server it goes to: only proofs of that dialect are of use there.
        """
        if self._begun is not None and request not in self._begun:
            unknown = sum(1 for _ in _unproved(request))
            self.misses += unknown
            return Recalled(request, forgotten=unknown > 0)
        turns = dict(_told(request))
        if not turns:
            return Recalled(request)
        known = await self._found(list(turns.values()))
        found = {key: entry for key, entry in known.items() if _home(entry.parts) in ("", home)}
        sealed = {index for index in turns if any(map(_is_lost, request.messages[index].content))}
        lacking = [
            (index, key)
            for index, key in turns.items()
            if key in found and (index not in sealed or any(map(_is_block, found[key].parts)))
        ]
        whole = _chain(lacking, found)
        # The first is used last: when room is needed it goes last, for nothing holds without it.
        for index in reversed(whole):
            self._kept.renew(turns[index])
        if whole and self._begun is not None:
            self._begun.add(request)
        messages = list(request.messages)
        for index in whole:
            message = messages[index]
            messages[index] = replace(message, content=list(_woven(found[turns[index]].parts, message.content)))
        unknown = sum(turns[index] not in found for index in _unproved(request))
        self.hits += len(whole)
        self.misses += unknown
        last = turns[whole[-1]] if whole else b""
        return Recalled(replace(request, messages=messages) if whole else request, last, unknown > 0)

    async def _found(self, keys: list[bytes]) -> dict[bytes, _Entry]:
        """What is known of these turns: here, else in the shared store."""
        found = {key: _decode(data) for key in keys if (data := self._kept.get(key)) is not None}
        if self._shared is None or len(found) == len(keys):
            return found
        missing = [key for key in keys if key not in found][-_MOST_ASKED:]
        there = await self._shared.get([key_of(key) for key in missing])
        for key, sealed in zip(missing, there, strict=True):
            if sealed is None or (data := unseal(key, sealed)) is None:
                continue
            try:
                found[key] = _decode(data)
            except msgspec.DecodeError:  # another version's
                continue
            self._keep(key, data)
        return found

    def _keep(self, key: bytes, data: bytes) -> None:
        self._kept.put(key, data, len(data) + _OVERHEAD)


def _told(request: Request) -> Iterator[tuple[int, bytes]]:
    """The turns of the model that came back without their proof, by number, each with its digest.

    A program that sends its reasoning back as it was (`reasoning_details`) still cannot send the blocks of the server's
    own tools; one that speaks the server's dialect can.
    """
    kept = _kept_by(request)
    if not any(_may_lack(message, kept) for message in request.messages):
        return
    digest = _Digest()
    for index, message in enumerate(request.messages):
        if _may_lack(message, kept):
            yield index, digest.turn(message.content)
        digest.message(message)


def _kept_by(request: Request) -> Callable[[Part], bool]:
    """What of a turn its client would have sent back, had it been there."""
    return _is_lost if request.origin == "anthropic" else _is_block


def _may_lack(message: Message, kept: Callable[[Part], bool]) -> bool:
    return message.role == "assistant" and not any(map(kept, message.content))


def _is_lost(part: Part) -> bool:
    """Whether there are clients that cannot send this part again."""
    return _is_block(part) or (isinstance(part, Thinking) and part.seal is not None)


def _is_block(part: Part) -> bool:
    """Whether only the server's own dialect has words for this part."""
    return isinstance(part, Foreign) or (isinstance(part, Text) and bool(part.citations))


def _chain(turns: list[tuple[int, bytes]], found: dict[bytes, _Entry]) -> list[int]:
    """The turns that can be made whole: the last one, the one that was whole when it was made, and so on.

    Where that one is forgotten, the next before it takes its place: not every model checks.
    """
    known = {key for _, key in turns if found[key].parts}
    whole: list[int] = []
    wanted: bytes | None = None
    for index, key in reversed(turns):
        entry = found[key]
        if entry.parts and (wanted is None or key == wanted):
            whole.append(index)
            wanted = None if entry.after and entry.after not in known else entry.after
    return whole[::-1]


def _answered(request: Request) -> Iterator[int]:
    """The turns of the model whose calls the request answers: a loop of them is one turn, until the user speaks."""
    for index in range(len(request.messages) - 1, -1, -1):
        message = request.messages[index]
        if message.role == "assistant":
            if any(isinstance(part, ToolCall) for part in message.content):
                yield index
        elif message.role == "user" and not any(isinstance(part, ToolResult) for part in message.content):
            return


def _unproved(request: Request) -> Iterator[int]:
    """Those of these turns that came back without their proof."""
    kept = _kept_by(request)
    for index in _answered(request):
        if _may_lack(message := request.messages[index], kept) and not any(map(_is_lost, message.content)):
            yield index


def _home(parts: Sequence[Part]) -> str:
    """The dialect of the server that can tell these proofs; "" without one."""
    for part in parts:
        if isinstance(part, Foreign):
            return part.origin
        if isinstance(part, Thinking) and part.seal is not None:
            return part.seal.origin
    return ""


def _kept(part: Part) -> Part:
    """Calls come back from the client under ids of its own; only their place is kept."""
    match part:
        case ToolCall():
            return ToolCall(id="", name="", arguments="")
        case Text():
            return Text(text=part.text, citations=part.citations)
        case _:
            return part


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
    """A running digest of what clients send back: words, calls, results, media; not ids, not thoughts.

    Nor the tools: clients change theirs while they talk, most models do not mind, and those that do say so.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

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
