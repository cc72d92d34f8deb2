"""What the upstreams have: the catalogue, and the lists it is kept in step with."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from weakref import WeakSet

import msgspec
from msgspec.structs import replace

from dragoman.config import Settings, Upstream
from dragoman.conversation import JSON, Object
from dragoman.errors import GatewayError
from dragoman.models.cards import Bundle, Card
from dragoman.models.catalogue import Catalogue, Source, anthropic_source, build
from dragoman.models.local import ollama_card, openai_card, with_override
from dragoman.models.servers import flavor_of
from dragoman.models.sources import normal
from dragoman.relay.defaults import find_override
from dragoman.relay.upstreams import UpstreamServer, serve_all

log = logging.getLogger("dragoman.directory")

# In seconds: how soon a list that could not be had is asked for again, how often a local server's is at most, how
# old one may be that a client is shown, and how long a client waits for it.
_RETRY = 60.0
_LOCAL_REFRESH = 60.0
_RECENT = 5.0
_AGAIN = 0.5
_PATIENCE = 2.0
_LIST_TIMEOUT = 30.0
# `/api/show` calls at once.
_AT_ONCE = 4


def catalogue_of(settings: Settings, upstreams: Sequence[Upstream]) -> Catalogue:
    """The catalogue before anybody was asked: what the bundled table and the configuration know."""
    return build(
        settings.aliases,
        default=settings.default_model,
        retired=settings.retired,
        sources=lambda bundle: [_source(upstream, bundle) for upstream in upstreams],
        routes={route.name: tuple(target.model for target in route.targets) for route in settings.routes},
    )


def _source(upstream: Upstream, bundle: Bundle) -> Source:
    if upstream.dialect == "anthropic":
        source = anthropic_source(upstream.name, bundle, upstream.models)
        return replace(source, hide=upstream.hide, prefix=upstream.prefix)
    flavor = upstream.flavor or (flavor_of(upstream.base_url, None) if upstream.dialect in _OPENAI else "")
    return Source(
        name=upstream.name,
        dialect=upstream.dialect,
        patterns=upstream.models,
        hide=upstream.hide,
        prefix=upstream.prefix,
        flavor=flavor,
    )


_OPENAI = ("openai_chat", "openai_responses")
"""Dialects of servers that list their models as OpenAI does."""


class Directory:
    """The catalogue of this moment.  Reading a list never raises: one that cannot be had changes nothing."""

    def __init__(self, settings: Settings, catalogue: Catalogue, servers: Mapping[str, UpstreamServer]) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.servers = servers
        self.failures: dict[str, str] = {}
        """Servers whose lists could not be had when they were last asked for, and why."""
        self.former: WeakSet[UpstreamServer] = WeakSet()
        """Servers of earlier settings that calls still hold on to."""
        self._read_at: dict[UpstreamServer, float] = {}
        self._reading: dict[UpstreamServer, tuple[float, asyncio.Task[bool]]] = {}
        self._changed = asyncio.Event()

    def apply(self, settings: Settings) -> None:
        """Other settings.  An upstream that did not change keeps its server, with all that is known of it."""
        if settings.demo or self.settings.demo:  # the simulator came with the process, and stays as long
            upstreams = tuple(server.upstream for server in self.servers.values())
        else:
            upstreams = settings.upstreams
        servers = serve_all(upstreams, settings)
        catalogue = catalogue_of(settings, upstreams).with_derived(self.catalogue.derived)
        for name, server in self.servers.items():
            if name in servers and server.serves(servers[name].upstream, settings.timeouts):
                server.limits = settings.limits
                servers[name] = server
                # What overrides say of a model is in its card.
                if settings.overrides != self.settings.overrides:
                    self._read_at.pop(server, None)
                elif (source := self.catalogue.sources[name]).live is not None:
                    catalogue = catalogue.with_source(source)
            else:
                self._read_at.pop(server, None)
                self.failures.pop(name, None)
                self.former.add(server)
                server.close()
        self.settings, self.servers, self.catalogue = settings, servers, catalogue
        self._changed.set()

    async def keep_current(self) -> None:
        """Read every list, now, as often as is configured, and when the settings change, until cancelled."""
        while True:
            self._changed.clear()
            wait = await self._read_all() if self.settings.refresh > 0 else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)

    async def _read_all(self) -> float:
        """Seconds until the lists should be read again."""
        refresh = self.settings.refresh
        reading = asyncio.gather(*map(self.read, self.servers.values()))
        changed = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait((reading, changed), return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        wait = refresh if reading.done() and all(reading.result()) else min(_RETRY, refresh)
        if any(server.dialect.NAME != "anthropic" for server in self.servers.values()):
            wait = min(wait, _LOCAL_REFRESH)
        return wait

    def break_off(self, error: GatewayError) -> None:
        """End every answer that has begun, whoever gives it, with `error`."""
        for server in (*self.servers.values(), *self.former):
            server.break_off(error)

    async def recent(self) -> None:
        """Make sure that the lists of local servers, which change by the minute, are new, without waiting for long."""
        if self.settings.refresh > 0:
            reading = [task for began, task in self._look() if began + _PATIENCE > time.monotonic()]
            if reading:
                await asyncio.wait(reading, timeout=_PATIENCE)

    def look_again(self) -> None:
        """As `recent`, for who does not wait at all."""
        if self.settings.refresh > 0:
            self._look()

    def _look(self) -> list[tuple[float, asyncio.Task[bool]]]:
        """Begin to read what is not new.  What is being read, and since when."""
        now = time.monotonic()
        return [
            self._begin(server)
            for server in self.servers.values()
            if server.dialect.NAME != "anthropic" and self._stale(server, now)
        ]

    def perhaps_there(self, name: str) -> GatewayError:
        """Nobody knows `name`, but not every server could be asked."""
        whom = "; ".join(f"{server} could not be asked: {why}" for server, why in self.failures.items())
        return GatewayError("unreachable", f"model '{name}' not found, and {whom}", param="model")

    def _stale(self, server: UpstreamServer, now: float) -> bool:
        """Whether a server's list is worth another look.  One that was not there may be there in a moment."""
        age = _RECENT if server.name not in self.failures else _AGAIN
        return server not in self._read_at or self._read_at[server] + age <= now

    async def read(self, server: UpstreamServer) -> bool:
        """Read one server's list; whether it could be had.  Two who ask at once wait for the same answer."""
        return await asyncio.shield(self._begin(server)[1])

    def _begin(self, server: UpstreamServer) -> tuple[float, asyncio.Task[bool]]:
        reading = self._reading.get(server)
        if reading is None:
            task = asyncio.create_task(self._read(server))
            reading = self._reading[server] = (time.monotonic(), task)
            task.add_done_callback(lambda _: self._reading.pop(server, None))
        return reading

    async def _read(self, server: UpstreamServer) -> bool:
        why = ""
        source: Source | None = None
        try:
            source = await read_source(server, self.catalogue, self.settings)
        except GatewayError as error:
            why = error.message
        except Exception as error:  # a list of no shape that was ever seen
            log.debug("the list of models of %s makes no sense", server.name, exc_info=True)
            why = f"its list of models makes no sense ({type(error).__name__})"
        if server is not self.servers.get(server.name):
            return True  # it is no longer ours
        self._read_at[server] = time.monotonic()
        if why:
            if server.name not in self.failures:
                log.warning("the list of models of %s could not be had: %s", server.name, why)
            self.failures[server.name] = why
            return False
        if self.failures.pop(server.name, None) is not None:
            log.info("%s is there again", server.name)
        if source is not None:
            self.catalogue = self.catalogue.with_source(source)
            log.debug("%s has %d models", server.name, len(source.cards))
        return True


