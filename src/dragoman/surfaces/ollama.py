"""The paths Ollama programs call.  https://docs.ollama.com/api"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Literal

import msgspec
from msgspec.structs import replace
from starlette.routing import BaseRoute, Route

from dragoman.conversation import Object, Request
from dragoman.dialects import ollama
from dragoman.dialects.ollama import generate
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.models.catalogue import Entry, Resolution
from dragoman.models.derived import shown
from dragoman.relay.call import Plan
from dragoman.relay.passthrough import with_model, with_name
from dragoman.relay.relay import Relay
from dragoman.relay.upstreams import UpstreamServer
from dragoman.surfaces.calls import Handler, answer, planned, prepare, received, stamp, way_through
from dragoman.surfaces.embeddings import OLLAMA, OLLAMA_LEGACY, embed
from dragoman.surfaces.exchange import Endpoint, Exchange, parse_object
from dragoman.surfaces.listing import (
    architecture,
    details,
    digest,
    entry_of,
    modified,
    rfc3339,
    size,
    tagged,
    template,
    visible,
)
from dragoman.surfaces.managed import Managed
from dragoman.surfaces.management import Management, named
from dragoman.surfaces.passing import Whole, passed

# What we say we are: new enough for every client that asks, plain dotted numbers for those that count.
VERSION = "0.33.0"

_FOREVER = timedelta(days=365 * 292)
# How long (seconds) an Ollama server may take to say what it has loaded.
_PS_PATIENCE = 2.0
# Bytes.  A request that only wants a model loaded has nothing in it.
_MOST_PROBE = 4096
_encode = msgspec.json.Encoder().encode

_ABSENT: tuple[tuple[str, str, str], ...] = (
    ("/api/experimental/{name:path}", "POST", "this gateway does not search or fetch the web for its clients"),
)


# A client may call a model by any name, and ask that it stays for ever.
_MAX_LOADED = 1000
_MAX_NAME = 256


class Loaded:
    """Which models clients believe to be loaded, and until when (monotonic seconds, may be infinite).

    At most `_MAX_LOADED` of them, those called last; a name no program would show is not kept.
    """

    def __init__(self, clock: Callable[[], float], default: float) -> None:
        self._clock = clock
        self._default = default
        self._until: dict[str, tuple[Card, float]] = {}

    def touch(self, name: str, card: Card, keep_alive: float | None) -> None:
        seconds = self._default if keep_alive is None else keep_alive
        self._until.pop(tagged(name), None)
        if seconds == 0 or len(name) > _MAX_NAME:
            return
        self._until[tagged(name)] = (card, self._clock() + seconds)
        if len(self._until) > _MAX_LOADED:
            del self._until[next(iter(self._until))]

    def now(self) -> list[tuple[str, Card, float]]:
        """Name, card and time left in seconds; the longest first."""
        now = self._clock()
        self._until = {name: entry for name, entry in self._until.items() if entry[1] > now}
        rows = [(name, card, until - now) for name, (card, until) in self._until.items()]
        return sorted(rows, key=lambda row: row[2], reverse=True)


class OllamaSurface:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._loaded = Loaded(time.monotonic, relay.settings.keep_alive)

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, str, Handler]] = [
            ("/api/chat", "POST", self._chat),
            ("/api/generate", "POST", self._generate),
            ("/api/tags", "GET", self._tags),
            ("/api/show", "POST", self._show),
            ("/api/ps", "GET", self._ps),
            ("/api/version", "GET", self._version),
            ("/api/status", "GET", self._status),
            ("/api/embed", "POST", self._embed),
            ("/api/embeddings", "POST", self._embeddings),
            ("/api/me", "POST", self._me),
            ("/api/signout", "POST", self._me),
            ("/api/experimental/model-recommendations", "GET", self._recommendations),
            ("/", "GET", self._root),
        ]
        routes: list[BaseRoute] = [
            Route(path, Endpoint(ollama, handle), methods=[verb]) for path, verb, handle in table
        ]
        routes += [Route(path, Endpoint(ollama, _absent(text)), methods=[verb]) for path, verb, text in _ABSENT]
        return [*routes, *Management(self._relay).routes()]

    # --- generation ------------------------------------------------------------------------------

    async def _chat(self, exchange: Exchange) -> None:
        await self._call(exchange, ollama, "/api/chat")

    async def _generate(self, exchange: Exchange) -> None:
        exchange.dialect = generate
        await self._call(exchange, generate, "/api/generate")

    async def _call(self, exchange: Exchange, dialect: ModuleType, path: str) -> None:
        body, seen = await received(exchange, self._relay)
        name, plan = await planned(exchange, self._relay, body, seen)
        way = way_through(exchange, plan, path, body, "ollama")
        card = plan.candidates[0].card
        mark = stamp("", name)
        decode = partial(_decode, dialect, body)
        # A request that only wants a model loaded must not become a call: to another server, or by what is put into it.
        if way is None or (len(body) < _MOST_PROBE and self._may_change(plan)):
            document = parse_object(body)
            probe: Literal["load", "unload"] | None = dialect.probe(document)
            if way is None:
                keep_alive = ollama.keep_alive_seconds(document.get("keep_alive"))
                self._loaded.touch(name, card, 0.0 if probe == "unload" else keep_alive)
            if probe is not None:
                await self._probe(exchange, plan, path, body, dialect.encode_probe(probe, mark))
                return
            decode = partial(dialect.decode_request, document)
        await answer(exchange, self._relay, await prepare(exchange, self._relay, plan, decode, way), mark)

    def _may_change(self, plan: Plan) -> bool:
        """Whether a call of this plan may arrive as anything but what the client wrote."""
        return bool(self._relay.settings.overrides) or any(
            it.card.dialect != "ollama" or it.derived is not None for it in plan.candidates
        )

    async def _probe(self, exchange: Exchange, plan: Plan, path: str, body: bytes, own: Object) -> None:
        """A model is to be loaded, or not to be: Ollama servers are told, for all others we answer ourselves."""
        there = tuple(it for it in plan.candidates if it.card.dialect == "ollama")
        if not there:
            await exchange.reply(own)
            return

        async def once(server: UpstreamServer, resolution: Resolution) -> Whole:
            whole = await passed(exchange, server, path, with_name(body, resolution.card.id))
            return replace(whole, body=with_model(whole.body, own["model"]))

        got = await self._relay.tried(Plan(there), once, again=False)
        await exchange.relay(200, got.headers, got.body)

    async def _embed(self, exchange: Exchange) -> None:
        await embed(exchange, self._relay, OLLAMA)

    async def _embeddings(self, exchange: Exchange) -> None:
        await embed(exchange, self._relay, OLLAMA_LEGACY)

    # --- discovery -------------------------------------------------------------------------------

    async def _root(self, exchange: Exchange) -> None:
        await exchange.reply_bytes(b"Ollama is running", b"text/plain; charset=utf-8")

    async def _version(self, exchange: Exchange) -> None:
        await exchange.reply({"version": VERSION})

    async def _status(self, exchange: Exchange) -> None:
        await exchange.reply({"cloud": {"disabled": True, "source": "config"}})

    async def _recommendations(self, exchange: Exchange) -> None:
        """What `ollama` without a command offers besides the models that are there: nothing."""
        await exchange.reply({"recommendations": []})

    async def _me(self, exchange: Exchange) -> None:
        managed = Managed(self._relay)
        if managed.allowed and exchange.scope["path"] == "/api/me":
            await managed.account(exchange)
            return
        raise GatewayError("authentication", "unauthorized")

    async def _tags(self, exchange: Exchange) -> None:
        await self._relay.recent()
        models = [
            {
                "name": tagged(entry.name),
                "model": tagged(entry.name),
                "modified_at": modified(entry),
                "size": size(entry.card),
                "digest": digest(entry),
                "details": details(entry),
                "capabilities": entry.card.capabilities,
            }
            for entry in visible(self._relay)
        ]
        await exchange.reply({"models": models})

    async def _show(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        name = named(body)
        entry = await entry_of(self._relay, name)
        if entry is None:
            raise GatewayError("model_not_found", f"model '{tagged(name)}' not found", param="model")
        if entry.card.dialect == "ollama":
            server = self._relay.server(entry.card.upstream)
            told = await server.ask("POST", "/api/show", {**body, "model": entry.card.id})
        else:
            told = self._told(exchange, entry)
        if entry.derived is not None and isinstance(told, dict):
            told = shown(entry.derived, told) | {"modified_at": modified(entry)}
        await exchange.reply(told)

    def _told(self, exchange: Exchange, entry: Entry) -> Object:
        """What there is to show of a model that no Ollama server has."""
        card = entry.card
        arch = architecture(card)
        # GitHub Copilot shows the base name to the user, and wants to find the model it asked for under it.
        copilot = exchange.header(b"user-agent").startswith("GitHubCopilotChat/")
        return {
            "license": "",
            "modelfile": f"# {card.display_name or card.id}, behind this gateway\nFROM {card.id}\n",
            "parameters": f"{'num_ctx':<30} {card.context_window}",
            "template": template(card),
            "details": details(entry),
            "model_info": {
                "general.architecture": arch,
                "general.basename": entry.name if copilot else card.display_name or card.id,
                "general.parameter_count": 0,
                f"{arch}.context_length": card.context_window,
                f"{arch}.embedding_length": 0,
            },
            "capabilities": card.capabilities,
            "modified_at": modified(entry),
        }

    async def _ps(self, exchange: Exchange) -> None:
        now = datetime.now(UTC)
        models = [
            {
                "name": name,
                "model": name,
                "size": 0,
                "digest": digest(entry),
                "details": details(entry),
                "expires_at": rfc3339(now + timedelta(seconds=min(left, _FOREVER.total_seconds()))),
                "size_vram": 0,
                "context_length": card.context_window,
            }
            for name, card, left in self._loaded.now()
            for entry in [Entry(name, card, self._relay.catalogue.derived_of(name))]
        ]
        await exchange.reply({"models": await self._really_loaded() + models})

    async def _really_loaded(self) -> list[Object]:
        """What the Ollama servers behind us have in memory.  One that does not say has nothing."""
        servers = [server for server in self._relay.servers.values() if server.dialect.NAME == "ollama"]
        asked = (server.ask("GET", "/api/ps", timeout=_PS_PATIENCE) for server in servers)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        told = (answer.get("models") for answer in answers if isinstance(answer, dict))
        return [model for models in told if isinstance(models, list) for model in models if isinstance(model, dict)]


def _decode(dialect: ModuleType, body: bytes) -> Request:
    request: Request = dialect.decode_request(parse_object(body))
    return request


def _absent(text: str) -> Handler:
    async def handle(exchange: Exchange) -> None:
        raise GatewayError("not_implemented", text)

    return handle
