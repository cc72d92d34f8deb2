"""A response kept for its client: with its input, and with every proof of its reasoning."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal, cast

from dragoman.conversation import Object, Reply
from dragoman.dialects.contract import Stamp, StreamEncoder
from dragoman.dialects.openai_responses import Encoder, output_items
from dragoman.errors import GatewayError
from dragoman.relay.call import Call, Passage
from dragoman.store.durable import Durable
from dragoman.surfaces.amending import Amended, pass_on_amended, unkept
from dragoman.surfaces.continuing import Asked
from dragoman.surfaces.exchange import Exchange

log = logging.getLogger("dragoman.surfaces")

Kept = Literal["kept", "unwanted", "lost"]
"""What became of a response that was to be kept.  Unwanted: it was cancelled, or deleted."""


class Memory:
    """What is kept of one response, for `owner`.

    `items` are its own input, `previous` and `conversation` what it goes on from.  `late` is one that was begun and
    could not be kept when it was done: it is worth another try.
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
        self.late: Object | None = None

    async def begin(self, response: Object) -> None:
        """Keep a response that is yet to be made.  Raises `GatewayError`."""
        await self._put(response)
        self._begun = True

    async def keep(self, response: Object) -> Kept:
        """Keep a response as it is now.

        An answer that cannot be kept is an answer all the same: then the log says why.
        """
        try:
            if self._begun:
                wanted = await asyncio.shield(self._update(response))
                self.late = None
                return "kept" if wanted else "unwanted"
            await asyncio.shield(self._put(response))
        except GatewayError as error:
            log.error("the response %s is not kept: %s", response.get("id"), error.message)
            self.late = response if self._begun else None
            return "lost"
        return "kept"

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

    Of a response that is passed on the gateway knows more than the server does: see `Asked.members`.
    """

    def __init__(self, call: Call, mark: Stamp, memory: Memory | None, asked: Asked) -> None:
        self._call = call
        self._mark = mark
        self._memory = memory
        self._asked = asked

    async def whole(self, reply: Reply, document: Object) -> Object:
        """As `calls.Keeper` says."""
        if self._memory is None:
            return document
        kept = await self._kept(document | {"output": output_items(reply, self._call.request, self._mark)})
        return document if kept else document | {"store": False}

    async def streamed(self, encoder: StreamEncoder, data: bytes) -> bytes:
        """As `calls.Keeper` says."""
        told = cast(Encoder, encoder)
        if self._memory is None or told.response is None:
            return data
        return data if await self._kept(told.response | {"output": told.kept}) else unkept(data)

    async def passed(self, exchange: Exchange, passage: Passage) -> None:
        """As `calls.Keeper` says."""
        hides = self._memory is not None and not self._asked.wants_proofs
        await pass_on_amended(exchange, passage, Amended(self._asked.members(self._mark.id), hides=hides), self._kept)

    async def _kept(self, response: Object) -> bool:
        """Whether what the client is told of it is true; else the report says what is not."""
        if self._memory is None or await self._memory.keep(response) != "lost":
            return True
        self._call.losses.drop("store", "what this gateway stores cannot be written now")
        return False
