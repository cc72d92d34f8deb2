"""`/v1/responses`: made, kept, asked for again.  https://platform.openai.com/docs/api-reference/responses

What is kept is kept here, for the key that made it, whoever answered: no server behind us is asked to keep anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.routing import BaseRoute, Route

from dragoman.dialects import openai_responses
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError, invalid
from dragoman.relay.call import Call
from dragoman.relay.relay import Relay
from dragoman.store.durable import Stores
from dragoman.surfaces.background import Background, Running
from dragoman.surfaces.calls import answer, planned, prepare, received, stamp
from dragoman.surfaces.continuing import Asked, asked_for
from dragoman.surfaces.exchange import Endpoint, Exchange
from dragoman.surfaces.keeping import Keeping, Memory
from dragoman.surfaces.measuring import compact, count_input
from dragoman.surfaces.owner import owner_in
from dragoman.surfaces.paging import page_of, query_of, shown, whole_number
from dragoman.surfaces.passing import last_frame
from dragoman.surfaces.through import through

_MOST_EVENTS = 2**31
# Seconds between two looks at a response that another process makes.
_LOOK = 1.0


class ResponsesSurface:
    """`/v1/responses`, and the same paths without the prefix."""

    def __init__(self, relay: Relay, background: Background) -> None:
        self._relay = relay
        self._background = background
        self._store = background.store

    def routes(self) -> list[BaseRoute]:
        table = [
            ("", "POST", self._create),
            ("", "GET", self._upgrade),
            ("/input_tokens", "POST", self._count),
            ("/compact", "POST", self._compact),
            ("/{id}", "GET", self._retrieve),
            ("/{id}", "DELETE", self._delete),
            ("/{id}/cancel", "POST", self._cancel),
            ("/{id}/input_items", "GET", self._input_items),
        ]
        return [
            Route(f"{prefix}/responses{path}", Endpoint(openai_responses, handle), methods=[method])
            for prefix in ("/v1", "")
            for path, method, handle in table
        ]

    # --- made ------------------------------------------------------------------------------------

    async def _create(self, exchange: Exchange) -> None:
        body, seen = await received(exchange, self._relay)
        owner = owner_in(exchange, self._relay.settings)
        asked = await asked_for(body, self._store, owner)
        name, plan = await planned(exchange, self._relay, asked.body, seen)
        mark = stamp("resp_", name)
        way = through(exchange, plan, asked, "/v1/responses", self._relay.carrier.refusals)
        call = await prepare(exchange, self._relay, plan, asked.decoded, way)
        memory = self._memory(asked, owner, mark) if asked.keeps else None
        keeper = Keeping(call, mark, memory, asked)
        if asked.background and memory is not None:
            running = Running(call.request, mark, memory, owner)
            await self._in_background(exchange, call, running, keeper)
        else:
            await answer(exchange, self._relay, call, mark, keeper)

    def _memory(self, asked: Asked, owner: str, mark: Stamp) -> Memory:
        return Memory(self._store, owner, asked.own(mark.id), previous=asked.previous, conversation=asked.conversation)

    async def _in_background(self, exchange: Exchange, call: Call, running: Running, keeper: Keeping) -> None:
        async def work(own: Exchange) -> None:
            await answer(own, self._relay, call, running.mark, keeper)

        queued = await self._background.start(running, exchange, work)
        if call.request.stream:
            await exchange.watched(_play(exchange, running.tape.played(0)))
        else:
            await exchange.reply(queued)

    async def _count(self, exchange: Exchange) -> None:
        await count_input(exchange, self._relay, self._store)

    async def _compact(self, exchange: Exchange) -> None:
        await compact(exchange, self._relay, self._store)

    async def _upgrade(self, exchange: Exchange) -> None:
        """Agents try a WebSocket first, and go on without one when they are told so at once.

        https://www.rfc-editor.org/rfc/rfc9110#section-15.5.22: the answer names what is spoken here instead.
        """
        if exchange.header(b"upgrade").lower() == "websocket":
            error = invalid("there is no WebSocket here: send POST /v1/responses with stream: true")
            exchange.extra += [(b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"), (b"connection", b"close")]
            await exchange.reply(openai_responses.encode_error(error), 426)
            return
        exchange.extra.append((b"allow", b"POST"))
        raise GatewayError("method_not_allowed", f"{exchange.scope['path']} takes POST, not GET")

    # --- asked for again -------------------------------------------------------------------------

    async def _retrieve(self, exchange: Exchange) -> None:
        id, owner, query = _id(exchange), owner_in(exchange, self._relay.settings), query_of(exchange)
        stores = await self._stores(id)
        response = await stores.responses.get(owner, id)
        if query.get("stream", [""])[-1].lower() not in ("true", "1"):
            await exchange.reply(shown(response, query))
            return
        after = whole_number(query, "starting_after", 0, 0, _MOST_EVENTS) + 1 if "starting_after" in query else 0
        tape = self._background.tape(owner, id)
        events = self._replayed(owner, id, after) if tape is None or not tape.frames else tape.played(after)
        await exchange.watched(_play(exchange, events))

    async def _replayed(self, owner: str, id: str, after: int) -> AsyncIterator[bytes]:
        """The events of a response whose own are gone, once it is done: as if each item had come at once."""
        stores = await self._store.open()
        response = await stores.responses.get(owner, id)
        while response["status"] in ("queued", "in_progress"):  # another process makes it
            await asyncio.sleep(_LOOK)
            response = await stores.responses.get(owner, id)
        yield b"".join(openai_responses.replay(shown(response, {}))[after:])

    async def _delete(self, exchange: Exchange) -> None:
        id = _id(exchange)
        await (await self._stores(id)).responses.delete(owner_in(exchange, self._relay.settings), id)
        self._background.stop(id)
        await exchange.reply({"id": id, "object": "response", "deleted": True})

    async def _cancel(self, exchange: Exchange) -> None:
        id, owner = _id(exchange), owner_in(exchange, self._relay.settings)
        responses = (await self._stores(id)).responses
        if not (await responses.get(owner, id)).get("background"):
            raise invalid("Only responses that are made in the background can be cancelled; close the connection.")
        cancelled = await responses.cancel(owner, id)
        self._background.stop(id)
        await exchange.reply(shown(cancelled, query_of(exchange)))

    async def _input_items(self, exchange: Exchange) -> None:
        id, query = _id(exchange), query_of(exchange)
        page = page_of(query)
        responses = (await self._stores(id)).responses
        items = await responses.input_items(owner_in(exchange, self._relay.settings), id, **page)
        await exchange.reply(shown(items, query))

    async def _stores(self, id: str) -> Stores:
        """The store; who never kept anything does not open it to learn that."""
        if self._store.empty:
            raise GatewayError("not_found", f"Response with id '{id}' not found.")
        return await self._store.open()


def _id(exchange: Exchange) -> str:
    id: str = exchange.scope["path_params"]["id"]
    return id


async def _play(exchange: Exchange, events: AsyncIterator[bytes]) -> None:
    await exchange.begin_stream()
    try:
        async for data in events:
            if data:
                await exchange.write(data)
    except asyncio.CancelledError:
        await exchange.write(last_frame(exchange.dialect, exchange.cause()))
    await exchange.end_stream()
