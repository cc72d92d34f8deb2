"""Models on the Ollama servers behind us, fetched, made and removed for clients: only where `manage_models` says so.

What a server tells of its progress goes to the client as it comes, and what a client uploads goes to the server so: a
blob may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from dragoman.conversation import Object
from dragoman.dialects import ollama
from dragoman.dialects.ollama.failure import error_message
from dragoman.dialects.ollama.names import parse_name
from dragoman.errors import GatewayError, invalid
from dragoman.relay.call import Passage
from dragoman.relay.http1 import Connection
from dragoman.relay.passthrough import Passing
from dragoman.relay.relay import Relay
from dragoman.relay.upstreams import UpstreamServer
from dragoman.relay.usage_tap import tap_for
from dragoman.surfaces.exchange import Exchange, Header
from dragoman.surfaces.passing import pass_on

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_DIGEST = ("sha256:", "sha256-")
_HEX = frozenset("0123456789abcdef")


class Managed:
    """The Ollama servers, as far as their models are the clients' business."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    @property
    def allowed(self) -> bool:
        """Whether the configuration lets clients manage models, and there is a server that has any."""
        return self._relay.settings.manage_models and self._relay.speaker("ollama") is not None

    def need(self, what: str) -> UpstreamServer:
        """The first server.  Raises `GatewayError` where clients may not do `what`, or there is none."""
        if not self._relay.settings.manage_models:
            setting = "manage_models (DRAGOMAN_MANAGE_MODELS)"
            raise GatewayError("permission", f"{what}: clients of this gateway may not, as {setting} is not set")
        server = self._relay.speaker("ollama")
        if server is None:
            raise GatewayError("not_implemented", f"{what}: this gateway has no Ollama server to do it")
        return server

    def check_host(self, name: str, member: str) -> None:
        """Raises `GatewayError` for a model whose name makes a server turn to a host that is not among the registries.

        Whoever names a host makes that server connect to it: to one in its own network, or with what it has.
        """
        spelled = parse_name(name)
        if spelled is None:
            raise invalid("invalid model name", member)
        if spelled.host.lower() not in {host.lower() for host in self._relay.settings.registries}:
            setting = "registries (DRAGOMAN_REGISTRIES)"
            raise GatewayError("permission", f"{member}: '{spelled.host}' is not among the {setting} of this gateway")

    async def progress(
        self, exchange: Exchange, server: UpstreamServer, path: str, body: Object, *, streamed: bool
    ) -> None:
        """A task that takes its time.  Its server is asked for progress, whatever the client wants: so it is not silent
        for as long as the task takes."""

        async def tell(connection: Connection) -> None:
            await (self._lines if streamed else self._last)(exchange, server, connection)

        asked = server.forward("POST", path, {}, _encode({**body, "stream": True}))
        await exchange.watched(_answered(exchange, server, asked, tell))

    async def done(self, exchange: Exchange, server: UpstreamServer, method: str, path: str, body: Object) -> None:
        """A task that is done at once; nothing is said of it."""

        async def tell(connection: Connection) -> None:
            data = await server.whole(connection)
            await self._relay.directory.read(server)
            await exchange.relay(200, [], data)

        asked = server.forward(method, path, {}, _encode(body))
        await exchange.watched(_answered(exchange, server, asked, tell))

    async def account(self, exchange: Exchange) -> None:
        """Who is signed in at the server: pushing begins with it."""
        server = self.need("signing in")

        async def tell(connection: Connection) -> None:
            await pass_on(exchange, _passage(server, connection))

        await exchange.watched(_answered(exchange, server, server.forward("POST", "/api/me", {}, b""), tell))

    async def blob(self, exchange: Exchange) -> None:
        """A part of a model: whether it is there, or the part itself."""
        digest: str = exchange.scope["path_params"]["digest"]
        if not self.allowed:
            await _read_on(exchange, self._relay.settings.max_body)
        server = self.need("uploading models")
        if len(digest) != 71 or not digest.startswith(_DIGEST) or not _HEX.issuperset(digest[7:]):
            raise invalid("invalid digest format", "digest")
        path = f"/api/blobs/{digest}"
        if exchange.scope["method"] == "HEAD":
            connection = await server.forward("HEAD", path, {}, b"")
            server.release(connection)  # an answer to HEAD has no body, whatever it says
            await exchange.relay(connection.status, [], b"")
            return
        length = exchange.header(b"content-length")
        connection = await server.upload(path, exchange.pieces(), int(length) if length.isdecimal() else None)
        try:
            data = await server.whole(connection)
            await exchange.relay(connection.status, _kind(connection) if data else [], data)
        finally:
            server.release(connection)

    # --- what a server answers -------------------------------------------------------------------

    async def _lines(self, exchange: Exchange, server: UpstreamServer, connection: Connection) -> None:
        await exchange.begin_stream()
        passing = Passing(_passage(server, connection), exchange.write_now)
        fault = await passing.run(server.timeouts.idle)
        if fault is not None:
            await exchange.write(b"\n" * passing.torn + _encode(ollama.encode_error(fault)) + b"\n")
        await self._relay.directory.read(server)
        await exchange.end_stream()

    async def _last(self, exchange: Exchange, server: UpstreamServer, connection: Connection) -> None:
        lines = (await server.whole(connection)).strip().splitlines()
        await self._relay.directory.read(server)
        try:
            last = _decode(lines[-1]) if lines else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise GatewayError("upstream", f"what {server.name} tells of its progress is not JSON") from error
        if message := error_message(last):
            raise GatewayError("upstream", server.hide(message))
        await exchange.reply(last)


async def _answered(
    exchange: Exchange,
    server: UpstreamServer,
    asked: Awaitable[Connection],
    tell: Callable[[Connection], Awaitable[None]],
) -> None:
    """What a server answers; a refusal in its own words, which programs look for."""
    connection = await asked
    try:
        await (pass_on(exchange, _passage(server, connection)) if connection.status >= 400 else tell(connection))
    finally:
        server.release(connection)


async def _read_on(exchange: Exchange, most: int) -> None:
    """Let the client finish, within reason: many do not read an answer before."""
    async for piece in exchange.pieces():
        most -= len(piece)
        if most < 0:
            break


def _passage(server: UpstreamServer, connection: Connection) -> Passage:
    return Passage(server, connection, tap_for(server.dialect.NAME, True), streamed=False)


def _kind(connection: Connection) -> list[Header]:
    return [(b"content-type", connection.headers.get("content-type", "application/json").encode("latin-1"))]
