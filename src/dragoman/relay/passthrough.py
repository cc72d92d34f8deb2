"""Same dialect on both sides: the bytes themselves go through, in both directions.

Only `model` may be patched, and then every other member stays byte for byte, in its place: unknown members, betas,
cache marks and signatures are nobody's business here.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.conversation import JSON
from dragoman.errors import GatewayError, invalid
from dragoman.relay.call import Passage
from dragoman.relay.http1 import Brake
from dragoman.relay.opening import Opening, whole_said

# What of a client's headers is meant for the API behind us, and what of its answer for the client.
_IN = ("accept", "content-type", "idempotency-key", "user-agent")
_OUT = ("content-type", "request-id", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry")
_IN_PREFIXES = ("anthropic-", "openai-beta")
_OUT_PREFIXES = ("anthropic-", "openai-", "x-ratelimit-")

Header = tuple[bytes, bytes]
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_document = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Peek(Struct, frozen=True):
    """What has to be known of a body before it is known where it goes.  Members of a wrong type are None."""

    model: str | None = None
    stream: bool | None = None
    n: int | None = None
    system: bool = False
    """Whether there is a `system` at the top."""


class _Top(Struct, frozen=True):
    model: Any = None
    stream: Any = None
    n: Any = None
    system: Raw = Raw(b"null")  # in a union it would be taken for nothing but null


_NOTHING = (Raw(b"null"), Raw(b'""'), Raw(b"[]"))
_top = msgspec.json.Decoder(_Top).decode


def peek(body: bytes) -> Peek:
    """A look at a JSON body.  One that is no object at all is empty: whoever decodes it will say what is wrong."""
    try:
        top = _top(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Peek()
    return Peek(
        model=top.model if isinstance(top.model, str) else None,
        stream=top.stream if isinstance(top.stream, bool) else None,
        n=top.n if type(top.n) is int else None,
        system=top.system not in _NOTHING,
    )


def with_model(body: bytes, model: str, asked: str | None = None) -> bytes:
    """The same bytes for another model: only the value of the top-level `model` is another.

    `asked` is that value, where it is known.
    """
    if model == asked or (asked := peek(body).model) == model:
        return body
    new = _encode(model)
    for pattern in (_MODEL, _ESCAPED):
        for found in _likely(pattern, body):
            spliced = body[: found.start(1)] + new + body[found.end(1) :]
            if peek(spliced).model == model:
                return spliced
    try:
        members = _members(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the request body is not valid JSON: {error}") from None
    if asked is None and "model" not in members:
        return adding(body, model=model)
    return _encode({**members, "model": Raw(new)})


def with_name(body: bytes, model: str, asked: str | None = None) -> bytes:
    """The same for an Ollama server.  To it a name without a tag is that of `model:latest`: left as it is, it is what
    the client finds again in the answer."""
    asked = asked or peek(body).model
    return body if asked and model == f"{asked}:latest" else with_model(body, model, asked)


# A member of that name with a text.  The name may be spelled with escapes, as any text.
_VALUE = rb'[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*+")'
_MODEL = re.compile(rb'(?<!\\)"model"' + _VALUE)
_ESCAPED = re.compile(
    rb'(?<!\\)"' + b"".join(rb"(?:%c|\\u00%02x)" % (char, char) for char in b"model") + b'"' + _VALUE, re.I
)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
# A hostile body can have any number of places to try, and each try reads all of it.
_TRIES = 4


def _likely(pattern: re.Pattern[bytes], body: bytes) -> Iterator[re.Match[bytes]]:
    """Where the top-level `model` may stand: the first of that name, which it mostly is, or the last that is not inside
    something else, which is the one that counts."""
    yield from islice(pattern.finditer(body), 1)
    at_top: deque[re.Match[bytes]] = deque(maxlen=_TRIES)
    depth = end = 0
    for found in pattern.finditer(body):
        between = _STRING.sub(b"", body[end : found.start()])
        depth += between.count(b"{") + between.count(b"[") - between.count(b"}") - between.count(b"]")
        end = found.end()
        if depth == 1:
            at_top.append(found)
    yield from reversed(at_top)


def adding(body: bytes, **members: JSON) -> bytes:
    """The same bytes with members it does not have, in front of all others."""
    at = body.index(b"{") + 1
    more = _encode(members)[1:-1]
    return body[:at] + more + (b"" if body[at:].lstrip().startswith(b"}") else b",") + body[at:]


def request_headers(headers: Iterable[Header]) -> dict[str, str]:
    """What goes on of a client's headers.  Keys and cookies never do; a repeated header is joined."""
    kept: dict[str, str] = {}
    for raw, value in headers:
        name = str(raw, "latin-1")
        if name in _IN or name.startswith(_IN_PREFIXES):
            text = str(value, "latin-1")
            kept[name] = f"{kept[name]}, {text}" if name in kept else text
    return kept