async def gather(settings: Settings, serve: Callable[[Upstream], UpstreamServer]) -> Catalogue:
    """The catalogue as all upstreams have it now, for the command line.  Raises nothing: see `Directory.read`."""
    servers = {upstream.name: serve(upstream) for upstream in settings.upstreams}
    directory = Directory(settings, catalogue_of(settings, settings.upstreams), servers)
    try:
        await asyncio.gather(*(directory.read(server) for server in servers.values()))
    finally:
        for server in servers.values():
            server.close()
    return directory.catalogue


async def read_source(server: UpstreamServer, catalogue: Catalogue, settings: Settings) -> Source | None:
    """What `server` lists now; None when it has no list, or says nothing by it.  Raises `GatewayError`."""
    source = catalogue.sources[server.name]
    match server.dialect.NAME:
        case "ollama":
            source = source.with_cards(await _ollama_cards(server, source))
        case "openai_chat" | "openai_responses" as dialect:
            listed = await _listed(server, "/v1/models")
            flavor = server.upstream.flavor or flavor_of(server.upstream.base_url, listed)
            source = replace(source, flavor=flavor)
            source = source.with_cards(openai_card(entry, server.name, flavor, dialect) for entry in listed or ())
        case _:
            listed = await _listed(server, "/v1/models?limit=1000")
            return source.with_live(listed, catalogue.aliases, catalogue.bundle) if listed else None
    return replace(source, cards=dict(_corrected(source.cards, settings)))


def _corrected(cards: Mapping[str, Card], settings: Settings) -> Iterable[tuple[str, Card]]:
    for key, card in cards.items():
        override = find_override(settings.overrides, card.id, card)
        yield key, card if override is None else with_override(card, override)


async def _listed(server: UpstreamServer, path: str) -> list[Object] | None:
    """The elements of a `GET /v1/models`; None when the server has none."""
    try:
        document = await server.ask("GET", path, timeout=_LIST_TIMEOUT)
    except GatewayError as error:
        if error.kind in ("not_found", "model_not_found", "method_not_allowed") or _not_json(error):
            return None
        raise
    return _objects(document, "data")


def _not_json(error: GatewayError) -> bool:
    return isinstance(error.__cause__, (msgspec.DecodeError, UnicodeDecodeError, RecursionError))


def _objects(document: JSON, member: str) -> list[Object]:
    data = document.get(member) if isinstance(document, dict) else document
    return [element for element in data if isinstance(element, dict)] if isinstance(data, list) else []


async def _ollama_cards(server: UpstreamServer, source: Source) -> list[Card]:
    """Every model of `/api/tags`, with what `/api/show` says of those that are new."""
    tags = _objects(await server.ask("GET", "/api/tags", timeout=_LIST_TIMEOUT), "models")
    turn = asyncio.Semaphore(_AT_ONCE)

    async def card_of(tag: Object) -> Card:
        known = source.cards.get(normal(str(tag.get("model") or tag.get("name") or "")))
        if known is not None and known.native.get("digest") == tag.get("digest") and known.native.get("shown"):
            return known
        show: JSON = None
        async with turn:
            try:
                show = await server.ask("POST", "/api/show", {"model": tag.get("model")}, timeout=_LIST_TIMEOUT)
            except GatewayError as error:
                log.warning("%s does not show %s: %s", server.name, tag.get("model"), error.message)
        return ollama_card(tag, show if isinstance(show, dict) else None, server.name)

    return list(await asyncio.gather(*map(card_of, tags)))
