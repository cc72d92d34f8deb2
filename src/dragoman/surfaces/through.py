"""The way of a Responses request to a server that speaks its dialect itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import msgspec

from dragoman.conversation import JSON
from dragoman.dialects import openai_responses
from dragoman.models.cards import Card
from dragoman.models.servers import server_of
from dragoman.relay.call import Plan, Way
from dragoman.relay.passthrough import request_headers, with_model
from dragoman.surfaces.continuing import Asked
from dragoman.surfaces.exchange import Exchange, parse_object

_encode = msgspec.json.Encoder().encode


def through(exchange: Exchange, plan: Plan, asked: Asked, path: str) -> Way | None:
    """Through to a Responses server: the bytes as they are, or, where the gateway is to keep something, the request
    made whole for a server that keeps nothing.  None when none of the plan's servers is one."""
    if not any(map(speaks, (resolution.card for resolution in plan.candidates))):
        return None
    body = asked.for_server() if asked.stays else asked.body
    body, lost = _without_ours(body)
    headers = request_headers(exchange.scope["headers"])
    name = openai_responses.NAME
    return Way(dialect=name, path=path, headers=headers, body=partial(with_model, body), lost=lost, takes=speaks)


_MARK = openai_responses.PREFIX.encode()
_THOUGHT = re.compile(rb'"type"\s*:\s*"reasoning"')
_WHY = "a Responses server reads only reasoning that one has sealed"


def _without_ours(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """The body without what another server sealed, or nobody, and what was lost: name → why.

    A server that kept nothing looks reasoning up by its proof; it refuses what has none.
    """
    if _MARK not in body and not _THOUGHT.search(body):
        return body, {}
    document = parse_object(body)
    lost = openai_responses.without_envelopes(document) if _MARK in body else set()
    items = document.get("input")
    sealed = [item for item in items if not _is_bare(item)] if isinstance(items, list) else items
    if sealed != items:
        document["input"] = sealed
        lost.add("thinking")
    return (_encode(document) if lost or _MARK in body else body), dict.fromkeys(lost, _WHY)


def _is_bare(item: JSON) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and not item.get("encrypted_content")


def speaks(card: Card) -> bool:
    """Whether the model's server has a good `/v1/responses`."""
    return card.dialect == openai_responses.NAME or (card.dialect == "openai_chat" and server_of(card.flavor).responses)
