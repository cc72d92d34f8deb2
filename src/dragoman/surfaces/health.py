"""`/health`: the process is alive.  `/ready`: it can serve, or why it cannot.  Neither wants a key, or tells secrets.

Who restarts processes asks the first: a gateway whose servers are down is not better after a restart.  Who sends them
calls asks the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from starlette.routing import BaseRoute, Route

from dragoman.dialects import ollama
from dragoman.errors import GatewayError
from dragoman.relay.relay import Relay
from dragoman.relay.upstreams import UpstreamServer
from dragoman.surfaces.draining import Draining
from dragoman.surfaces.exchange import Endpoint, Exchange

# How long (seconds) a store that failed is given to answer.
_PATIENCE = 1.0


def health_routes(relay: Relay, draining: Draining | None = None) -> list[BaseRoute]:
    """Both paths."""
    ready = _Readiness(relay, draining or Draining())
    return [
        Route("/health", Endpoint(ollama, _health), methods=["GET"]),
        Route("/ready", Endpoint(ollama, ready.tell), methods=["GET"]),
    ]


async def _health(exchange: Exchange) -> None:
    await exchange.reply({"status": "ok"})


class _Readiness:
    """Whether calls should be sent here."""

    def __init__(self, relay: Relay, draining: Draining) -> None:
        self._relay = relay
        self._draining = draining

    async def tell(self, exchange: Exchange) -> None:
        """200 `{"status": "ready"}`, or 503 `{"status": "not ready", "reasons": […]}`."""
        if reasons := await self._reasons():
            await exchange.reply({"status": "not ready", "reasons": reasons}, 503)
        else:
            await exchange.reply({"status": "ready"})

    async def _reasons(self) -> list[str]:
        reasons = ["shutting down"] if self._draining.begun else []
        reasons += self._unwell()
        return reasons + await self._unstored()

    def _unwell(self) -> Iterator[str]:
        """Why no server can be asked; nothing where one can."""
        directory = self._relay.directory
        directory.look_again()  # what is found out now is known the next time
        whys = [(server.name, self._why(server)) for server in self._relay.servers.values()]
        if whys and not all(why for _, why in whys):
            return
        yield "no upstream is well: " + ("; ".join(f"{name} {why}" for name, why in whys) or "there is none")

    def _why(self, server: UpstreamServer) -> str:
        if server.breaker.refuses:
            return "is left alone after failures"
        # Claude's models are known without the list.
        if server.dialect.NAME != "anthropic" and server.name in self._relay.directory.failures:
            return "does not list its models"
        return ""

    async def _unstored(self) -> list[str]:
        """What is wrong with the store.  One that failed is asked again, or nobody would ever learn that it is back."""
        durable = self._relay.durable
        if durable.failing:
            with suppress(TimeoutError, GatewayError):
                async with asyncio.timeout(_PATIENCE):
                    await durable.probe()
        return ["what is stored cannot be reached"] if durable.failing else []
