"""An upstream's answer, passed on as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from dragoman.conversation import Usage
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError
from dragoman.framing import sse
from dragoman.relay.call import Passage
from dragoman.relay.passthrough import Passing, reply_headers, request_headers
from dragoman.relay.upstreams import UpstreamServer
from dragoman.relay.usage_tap import tap_for
from dragoman.surfaces.exchange import Exchange, Header

_JSON = "application/json"
Edit = Callable[[bytes], bytes]
_encode = msgspec.json.Encoder().encode


async def pass_on(exchange: Exchange, passage: Passage, edit: Edit | None = None) -> None:
    """Status, headers and bytes as they are.  `edit` may change the body of an answer that is JSON.

    Raises `GatewayError` when a stream was begun already, and this is none.
    """
    connection, server = passage.connection, passage.server
    headers = reply_headers(connection.headers.items())
    if passage.streamed and not (exchange.started and connection.status >= 400):
        if not exchange.started:
            await exchange.begin(connection.status, headers)
        await _stream(exchange, passage)
    elif exchange.started:
        raise await server.refusal(connection)
    elif passage.body is None and connection.status < 400 and not _is_json(connection.headers):
        await exchange.begin(connection.status, headers)
        await _file(exchange, passage)
    else:
        data = passage.body if passage.body is not None else await server.whole(connection)
        passage.tap.feed(data)
        if connection.status == 401:  # it is our key that is wrong, and its client would look at his own
            raise server.refused(connection, data)
        if connection.status >= 400 and not data.lstrip().startswith(b"{"):
            raise server.refused(connection, data)  # a page for people, of somebody on the way
        if connection.status >= 400:
            text = exchange.hide(server.hide(str(data, "utf-8", "surrogateescape")))
            data = text.encode("utf-8", "surrogateescape")
            exchange.visit.why = server.refused(connection, data).message
            headers = [(name, exchange.hidden(value)) for name, value in headers]
        await exchange.relay(connection.status, headers, edit(data) if edit is not None else data)


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", _JSON).startswith(_JSON)


class Whole(Struct):
    """A good answer as it came."""

    headers: list[Header]
    body: bytes
    usage: Usage | None


async def passed(exchange: Exchange, server: UpstreamServer, path: str, body: bytes) -> Whole:
    """The client's question to a server of its own dialect.  Raises `GatewayError` for an answer that is no success."""
    connection = await server.forward("POST", path, request_headers(exchange.scope["headers"]), body)
    try:
        if connection.status >= 400:
            raise await server.refusal(connection)
        data = await server.whole(connection)
    finally:
        server.release(connection)
    tap = tap_for(server.dialect.NAME, streamed=False)
    tap.feed(data)
    return Whole(reply_headers(connection.headers.items()), data, tap.usage)


async def _stream(exchange: Exchange, passage: Passage) -> None:
    passing = Passing(passage, exchange.write_now)
    passage.fault = await passing.run(passage.server.timeouts.idle)
    if passage.fault is not None:
        passage.fault.message = passage.server.hide(passage.fault.message)
        if passing.torn:  # after half a frame nothing can be told; the answer is cut off, and seen to be
            raise passage.fault
        await exchange.write(last_frame(exchange.dialect, passage.fault))
    await exchange.end_stream()


async def _file(exchange: Exchange, passage: Passage) -> None:
    """Neither a stream of ours nor JSON: of any length, and nothing in it could tell that it broke off."""
    passing = Passing(passage, exchange.write_now)
    passage.fault = await passing.run(passage.server.timeouts.idle)
    if passage.fault is not None:
        raise passage.fault
    await exchange.end_stream()


def last_frame(dialect: ClientDialect, error: GatewayError) -> bytes:
    """The frame that ends a broken answer."""
    document = _encode(dialect.encode_error(error))
    if dialect.STREAM_TYPE != "text/event-stream":
        return document + b"\n"
    return sse(document, "error" if dialect.NAME == "anthropic" else "")
