"""A response kept for its client: with its input, and with every proof of its reasoning."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import cast

from dragoman.conversation import Object, Reply
from dragoman.dialects.contract import Stamp, StreamEncoder
from dragoman.dialects.openai_responses import Encoder, output_items
from dragoman.errors import GatewayError
from dragoman.relay.call import Call, Passage
from dragoman.store.durable import Durable
from dragoman.surfaces.amending import Amended, pass_on_amended
from dragoman.surfaces.exchange import Exchange

log = logging.getLogger("dragoman.surfaces")


class Memory:
    """What is kept of one response, for `owner`.

    `items` are its own input, `previous` and `conversation` what it goes on from.
    """

    def __init__(
        self,
        store: Durable,
        owner: str,
        items: Sequence[Object] = (),
        *,
        previous: str | None = None,
        conversation: str | None = None,
    ) -> None:
        self._store = store
        self._owner = owner
        self._items = items
        self._previous = previous
        self._conversation = conversation
        self._begun = False

    async def begin(self, response: Object) -> None:
        """Keep a response that is yet to be made.  Raises `GatewayError`."""
        await self._put(response)
        self._begun = True

    async def keep(self, response: Object) -> bool:
        """Keep a response as it is now.  False when nobody wants it any more: it was cancelled, or deleted.

        An answer that cannot be kept is an answer all the same: then the log says why.
        """
        try:
            if self._begun:
                return await asyncio.shield(self._update(response))
            await asyncio.shield(self._put(response))
        except GatewayError as error:
            log.error("the response %s is not kept: %s", response.get("id"), error.message)
        return True

    async def _put(self, response: Object) -> None:
        stores = await self._store.open()
        await stores.responses.put(
            self._owner, response, self._items, previous=self._previous, conversation=self._conversation
        )

    async def _update(self, response: Object) -> bool:
        stores = await self._store.open()
        return await stores.responses.update(self._owner, response)


class Keeping:
    """A `calls.Keeper` for one call.  Without a `memory` nothing is kept.

    `members` are what the gateway, and not the server, knows of a response that is passed on.
    """

    def __init__(self, call: Call, mark: Stamp, memory: Memory | None, members: Mapping[str, object]) -> None:
        self._call = call
        self._mark = mark
        self._memory = memory
        self._members = members

    async def whole(self, reply: Reply, document: Object) -> Object:
        """As `calls.Keeper` says."""
        if self._memory is not None:
            await self._memory.keep(document | {"output": output_items(reply, self._call.request, self._mark)})
        return document

    async def streamed(self, encoder: StreamEncoder) -> None:
        """As `calls.Keeper` says."""
        told = cast(Encoder, encoder)
        if self._memory is not None and told.response is not None:
            await self._memory.keep(told.response | {"output": told.kept})

    async def passed(self, exchange: Exchange, passage: Passage) -> None:
        """As `calls.Keeper` says."""
        await pass_on_amended(exchange, passage, Amended(self._members), self._kept)

    async def _kept(self, response: Object) -> None:
        if self._memory is not None:
            await self._memory.keep(response)
