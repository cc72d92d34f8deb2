"""`/v1/conversations`: named lists of items.  https://platform.openai.com/docs/api-reference/conversations"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from dragoman.conversation import JSON, Object
from dragoman.dialects import openai_responses
from dragoman.errors import GatewayError, invalid
from dragoman.ids import fresh
from dragoman.relay.relay import Relay
from dragoman.store.durable import Durable
from dragoman.surfaces.exchange import Endpoint, Exchange, parse_object
from dragoman.surfaces.owner import owner_in
from dragoman.surfaces.paging import page_of, query_of, shown

if TYPE_CHECKING:
    from dragoman.store.conversations import Conversations

# What the API takes at once.
_MOST_ITEMS = 20
_MOST_PAIRS, _MOST_NAME, _MOST_VALUE = 16, 64, 512


class ConversationsSurface:
    """`/v1/conversations`, and the same paths without the prefix."""

    def __init__(self, relay: Relay, store: Durable) -> None:
        self._relay = relay
        self._store = store

    def routes(self) -> list[BaseRoute]:
        table = [
            ("", "POST", self._create),
            ("/{id}", "GET", self._retrieve),
            ("/{id}", "POST", self._update),
            ("/{id}", "DELETE", self._delete),
            ("/{id}/items", "GET", self._items),
            ("/{id}/items", "POST", self._add),
            ("/{id}/items/{item}", "GET", self._item),
            ("/{id}/items/{item}", "DELETE", self._remove),
        ]
        return [
            Route(f"{prefix}/conversations{path}", Endpoint(openai_responses, handle), methods=[method])
            for prefix in ("/v1", "")
            for path, method, handle in table
        ]

    async def _create(self, exchange: Exchange) -> None:
        data = await exchange.body(self._relay.settings.max_body)
        body = parse_object(data) if data else {}
        metadata, items = _metadata(body.get("metadata")), _given(body)
        conversations = (await self._store.open()).conversations
        await exchange.reply(await conversations.create(self._owner(exchange), metadata, items))

    async def _retrieve(self, exchange: Exchange) -> None:
        id, conversations = await self._named(exchange)
        await exchange.reply(await conversations.get(self._owner(exchange), id))

    async def _update(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        metadata = _metadata(body.get("metadata"))
        id, conversations = await self._named(exchange)
        await exchange.reply(await conversations.update(self._owner(exchange), id, metadata))

    async def _delete(self, exchange: Exchange) -> None:
        id, conversations = await self._named(exchange)
        await conversations.delete(self._owner(exchange), id)
        await exchange.reply({"id": id, "object": "conversation.deleted", "deleted": True})

    async def _items(self, exchange: Exchange) -> None:
        query = query_of(exchange)
        page = page_of(query)
        id, conversations = await self._named(exchange)
        await exchange.reply(shown(await conversations.items(self._owner(exchange), id, **page), query))

    async def _add(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        items = _given(body)
        if not items:
            raise invalid("items is required", "items")
        id, conversations = await self._named(exchange)
        added = await conversations.add(self._owner(exchange), id, items)
        await exchange.reply(shown(added, query_of(exchange)))

    async def _item(self, exchange: Exchange) -> None:
        id, conversations = await self._named(exchange)
        item = await conversations.item(self._owner(exchange), id, exchange.scope["path_params"]["item"])
        await exchange.reply(shown(item, query_of(exchange)))

    async def _remove(self, exchange: Exchange) -> None:
        id, conversations = await self._named(exchange)
        item = exchange.scope["path_params"]["item"]
        await exchange.reply(await conversations.remove(self._owner(exchange), id, item))

    # --- what all of them need -------------------------------------------------------------------

    def _owner(self, exchange: Exchange) -> str:
        return owner_in(exchange, self._relay.settings)

    async def _named(self, exchange: Exchange) -> tuple[str, Conversations]:
        """The id in the path, and where it may be."""
        id: str = exchange.scope["path_params"]["id"]
        if self._store.empty:
            raise GatewayError("not_found", f"Conversation with id '{id}' not found.")
        return id, (await self._store.open()).conversations


def _given(body: Object) -> list[Object]:
    """The items of a body, each with an id."""
    given: JSON = body.get("items")
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise invalid("items must be an array of objects", "items")
    if len(given) > _MOST_ITEMS:
        raise invalid(f"items has {len(given)} items; {_MOST_ITEMS} are taken at once", "items")
    for index, item in enumerate(given):
        if not isinstance(item.get("type"), str) and not isinstance(item.get("role"), str):
            raise invalid(f"items[{index}].type is required", f"items[{index}].type")
    return openai_responses.input_items({"input": given}, fresh("conv_"))


def _metadata(value: JSON) -> Object:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise invalid("metadata must be an object with strings", "metadata")
    if len(value) > _MOST_PAIRS:
        raise invalid(f"metadata may have {_MOST_PAIRS} members", "metadata")
    for name, text in value.items():
        if len(name) > _MOST_NAME or len(text) > _MOST_VALUE:
            raise invalid(f"metadata takes names of {_MOST_NAME} and values of {_MOST_VALUE} characters", "metadata")
    return value
