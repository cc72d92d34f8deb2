"""The paths Anthropic programs call.  https://platform.claude.com/docs/en/api

Claude behind us speaks the same dialect, so calls are passed through, not translated.  Only a call for a model that
is gone is translated: its successor may refuse what the old one took.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from dragoman.conversation import Object
from dragoman.dialects import anthropic
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.models.catalogue import Entry, Resolution
from dragoman.relay.http1 import Connection
from dragoman.relay.passthrough import Passing, model_of, reply_headers, request_headers, with_model
from dragoman.relay.relay import Relay
from dragoman.relay.upstreams import UpstreamServer
from dragoman.surfaces.calls import answer, prepare, stamp, who_answers
from dragoman.surfaces.exchange import Endpoint, Exchange, parse_object
from dragoman.surfaces.listing import created, rfc3339

_EVERY = ("GET", "POST", "DELETE")


class AnthropicSurface:
    """`/v1/messages` and what belongs to it; also below `/v1/v1`, where a base URL already ends in `/v1`."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def routes(self) -> list[BaseRoute]:
        table = [
            ("/messages", ("POST",), self._messages),
            ("/messages/count_tokens", ("POST",), self._count),
            ("/messages/batches", _EVERY, self._other),
            ("/messages/batches/{rest:path}", _EVERY, self._other),
            ("/files", _EVERY, self._other),
            ("/files/{rest:path}", _EVERY, self._other),
        ]
        routes: list[BaseRoute] = [
            Route(prefix + path, Endpoint(anthropic, handle), methods=methods)
            for prefix in ("/v1", "/v1/v1")
            for path, methods, handle in table
        ]
        # Claude Code warms its connection up, and sends telemetry that is for nobody here.
        routes.append(Route("/api/hello", Endpoint(anthropic, _nothing), methods=["GET"]))
        routes.append(Route("/api/event_logging/batch", Endpoint(anthropic, _nothing), methods=["POST"]))
        return routes

    # --- calls -----------------------------------------------------------------------------------

    async def _messages(self, exchange: Exchange) -> None:
        body = await exchange.body(self._relay.settings.max_body)
        resolution = self._relay.catalogue.resolve(model_of(body), self._relay.today())
        if resolution.substituted:
            request = anthropic.decode_request(parse_object(body))
            mark = stamp("msg_", request.model)
            await answer(exchange, self._relay, prepare(exchange, self._relay, request), mark)
        else:
            await self._passed(exchange, body, resolution)

    async def _count(self, exchange: Exchange) -> None:
        body = await exchange.body(self._relay.settings.max_body)
        await self._passed(exchange, body, self._relay.catalogue.resolve(model_of(body), self._relay.today()))

    async def _other(self, exchange: Exchange) -> None:
        """Batches and files are the upstream's own; nothing in them is for us."""
        await self._pass_on(exchange, await exchange.body(self._relay.settings.max_body))

    async def _passed(self, exchange: Exchange, body: bytes, resolution: Resolution) -> None:
        card = resolution.card
        exchange.report = partial(who_answers, resolution)
        await self._pass_on(exchange, body if resolution.asked == card.id else with_model(body, card.id))

    async def _pass_on(self, exchange: Exchange, body: bytes) -> None:
        await exchange.watched(_pass(exchange, self._relay.server("anthropic"), body))


def _target(scope: Scope) -> str:
    """The path and query as they go on.

    The path comes decoded: spaces and line ends in it would make another request of ours, under our key, and dots
    would lead out of what is passed on.
    """
    path = scope["path"].replace("/v1/v1/", "/v1/", 1)
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise GatewayError("not_found", f"there is nothing at {scope['path']}")
    query = str(scope["query_string"], "latin-1")
    return quote(path, safe="/:@!$&'()*+,;=") + (f"?{query}" if query else "")


async def _pass(exchange: Exchange, server: UpstreamServer, body: bytes) -> None:
    """The request as it came, under our key; the answer as it comes."""
    connection = await server.forward(
        exchange.scope["method"],
        _target(exchange.scope),
        request_headers(exchange.scope["headers"]),
        body,
    )
    try:
        if connection.headers.get("content-type", "").startswith(anthropic.STREAM_TYPE):
            await _stream(exchange, server, connection)
        else:
            data = await server.whole(connection)
            if connection.status >= 400:
                data = server.hide(str(data, "utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            await exchange.relay(connection.status, reply_headers(connection.headers.items()), data)
    finally:
        server.release(connection)


async def _stream(exchange: Exchange, server: UpstreamServer, connection: Connection) -> None:
    await exchange.begin(connection.status, reply_headers(connection.headers.items()))
    broken = await Passing(connection, exchange.write_now).run(server.timeouts.idle)
    if broken is not None:
        # Whatever was being said is cut short by an empty line; then comes an event that says why.
        await exchange.write(b"\n\n" + anthropic.encode_fault(broken.kind, broken.message))
    await exchange.end_stream()


async def _nothing(exchange: Exchange) -> None:
    await exchange.reply({})


# --- models --------------------------------------------------------------------------------------


def model_list(entries: Sequence[Entry], query: str) -> Object:
    """The page object of `GET /v1/models`: everything at once, so there is no next page."""
    seen = {entry.card.id: entry.card for entry in entries}
    data = [_model(name, card) for name, card in seen.items()]
    data += [_model(entry.name, entry.card) for entry in entries if entry.name not in seen]
    if "after_id=" in query or "before_id=" in query:
        data = []
    ids = [model["id"] for model in data]
    return {
        "data": data,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def model_object(name: str, card: Card | None) -> Object:
    """One model.  Raises `GatewayError` for a name nobody knows."""
    if card is None:
        raise GatewayError("model_not_found", f"model: {name}", param="model")
    return _model(name, card)


def _model(name: str, card: Card) -> Object:
    return {
        "type": "model",
        "id": name,
        "display_name": card.display_name or card.id,
        "created_at": rfc3339(created(card)),
        "max_input_tokens": card.context_window,
        "max_tokens": card.max_output_tokens,
    }