def reply_headers(headers: Iterable[tuple[str, str]]) -> list[Header]:
    """What comes back of the upstream's headers."""
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name in _OUT or name.startswith(_OUT_PREFIXES)
    ]


async def begin(passage: Passage, *, words: bool = True) -> None:
    """Read on until the answer is known to be one; with `words` a stream must have said some.

    Raises `GatewayError` when it is a failure; the connection is given back then.
    """
    server, connection = passage.server, passage.connection
    try:
        if connection.status // 100 != 2:
            known = passage.body is not None
            raise server.refused(connection, passage.body or b"") if known else await server.refusal(connection)
        if passage.streamed:
            passage.opening = Opening(server.dialect, words=words)
            await passage.opening.wait(connection, server.timeouts.idle)
        else:
            passage.body = await server.whole(connection)
            document = whole_said(passage.body.strip(), server.dialect)
            passage.tap.knows(document)
    except BaseException as error:
        server.release(connection)
        if isinstance(error, GatewayError):
            error.message = server.hide(error.message)
        raise


# How a frame ends: an event, and a line.
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LINE_ENDS = (b"\n",)
# How whole frames of whole lines end, as everybody writes them.
_WHOLE_EVENTS = (b"\n\n", b"\r\n\r\n")
# Bytes.  Of a frame that is longer, what came is passed on before its end is there.
_MOST_HELD = 1024 * 1024


# Events after which nothing more is to be expected.
_LAST_EVENTS = (
    "message_stop",
    "error",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
)
# The same, in the beginning of one that is too long to be read.
_LAST_EVENT = re.compile(rb'"type"\s*:\s*"(?:%b)"' % "|".join(map(re.escape, _LAST_EVENTS)).encode())


