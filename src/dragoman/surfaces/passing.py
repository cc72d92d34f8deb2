"""An upstream's answer, passed on as it comes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError
from dragoman.framing import sse
from dragoman.relay.call import Passage
from dragoman.relay.passthrough import Passing, reply_headers
from dragoman.surfaces.exchange import Exchange

Edit = Callable[[bytes], bytes]
_encode = msgspec.json.Encoder().encode


async def pass_on(exchange: Exchange, passage: Passage, edit: Edit | None = None) -> None:
    """Status, headers and bytes as they are.  `edit` may change the body of an answer that comes as a whole."""
    connection, server = passage.connection, passage.server
    headers = reply_headers(connection.headers.items())
    if passage.streamed:
        await exchange.begin(connection.status, headers)
        passing = Passing(passage, exchange.write_now)
        broken = await passing.run(server.timeouts.idle)
        if broken is not None:
            broken.message = server.hide(broken.message)
            await exchange.write(b"\n" * passing.mid_line + _cut(exchange.dialect, broken))
        await exchange.end_stream()
        return
    data = await server.whole(connection)
    passage.tap.feed(data)
    if connection.status >= 400:
        data = server.hide(str(data, "utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    await exchange.relay(connection.status, headers, edit(data) if edit is not None else data)


def _cut(dialect: ClientDialect, error: GatewayError) -> bytes:
    """The frame that ends a broken answer.  It follows whatever was being said, which an empty line cuts short."""
    document = _encode(dialect.encode_error(error))
    if dialect.STREAM_TYPE != "text/event-stream":
        return document + b"\n"
    return b"\n" + sse(document, "error" if dialect.NAME == "anthropic" else "")
