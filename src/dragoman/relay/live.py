"""The upstream's own list of models, asked for in the background and never waited for."""

from __future__ import annotations

import asyncio
import logging

from dragoman.errors import GatewayError
from dragoman.relay.relay import Relay

log = logging.getLogger("dragoman.live")

_RETRY = 60.0


async def keep_current(relay: Relay) -> None:
    """Correct the relay's catalogue with the live list, now and every `refresh` seconds, until cancelled.

    A list that cannot be had changes nothing.
    """
    refresh = relay.settings.refresh
    while refresh > 0:
        wait = refresh
        for server in relay.servers.values():
            try:
                models = await server.models()
            except GatewayError as error:
                log.warning("the live list of models of %s could not be had: %s", server.name, error.message)
                wait = min(_RETRY, refresh)
            else:
                if models:
                    relay.catalogue = relay.catalogue.with_live(models)
                    log.debug("%s lists %d models", server.name, len(models))
        await asyncio.sleep(wait)
