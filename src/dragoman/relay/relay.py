"""One call, start to end: resolved, fitted, sent, tried again while nothing has reached the client, and read.

What is inside a message is not this module's business: see `dialects` and `models`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.conversation import Part, Reply, Request, Thinking
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError, Kind, invalid
from dragoman.folding import Fold, unfold
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Catalogue, Resolution
from dragoman.models.restore import Restore
from dragoman.relay.defaults import apply_override
from dragoman.relay.recall import Recall
from dragoman.relay.stream import Stream, folded
from dragoman.relay.upstreams import UpstreamServer
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
    """A request ready to be sent.

    `request` is the client's own, `wanted` the same with what is configured and remembered, `body` the upstream's
    bytes.  `streamed`: the upstream streams, whatever the client asked for.
    """

    client: ClientDialect
    request: Request
    wanted: Request
    resolution: Resolution
    losses: Losses
    strict: bool
    body: bytes
    restore: Restore | None
    streamed: bool
    recalls: bool

    @property
    def card(self) -> Card:
        return self.resolution.card


A = TypeVar("A")
Once = Callable[[UpstreamServer, Call], Awaitable[A]]


def utc_today() -> date:
    return datetime.now(UTC).date()


class Relay:
    """The upstreams, the catalogue, and what is remembered between calls.  `today` says which models are retired."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        servers: Mapping[str, UpstreamServer],
        today: Callable[[], date] = utc_today,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.servers = servers
        self.today = today
        self.recall = Recall(time.monotonic)

    # --- before the call -------------------------------------------------------------------------

    def prepare(self, client: ClientDialect, request: Request, *, strict: bool = False) -> Call:
        """Everything that needs no network.  Raises `GatewayError` for a request that cannot be made.

        With `strict`, a member that cannot be carried is an error rather than a line in the report.
        """
        resolution = self.catalogue.resolve(request.model, self.today())
        wanted = apply_override(self.recall.restore(request), self.settings.overrides, resolution)
        strict = strict or self.settings.strict
        losses = Losses(client.SPELLING)
        return self._carry(client, request, wanted, resolution=resolution, losses=losses, strict=strict)

    def _carry(
        self,
        client: ClientDialect,
        request: Request,
        wanted: Request,
        *,
        resolution: Resolution,
        losses: Losses,
        strict: bool,
    ) -> Call:
        card = resolution.card
        upstream = self._server(card).dialect
        prompt_cache = self.settings.prompt_cache
        carried = carry(wanted, client, upstream, card, losses, prompt_cache=prompt_cache, long_output=LONG_OUTPUT)
        if losses.dropped and strict:
            told = "; ".join(f"{name}: {why}" for name, why in losses.dropped.items())
            raise invalid(f"strict mode: this cannot be carried to {card.id}: {told}", next(iter(losses.dropped)))
        reasoning = carried.request.reasoning
        thinks = card.thinking.default_on if reasoning is None else reasoning.mode in ("adaptive", "enabled")
        return Call(
            client=client,
            request=request,
            wanted=wanted,
            resolution=resolution,
            losses=losses,
            strict=strict,
            body=_encode(carried.body),
            restore=carried.restore,
            streamed=carried.request.stream,
            recalls=thinks and bool(request.tools),
        )

    def _unsealed(self, call: Call, error: GatewayError) -> Call:
        """The same call without the thinking that was sent back: the model says it belongs to another conversation.

        It happens when a client rewrites what came before (a clock in the system prompt, another set of tools).
        Strict mode minds only thinking that the client itself sent: what was remembered is no part of its request.
        """
        messages = [replace(message, content=_unsealed(message.content)) for message in call.wanted.messages]
        if error.kind != "unverified_thinking" or messages == call.wanted.messages:
            raise error
        why = "what came before it has changed since the model signed it"
        if any(_unsealed(message.content) != message.content for message in call.request.messages):
            call.losses.drop("thinking", why)
        wanted = replace(call.wanted, messages=messages)
        again = self._carry(
            call.client, call.request, wanted, resolution=call.resolution, losses=call.losses, strict=call.strict
        )
        call.losses.drop("thinking", why)
        return again

    def _server(self, card: Card) -> UpstreamServer:
        return self.server(card.dialect)

    def server(self, dialect: str) -> UpstreamServer:
        """The server that speaks `dialect`.  Raises `GatewayError` when there is none."""
        for server in self.servers.values():
            if dialect == server.dialect.NAME:
                return server
        raise GatewayError("unreachable", f"no upstream server that speaks the {dialect} API is configured")

    # --- the call --------------------------------------------------------------------------------

    async def reply(self, call: Call) -> Reply:
        """The whole answer.  Raises `GatewayError`."""
        call, reply = await self._answered(call, _reply_once)
        if call.restore is not None:
            fold = Fold(reply.origin)
            fold.feed(call.restore.stream().feed(unfold(reply)))
            reply = replace(fold.reply, began=reply.began, spoke=reply.spoke)
        if call.recalls:
            self.recall.remember(call.request, reply.content)
        return reply

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        """The answer as it comes.  Raises `GatewayError` while nothing of it is there; after that it is a Fault."""
        call, stream = await self._answered(call, _open_once)
        try:
            if call.restore is not None:
                stream.restore = call.restore.stream()
            if call.recalls:
                stream.fold = Fold(call.card.dialect)
            stream.first = stream.seen(stream.first)
            yield stream
            if stream.fold is not None and stream.fold.finish is not None:
                self.recall.remember(call.request, stream.fold.reply.content)
        finally:
            self._server(call.card).release(stream.connection)

    # --- trying again ----------------------------------------------------------------------------

    async def _answered(self, call: Call, once: Once[A]) -> tuple[Call, A]:
        """What `once` makes of the call, tried again as often as is worth it, and the call that was answered."""
        try:
            return call, await self._tried(call, once)
        except GatewayError as error:
            call = self._unsealed(call, error)
            return call, await self._tried(call, once)

    async def _tried(self, call: Call, once: Once[A]) -> A:
        server = self._server(call.card)
        for attempt in range(self.settings.retries + 1):
            try:
                return await once(server, call)
            except GatewayError as error:
                await self._wait_or_raise(error, attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _wait_or_raise(self, error: GatewayError, attempt: int) -> None:
        """Wait before the next attempt, or raise `error` when there is none: `attempt` counts from 0."""
        wait = 0.25 * 2**attempt * random.uniform(0.75, 1.25)
        if attempt >= self.settings.retries or error.kind not in _RETRIED or (error.retry_after or 0) > _MAX_WAIT:
            raise error
        log.info("trying again: %s", error.kind)
        await asyncio.sleep(max(wait, error.retry_after or 0))


async def _reply_once(server: UpstreamServer, call: Call) -> Reply:
    connection = await server.post(call.body)
    try:
        if call.streamed:
            return await folded(server, connection)
        body = await server.whole(connection)
    finally:
        server.release(connection)
    try:
        return server.dialect.decode_reply(_decode(body))
    except GatewayError as error:
        error.message = server.hide(error.message)
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, AttributeError) as error:
        raise GatewayError("upstream", "the upstream server's answer is not a message") from error


async def _open_once(server: UpstreamServer, call: Call) -> Stream:
    connection = await server.post(call.body)
    try:
        stream = Stream(server, connection)
        await stream.begin(server.timeouts.idle)
    except BaseException:
        server.release(connection)
        raise
    return stream


def _unsealed(content: list[Part]) -> list[Part]:
    return [part for part in content if not (isinstance(part, Thinking) and part.seal is not None)]
