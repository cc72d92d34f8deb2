"""One call, start to end: resolved, fitted, sent, tried again while nothing has reached the client, and read.

What is inside a message is not this module's business: see `dialects` and `models`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime

import aiohttp
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.conversation import Event, Fault, PartStart, Reply, Request
from dragoman.dialects.contract import ClientDialect, StreamDecoder
from dragoman.errors import TABLE, GatewayError, Kind, invalid
from dragoman.folding import Fold, unfold
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Catalogue, Resolution
from dragoman.models.restore import Restore, RestoreStream
from dragoman.relay.defaults import apply_override
from dragoman.relay.recall import Recall
from dragoman.relay.upstreams import UpstreamServer, failure
from dragoman.translation import carry

log = logging.getLogger("dragoman.relay")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

# The output limit above which an unstreamed call may run past every idle timeout on its way: it is streamed upstream
# and folded here.  The official SDKs draw the line at the same place (ten minutes at 128,000 tokens an hour).
LONG_OUTPUT = 21_333

_RETRIED: frozenset[Kind] = frozenset({"unreachable", "upstream", "overloaded"})
_MAX_WAIT = 4.0


class Call(Struct, frozen=True):
    """A request ready to be sent.  `request` is the client's own, `body` the upstream's bytes."""

    request: Request
    resolution: Resolution
    losses: Losses
    body: bytes
    restore: Restore | None
    max_tokens: int
    recalls: bool

    @property
    def card(self) -> Card:
        return self.resolution.card


class Stream:
    """An answer that has begun.  `first` are its first events; iterate for the rest, one list a network read.

    The last event of all is a Finish or a Fault.
    """

    def __init__(self, first: list[Event], decoder: StreamDecoder, response: aiohttp.ClientResponse) -> None:
        self.first = first
        self._decoder = decoder
        self._response = response
        self.restore: RestoreStream | None = None
        self.fold: Fold | None = None

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        feed, read = self._decoder.feed, self._response.content.readany
        try:
            while data := await read():
                if events := feed(data):
                    yield self._seen(events)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = failure(error)
            yield self._seen([Fault(reason.kind, reason.message)])
            return
        if events := self._decoder.close():
            yield self._seen(events)

    def _seen(self, events: list[Event]) -> list[Event]:
        if self.restore is not None:
            events = self.restore.feed(events)
        if self.fold is not None:
            self.fold.feed(events)
        return events


class Relay:
    """The upstreams, the catalogue, and what is remembered between calls."""

    def __init__(self, settings: Settings, catalogue: Catalogue, servers: Mapping[str, UpstreamServer]) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.servers = servers
        self.recall = Recall(time.monotonic)

    @staticmethod
    def today() -> date:
        return datetime.now(UTC).date()

    # --- before the call -------------------------------------------------------------------------

    def prepare(self, client: ClientDialect, request: Request, *, strict: bool = False) -> Call:
        """Everything that needs no network.  Raises `GatewayError` for a request that cannot be made.

        With `strict`, a member that cannot be carried is an error rather than a line in the report.
        """
        resolution = self.catalogue.resolve(request.model, self.today())
        card = resolution.card
        losses = Losses(client.SPELLING)
        wanted = apply_override(request, self.settings.overrides, resolution)
        wanted = self.recall.restore(wanted)
        server = self._server(card)
        carried = carry(wanted, client, server.dialect, card, losses, prompt_cache=self.settings.prompt_cache)
        if losses.dropped and (strict or self.settings.strict):
            told = "; ".join(f"{name}: {why}" for name, why in losses.dropped.items())
            raise invalid(f"strict mode: this cannot be carried to {card.id}: {told}", next(iter(losses.dropped)))
        limit = carried.request.max_tokens or card.max_output_tokens
        if limit > LONG_OUTPUT and not carried.body.get("stream"):
            carried.body["stream"] = True
        reasoning = carried.request.reasoning
        thinks = card.thinking.default_on if reasoning is None else reasoning.mode in ("adaptive", "enabled")
        return Call(
            request=request,
            resolution=resolution,
            losses=losses,
            body=_encode(carried.body),
            restore=carried.restore,
            max_tokens=limit,
            recalls=thinks and bool(request.tools),
        )

    def _server(self, card: Card) -> UpstreamServer:
        for server in self.servers.values():
            if card.dialect == server.dialect.NAME:
                return server
        raise GatewayError("unreachable", f"no upstream server is configured for {card.id}")

    # --- the call --------------------------------------------------------------------------------

    async def reply(self, call: Call) -> Reply:
        """The whole answer.  Raises `GatewayError`."""
        for wait in self._attempts():
            try:
                reply = await self._reply_once(call)
                break
            except GatewayError as error:
                await self._wait_or_raise(error, wait)
        if call.restore is not None:
            fold = Fold(reply.origin)
            fold.feed(call.restore.stream().feed(unfold(reply)))
            reply = fold.reply
        if call.recalls:
            self.recall.remember(call.request, reply.content)
        return reply

    async def _reply_once(self, call: Call) -> Reply:
        server = self._server(call.card)
        streamed = call.max_tokens > LONG_OUTPUT
        async with server.post(call.body, stream=streamed) as response:
            if streamed:
                return await _fold(server, response)
            try:
                return server.dialect.decode_reply(_decode(await response.read()))
            except (msgspec.DecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
                raise GatewayError("upstream", "the upstream server's answer is not a message") from error

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        """The answer as it comes.  Raises `GatewayError` while nothing of it is there; after that it is a Fault."""
        async with AsyncExitStack() as stack:
            for wait in self._attempts():
                try:
                    stream = await self._open(call, stack)
                    break
                except GatewayError as error:
                    await stack.aclose()
                    await self._wait_or_raise(error, wait)
            if call.restore is not None:
                stream.restore = call.restore.stream()
            if call.recalls:
                stream.fold = Fold(call.card.dialect)
            stream.first = stream._seen(stream.first)
            yield stream
            if stream.fold is not None and stream.fold.finish is not None:
                self.recall.remember(call.request, stream.fold.reply.content)

    async def _open(self, call: Call, stack: AsyncExitStack) -> Stream:
        """Connect, and read until there is something to say."""
        server = self._server(call.card)
        response = await stack.enter_async_context(server.post(call.body, stream=True))
        decoder = server.dialect.Decoder()
        events: list[Event] = []
        while not events:
            try:
                data = await response.content.readany()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise failure(error) from error
            events = decoder.feed(data) if data else decoder.close()
        _raise_early_fault(events)
        return Stream(events, decoder, response)

    # --- trying again ----------------------------------------------------------------------------

    def _attempts(self) -> list[float | None]:
        """How long to wait after each attempt, in seconds; None: it was the last."""
        return [0.25 * 2**n * random.uniform(0.75, 1.25) for n in range(self.settings.retries)] + [None]

    async def _wait_or_raise(self, error: GatewayError, wait: float | None) -> None:
        if wait is None or error.kind not in _RETRIED or (error.retry_after or 0) > _MAX_WAIT:
            raise error
        log.info("trying again: %s", error.kind)
        await asyncio.sleep(max(wait, error.retry_after or 0))


def _raise_early_fault(events: list[Event]) -> None:
    """A failure before anything was said is an ordinary error, with its own status."""
    for event in events:
        match event:
            case Fault(kind=kind, message=message, retry_after=after):
                raise GatewayError(_kind(kind), message, retry_after=after)
            case PartStart():
                return
            case _:
                pass


def _kind(kind: str) -> Kind:
    return kind if kind in TABLE else "upstream"


async def _fold(server: UpstreamServer, response: aiohttp.ClientResponse) -> Reply:
    decoder, fold = server.dialect.Decoder(), Fold(server.dialect.NAME)
    while data := await response.content.readany():
        fold.feed(decoder.feed(data))
    fold.feed(decoder.close())
    if fold.fault is not None:
        raise GatewayError(_kind(fold.fault.kind), fold.fault.message, retry_after=fold.fault.retry_after)
    return fold.reply


def client_request(call: Call) -> Request:
    """The client's own request, under the name it asked for."""
    return replace(call.request, model=call.resolution.asked)
