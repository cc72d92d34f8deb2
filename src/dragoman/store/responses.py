"""Responses and their items, kept so that a client can ask for them again, and go on from them by their id alone.

A response and all that were continued from it are a chain.  A chain expires as a whole, some time after it was used
last: a history with holes would be worse than none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, insert, select, update

from dragoman.store import conversations
from dragoman.store.chains import chain_of, history
from dragoman.store.database import Database, used
from dragoman.store.items import Cut, Item, Mint, batches, missing, pack, page, plain, prepared, unpack
from dragoman.store.leases import LEASE, Leases
from dragoman.store.schema import CHAINS, CONVERSATION_ITEMS, CONVERSATIONS, RESPONSE_ITEMS, RESPONSES

log = logging.getLogger("dragoman.store")

RUNNING = ("queued", "in_progress")

# How often (seconds) what has expired is looked for, and how much of it goes at once.
_SWEEP = 60.0
_SWEPT = 200
# So much of the space there is (one part of so many) may be filled before it is swept all the same.
_PART = 8
# How many chains go before it is looked again whether there is room.
_AT_ONCE = 5

# Sides of a response.
_INPUT, _OUTPUT = 0, 1
# States that leave nothing to be remembered by a conversation.
_VOID = ("failed", "cancelled")

_LOST = {"code": "server_error", "message": "the gateway that made this response stopped before it was done"}

_ITEM = RESPONSE_ITEMS.c


class Responses:
    """Each belongs to an `owner` (`durable.owner_of`), and is not there for any other.

    All methods raise GatewayError: not_found, invalid_request, too_large, conflict, or overloaded when the store does
    not work.  With a `ttl` (seconds) of 0 nothing is kept.  Beyond `space` (bytes; 0: there is no bound) of a file the
    chains that were used longest ago go.
    """

    def __init__(self, database: Database, mint: Mint, ttl: float, most_bytes: int, space: int = 0) -> None:
        self._database = database
        self._mint = mint
        self._ttl = ttl
        self._most_bytes = most_bytes
        self._space = space
        self._next_sweep = 0.0
        self._came = 0
        """Bytes that were stored since it was swept."""
        self._leases = Leases(database.clock(), database.steady())

    async def put(
        self,
        owner: str,
        response: Mapping[str, Any],
        items: Iterable[Mapping[str, Any]],
        *,
        previous: str | None = None,
        conversation: str | None = None,
    ) -> None:
        """Keep a Response object, running or done, and its own input `items` (not those of `previous`, nor of
        `conversation`, to which a response that is done adds its input and output).

        Nothing is kept of one that says `"store": false`.  Raises invalid_request, code previous_response_not_found.
        """
        if response.get("store") is False or not self._ttl:
            return
        own, came = prepared(items, self._mint), _Kept.of(response, self._mint)

        def work(connection: Connection) -> None:
            now = self._database.clock()
            if conversation is not None:
                conversations.exists(connection, owner, conversation)
            chain = came.id if previous is None else chain_of(connection, owner, previous, self._oldest())
            _use(connection, chain, now, new=previous is None)
            row = {
                "id": came.id,
                "owner": owner,
                "chain_id": chain,
                "previous_id": previous,
                "conversation_id": conversation,
                "status": came.status,
                "lease": came.lease(now),
                "body": came.body,
            }
            connection.execute(insert(RESPONSES).values(row))
            _put_items(connection, came.id, _INPUT, own)
            _put_output(connection, came, conversation)

        await self._database.write(work)
        self._sweep_in_time(came.size(own))

    async def update(self, owner: str, response: Mapping[str, Any]) -> bool:
        """What became of a response that runs: its state, its output so far or in the end.

        False, and nothing changes, when it runs no more: it was cancelled, deleted, given up, or never kept.
        """
        came = _Kept.of(response, self._mint)

        def work(connection: Connection) -> bool:
            now = self._database.clock()
            own = (RESPONSES.c.id == came.id, RESPONSES.c.owner == owner, RESPONSES.c.lease > 0)
            changed = {"status": came.status, "lease": came.lease(now), "body": came.body}
            if not connection.execute(update(RESPONSES).where(*own).values(changed)).rowcount:
                return False
            row = connection.execute(select(RESPONSES.c.chain_id, RESPONSES.c.conversation_id).where(own[0])).one()
            _use(connection, row.chain_id, now, new=False)
            connection.execute(delete(RESPONSE_ITEMS).where(_ITEM.response_id == came.id, _ITEM.side == _OUTPUT))
            _put_output(connection, came, row.conversation_id)
            return True

        kept = await self._database.write(work) if plain(came.id) else False
        self._sweep_in_time(came.size())
        return kept

    async def get(self, owner: str, id: str) -> dict[str, Any]:
        """The Response object as it is now.  One whose maker is gone has failed."""
        found = await self._database.read(lambda connection: self._found(connection, owner, id))
        if found is None:  # nobody makes it any more
            return await self._database.write(lambda connection: self._ended(connection, owner, id, "failed"))
        return found

    async def cancel(self, owner: str, id: str) -> dict[str, Any]:
        """Have it run no more; the Response object.  One that was done stays as it is."""
        return await self._database.write(lambda connection: self._ended(connection, owner, id, "cancelled"))

    async def renew(self, ids: Sequence[str]) -> set[str]:
        """A sign of life for responses that this process makes, at least each `LEASE` / 3 seconds.

        Those that are still wanted; the others were cancelled or deleted, here or by another process.
        """

        def work(connection: Connection) -> set[str]:
            now = self._database.clock()
            going: set[str] = set()
            for some in batches(ids):
                running = (RESPONSES.c.id.in_(some), RESPONSES.c.lease > 0)
                connection.execute(update(RESPONSES).where(*running).values(lease=now + LEASE))
                going.update(connection.scalars(select(RESPONSES.c.id).where(*running)))
                chains = select(RESPONSES.c.chain_id).where(*running)
                connection.execute(update(CHAINS).where(CHAINS.c.id.in_(chains)).values(used_at=now))
            return going

        return await self._database.write(work) if ids else set()

    async def delete(self, owner: str, id: str) -> None:
        """With its items.  What was continued from it cannot be continued any more."""

        def work(connection: Connection) -> None:
            self._row(connection, owner, id)
            connection.execute(delete(RESPONSES).where(RESPONSES.c.id == id))

        await self._database.write(work)

    async def input_items(
        self, owner: str, id: str, *, after: str | None = None, limit: int = 20, order: str = "desc"
    ) -> dict[str, Any]:
        """Its own input, at most `limit` (1 to 100) items: `{object, data, first_id, last_id, has_more}`."""

        def work(connection: Connection) -> dict[str, Any]:
            self._row(connection, owner, id)
            return page(connection, RESPONSE_ITEMS, _side(id, _INPUT), Cut(after, limit, order))

        return await self._database.read(work)

    async def chain(self, owner: str, id: str) -> list[dict[str, Any]]:
        """Input and output of response `id` and of all before it, the oldest first: what goes before a new input.

        Raises invalid_request, code previous_response_not_found, when it or any before it is not there; too_large
        beyond `most_bytes`.
        """

        def work(connection: Connection) -> list[bytes]:
            return history(connection, owner, id, self._oldest(), self._most_bytes)

        return [unpack(body) for body in await self._database.read(work)]

    async def item(self, owner: str, id: str) -> dict[str, Any] | None:
        """The item of this id, of any of the owner's responses or conversations: what an `item_reference` names."""

        def work(connection: Connection) -> dict[str, Any] | None:
            responses = select(_ITEM.body).select_from(RESPONSE_ITEMS.join(RESPONSES).join(CHAINS))
            responses = responses.where(_ITEM.item_id == id, *self._own(owner))
            named = select(CONVERSATION_ITEMS.c.body).select_from(CONVERSATION_ITEMS.join(CONVERSATIONS))
            named = named.where(CONVERSATION_ITEMS.c.item_id == id, CONVERSATIONS.c.owner == owner)
            body = connection.scalar(responses.limit(1)) or connection.scalar(named.limit(1))
            return None if body is None else unpack(body)

        return await self._database.read(work) if plain(id) else None

    async def sweep(self) -> int:
        """Remove what has expired, or what there is no room for, no more than some hundred at once; how many responses
        that were."""
        return await self._database.sweep(self._sweep)

    # --- in the thread ---

    def _oldest(self) -> float:
        """What was used before is expired."""
        return self._database.clock() - self._ttl

    def _own(self, owner: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return RESPONSES.c.owner == owner, CHAINS.c.used_at > self._oldest()

    def _row(self, connection: Connection, owner: str, id: str) -> Row[Any]:
        own = select(RESPONSES).join(CHAINS).where(RESPONSES.c.id == id, *self._own(owner))
        row = connection.execute(own).one_or_none() if plain(id) else None
        if row is None:
            raise missing("Response", id)
        return row

    def _found(self, connection: Connection, owner: str, id: str) -> dict[str, Any] | None:
        """The Response; None for one that runs only on paper."""
        row = self._row(connection, owner, id)
        return None if row.lease and self._is_over(row.lease) else _whole(connection, row)

    def _is_over(self, lease: float) -> bool:
        return self._leases.is_over(lease, self._database.clock(), self._database.steady())

    def _ended(self, connection: Connection, owner: str, id: str, status: str) -> dict[str, Any]:
        row = self._row(connection, owner, id)
        whole = _whole(connection, row)
        if not row.lease or (status == "failed" and not self._is_over(row.lease)):
            return whole  # somebody was quicker
        changed = {**whole, "status": status, **({"error": _LOST} if status == "failed" else {})}
        values = {"status": status, "lease": 0.0, "body": pack({**changed, "output": []})}
        gone = connection.execute(update(RESPONSES).where(RESPONSES.c.id == id, RESPONSES.c.lease > 0).values(values))
        return changed if gone.rowcount else _whole(connection, self._row(connection, owner, id))

    def _sweep_in_time(self, size: int) -> None:
        """Sweep once a minute, and whenever a good part of the space there is was filled since."""
        now = self._database.clock()
        self._came += size
        full = self._space and self._came > self._space // _PART
        if full or not self._next_sweep - _SWEEP <= now < self._next_sweep:  # the clock may have been set back
            self._next_sweep, self._came = now + _SWEEP, 0
            self._database.sweep_later(self._sweep)

    def _sweep(self, connection: Connection) -> int:
        expired = CHAINS.c.used_at <= self._oldest()
        ids = list(connection.scalars(select(RESPONSES.c.id).join(CHAINS).where(expired).limit(_SWEPT)))
        if ids:
            connection.execute(delete(RESPONSES).where(RESPONSES.c.id.in_(ids)))
        empty = select(CHAINS.c.id).where(expired, ~exists().where(RESPONSES.c.chain_id == CHAINS.c.id)).limit(_SWEPT)
        chains = list(connection.scalars(empty))
        if chains:
            connection.execute(delete(CHAINS).where(CHAINS.c.id.in_(chains)))
        gone = len(ids)
        if gone < _SWEPT and self._space and used(connection) > self._space:
            gone += self._make_room(connection)
        if gone >= _SWEPT:
            self._next_sweep = 0.0  # there is more
        return gone

    def _make_room(self, connection: Connection) -> int:
        """The oldest chains go as a whole, but for those that somebody makes something of; how many responses."""
        running = exists().where(RESPONSES.c.chain_id == CHAINS.c.id, RESPONSES.c.lease > 0)
        oldest = select(CHAINS.c.id).where(~running).order_by(CHAINS.c.used_at).limit(_AT_ONCE)
        gone = 0
        while gone < _SWEPT and used(connection) > self._space and (chains := list(connection.scalars(oldest))):
            gone += connection.execute(delete(RESPONSES).where(RESPONSES.c.chain_id.in_(chains))).rowcount
            connection.execute(delete(CHAINS).where(CHAINS.c.id.in_(chains)))
        if gone:
            log.warning("the store has more than %d bytes: %d responses used longest ago are gone", self._space, gone)
        return gone


class _Kept(NamedTuple):
    """A Response as it is kept: without its output, which is kept as items."""

    id: str
    status: str
    body: bytes
    output: list[Item]

    @classmethod
    def of(cls, response: Mapping[str, Any], mint: Mint) -> _Kept:
        body = pack({**response, "output": []})
        return cls(response["id"], response["status"], body, prepared(response.get("output") or (), mint))

    def size(self, own: Sequence[Item] = ()) -> int:
        """About how many bytes it takes, with its `own` input."""
        return len(self.body) + sum(len(item.body) for item in (*own, *self.output))

    def lease(self, now: float) -> float:
        return now + LEASE if self.status in RUNNING else 0.0


def _use(connection: Connection, chain: str, now: float, *, new: bool) -> None:
    """The chain is used, or begins."""
    if new:
        connection.execute(insert(CHAINS).values(id=chain, used_at=now))
    else:
        connection.execute(update(CHAINS).where(CHAINS.c.id == chain).values(used_at=now))


def _side(id: str, side: int) -> ColumnElement[bool]:
    return (_ITEM.response_id == id) & (_ITEM.side == side)


def _whole(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    outputs = select(_ITEM.body).where(_side(row.id, _OUTPUT)).order_by(_ITEM.position)
    return {**unpack(row.body), "output": [unpack(body) for body in connection.scalars(outputs)]}


def _put_items(connection: Connection, id: str, side: int, items: Sequence[Item]) -> None:
    rows = [
        {"response_id": id, "side": side, "position": i, "item_id": item.id, "body": item.body}
        for i, item in enumerate(items)
    ]
    if rows:
        connection.execute(insert(RESPONSE_ITEMS), rows)


def _put_output(connection: Connection, came: _Kept, conversation: str | None) -> None:
    """The output, and once the response is done what its conversation remembers of it."""
    _put_items(connection, came.id, _OUTPUT, came.output)
    if conversation is not None and came.status not in (*RUNNING, *_VOID):
        order = (_ITEM.side, _ITEM.position)
        rows = connection.execute(
            select(_ITEM.item_id, _ITEM.body).where(_ITEM.response_id == came.id).order_by(*order)
        )
        conversations.append(connection, conversation, [Item(*row) for row in rows])
