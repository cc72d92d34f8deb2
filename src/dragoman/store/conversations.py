"""Conversations: named lists of items that grow.  They do not expire.

https://platform.openai.com/docs/api-reference/conversations
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from dragoman.errors import GatewayError, invalid
from dragoman.store.database import Database
from dragoman.store.items import (
    Cut,
    Item,
    Mint,
    batches,
    bytes_of,
    listed,
    missing,
    pack,
    page,
    plain,
    prepared,
    unpack,
)
from dragoman.store.schema import CONVERSATION_ITEMS, CONVERSATIONS

_ITEM = CONVERSATION_ITEMS.c


class Conversations:
    """Each belongs to an `owner` (`durable.owner_of`), and is not there for any other.

    All methods raise GatewayError: not_found, invalid_request, too_large, or overloaded when the store does not work.
    """

    def __init__(self, database: Database, mint: Mint, most_bytes: int) -> None:
        self._database = database
        self._mint = mint
        self._most_bytes = most_bytes

    async def create(
        self, owner: str, metadata: Mapping[str, Any] | None = None, items: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """A new conversation that begins with `items`; its object `{id, object, created_at, metadata}`."""
        id = self._mint("conv_")
        ready, packed, now = prepared(items, self._mint), pack(metadata or {}), self._database.clock()

        def work(connection: Connection) -> dict[str, Any]:
            row = {"id": id, "owner": owner, "created_at": now, "metadata": packed}
            connection.execute(insert(CONVERSATIONS).values(row))
            _add(connection, id, ready)
            return _object(id, now, packed)

        return await self._database.write(work)

    async def get(self, owner: str, id: str) -> dict[str, Any]:
        """Its object."""
        return await self._database.read(lambda connection: _found(connection, owner, id))

    async def update(self, owner: str, id: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Its object with other metadata, all of it."""
        packed = pack(metadata)

        def work(connection: Connection) -> dict[str, Any]:
            _found(connection, owner, id)
            connection.execute(update(CONVERSATIONS).where(CONVERSATIONS.c.id == id).values(metadata=packed))
            return _found(connection, owner, id)

        return await self._database.write(work)

    async def delete(self, owner: str, id: str) -> None:
        """With its items; responses that were made in it stay."""

        def work(connection: Connection) -> None:
            _found(connection, owner, id)
            connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.id == id))

        await self._database.write(work)

    async def add(self, owner: str, id: str, items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Add items at its end; they come back as a list, with their ids."""
        ready = prepared(items, self._mint)

        def work(connection: Connection) -> dict[str, Any]:
            _found(connection, owner, id, lock=True)
            _add(connection, id, ready)
            return listed(ready, len(ready))

        return await self._database.write(work)

    async def items(
        self, owner: str, id: str, *, after: str | None = None, limit: int = 20, order: str = "desc"
    ) -> dict[str, Any]:
        """A list of at most `limit` (1 to 100) items: `{object, data, first_id, last_id, has_more}`."""

        def work(connection: Connection) -> dict[str, Any]:
            _found(connection, owner, id)
            return page(connection, CONVERSATION_ITEMS, _ITEM.conversation_id == id, Cut(after, limit, order))

        return await self._database.read(work)

    async def item(self, owner: str, id: str, item_id: str) -> dict[str, Any]:
        """One item of it."""

        def work(connection: Connection) -> dict[str, Any]:
            _found(connection, owner, id)
            scope = (_ITEM.conversation_id == id, _ITEM.item_id == item_id)
            body = connection.scalar(select(_ITEM.body).where(*scope)) if plain(item_id) else None
            if body is None:
                raise missing("Item", item_id)
            return unpack(body)

        return await self._database.read(work)

    async def remove(self, owner: str, id: str, item_id: str) -> dict[str, Any]:
        """Take one item out; the object of the conversation."""

        def work(connection: Connection) -> dict[str, Any]:
            found = _found(connection, owner, id, lock=True)
            gone = delete(CONVERSATION_ITEMS).where(_ITEM.conversation_id == id, _ITEM.item_id == item_id)
            if not plain(item_id) or not connection.execute(gone).rowcount:
                raise missing("Item", item_id)
            return found

        return await self._database.write(work)

    async def history(self, owner: str, id: str) -> list[dict[str, Any]]:
        """All of its items, the oldest first: what a model is to read.  Raises too_large beyond `most_bytes`."""

        def work(connection: Connection) -> list[bytes]:
            _found(connection, owner, id)
            scope = _ITEM.conversation_id == id
            if bytes_of(connection, CONVERSATION_ITEMS, scope) > self._most_bytes:
                raise GatewayError(
                    "too_large",
                    f"the conversation '{id}' is larger than the {self._most_bytes} bytes this gateway takes",
                    param="conversation",
                )
            return list(connection.scalars(select(_ITEM.body).where(scope).order_by(_ITEM.position)))

        return [unpack(body) for body in await self._database.read(work)]


def exists(connection: Connection, owner: str, id: str) -> None:
    """Raises not_found for a conversation that is not there."""
    _found(connection, owner, id)


def append(connection: Connection, id: str, items: Sequence[Item]) -> None:
    """Add what it does not have yet; nothing where the conversation itself is gone."""
    if connection.scalar(select(CONVERSATIONS.c.id).where(CONVERSATIONS.c.id == id).with_for_update()) is not None:
        known = _known(connection, id, items)
        _insert(connection, id, [item for item in items if item.id not in known])


def _found(connection: Connection, owner: str, id: str, *, lock: bool = False) -> dict[str, Any]:
    own = select(CONVERSATIONS).where(CONVERSATIONS.c.id == id, CONVERSATIONS.c.owner == owner)
    row = connection.execute(own.with_for_update() if lock else own).one_or_none() if plain(id) else None
    if row is None:
        raise missing("Conversation", id)
    return _object(id, row.created_at, row.metadata)


def _object(id: str, created_at: float, metadata: bytes) -> dict[str, Any]:
    return {"id": id, "object": "conversation", "created_at": int(created_at), "metadata": unpack(metadata)}


def _add(connection: Connection, id: str, items: Sequence[Item]) -> None:
    known = _known(connection, id, items)
    for i, item in enumerate(items):
        if item.id in known:
            raise invalid(f"the conversation has an item with id '{item.id}' already", f"items[{i}].id")
        known.add(item.id)
    _insert(connection, id, items)


def _known(connection: Connection, id: str, items: Sequence[Item]) -> set[str]:
    """The ids of those that it has already."""
    found: set[str] = set()
    for some in batches(items):
        ids = [item.id for item in some]
        found.update(
            connection.scalars(select(_ITEM.item_id).where(_ITEM.conversation_id == id, _ITEM.item_id.in_(ids)))
        )
    return found


def _insert(connection: Connection, id: str, items: Sequence[Item]) -> None:
    last = connection.scalar(select(func.max(_ITEM.position)).where(_ITEM.conversation_id == id))
    start = 0 if last is None else last + 1
    if items:
        rows = [
            {"conversation_id": id, "position": start + i, "item_id": item.id, "body": item.body}
            for i, item in enumerate(items)
        ]
        connection.execute(insert(CONVERSATION_ITEMS), rows)