def is_last(line: bytes | bytearray) -> bool:
    """Whether a line of a stream, of any dialect, tells that the answer is complete, or has failed.

    Some compatible servers leave the `[DONE]` out, but say why they ended.
    """
    payload = line.removeprefix(b"data:").strip()
    if not payload.startswith(b"{"):
        return payload == b"[DONE]"
    try:
        document: JSON = _document(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    choices = document.get("choices")
    chosen = choices if isinstance(choices, list) else ()
    return (
        document.get("type") in _LAST_EVENTS
        or document.get("done") is True
        or bool(document.get("error"))
        or any(isinstance(choice, dict) and choice.get("finish_reason") for choice in chosen)
    )


# A line that tells of a failure says so at its beginning.  Quotes inside of what a model says have a backslash.
_FAILURE = re.compile(rb'[{,] ?"(?:type" ?: ?"(?:error|response\.failed)"|error" ?: ?[{"])')
_FAILS_EARLY = 400
_INCOMPLETE = "the upstream ended its answer before it was complete"


class Passing:
    """A sink that writes what it gets, in whole frames: of one that never ends nothing has been written, so that an
    error can follow.  `write` may return something to wait for: the client is slow."""

    def __init__(self, passage: Passage, write: Callable[[bytes], Awaitable[None] | None]) -> None:
        self._connection = passage.connection
        self._opening = passage.opening
        self._write = write
        self._tap, self._marked = passage.tap.feed, passage.tap.marked
        self._hide = passage.server.hide
        type = passage.connection.headers.get("content-type", "")
        events = type.startswith("text/event-stream") or (passage.streamed and passage.wire not in ("", "ollama"))
        self._ends = _EVENT_ENDS if events else _LINE_ENDS
        self._whole = _WHOLE_EVENTS if events else _LINE_ENDS
        self._framed = passage.streamed
        self._last = self._before = b""
        self._begun = bytearray()
        self.torn = False
        """Whether the last thing that was written is the beginning of a frame."""
        self._brake = Brake(passage.connection, self._fail)
        self._ended: asyncio.Future[GatewayError | None] = asyncio.get_running_loop().create_future()

    async def run(self, patience: float) -> GatewayError | None:
        """Pass everything on.  What it returns is why the answer is not complete, or None."""
        if self._opening is not None and (held := self._opening.take()):
            self.data(held)
        self._connection.read_into(self, patience)
        broken = await self._ended
        await self._brake.released()
        return broken

    def data(self, data: bytes) -> None:
        if self._begun or self.torn or not data.endswith(self._whole):
            self._piece(data)
            return
        # Whole frames, as they mostly come: this is all that most tokens cost.
        if self._marked(data):
            self._tap(data)
        self._put(data if b"error" not in data else self._without_secrets(data))

    def _piece(self, data: bytes) -> None:
        self._tap(data)
        self._begun += data
        new = bytes(self._begun[-len(data) - 3 :])  # an end may have begun before
        end = max(new.rfind(mark) + len(mark) if mark in new else 0 for mark in self._ends)
        if end:
            self.torn = False
            self._put_begun(len(self._begun) - len(new) + end)
        elif len(self._begun) > _MOST_HELD:
            self._put_begun(len(self._begun), known=self.torn)
            self.torn = True

    def end(self) -> None:
        if not self._framed:
            if self._begun:
                self._put_begun(len(self._begun))
            self._settle(None)
            return
        # Of the last frame the end may be missing, but not a part.
        if self._begun and any(map(is_last, self._begun.splitlines())):
            self._begun += self._whole[0][int(self._begun.endswith(b"\n")) :]
            self._put_begun(len(self._begun))
        self._settle(None if self._complete() else GatewayError("upstream", _INCOMPLETE))

    def broken(self, error: GatewayError) -> None:
        # What a connection does after the last word of an answer takes nothing from it.
        self._settle(None if self._framed and self._complete() else error)

    def _complete(self) -> bool:
        """Whether the last frames that were written tell of an end, and nothing was begun since."""
        if self.torn or self._begun:
            return False
        long = not self._before.endswith(self._ends) and _LAST_EVENT.search(self._before, 0, _FAILS_EARLY)
        return bool(long) or any(map(is_last, (self._before + self._last).splitlines()))

    def _put_begun(self, size: int, *, known: bool = False) -> None:
        data = bytes(self._begun[:size])
        del self._begun[:size]
        self._put(data if b"error" not in data else self._without_secrets(data), known=known)

    def _without_secrets(self, frames: bytes) -> bytes:
        """The same, but for what a careless server quotes in an error.  What a model says stays as it is."""
        lines = frames.split(b"\n")
        for i, line in enumerate(lines):
            if _FAILURE.search(line, 0, _FAILS_EARLY):
                text = self._hide(str(line, "utf-8", "surrogateescape"))
                lines[i] = text.encode("utf-8", "surrogateescape")
        return b"\n".join(lines)

    def _put(self, data: bytes, *, known: bool = False) -> None:
        if not known:  # of a frame in pieces the first says what it is
            self._before, self._last = self._last, data
        try:
            rest = self._write(data)
        except Exception as error:
            self._fail(error)
            return
        if rest is not None:
            self._brake.hold(rest)

    def _settle(self, error: GatewayError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    def _fail(self, error: Exception) -> None:
        """Our own end is broken: nothing more can be written."""
        if not self._ended.done():
            self._ended.set_exception(error)
