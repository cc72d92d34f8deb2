"""The catalogue for commands that do not serve: as the configuration has it, and as the upstreams have it now."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from msgspec.structs import replace

from dragoman.config import Settings, Upstream
from dragoman.dialects import registry
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Catalogue, build
from dragoman.relay.derivations import kept
from dragoman.relay.directory import catalogue_of, gather
from dragoman.relay.upstreams import UpstreamServer


def configured(chosen: Settings) -> Catalogue:
    """What is known before anybody is asked; where nothing is configured, what the demo has."""
    if not chosen.upstreams:
        return build(chosen.aliases, default=chosen.default_model, retired=chosen.retired)
    return catalogue_of(chosen, chosen.upstreams)


def with_kept(catalogue: Catalogue, chosen: Settings) -> Catalogue:
    """The same with the derived models of the store; a store that cannot be read is logged, and has none."""
    try:
        return catalogue.with_derived(asyncio.run(kept(chosen)))
    except GatewayError:
        return catalogue


def gathered(chosen: Settings, asked: Collection[str] | None = None) -> Catalogue:
    """The catalogue with the lists that the upstreams have now: of all of them, or of those called as in `asked`.

    A list that cannot be had changes nothing, and is logged.
    """
    catalogue = configured(chosen)
    wanted = tuple(upstream for upstream in chosen.upstreams if asked is None or upstream.name in asked)
    if wanted:
        dialects = registry()

        def serve(upstream: Upstream) -> UpstreamServer:
            return UpstreamServer(upstream, dialects[upstream.dialect], chosen.timeouts)

        live = asyncio.run(gather(replace(chosen, upstreams=wanted), serve))
        for upstream in wanted:
            catalogue = catalogue.with_source(live.sources[upstream.name])
    return catalogue
