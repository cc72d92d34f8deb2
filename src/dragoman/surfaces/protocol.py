"""uvicorn's HTTP protocol with a shorter way out for the pieces of a stream.

ASGI takes each piece as a message through a coroutine.  For a token of a stream that is most of what there is to do,
and nearly always nothing has to be waited for: then the piece goes straight to the transport, framed as uvicorn would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Push = Callable[[bytes], bool]
"""Writes a piece of a body; False when that has to go through ASGI's `send`, and nothing was written."""

_EXTENSION = "dragoman.push"


class Protocol(HttpToolsProtocol):
    """Offers `pushing` to the application, as an extension of its scope."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.scope["extensions"] = {_EXTENSION: {"push": partial(_push, self.cycle)}}


def pushing(scope: Scope) -> Push | None:
    """The short way out, where the server has one."""
    offered = scope.get("extensions", {}).get(_EXTENSION)
    return None if offered is None else offered["push"]


def _push(cycle: RequestResponseCycle, data: bytes) -> bool:
    # Without a length each piece is a chunk; an empty one would be the last.
    if (
        not data
        or not cycle.chunked_encoding
        or cycle.flow.write_paused
        or cycle.disconnected
        or cycle.response_complete
    ):
        return False
    cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
    return True
