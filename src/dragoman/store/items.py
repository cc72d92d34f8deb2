"""Items as rows: their JSON, their ids, and pages of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, func, select

from dragoman.errors import GatewayError, invalid

T = TypeVar("T")

Mint = Callable[[str], str]
"""A new id that begins so: `ids.fresh`."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_LONGEST_ID = 256
_MOST = 100
_BATCH = 500

# https://platform.openai.com/docs/api-reference/responses/object: by which letters ids of each type begin.
_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "compaction": "cmp_",
}


class Item(NamedTuple):
    """An item under its id, as JSON."""

    id: str
    body: bytes


class Cut(NamedTuple):
    """Which part of a list: what follows the item `after`, no more than `limit`, "asc" or "desc"."""

    after: str | None
    limit: int
    order: str


def pack(value: Mapping[str, Any]) -> bytes:
    """JSON, also of text that UTF-8 has no bytes for."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def unpack(body: bytes) -> dict[str, Any]:
    """What `pack` was given."""
    try:
        value: dict[str, Any] = _decode(body)
    except msgspec.DecodeError:
        value = json.loads(body)
    return value


def plain(id: object) -> bool:
    """Whether it can be the id of anything here; what a client sends may be any text."""
    return isinstance(id, str) and 0 < len(id) <= _LONGEST_ID and id.isascii() and id.isprintable()


def prepared(items: Iterable[Mapping[str, Any]], mint: Mint) -> list[Item]:
    """The items with their ids, those that have none with new ones."""
    ready = []
    for item in items:
        id = item.get("id")
        if not plain(id):
            kind = item.get("type", "message")
            id = mint(_PREFIXES.get(kind, "item_") if isinstance(kind, str) else "item_")
            item = {**item, "id": id}
        ready.append(Item(str(id), pack(item)))
    return ready


def page(connection: Connection, table: Table, scope: ColumnElement[bool], cut: Cut) -> dict[str, Any]:
    """One page of a list, in OpenAI's words.  https://platform.openai.com/docs/api-reference/responses/input-items"""
    upwards, limit = cut.order == "asc", max(1, min(cut.limit, _MOST))
    rows = select(table.c.item_id, table.c.body).where(scope).limit(limit + 1)
    rows = rows.order_by(table.c.position if upwards else table.c.position.desc())
    if cut.after is not None:
        place = select(func.min(table.c.position)).where(scope, table.c.item_id == cut.after)
        position = connection.scalar(place) if plain(cut.after) else None
        if position is None:
            raise invalid(f"Item with id '{cut.after}' not found.", "after")
        rows = rows.where(table.c.position > position if upwards else table.c.position < position)
    return listed([Item(*row) for row in connection.execute(rows)], limit)


def listed(items: Sequence[Item], limit: int) -> dict[str, Any]:
    """The first `limit` of the items as a list object."""
    shown = items[:limit]
    return {
        "object": "list",
        "data": [unpack(item.body) for item in shown],
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": len(items) > limit,
    }


def bytes_of(connection: Connection, table: Table, scope: ColumnElement[bool]) -> int:
    """How large the items are together, without reading them."""
    return connection.scalar(select(func.coalesce(func.sum(func.length(table.c.body)), 0)).where(scope)) or 0


def batches(values: Sequence[T]) -> Iterable[Sequence[T]]:
    """So many at a time as one statement takes."""
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


def missing(what: str, id: str) -> GatewayError:
    """There is nothing of this id, or it is somebody else's, which nobody is told."""
    return GatewayError("not_found", f"{what} with id '{id}' not found.")
