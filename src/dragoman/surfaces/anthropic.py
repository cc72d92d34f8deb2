"""The paths Anthropic programs call.  https://platform.claude.com/docs/en/api

A model behind an Anthropic server gets the call as it came; any other gets it translated.  Batches and files live on
Anthropic's servers, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from dragoman.conversation import Object, Request
from dragoman.dialects import anthropic
from dragoman.dialects.anthropic.marker import PREFIX
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Entry, Resolution
from dragoman.relay.call import Call, Passage, Plan
from dragoman.relay.counting import Count
from dragoman.relay.passthrough import request_headers, with_model
from dragoman.relay.relay import Relay
from dragoman.relay.rounds import UnfitError
from dragoman.relay.strictness import without_successors
from dragoman.relay.upstreams import UpstreamServer
from dragoman.relay.usage_tap import tap_for
from dragoman.surfaces.calls import (
    answer,
    is_strict,
    planned,
    prepare,
    received,
    stamp,
    way_through,
    who_answers,
    without_ours,
)
from dragoman.surfaces.exchange import Endpoint, Exchange, Header, parse_object
from dragoman.surfaces.listing import created, rfc3339
from dragoman.surfaces.passing import Edit, Whole, pass_on, passed

_EVERY = ("GET", "POST", "DELETE")
_OURS = (PREFIX, anthropic.without_markers)


class AnthropicSurface:
    """`/v1/messages` and what belongs to it; also below `/v1/v1`, where a base URL already ends in `/v1`, and without
    either, where a program leaves it out."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def routes(self) -> list[BaseRoute]:
        table = [
            ("/messages", ("POST",), self._messages),
            ("/messages/count_tokens", ("POST",), self._count),
            ("/messages/batches", _EVERY, self._batches),
            ("/messages/batches/{rest:path}", _EVERY, self._batches),
            ("/files", _EVERY, self._files),
            ("/files/{rest:path}", _EVERY, self._files),
        ]
        routes: list[BaseRoute] = [
            Route(prefix + path, Endpoint(anthropic, handle), methods=methods)
            for prefix in ("/v1", "/v1/v1", "")
            for path, methods, handle in table
        ]
        # Claude Code warms its connection up, and sends telemetry that is for nobody here.
        routes.append(Route("/api/hello", Endpoint(anthropic, _nothing), methods=["GET"]))
        routes.append(Route("/api/event_logging/batch", Endpoint(anthropic, _nothing), methods=["POST"]))
        return routes

    # --- calls -----------------------------------------------------------------------------------

    async def _messages(self, exchange: Exchange) -> None:
        body, seen = await received(exchange, self._relay)
        name, plan = await planned(exchange, self._relay, body, seen)
        way = way_through(exchange, plan, _target(exchange.scope), body, "anthropic", ours=_OURS, asked=seen.model)
        call = await prepare(exchange, self._relay, plan, partial(_decode, body), way)
        await answer(exchange, self._relay, call, stamp("msg_", name))

    async def _count(self, exchange: Exchange) -> None:
        body, seen = await received(exchange, self._relay)
        _, plan = await planned(exchange, self._relay, body, seen)
        if is_strict(exchange, self._relay):
            plan = without_successors(plan)
        await exchange.watched(self._counted(exchange, plan, body))

    async def _counted(self, exchange: Exchange, plan: Plan, body: bytes) -> None:
        """The size of a prompt, as the first model that can say counts it; Anthropic's own answer as it comes."""
        version, strict = exchange.header(b"anthropic-version"), is_strict(exchange, self._relay)

        async def once(server: UpstreamServer, resolution: Resolution) -> tuple[Resolution, Whole | Count]:
            if _as_written(resolution):
                whole = await passed(exchange, server, _target(exchange.scope), _for_model(body, resolution.card.id))
                return resolution, whole
            call = Call(anthropic, plan, partial(_decode, body), strict=strict, version=version)
            try:
                return resolution, await self._relay.carrier.counted(call, server, resolution)
            except GatewayError as error:
                raise UnfitError(error) from None

        if len(plan.candidates) == 1 and _as_written(plan.candidates[0]):
            resolution = plan.candidates[0]
            exchange.report = partial(_counter, resolution, "upstream")
            server = self._relay.server(resolution.card.upstream)
            await _forward(exchange, server, _for_model(body, resolution.card.id))
            return
        resolution, got = await self._relay.tried(plan, once)
        exchange.report = partial(_counter, resolution, got.how if isinstance(got, Count) else "upstream")
        if isinstance(got, Count):
            await exchange.reply(anthropic.encode_count(got.tokens))
        else:
            await exchange.relay(200, got.headers, got.body)

    async def _batches(self, exchange: Exchange) -> None:
        await self._pass(exchange, "message batches", partial(_with_own_address, _address(exchange)))

    async def _files(self, exchange: Exchange) -> None:
        """OpenAI's clients keep files of theirs at the same address; those are nothing that Anthropic should get."""
        if not exchange.header(b"anthropic-version"):
            at = f"{exchange.scope['method']} {exchange.scope['path']}"
            raise GatewayError(
                "not_found", f"there is nothing at {at}; for Anthropic's files send the header `anthropic-version`"
            )
        await self._pass(exchange, "files")

    async def _pass(self, exchange: Exchange, what: str, edit: Edit | None = None) -> None:
        """Batches and files are Anthropic's own; nothing in them is for us, but where their results are found."""
        server = self._relay.speaker("anthropic")
        body = await exchange.body(self._relay.settings.max_body)
        if server is None:
            raise GatewayError(
                "not_implemented",
                f"{what} need an Anthropic upstream, and none is configured; send messages one by one",
            )
        await exchange.watched(_forward(exchange, server, body, edit))


