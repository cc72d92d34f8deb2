"""Same dialect on both sides: the bytes themselves go through, in both directions.

Only `model` may be patched, and then every other member stays byte for byte, in its place: unknown members, betas,
cache marks and signatures are nobody's business here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from dragoman.errors import GatewayError, invalid
from dragoman.relay.http1 import Brake, Connection

# What of a client's headers is meant for the API behind us, and what of its answer for the client.
_IN = ("accept", "content-type", "idempotency-key", "user-agent")
_OUT = ("content-type", "request-id", "retry-after", "x-should-retry")
_PREFIX = "anthropic-"

Header = tuple[bytes, bytes]
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def model_of(body: bytes) -> str:
    """The `model` of a JSON body.  Raises `GatewayError` for a body that is no object, or names no model."""
    try:
        members = _members(body)
        return _text(members["model"])
    except KeyError:
        raise invalid("model: Field required", "model") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the request body is not a JSON object with a model: {error}") from None


def with_model(body: bytes, model: str) -> bytes:
    """The same body for another model."""
    members = _members(body)
    members["model"] = msgspec.Raw(_encode(model))
    return _encode(members)


def request_headers(headers: Iterable[Header]) -> dict[str, str]:
    """What goes on of a client's headers.  Keys and cookies never do; a repeated header is joined."""
    kept: dict[str, str] = {}
    for raw, value in headers:
        name = str(raw, "latin-1")
        if name in _IN or name.startswith(_PREFIX):
            text = str(value, "latin-1")
            kept[name] = f"{kept[name]}, {text}" if name in kept else text
    return kept


def reply_headers(headers: Iterable[tuple[str, str]]) -> list[Header]:
    """What comes back of the upstream's headers."""
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name in _OUT or name.startswith(_PREFIX)
    ]


class Passing:
    """A sink that writes what it gets.  `write` may return something to wait for: the client is slow."""

    def __init__(self, connection: Connection, write: Callable[[bytes], Awaitable[None] | None]) -> None:
        self._connection = connection
        self._write = write
        self._brake = Brake(connection, self._fail)
        self._ended: asyncio.Future[GatewayError | None] = asyncio.get_running_loop().create_future()

    async def run(self, patience: float) -> GatewayError | None:
        """Pass everything on.  What it returns is why the answer is not complete, or None."""
        self._connection.read_into(self, patience)
        broken = await self._ended
        await self._brake.released()
        return broken

    def data(self, data: bytes) -> None:
        try:
            rest = self._write(data)
        except Exception as error:
            self._fail(error)
            return
        if rest is not None:
            self._brake.hold(rest)

    def end(self) -> None:
        self._settle(None)

    def broken(self, error: GatewayError) -> None:
        self._settle(error)

    def _settle(self, error: GatewayError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    def _fail(self, error: Exception) -> None:
        """Our own end is broken: nothing more can be written."""
        if not self._ended.done():
            self._ended.set_exception(error)
