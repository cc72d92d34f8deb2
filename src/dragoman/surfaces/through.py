"""The way of a Responses request to a server that speaks its dialect itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import msgspec

from dragoman.conversation import JSON
from dragoman.dialects import openai_responses
from dragoman.models.cards import Card
from dragoman.models.refusal import Refusals
from dragoman.models.servers import server_of
from dragoman.relay.call import Plan, Way
from dragoman.relay.passthrough import request_headers, with_model
from dragoman.relay.sparing import has_proofs, refuses_proofs
from dragoman.surfaces.continuing import Asked
from dragoman.surfaces.exchange import Exchange, parse_object

_encode = msgspec.json.Encoder().encode


def through(exchange: Exchange, plan: Plan, asked: Asked, path: str, refusals: Refusals) -> Way | None:
    """Through to a Responses server: the bytes as they are, or, where the gateway is to keep something, the request
    made whole for a server that keeps nothing.  None when none of the plan's servers is one.

    The proofs of its reasoning are asked for, too; a model that has none refuses, and is asked without."""
    if not any(map(speaks, (resolution.card for resolution in plan.candidates))):
        return None
    ours = all(resolution.card.native.get(OURS) for resolution in plan.candidates if speaks(resolution.card))
    readable = _as_it_is if ours else without_ours
    headers, name = request_headers(exchange.scope["headers"]), openai_responses.NAME
    if not asked.stays:
        body, lost = readable(asked.body)
        return Way(dialect=name, path=path, headers=headers, body=partial(with_model, body), lost=lost, takes=speaks)
    bare = {each.card.id for each in plan.candidates if not has_proofs(refusals, each.card.key)}
    body, lost = readable(asked.for_server())

    def without_proofs(model: str) -> bytes:
        return with_model(readable(asked.for_server(proofs=False))[0], model)

    def made(model: str) -> bytes:
        return without_proofs(model) if model in bare and not asked.wants_proofs else with_model(body, model)

    def instead(card: Card, data: bytes) -> bytes | None:
        if asked.wants_proofs or not refuses_proofs(data):
            return None
        refusals.add(card.key, "include")
        return without_proofs(card.id)

    return Way(dialect=name, path=path, headers=headers, body=made, lost=lost, takes=speaks, instead=instead)


OURS = "dragoman"
"""A member of each model in our list: another gateway of this kind knows us by it."""
_MARK = openai_responses.PREFIX.encode()
_THOUGHT = re.compile(rb'"type"\s*:\s*"reasoning"')
_WHY = "a Responses server reads only reasoning that one has sealed"


def _as_it_is(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """Another gateway of this kind reads what any of them has sealed."""
    return body, {}


def without_ours(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """The body for a Responses server: without what another server sealed, or nobody, and what was lost: name → why.

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
