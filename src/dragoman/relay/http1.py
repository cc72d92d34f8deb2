"""The HTTP client under every call: one POST, its answer pushed to a sink as it arrives.

A stream of tokens is thousands of tiny reads.  A client that hands each one over through a future costs a task switch
and a second poll a token, which is more than translating it does (`docs/benchmarks.md`).  Here a read runs straight
through the parser (httptools) into the sink, in the same turn of the event loop.  HTTP/1.1 with keep-alive, TLS with
the system's certificates, proxies by the usual environment variables.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Protocol

import httptools

from dragoman.errors import GatewayError

_MAX_HEADER_BYTES = 256 * 1024
# Of reads without a body once it has begun: trailers, and the ends of chunks where they come by themselves.
_MAX_BARE = 16 * 1024 * 1024
# What one read may become when it is unpacked.
_MAX_GROWN = 16 * 1024 * 1024


class Sink(Protocol):
    """Where an answer's body goes.  After `end` or `broken` nothing more comes."""

    def data(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def broken(self, error: GatewayError) -> None: ...


class Connection(asyncio.Protocol):
    """One TCP connection, one call at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._chunks: list[bytes] = []
        # What the parser calls with each piece of a body: it takes the method itself, so nothing of ours runs.
        self.on_body = self._chunks.append
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._head: asyncio.Future[None] | None = None
        self._early: list[bytes] = []
        self._complete = True
        self._until_close = False
        self._keep = False
        self._paused = False
        self._inflate: Callable[[bytes], bytes] | None = None
        self._seen = 0.0
        self._patience = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._error: GatewayError | None = None
        self._header_bytes = self._bare = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.idle_since = 0.0
        self.used = False
        self.inflates = True
        """Whether a compressed body is opened; where that could be a bomb, it is handed on as it is."""
        self.silent = True
        """Whether not a byte of the answer has come."""
        self._room: asyncio.Future[None] | None = None
        self._torn = False

    # --- one call --------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        return self.alive and self._complete and self._keep and not (self._until_close or self._paused or self._torn)

    @property
    def paused(self) -> bool:
        """Whether whoever takes the answer is slow."""
        return self._paused

    async def send(self, request: bytes, patience: float) -> None:
        """Write the request and wait for the answer's head.  `patience`: seconds of silence to bear, here and later."""
        await self._begin(request, patience)

    async def upload(self, head: bytes, pieces: AsyncIterable[bytes], patience: float) -> None:
        """As `send`, for a request whose body comes piece by piece.  An answer that comes before its end ends it."""
        answered = self._begin(head, patience)
        self._torn = True
        async for piece in pieces:
            if answered.done() or self._transport is None:
                break
            self._transport.write(piece)
            if self._room is not None:
                await asyncio.wait((self._room, answered), return_when=asyncio.FIRST_COMPLETED)
            self._seen = self._loop.time()
        else:
            self._torn = False
        await answered

    def _begin(self, request: bytes, patience: float) -> asyncio.Future[None]:
        """Write the request; what is done when the answer's head is there."""
        if not self.alive:
            raise _closed()
        self._parser = httptools.HttpResponseParser(self)
        self._sink, self._error, self._complete, self._until_close = None, None, False, False
        self._early, self.headers, self.status, self.silent = [], {}, 0, True
        self._inflate, self._header_bytes, self._bare = None, 0, 0
        self._head = self._loop.create_future()
        self._seen = self._loop.time()
        self._arm(patience)
        self._transport.write(request)  # type: ignore[union-attr]
        return self._head

    def read_into(self, sink: Sink, patience: float) -> None:
        """Deliver the body to `sink`: what has come so far at once, the rest as it comes."""
        self._sink = sink
        if not self._complete and self._error is None:
            self._arm(patience)
        early, self._early = self._early, []
        if early:
            sink.data(b"".join(early))
        if self._error is not None:
            self._sink = None
            sink.broken(self._error)
        elif self._complete:
            self._sink = None
            sink.end()

    def pause(self) -> None:
        """Read no more until `resume`: whoever takes the answer is slow."""
        if self.alive:
            self._paused = True
            self._transport.pause_reading()  # type: ignore[union-attr]

    def resume(self) -> None:
        if self.alive:
            self._paused = False
            self._seen = self._loop.time()
            self._transport.resume_reading()  # type: ignore[union-attr]

    def abort(self) -> None:
        """Cut the connection: the upstream stops working on the answer."""
        self._sink = None
        self._disarm()
        if self._transport is not None:
            self._transport.abort()

    def break_off(self, error: GatewayError) -> None:
        """End an answer that has begun with `error`, as if the server had failed in the middle of it."""
        if self.status and not self._complete and self._error is None:
            self._break(error)
            self.abort()

    # --- asyncio ---------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._seen = self._loop.time()
        self.silent = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # nobody asked for another protocol
            if not self._complete:
                self._break(GatewayError("upstream", "the upstream server's answer is not HTTP"))
                self.abort()
                return
            self._torn = True  # the answer is whole, and there is something behind it
        if self._chunks:
            chunks = self._chunks
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            if self._sink is None or self._inflate is not None:
                self._deliver(data)
            else:
                self._sink.data(data)
        elif not self._complete and self._is_flooded(len(data)):
            return
        if self._complete and self._sink is not None and self._error is None:
            sink, self._sink = self._sink, None
            sink.end()
        if self._torn and self._complete:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._complete:
            self._disarm()
            return
        if self._until_close and error is None:
            self.on_message_complete()
            if self._sink is not None:
                sink, self._sink = self._sink, None
                sink.end()
        elif self.status:
            self._break(GatewayError("upstream", "the connection to the upstream server broke in mid-answer"))
        else:
            self._break(_closed())

    def _is_flooded(self, size: int) -> bool:
        """Count a read with nothing of a body in it: the parser keeps a header, or a trailer, until it has its end."""
        self._bare += size
        if self._bare <= (_MAX_BARE if self.status else _MAX_HEADER_BYTES):
            return False
        self._break(GatewayError("upstream", "the upstream server's answer is not HTTP: its headers have no end"))
        self.abort()
        return True

    def _deliver(self, data: bytes) -> None:
        if self._inflate is not None:
            try:
                data = self._inflate(data)
            except zlib.error:
                self._break(GatewayError("upstream", "the upstream server's answer is not compressed as it says"))
                self.abort()
                return
        if self._sink is None:
            self._early.append(data)
        elif data:
            self._sink.data(data)

    def _break(self, error: GatewayError) -> None:
        self._disarm()
        self._error = error
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.broken(error)

    def _arm(self, patience: float) -> None:
        """Bear so many seconds of silence from the last read on.

        A timer that fires earlier, as one of the call before does, will do: it looks again, see `_watch`.
        """
        self._patience = patience
        end = self._seen + patience
        if self._watchdog is not None:
            if self._watchdog.when() <= end:
                return
            self._watchdog.cancel()
        self._watchdog = self._loop.call_later(max(end - self._loop.time(), 0.0), self._watch)

    def _watch(self) -> None:
        """Look now and then whether anything has come, rather than set a timer at every read."""
        self._watchdog = None
        left = self._seen + self._patience - self._loop.time()
        if self._complete:
            return
        if left > 0:
            self._watchdog = self._loop.call_later(left, self._watch)
        else:
            who = "client took nothing" if self._paused else "upstream server was silent"
            self._break(GatewayError("timeout", f"the {who} for {self._patience:g} seconds"))
            self.abort()

    def _disarm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    # --- httptools -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            raise httptools.HttpParserError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise httptools.HttpParserError("headers too large")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the real one follows
            self.headers = {}
            return
        self.status = status
        headers = self.headers
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._until_close = "content-length" not in headers and not chunked
        encoding = headers.get("content-encoding", "identity").lower()
        if self.inflates and encoding in ("gzip", "deflate"):
            wbits = zlib.MAX_WBITS | (16 if encoding == "gzip" else 0)
            self._inflate = _inflating(wbits)
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_message_complete(self) -> None:
        if self.status:
            self._complete = True
            # Asked now: after this call the parser has forgotten.
            self._keep = self._parser.should_keep_alive()


def _inflating(wbits: int) -> Callable[[bytes], bytes]:
    """Unpacks what one read brought.  `zlib.error` for what is broken, and for what grows beyond measure."""
    machine = zlib.decompressobj(wbits=wbits)

    def inflate(data: bytes) -> bytes:
        out = machine.decompress(data, _MAX_GROWN)
        if machine.unconsumed_tail:
            raise zlib.error
        return out

    return inflate


class Brake:
    """Holds the upstream back while a client is slow.  `failed` is told when writing to the client fails."""

    def __init__(self, connection: Connection, failed: Callable[[Exception], None]) -> None:
        self._connection = connection
        self._failed = failed
        self._writing: asyncio.Task[None] | None = None

    def hold(self, rest: Awaitable[None]) -> None:
        """Read no more until `rest`, what is left to write, is written; earlier rests go first."""
        self._connection.pause()
        self._writing = asyncio.ensure_future(self._wait(rest, self._writing))

    async def released(self) -> None:
        """Wait until everything is written, and let go of whoever wants to know: it holds the brake."""
        if self._writing is not None:
            await self._writing
        self._failed = _nobody

    async def _wait(self, rest: Awaitable[None], before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await before
            await rest
        except Exception as error:
            self._failed(error)
        self._connection.resume()


def _nobody(_: Exception) -> None:
    pass


def _closed() -> GatewayError:
    return GatewayError("unreachable", "the upstream server closed the connection without an answer")
