"""Clients turned away before their request reaches its endpoint, each in the words of the API it wanted."""

from __future__ import annotations

from functools import partial

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dragoman.config import Settings
from dragoman.errors import GatewayError
from dragoman.ids import fresh
from dragoman.surfaces.bounds import Bounds
from dragoman.surfaces.exchange import JSON_TYPE, Exchange, status_of
from dragoman.surfaces.guard import dialect_of
from dragoman.surfaces.peers import FORWARDING, Proxies, household

_encode = msgspec.json.Encoder().encode


def bounds_of(settings: Settings) -> Bounds:
    """The bounds that `settings` set."""
    peer_of = partial(_peer, Proxies(settings.trusted_proxies))
    return Bounds(settings.limits, settings.max_body, refusing=refusing, told=told, peer_of=peer_of)


def reset(bounds: Bounds, settings: Settings) -> None:
    """Other settings, from now on."""
    bounds.apply(settings.limits, settings.max_body, partial(_peer, Proxies(settings.trusted_proxies)))


def refusing(error: GatewayError) -> ASGIApp:
    """An application that answers everything with `error`."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(scope, receive, send, dialect_of(scope["path"])).error(error)

    return refuse


def told(error: GatewayError, target: bytes) -> bytes:
    """The whole answer to a request that cannot be read to its end, of which `target` is known."""
    dialect = dialect_of(str(target, "latin-1").partition("?")[0])
    document, id = dialect.encode_error(error), fresh("req_")
    if dialect.NAME == "anthropic":
        document["request_id"] = id
    body = _encode(document)
    head = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[status_of(error, dialect)] + head % (JSON_TYPE, len(body), id.encode()) + body


def _peer(proxies: Proxies, scope: Scope) -> str:
    """Who calls, as far as that is known."""
    client = scope.get("client")
    peer = client[0] if client else ""
    if proxies:
        forwarding: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in FORWARDING:
                forwarding[name] = forwarding[name] + b", " + value if name in forwarding else value
        peer = proxies.client(peer, forwarding)
    return household(peer)