def _as_written(resolution: Resolution) -> bool:
    """Whether the model's own server counts just what the client wrote."""
    changed = resolution.derived is not None and resolution.derived.changes
    return resolution.card.dialect == "anthropic" and not changed


def _counter(resolution: Resolution, how: str) -> list[Header]:
    return [*who_answers(resolution), (b"x-dragoman-token-count", how.encode())]


def _decode(body: bytes) -> Request:
    return anthropic.decode_request(parse_object(body))


def _for_model(body: bytes, model: str) -> bytes:
    """The body as it came, for a model.  Thinking that another model than Claude showed bears a mark of ours, and stays
    here."""
    return with_model(without_ours(body, *_OURS)[0], model)


# Paths in which nothing has to be looked at.
_PLAIN = re.compile(r"/[A-Za-z0-9_/-]+").fullmatch


def _target(scope: Scope) -> str:
    """The path and query as they go on.

    The path comes decoded: spaces and line ends in it would make another request of ours, under our key, and dots
    would lead out of what is passed on.
    """
    path = "/v1" + scope["path"].removeprefix("/v1").removeprefix("/v1")
    if not scope["query_string"] and _PLAIN(path):
        return str(path)
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise GatewayError("not_found", f"there is nothing at {scope['path']}")
    query = str(scope["query_string"], "latin-1")
    return quote(path, safe="/:@!$&'()*+,;=") + (f"?{query}" if query else "")


async def _forward(exchange: Exchange, server: UpstreamServer, body: bytes, edit: Edit | None = None) -> None:
    """The request as it came, under our key; the answer as it comes."""
    headers = request_headers(exchange.scope["headers"])
    method = exchange.scope["method"]
    # An answer to HEAD names the length of a body that never comes; ours is left out when the answer is written.
    method = "GET" if method == "HEAD" else method
    connection = await server.forward(method, _target(exchange.scope), headers, body)
    streamed = connection.headers.get("content-type", "").startswith(anthropic.STREAM_TYPE)
    try:
        await pass_on(exchange, Passage(server, connection, tap_for("anthropic", streamed), streamed), edit)
    finally:
        server.release(connection)


# Where a batch's results are: the SDKs call this address as it stands.
_RESULTS = re.compile(rb'("results_url"\s*:\s*")https?://[^/"]+')


def _with_own_address(address: bytes, data: bytes) -> bytes:
    return _RESULTS.sub(lambda found: found[1] + address, data)


def _address(exchange: Exchange) -> bytes:
    """How the client reaches us."""
    scheme = exchange.header(b"x-forwarded-proto") or exchange.scope.get("scheme", "http")
    host = exchange.header(b"x-forwarded-host") or exchange.header(b"host")
    plain = re.fullmatch(r"[\w.:\[\]-]+", host) and scheme in ("http", "https")
    return f"{scheme}://{host}".encode() if plain else b"http://localhost"


async def _nothing(exchange: Exchange) -> None:
    await exchange.reply({})


# --- models --------------------------------------------------------------------------------------


def model_list(entries: Sequence[Entry], query: str) -> Object:
    """The page object of `GET /v1/models`: everything at once, so there is no next page."""
    own_names_first = sorted(entries, key=lambda entry: entry.name != entry.card.id)
    data = [_model(entry) for entry in own_names_first]
    if "after_id=" in query or "before_id=" in query:
        data = []
    ids = [model["id"] for model in data]
    return {
        "data": data,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def model_object(name: str, entry: Entry | None) -> Object:
    """One model.  Raises `GatewayError` for a name nobody knows."""
    if entry is None:
        raise GatewayError("model_not_found", f"model: {name}", param="model")
    return _model(entry)


def _model(entry: Entry) -> Object:
    card = entry.card
    return {
        "type": "model",
        "id": entry.name,
        "display_name": entry.name if entry.derived is not None else card.display_name or card.id,
        "created_at": rfc3339(created(entry)),
        "max_input_tokens": card.context_window,
        "max_tokens": card.max_output_tokens,
    }
