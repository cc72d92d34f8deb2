"""uvicorn's HTTP protocol with two shorter ways out.

ASGI takes each piece of a stream as a message through a coroutine.  For a token that is most of what there is to do,
and nearly always nothing has to be waited for: `pushing` writes it straight to the transport, framed as uvicorn would.
And the head of an answer is a write of its own, which costs as much as the body's: `corked` makes one of both.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Push = Callable[[bytes], bool]
"""Writes a piece of a body; False when that has to go through ASGI's `send`, and nothing was written."""

_EXTENSION = "dragoman"


class Protocol(HttpToolsProtocol):
    """Tells the application of the exchange it is in, by an extension of the scope."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # Weakly, for it holds the scope: memory in a circle waits for the collector.
        self.scope["extensions"] = {_EXTENSION: {"cycle": weakref.ref(self.cycle)}}

    def _unsupported_upgrade_warning(self) -> None:
        """Agents that would rather have a WebSocket are answered; the log need not have it each time."""


def _cycle(scope: Scope) -> RequestResponseCycle | None:
    extensions = scope.get("extensions")
    if not extensions or _EXTENSION not in extensions:
        return None
    refer: weakref.ref[RequestResponseCycle] = extensions[_EXTENSION]["cycle"]
    return refer()


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


def corked(scope: Scope) -> AbstractContextManager[object]:
    """While inside, what is sent is held; it leaves in one write, where the server is ours."""
    cycle = _cycle(scope)
    return nullcontext() if cycle is None else _Cork(cycle)


class _Cork:
    """Stands where the exchange has its transport."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._held: list[bytes] = []
        self._closed = False

    def __enter__(self) -> None:
        self._cycle.transport = cast("asyncio.Transport", self)

    def __exit__(self, *_: object) -> None:
        self._cycle.transport = self._transport
        if self._held:
            self._transport.write(b"".join(self._held))
        if self._closed:
            self._transport.close()

    def write(self, data: bytes) -> None:
        self._held.append(data)

    def close(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()
