"""Queries of lists: `limit`, `order`, `after`, and what is included.

https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import parse_qs

from dragoman.conversation import JSON, Object
from dragoman.errors import invalid
from dragoman.surfaces.exchange import Exchange

Query = Mapping[str, list[str]]

_PROOFS = "reasoning.encrypted_content"


class Page(TypedDict):
    """Which part of a list."""

    after: str | None
    limit: int
    order: str


def query_of(exchange: Exchange) -> Query:
    """What stands after the `?`, arrays with their brackets or without."""
    found: dict[str, list[str]] = {}
    for name, values in parse_qs(str(exchange.scope["query_string"], "latin-1"), errors="replace").items():
        found.setdefault(name.removesuffix("[]"), []).extend(values)
    return found


def whole_number(query: Query, name: str, default: int, least: int, most: int) -> int:
    """A number of the query.  Raises `GatewayError` for anything else."""
    text = query.get(name, [str(default)])[-1]
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not least <= int(text) <= most:
        raise invalid(f"{name} must be a whole number from {least} to {most}", name)
    return int(text)


def page_of(query: Query) -> Page:
    """The part of a list that is asked for.  Raises `GatewayError`."""
    order = query.get("order", ["desc"])[-1]
    if order not in ("asc", "desc"):
        raise invalid("order must be asc or desc", "order")
    return Page(after=query.get("after", [None])[-1], limit=whole_number(query, "limit", 20, 1, 100), order=order)


def shown(value: JSON, query: Query) -> JSON:
    """A response, a list or an item as the client gets it: with the proofs of its reasoning only where it asks."""
    asked = [name for each in query.get("include", ()) for name in each.split(",")]
    return value if _PROOFS in asked else _without_proofs(value)


def _without_proofs(value: JSON) -> JSON:
    match value:
        case {"object": "response", "output": list(items)}:
            return value | {"output": [without_proof(item) for item in items]}
        case {"object": "list", "data": list(items)}:
            return value | {"data": [without_proof(item) for item in items]}
        case _:
            return without_proof(value)


def without_proof(item: JSON) -> JSON:
    """An item as it is shown to who does not ask for proofs."""
    if isinstance(item, dict) and item.get("type") == "reasoning":
        kept: Object = {name: member for name, member in item.items() if name != "encrypted_content"}
        return kept
    return item
