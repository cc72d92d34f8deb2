"""The way of a Responses request to a server that speaks its dialect itself."""

from __future__ import annotations

from functools import partial

import msgspec

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
    lost = {}
    if openai_responses.PREFIX.encode() in body:
        document = parse_object(body)
        lost = dict.fromkeys(openai_responses.without_envelopes(document), "only the server that sealed it can read it")
        body = _encode(document)
    headers = request_headers(exchange.scope["headers"])
    name = openai_responses.NAME
    return Way(dialect=name, path=path, headers=headers, body=partial(with_model, body), lost=lost, takes=speaks)


def speaks(card: Card) -> bool:
    """Whether the model's server has a good `/v1/responses`."""
    return card.dialect == openai_responses.NAME or (card.dialect == "openai_chat" and server_of(card.flavor).responses)
