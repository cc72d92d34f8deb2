"""The application: every path, the guard around them, and what lives as long as the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import date
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.config import Secret, Settings, Upstream
from dragoman.errors import GatewayError
from dragoman.relay.directory import catalogue_of
from dragoman.relay.relay import Relay, utc_today
from dragoman.relay.upstreams import serve_all
from dragoman.surfaces.anthropic import AnthropicSurface
from dragoman.surfaces.background import Background
from dragoman.surfaces.conversations import ConversationsSurface
from dragoman.surfaces.draining import NAME, Draining
from dragoman.surfaces.exchange import Endpoint, Exchange
from dragoman.surfaces.guard import Guard, dialect_of, not_found
from dragoman.surfaces.health import health_routes
from dragoman.surfaces.metrics import MetricsSurface
from dragoman.surfaces.ollama import OllamaSurface
from dragoman.surfaces.openai import OpenAISurface
from dragoman.surfaces.openapi import OpenAPISurface
from dragoman.surfaces.responses import ResponsesSurface
from dragoman.surfaces.watching import Watched


class Application(NamedTuple):
    """The ASGI application, how it takes other settings while it runs, and how it comes to an end."""

    asgi: ASGIApp
    apply: Callable[[Settings], None]
    draining: Draining
    relay: Relay
    background: Background

    @property
    def settings(self) -> Settings:
        """Those of this moment."""
        return self.relay.settings

    @property
    def in_background(self) -> int:
        """As `draining.Calls` says."""
        return self.background.count

    def break_off(self, error: GatewayError) -> None:
        """As `draining.Calls` says."""
        self.relay.directory.break_off(error)

    async def close_background(self) -> None:
        """As `draining.Calls` says."""
        await self.background.close()


def build_app(settings: Settings, today: Callable[[], date] = utc_today, peers: str = "") -> Application:
    """The application for these settings.  Connections are opened by its lifespan.  `today`: see `Relay`.

    `peers` is a directory that the workers of one gateway share, see `telemetry.peers`; "": there is one worker.
    """
    relay = Relay(settings, catalogue_of(settings, settings.upstreams or (_DEMO,)), {}, today)
    background = Background(relay.durable)
    draining = Draining()
    telemetry = MetricsSurface(relay, peers)
    routes = all_routes(relay, background, draining, telemetry)
    # A router and no application: endpoints answer for their own errors, and every layer costs at every token.
    app = Router(
        [*routes, *_wrong_ways(routes)],
        redirect_slashes=False,
        default=not_found,
        lifespan=lambda _: _lifespan(relay, background, draining, telemetry),
    )
    guard = Guard(_Direct(app, routes), settings)
    telemetry.hide = guard.hide

    def apply(changed: Settings) -> None:
        relay.apply(changed)
        guard.admit_by(changed)

    watched = Watched(guard, relay.metrics, routes, lambda: telemetry.tracer)
    return Application(watched, apply, draining, relay, background)


def all_routes(
    relay: Relay,
    background: Background,
    draining: Draining | None = None,
    telemetry: MetricsSurface | None = None,
) -> list[BaseRoute]:
    """Every path that is served, with its methods."""
    return [
        *OllamaSurface(relay).routes(),
        *OpenAISurface(relay).routes(),
        *ResponsesSurface(relay, background).routes(),
        *ConversationsSurface(relay, background.store).routes(),
        *AnthropicSurface(relay).routes(),
        *health_routes(relay, draining),
        *(telemetry or MetricsSurface(relay)).routes(),
        *OpenAPISurface().routes(),
    ]


class _Direct:
    """Fixed paths by a look-up; the router, which tries one pattern after another, only for the rest."""

    def __init__(self, router: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._router = router
        self._endpoints = {
            (route.path, method): route.app
            for route in routes
            if isinstance(route, Route) and "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope["path"], scope["method"])) if scope["type"] == "http" else None
        await (endpoint or self._router)(scope, receive, send)


def _wrong_ways(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """The same paths for every other method.  A route that fits in full is taken before one whose path alone fits."""
    served = [route for route in routes if isinstance(route, Route)]
    patterns = [route for route in served if "{" in route.path]
    allowed: dict[str, set[str]] = {}
    for route in served:
        allowed.setdefault(route.path, set()).update(route.methods or ())
    for path, methods in allowed.items():
        methods.update(*(route.methods or () for route in patterns if route.path_regex.match(path)))
        yield Route(path, Endpoint(dialect_of(path), partial(_wrong_way, ", ".join(sorted(methods)))))


async def _wrong_way(allowed: str, exchange: Exchange) -> None:
    exchange.extra.append((b"allow", allowed.encode()))
    path, method = exchange.scope["path"], exchange.scope["method"]
    raise GatewayError("method_not_allowed", f"{path} takes {allowed}, not {method}")


_DEMO = Upstream(name="simulator", key=Secret("demo"))
# How long (seconds) serving waits for the first lists of local models.
_FIRST_LISTS = 1.0


@asynccontextmanager
async def _lifespan(
    relay: Relay, background: Background, draining: Draining, telemetry: MetricsSurface
) -> AsyncIterator[dict[str, object]]:
    """The simulator where there is one, the connection pools, and the lists of models."""
    settings = relay.settings
    async with AsyncExitStack() as stack:
        upstreams = settings.upstreams
        if settings.demo:
            upstreams = (replace(_DEMO, base_url=await stack.enter_async_context(_simulator())),)
        relay.directory.servers = serve_all(upstreams, settings)
        relay.durable.look()
        await stack.enter_async_context(telemetry.running())
        refreshers = asyncio.gather(relay.directory.keep_current(), relay.derived.keep_current(), relay.durable.tend())
        first = [relay.derived.recent()]
        if any(upstream.dialect != "anthropic" for upstream in upstreams):
            first.append(relay.directory.recent())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*first), _FIRST_LISTS)
        try:
            yield {NAME: draining}
        finally:
            refreshers.cancel()
            with suppress(asyncio.CancelledError):
                await refreshers
            await background.close()
            for server in relay.servers.values():
                server.close()
            await relay.carrier.recall.close()
            await relay.durable.close()


@asynccontextmanager
async def _simulator() -> AsyncIterator[str]:
    from dragoman.simulator import Simulator  # noqa: PLC0415  only a demo needs it
    from dragoman.simulator.server import running  # noqa: PLC0415

    async with running(Simulator(pace=0.02)) as simulator:
        yield simulator.url
