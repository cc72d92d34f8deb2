"""From a response back to the first of its chain: what `previous_response_id` stands for."""

from __future__ import annotations

from sqlalchemy import Connection, select

from dragoman.errors import GatewayError
from dragoman.store.items import batches, bytes_of, plain
from dragoman.store.schema import CHAINS, RESPONSE_ITEMS, RESPONSES

MOST = 10_000
"""How many responses a chain may have before a new one."""

_PARAM = "previous_response_id"


def chain_of(connection: Connection, owner: str, id: str, oldest: float) -> str:
    """The chain of response `id`, if it was used after `oldest` (seconds).  Raises previous_response_not_found."""
    own = select(RESPONSES.c.chain_id).join(CHAINS)
    own = own.where(RESPONSES.c.id == id, RESPONSES.c.owner == owner, CHAINS.c.used_at > oldest)
    chain: str | None = connection.scalar(own) if plain(id) else None
    if chain is None:
        raise _not_found(f"Previous response with id '{id}' not found.")
    return chain


def history(connection: Connection, owner: str, id: str, oldest: float, most_bytes: int) -> list[bytes]:
    """The items, as JSON, of response `id` and of all before it, the oldest first.

    Raises previous_response_not_found, too_large, and invalid_request for a response that is not done.
    """
    path = _path(connection, id, chain_of(connection, owner, id, oldest))
    size = sum(bytes_of(connection, RESPONSE_ITEMS, RESPONSE_ITEMS.c.response_id.in_(some)) for some in batches(path))
    if size > most_bytes:
        raise GatewayError(
            "too_large",
            f"'{id}' and the responses before it are {size} bytes, more than the {most_bytes} this gateway takes",
            param=_PARAM,
        )
    found: dict[str, list[bytes]] = {}
    item = RESPONSE_ITEMS.c
    for some in batches(path):
        rows = select(item.response_id, item.body).where(item.response_id.in_(some))
        for response, body in connection.execute(rows.order_by(item.response_id, item.side, item.position)):
            found.setdefault(response, []).append(body)
    return [body for response in path for body in found.get(response, ())]


def _path(connection: Connection, id: str, chain: str) -> list[str]:
    """The ids from the first response of the chain to this one; branches that do not lead here are left out."""
    own = select(RESPONSES.c.id, RESPONSES.c.previous_id, RESPONSES.c.lease).where(RESPONSES.c.chain_id == chain)
    rows = {found: (previous, lease) for found, previous, lease in connection.execute(own)}
    if rows[id][1]:
        raise GatewayError("invalid_request", f"Previous response with id '{id}' is still in progress.", param=_PARAM)
    path: list[str] = []
    step: str | None = id
    while step is not None:
        if step not in rows:
            raise _not_found(f"Previous response with id '{id}' cannot be continued: '{step}' before it was deleted.")
        path.append(step)
        if len(path) > MOST:
            raise GatewayError("too_large", f"more than {MOST} responses stand before this one", param=_PARAM)
        step = rows[step][0]
    return path[::-1]


def _not_found(message: str) -> GatewayError:
    return GatewayError("invalid_request", message, param=_PARAM, code="previous_response_not_found")
