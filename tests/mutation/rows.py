"""What a row of the tables is: a request, where it goes, and every loss that must be told of it, no more, no less."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dragoman import errors
from dragoman.config import Settings
from dragoman.conversation import Request
from dragoman.dialects import registry
from dragoman.dialects.embeddings import EmbedRequest
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution, build
from dragoman.models.dress import dress
from dragoman.models.open.card import generic
from dragoman.models.servers import Server
from dragoman.relay.call import Call, Plan
from dragoman.relay.carrying import Carrier
from dragoman.translation import sources
from tests.running import TODAY

Object = dict[str, Any]
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Row:
    """`dropped` and `emulated` are exactly what `run` reports.  Of a client's `body` its `places` can be checked.

    `ours`: names that do not stand in the body, because the client left the member out.  `moves`: whether the same is
    told of the same messages further down.
    """

    name: str
    run: Callable[[], Losses]
    dropped: frozenset[str]
    emulated: frozenset[str]
    body: Object | None = None
    ours: frozenset[str] = frozenset()
    again: Callable[[Object], Losses] | None = field(default=None, compare=False)

    def holds(self) -> bool:
        """Whether just that is told."""
        told = self.run()
        return told.dropped.keys() == self.dropped and told.emulated.keys() == self.emulated

    def __str__(self) -> str:
        return self.name


def names(text: str) -> frozenset[str]:
    """Names with blanks between them."""
    return frozenset(text.split())


# --- where requests go -----------------------------------------------------------------------------------


def claude(name: str) -> Card:
    """A model of the bundled table."""
    return build().resolve(name, TODAY).card


def local(dialect: str, flavor: str = "", **members: Any) -> Card:
    """A model on another kind of server, that can do what `capabilities` say, or all there is."""
    return generic("some-model", dialect, "there", flavor=flavor, **members)


# --- rows ------------------------------------------------------------------------------------------------


def row(
    name: str,
    client: str,
    body: Object,
    to: Card,
    *,
    dropped: str = "",
    emulated: str = "",
    ours: str = "",
    moves: bool = True,
    version: str = "2023-06-01",
    **settings: Any,
) -> Row:
    """A request that the relay makes ready for a model.  Names are the client's own, with blanks between them."""

    def again(document: Object) -> Losses:
        return asyncio.run(made(client, document, to, version, settings))

    return Row(
        name,
        lambda: again(body),
        names(dropped),
        names(emulated),
        body=body,
        ours=names(ours),
        again=again if moves else None,
    )


async def made(client: str, body: Object, to: Card, version: str, settings: Object) -> Losses:
    """What the relay's own carrier reports of one call."""
    carrier = Carrier(Settings(**{"fetch": False, **settings}), lambda: 0.0)
    dialect = sources()[client]
    call = Call(dialect, Plan(()), lambda: dialect.decode_request(_decode(_encode(body))), version=version)
    return (await carrier.made(call, Resolution("asked", to))).losses


def mended(
    name: str, client: str, body: Object, to: Card, error: errors.GatewayError, *, dropped: str = "", emulated: str = ""
) -> Row:
    """A request that the model's server refused with `error`, and that is made ready once more."""

    async def twice() -> Losses:
        carrier = Carrier(Settings(fetch=False), lambda: 0.0)
        dialect = sources()[client]
        call = Call(dialect, Plan(()), lambda: dialect.decode_request(_decode(_encode(body))))
        call.sent = await carrier.made(call, Resolution("asked", to))
        return (await carrier.mended(call, error)).losses

    return Row(name, lambda: asyncio.run(twice()), names(dropped), names(emulated))


def dressed(name: str, body: Object, server: Server, *, dropped: str) -> Row:
    """A chat in the words of a `server` of a kind that nobody has named yet."""

    def run() -> Losses:
        losses = Losses()
        dress(body, server, losses)
        return losses

    return Row(name, run, names(dropped), frozenset())


def encoded(name: str, request: Callable[[], Request], target: str, *, dropped: str = "", emulated: str = "") -> Row:
    """A request that a dialect is given as it is: without a model there is nobody to fit it before."""

    def run() -> Losses:
        losses = Losses()
        registry()[target].encode_request(request(), losses)
        return losses

    return Row(name, run, names(dropped), names(emulated))


def embedded(name: str, request: EmbedRequest, wire: Any, *, dropped: str) -> Row:
    """A request for vectors, in the words of a server's `wire`."""

    def run() -> Losses:
        losses = Losses()
        wire.encode_request(request, losses)
        return losses

    return Row(name, run, names(dropped), frozenset())
