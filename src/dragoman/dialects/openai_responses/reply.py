"""A finished answer as one Response object: what its stream adds up to."""

from __future__ import annotations

from dragoman.conversation import Object, Reply, Request
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses.encoder import Encoder
from dragoman.folding import unfold


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """The Response object of a finished answer."""
    response = _told(reply, request, stamp).response
    return response if response is not None else {}


def output_items(reply: Reply, request: Request, stamp: Stamp) -> list[Object]:
    """Its items with every proof, for who keeps them for the client."""
    return _told(reply, request, stamp).kept


def _told(reply: Reply, request: Request, stamp: Stamp) -> Encoder:
    encoder = Encoder(request, stamp)
    encoder.feed(unfold(reply))
    return encoder
