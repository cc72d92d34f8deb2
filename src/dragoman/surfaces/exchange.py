"""One HTTP exchange: the body in, one answer out, and the client's departure noticed.

Endpoints are plain ASGI callables: on the hot path every layer between the socket and the encoder costs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError, Row, invalid
from dragoman.ids import fresh
from dragoman.redaction import Redactor
from dragoman.surfaces.departure import Departure, finish
from dragoman.surfaces.direct import (
    Push,
    answered,
    corked,
    is_slow,
    is_unread,
    limits_of,
    pushing,
    unframe,
    when_left,
)
from dragoman.surfaces.draining import NAME, told
from dragoman.surfaces.unpacking import Unpacking, check_depth, too_deep
from dragoman.telemetry import lines
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.visit import VISIT, Visit

log = logging.getLogger("dragoman.surfaces")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Header = tuple[bytes, bytes]
JSON_TYPE = b"application/json; charset=utf-8"
_STREAM_HEADERS: tuple[Header, ...] = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))

# When to come back, in seconds, where the upstream did not say: some clients give up on an answer without it.
_DEFAULT_RETRY_AFTER = 5


# Characters of an error's message.
_LONGEST_TOLD = 16_384

_REQUEST_IDS = (b"request-id", b"x-request-id")


REDACTOR = "dragoman.redactor"
"""Where a scope has what takes secrets out of errors and headers."""
# For an exchange that came another way: what looks like a secret is one there, too.
_SHAPES_ONLY = Redactor()
# Headers of ours that quote what others wrote.
_WORDY = frozenset({b"x-dragoman-dropped", b"x-dragoman-emulated", b"x-dragoman-report", b"x-dragoman-substituted"})


class ClientGoneError(Exception):
    """The client closed the connection before its answer was complete."""


class Exchange:
    """`headers` of the request have lower-case names; `extra` headers go out with the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, dialect: ClientDialect) -> None:
        self.scope = scope
        self.dialect = dialect
        self.id = fresh("req_")
        self.visit: Visit = scope.get(VISIT) or Visit(Metrics())
        """What is known of it for the log and the metrics."""
        self.visit.id, self.visit.dialect = self.id, dialect.NAME
        self.extra: list[Header] = []
        self.report: Callable[[], list[Header]] = list
        self.started = False
        self.written = 0
        """How many pieces of a stream have been written."""
        self.first = 0
        """When the first of them was, by `time.perf_counter_ns`; 0 until then."""
        self._receive = receive
        self._send = send
        self._push: Push | None = None
        self._done = False
        self._gone = False
        self._behind = 0

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return self._done

    @property
    def behind(self) -> bool:
        """Whether the client is slow to take what has been written."""
        return self._behind > 0

    def header(self, name: bytes) -> str:
        """A request header, or ""."""
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value, "latin-1")
        return ""

    # --- in --------------------------------------------------------------------------------------

    async def body(self, limit: int) -> bytes:
        """The whole body, unpacked.  Raises `GatewayError` above `limit` bytes, packed or not: see `unpacking`."""
        encoding = length = ""
        for name, value in self.scope["headers"]:
            if name == b"content-encoding":
                encoding = f"{encoding}, {str(value, 'latin-1')}" if encoding else str(value, "latin-1")
            elif name == b"content-length":
                length = str(value, "latin-1")
        unpacking = Unpacking(encoding, length, limit, limits_of(self.scope))
        more = True
        while more:
            piece, more = await self._piece()
            unpacking.feed(piece)
        return unpacking.whole()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes: of any length, and as it was sent."""
        more = True
        while more:
            piece, more = await self._piece()
            if piece:
                yield piece

    async def _piece(self) -> tuple[bytes, bool]:
        """The next of the body, which may be empty, and whether there is more."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece, more = message.get("body", b""), message.get("more_body", False)
        if more and not piece and is_slow(self.scope):
            words = "the body of the request came too slowly (DRAGOMAN_LIMIT_STALL, DRAGOMAN_LIMIT_RATE)"
            raise GatewayError("slow_request", words)
        return piece, more

    async def json(self, limit: int) -> Object:
        """The body as a JSON object, whatever its content type says."""
        return parse_object(await self.body(limit))

    # --- out -------------------------------------------------------------------------------------

    async def reply(self, document: JSON, status: int = 200) -> None:
        """One JSON document, and the end."""
        await self.reply_bytes(_encode(document), JSON_TYPE, status)

    async def reply_bytes(self, data: bytes, content_type: bytes, status: int = 200) -> None:
        await self._whole(status, [(b"content-type", content_type), *self._own_headers()], data)

    async def error(self, error: GatewayError) -> None:
        """The error in the client's own dialect, under its own status, without any secret that is in its words."""
        status = status_of(error, self.dialect)
        error.message, error.request_id = self._quoted(error.message), self._quoted(error.request_id)
        error.param, error.code = error.param and self._quoted(error.param), error.code and self._quoted(error.code)
        self.visit.kind, self.visit.why = error.kind, error.message
        if status in (429, 503, 529):
            seconds = _DEFAULT_RETRY_AFTER if error.retry_after is None else error.retry_after
            self.extra.append((b"retry-after", b"%d" % max(round(seconds), 1)))
        elif error.retry_after is not None:
            self.extra.append((b"retry-after", b"%d" % max(round(error.retry_after), 1)))
        self.extra = [header for header in self.extra if header[0] != b"x-dragoman-upstream-request-id"]
        if error.request_id:
            self.extra.append((b"x-dragoman-upstream-request-id", ascii_list([error.request_id], 200)))
        if error.kind in ("billing", "not_implemented", "format_unmet") or error.again == "false":
            self.extra.append((b"x-should-retry", b"false"))
        elif error.again == "true":
            self.extra.append((b"x-should-retry", b"true"))
        document = self.dialect.encode_error(error)
        if self.dialect.NAME == "anthropic":  # its SDKs read it there, not in the header
            document["request_id"] = self.id
        await self.reply(document, status)

    async def relay(self, status: int, headers: Sequence[Header], data: bytes) -> None:
        """An upstream's answer as it is."""
        await self._whole(status, [*headers, *self._more(headers)], data)

    async def _whole(self, status: int, headers: list[Header], data: bytes) -> None:
        self._done = self.started = True
        self.visit.status = status
        headers.append((b"content-length", b"%d" % len(data)))
        if answered(self.scope, self._send, status, headers, data):
            return
        if is_unread(self.scope):
            headers.append((b"connection", b"close"))
        with corked(self.scope):
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else data})

    async def begin_stream(self) -> None:
        await self.begin(200, ((b"content-type", self.dialect.STREAM_TYPE.encode()),))

    async def begin(self, status: int, headers: Sequence[Header]) -> None:
        """The head of an answer whose body comes piece by piece."""
        self.started = True
        self.visit.status = status
        self.visit.begins()
        own = [*headers, *_STREAM_HEADERS, *self._more(headers)]
        unframe(self.scope)
        await self._send({"type": "http.response.start", "status": status, "headers": own})
        self._push = pushing(self.scope)

    async def write(self, data: bytes) -> None:
        self._count()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def write_now(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Write without a task switch.  What it returns, if anything, is to be awaited: the client is slow.

        Until that is done a further write does not begin; it waits its turn in what it returns itself.
        """
        if self._behind:
            rest = self.write(data)
        else:
            self._count()
            if self._push is not None and self._push(data):
                return None
            step = self._send({"type": "http.response.body", "body": data, "more_body": True}).__await__()
            try:
                waiting = step.send(None)
            except StopIteration:
                return None
            rest = finish(step, waiting)
        self._behind += 1
        return self._caught_up(rest)

    def _count(self) -> None:
        self.written += 1
        now = time.perf_counter_ns()
        if not self.first:
            self.first = self.visit.first = self.visit.last = now
        elif (gaps := self.visit.gaps) is not None:
            self.visit.wrote(now, gaps)

    async def _caught_up(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        finally:
            self._behind -= 1

    async def end_stream(self) -> None:
        self._done = True
        self._push = None
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _more(self, headers: Sequence[Header]) -> list[Header]:
        """Our own headers, but for those that are there: an upstream's request id is worth more than ours, which has
        another name then."""
        given = {name for name, _ in headers}
        own = [header for header in self._own_headers() if header[0] not in given]
        if not given.isdisjoint(_REQUEST_IDS):
            own.append((b"x-dragoman-request-id", self.id.encode()))
        return own

    def _own_headers(self) -> list[Header]:
        own = self.id.encode()
        told = [header if header[0] not in _WORDY else (header[0], self.hidden(header[1])) for header in self.report()]
        headers = [(b"x-request-id", own), (b"request-id", own), *told, *self.extra]
        if self.visit.client_id:
            headers.append((b"x-client-request-id", self.visit.client_id.encode()))
        return headers

    def hide(self, text: str) -> str:
        """`text` without secrets, for what is said about the exchange; its contents are the client's own."""
        redactor: Redactor = self.scope.get(REDACTOR, _SHAPES_ONLY)
        return redactor.hide(text) if text else text

    def _quoted(self, text: str) -> str:
        """The same for an error, and no more than anybody reads: it may quote all of a request."""
        return self.hide(text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…")

    def hidden(self, value: bytes) -> bytes:
        """The same for the value of a header."""
        return self.hide(str(value, "latin-1")).encode("ascii", "backslashreplace")

    # --- the client's departure ------------------------------------------------------------------

    async def watched(self, work: Awaitable[None]) -> None:
        """Do `work` until it is done or the client leaves; then it is cancelled, and with it the upstream call."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange runs in a task")

        def left() -> None:
            if not self._done:
                self._gone = True
                task.cancel()

        close = when_left(self.scope, self._receive, left) or Departure(self._receive, left).close
        try:
            await work
        except asyncio.CancelledError:
            if self._gone:
                task.uncancel()
                raise ClientGoneError from None
            raise self.cause() from None
        finally:
            close()

    def cause(self) -> GatewayError:
        """After a cancellation: what the client is to be told, where it is the gateway that ends the call.  Raises
        CancelledError where it is not."""
        draining = self.scope.get("state", {}).get(NAME)
        task = asyncio.current_task()
        if draining is None or not draining.over or task is None:
            raise asyncio.CancelledError
        task.uncancel()
        return told()


def parse_object(data: bytes) -> Object:
    """A JSON object, or `GatewayError` saying what it is instead."""
    if not data:
        raise invalid("missing request body")
    try:
        document = _decode(data)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"the request body is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise invalid("the request body must be a JSON object")
    check_depth(document)
    return document


def status_of(error: GatewayError, dialect: ClientDialect) -> int:
    row: Row = error.row
    match dialect.NAME:
        case "anthropic":
            return row.anthropic
        case "ollama":
            return row.ollama
        case _:
            return row.openai


def ascii_list(names: Iterable[str], limit: int = 2000) -> bytes:
    """Names as one header value: plain ASCII, bounded."""
    text = ", ".join(names)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    clean = text.encode("ascii", "backslashreplace")
    return clean if len(clean) <= limit else clean[:limit] + b", ..."


class Endpoint:
    """An ASGI callable around one handler: errors become answers in the dialect, departures become silence."""

    def __init__(self, dialect: ClientDialect, handle: Callable[[Exchange], Awaitable[None]]) -> None:
        self._dialect = dialect
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._dialect)
        try:
            await self._handle(exchange)
        except ClientGoneError:
            log.debug("%s %s: the client left", exchange.id, scope["path"])
        except GatewayError as error:
            if not lines.wanted():  # whoever reads those has it there
                log.info("%s %s: %s: %s", exchange.id, scope["path"], error.kind, error.message)
            if not exchange.started:
                await exchange.error(error)
        except asyncio.CancelledError:
            if exchange.started:
                raise
            await exchange.error(exchange.cause())
        except RecursionError:
            if exchange.started:
                raise
            log.info("%s %s: nested too deeply", exchange.id, scope["path"])
            await exchange.error(too_deep())
        except Exception:
            log.exception("%s %s: a fault of ours", exchange.id, scope["path"])
            if exchange.started:
                raise  # the connection is cut: the client must not take this for an end
            await exchange.error(GatewayError("internal", f"internal error; its id in the log is {exchange.id}"))
