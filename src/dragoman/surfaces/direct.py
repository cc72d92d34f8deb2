"""Shorter ways out of uvicorn, and what it knows of the exchange.

ASGI takes each piece of a stream as a message through a coroutine.  For a token that is most of what there is to do,
and nearly always nothing has to be waited for: `pushing` writes it straight to the transport, framed as uvicorn would.
And the head of an answer is a write of its own, which costs as much as the body's: `answered` writes both at once, and
`corked` holds what goes the long way.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from dragoman.config import Limits

Push = Callable[[bytes], bool]
"""Writes a piece of a body; False when that has to go through ASGI's `send`, and nothing was written."""

EXTENSION = "dragoman"
"""The name under which our protocol puts what it knows into a scope."""
_DEFAULT_LIMITS = Limits()


class Lingers(Protocol):
    """A connection that can be closed so that its client sees the answer first."""

    def linger(self) -> None: ...


def _cycle(scope: Scope) -> RequestResponseCycle | None:
    extensions = scope.get("extensions")
    if not extensions or EXTENSION not in extensions:
        return None
    refer: weakref.ref[RequestResponseCycle] = extensions[EXTENSION]["cycle"]
    return refer()


def limits_of(scope: Scope) -> Limits:
    """The limits on a request; the default ones where the server is not ours."""
    extensions = scope.get("extensions")
    limits: Limits = extensions[EXTENSION]["limits"] if extensions and EXTENSION in extensions else _DEFAULT_LIMITS
    return limits


def is_slow(scope: Scope) -> bool:
    """Whether the client has been given up, as it sends its body too slowly."""
    return getattr(_cycle(scope), "slow", False)


def is_unread(scope: Scope) -> bool:
    """Whether some of the request is still to come, or to be read."""
    cycle = _cycle(scope)
    return cycle is not None and cycle.more_body


class _Unsaid(int):
    """The length of an answer that ends where its connection does: it is never too long, nor too short."""

    def __lt__(self, _other: int) -> bool:
        return False

    def __sub__(self, _other: int) -> _Unsaid:
        return self


def unframe(scope: Scope) -> None:
    """Before the head of an answer in pieces: who speaks HTTP/1.0 knows no chunks, and is sent none.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.1
    """
    cycle = _cycle(scope)
    if cycle is not None and scope["http_version"] == "1.0":
        cycle.chunked_encoding, cycle.expected_content_length = False, _Unsaid()


def pushing(scope: Scope) -> Push | None:
    """The short way out for pieces of a stream, where the server is ours.

    It is there once the head of an answer without a length has been sent, and not to be used after its end.
    """
    cycle = _cycle(scope)
    if cycle is None or not cycle.chunked_encoding or cycle.response_complete:
        return None
    flow, write = cycle.flow, cycle.transport.write

    def push(data: bytes) -> bool:
        if flow.write_paused or cycle.disconnected or not data:  # an empty chunk would be the last
            return False
        write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    return push


def answered(scope: Scope, send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], data: bytes) -> bool:
    """Write a whole answer, whose length is among its headers, as uvicorn does in two messages.

    False where that has to go through `send`, as somebody else may have a say in it: nothing was written.
    """
    cycle = _cycle(scope)
    if cycle is None or send != cycle.send or cycle.response_started or cycle.more_body or cycle.access_log:
        return False
    if cycle.flow.write_paused or cycle.disconnected or cycle.transport.is_closing():
        return False
    lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
    # One look at all of them: none has in it what may not be in any, and none ends the connection.
    names = b"".join([name for name, _ in headers])
    if b"connection" in names or HEADER_RE.search(names):
        return False
    if HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
        return False
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    body = b"" if scope["method"] == "HEAD" else data
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], b"".join(lines), body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def when_left(scope: Scope, receive: Receive, left: Callable[[], None]) -> Callable[[], None] | None:
    """Have `left` called when the client leaves (`tell_left`), until what is returned is called.

    None where that has to be learned from `receive`: the body is still to be read, or the server is not ours.
    """
    cycle = _cycle(scope)
    if cycle is None or receive != cycle.receive or cycle.more_body or cycle.body or cycle.waiting_for_100_continue:
        return None
    if cycle.disconnected or cycle.response_complete:
        return None
    cycle.flow.resume_reading()  # who does not read does not learn of it
    cycle.left = left  # type: ignore[attr-defined]
    return partial(setattr, cycle, "left", None)


def tell_left(cycle: RequestResponseCycle | None) -> None:
    """The client is gone: whoever wants to know hears of it."""
    left: Callable[[], None] | None = getattr(cycle, "left", None)
    if left is not None:
        left()


def corked(scope: Scope) -> AbstractContextManager[object]:
    """While inside, what is sent is held; it leaves in one write, where the server is ours."""
    cycle = _cycle(scope)
    if cycle is None:
        return nullcontext()
    refer: weakref.ref[Lingers] = scope["extensions"][EXTENSION]["protocol"]
    return _Cork(cycle, refer())


class _Cork:
    """Stands where the exchange has its transport."""

    def __init__(self, cycle: RequestResponseCycle, protocol: Lingers | None) -> None:
        self._cycle = cycle
        self._protocol = protocol
        self._transport = cycle.transport
        self._held: list[bytes] = []
        self._closed = False

    def __enter__(self) -> None:
        self._cycle.transport = cast("asyncio.Transport", self)

    def __exit__(self, *_: object) -> None:
        self._cycle.transport = self._transport
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        if self._closed and self._cycle.more_body and self._protocol is not None:
            self._protocol.linger()
        elif self._closed:
            self._transport.close()

    def write(self, data: bytes) -> None:
        self._held.append(data)

    def close(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()
