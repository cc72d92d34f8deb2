"""uvicorn's HTTP protocol, with bounds on what comes in.  Shorter ways out are in `direct`.

What a client may send, and how slowly, is bounded (`bounds`).  An answer that comes before the end of its request
reaches a client that is still sending: a connection that is closed with bytes unread takes the answer with it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
import sys
import weakref
from contextlib import suppress
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dragoman.errors import GatewayError, invalid
from dragoman.surfaces.bounds import Bounds, Doing
from dragoman.surfaces.direct import EXTENSION, tell_left
from dragoman.surfaces.draining import NAME

log = logging.getLogger("dragoman.surfaces")

# How long (seconds) a client may go on sending what nobody reads any more.
_LINGER = 10.0
# How long (seconds) one who sends no more may wait for an answer to begin, before it has left.  Not long: a call
# upstream is to end when its client leaves.
_HALF = 0.03
# What a client has taken at the least when there is room again: from asyncio's high mark to its low one.
_DRAINED = 48 * 1024


class Protocol(HttpToolsProtocol):
    """One connection.  It tells the application of the exchange it is in, by an extension of the scope."""

    def __init__(self, *args: Any, bounds: Bounds, **named: Any) -> None:
        super().__init__(*args, **named)
        self._bounds = bounds
        self._began = 0.0
        """When the head that is being read began; 0 while none is."""
        self._head = self._fed = 0
        """How much of it came before this piece, and the size of this piece."""
        self._received = self._drained = 0
        self._idle = 0.0
        """When the last answer ended."""
        self._lingers = False

    # --- in --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began = self.loop.time()
        instead = self._bounds.connected(self.connections)  # type: ignore[arg-type]
        if instead == "cut":
            transport.abort()
        elif instead is not None:
            self.app = instead

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        tell_left(self.cycle)

    def on_response_complete(self) -> None:
        """As uvicorn does, but with one timer that looks now and then, and not one for each answer."""
        self._idle = self.loop.time()
        if self.pipeline or self.timeout_keep_alive_task is None or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()

    def _unset_keepalive_if_required(self) -> None:
        """Nothing: the timer goes on, and will see."""

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle for too long."""
        self.timeout_keep_alive_task = None
        if self._began or not self.cycle.response_complete:
            return  # the next answer sets it again
        left = self._idle + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        """As uvicorn does, but with bounds, and with answers that programs can read."""
        self._unset_keepalive_if_required()
        # The end of a body may stand before the head: then this piece is not counted.
        cycle, received = self.cycle, self._received
        inside = cycle is not None and cycle.more_body
        self._fed = 0 if inside else len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._go_on(data, upgrade)
        except httptools.HttpParserError as error:
            self._turn_away(_unreadable(error))
            return
        if inside and self.cycle is cycle and cycle.more_body:  # headers behind a body, which the parser gathers
            self._head = self._head + len(data) if received == self._received else 0
        elif self._began:
            self._head += self._fed
        elif cycle is not None and self.cycle is cycle and cycle.response_complete:  # blank lines: a head is to follow
            self._began = self.loop.time()
        if self._head > self._bounds.limits.header_bytes:
            self._turn_away(self._too_long())

    def _go_on(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        """Whoever would rather have another protocol is answered in this one.  The parser stops after such a head, and
        before the body that some send along; another one reads on from there."""
        while True:
            rest = data[upgrade.args[0] :]
            sizes = [(name, value) for name, value in self.headers if name in (b"content-length", b"transfer-encoding")]
            self.parser = httptools.HttpRequestParser(_Onward(self) if sizes else self)
            self.cycle.more_body = bool(sizes)
            head = b"".join(b"%b: %b\r\n" % size for size in sizes)
            data = b"POST / HTTP/1.1\r\n%b\r\n%b" % (head, rest) if sizes else rest
            if not data:
                return
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                upgrade = another
            else:
                return

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more.  Most have left; some have only said all they had to say, as `nc -N` does.

        Nobody can tell until something is sent: whoever has left does not acknowledge it.  So there is a while in which
        an answer may begin.  TLS knows no such half of a connection.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self._lingers:
            return False
        if self.transport.get_extra_info("sslcontext") is not None:
            return False
        cycle.keep_alive = False
        self.loop.call_later(_HALF, self._has_left, weakref.ref(cycle), _acknowledged(self.transport) or 0)
        return True

    def _has_left(self, asked: weakref.ref[RequestResponseCycle], taken: int) -> None:
        """Close, unless the client has taken something of its answer since."""
        cycle = asked()
        if cycle is None or cycle.response_complete or self.transport.is_closing():
            return
        if (_acknowledged(self.transport) or 0) <= taken:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = self.loop.time()
        self._head = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of the head.  Those behind a body are nobody's: who came in by the others would have more to say."""
        if self._began:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._began = 0.0
        if not self.url.startswith(b"/"):
            self._call_by_target()
        error = self._excess()
        self._head = 0
        app = self.app
        if error is not None:
            self.app = self._bounds.refusing(error)
            self.url = self.url[: self._bounds.limits.url]  # the parser of targets has a limit of its own
        elif self._bounds.limits.calls_per_peer and self.parser.get_method() == b"POST":
            self.app = self._bounds.for_one(app)
        super().on_headers_complete()
        self.app = app
        # Weakly, for they hold the scope: memory in a circle waits for the collector.
        mine: dict[object, object] = {
            "cycle": weakref.ref(self.cycle),
            "protocol": weakref.ref(self),
            "limits": self._bounds.limits,
        }
        self.scope["extensions"] = {EXTENSION: mine}
        draining = self.app_state.get(NAME)
        if draining is not None and draining.begun:
            self.cycle.keep_alive = False

    def _call_by_target(self) -> None:
        """A target that is a whole URL says by which name we are called, whatever the Host header says.

        https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
        """
        scheme, url, rest = self.url.partition(b"://")
        if url and scheme.lower() in (b"http", b"https"):
            host = re.split(rb"[/?#]", rest, maxsplit=1)[0].rpartition(b"@")[2]
            self.headers[:] = [(b"host", host), *(header for header in self.headers if header[0] != b"host")]

    def on_body(self, body: bytes) -> None:
        self._received += len(body)
        super().on_body(body)

    def _excess(self) -> GatewayError | None:
        """What is too much: in this head, or altogether."""
        limits = self._bounds.limits
        if len(self.url) > limits.url or len(self.headers) > limits.headers:
            return self._too_long()
        if self._head + self._fed > limits.header_bytes:  # it may be: the piece may have some of the body in it
            size = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
            if size > limits.header_bytes:
                return self._too_long()
        full = self._bounds.full(len(self.tasks))
        return full if full is not None and self.parser.get_method() == b"POST" else None

    def _too_long(self) -> GatewayError:
        limits, url = self._bounds.limits, getattr(self, "url", b"")
        if len(url) > limits.url:
            words = f"the path of the request is longer than {limits.url} characters (DRAGOMAN_LIMIT_URL)"
            return GatewayError("url_too_long", words)
        words = f"the request has more than {limits.headers} headers (DRAGOMAN_LIMIT_HEADERS)"
        if len(self.headers or ()) <= limits.headers:
            words = f"the headers are larger than {limits.header_bytes} bytes (DRAGOMAN_LIMIT_HEADER_BYTES)"
        return GatewayError("headers_too_large", words)

    # --- who is too slow -------------------------------------------------------------------------

    def doing(self) -> tuple[Doing, float]:
        """See `bounds.Watched`."""
        cycle = self.cycle
        if self._lingers or self.transport is None:
            return "", 0.0
        waiting = self.transport.get_write_buffer_size()
        if waiting and (self.flow.write_paused or cycle is None or cycle.response_complete):
            taken = _acknowledged(self.transport)
            return "answer", self._drained * _DRAINED - waiting if taken is None else taken
        if cycle is not None and cycle.more_body and not self.flow.read_paused:
            return "body", self._received
        if self._began and (cycle is None or cycle.response_complete):
            return "head", self._began
        return "", 0.0

    def resume_writing(self) -> None:
        self._drained += 1
        super().resume_writing()

    def give_up(self, doing: Doing) -> None:
        """See `bounds.Watched`."""
        cycle = self.cycle
        log.info("%s: too slow with %s", self.client[0] if self.client else "a client", doing)
        if doing == "head":
            if self._head or self._fed:
                self._turn_away(_slow("headers", "DRAGOMAN_LIMIT_HEAD"))
            else:  # it was only kept open
                self.transport.close()
        elif doing == "body" and not cycle.response_started and not getattr(cycle, "slow", False):
            # Whoever reads the body is told, and answers.
            cycle.slow = True  # type: ignore[attr-defined]
            cycle.message_event.set()
        else:
            self._cut()

    def close_idle(self) -> bool:
        """See `bounds.Watched`."""
        cycle = self.cycle
        if cycle is None or not cycle.response_complete or self._began or self._lingers or self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size():
            return False
        self.transport.close()
        return True

    # --- out -------------------------------------------------------------------------------------

    def _turn_away(self, error: GatewayError) -> None:
        """Answer what cannot be read on.  An answer that is under way is cut: nothing may stand in it."""
        cycle = self.cycle
        if self.pipeline or (cycle is not None and not cycle.response_complete and cycle.response_started):
            self._cut()
            return
        if cycle is not None and not cycle.response_complete:  # whoever waits for the body
            cycle.disconnected = True
            cycle.message_event.set()
            tell_left(cycle)
        self.transport.write(self._bounds.told(error, getattr(self, "url", b"")))
        self.linger()

    def _cut(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # from this very moment: a closed transport takes no further write
        with suppress(OSError, AttributeError):  # what it did not take so far, the system need not keep either
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def linger(self) -> None:
        """Send nothing more, and close once the client is done: it may be sending, and not have read the answer."""
        if self._lingers or self.transport.is_closing():
            return
        self._lingers = True
        self.flow.resume_reading()
        self.transport.set_protocol(_Lingering(self, self.loop, self.transport, self._bounds.linger))
        if self.transport.can_write_eof():
            self.transport.write_eof()


class _Onward:
    """What a parser tells of a connection whose last head was read by another one: all, but for that head."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._known = True
        self.on_body = protocol.on_body

    def on_message_begin(self) -> None:
        if not self._known:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._known:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._known:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._known:
            self._protocol.on_headers_complete()

    def on_message_complete(self) -> None:
        self._known = False
        self._protocol.on_message_complete()


class _Lingering(asyncio.Protocol):
    """A connection on which everything was said.  What still comes is thrown away, within bounds."""

    def __init__(
        self, before: Protocol, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, room: int
    ) -> None:
        self._before = before
        self._transport = transport
        self._room = room
        self._timer = loop.call_later(_LINGER, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._before.connection_lost(exc)


def _acknowledged(transport: asyncio.Transport) -> int | None:
    """How many bytes the other side has taken, where the system tells: Linux does, from 4.1 on (`struct tcp_info`).

    What left our buffer may still be in that of the system, which takes megabytes before it lets anything be seen.
    """
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    except (OSError, AttributeError):
        return None
    return int.from_bytes(info[120:128], sys.byteorder) if len(info) >= 128 else None


def _unreadable(error: httptools.HttpParserError) -> GatewayError:
    if isinstance(error, httptools.HttpParserCallbackError):
        return invalid("the path of the request cannot be read: what is not ASCII in it must be percent-encoded")
    return invalid(f"what was sent is not HTTP: {error}")


def _slow(what: str, setting: str) -> GatewayError:
    return GatewayError("slow_request", f"the {what} of the request did not arrive in time ({setting})")
