"""Earlier reasoning on its way through to servers of OpenAI's kind: some refuse the members that others tell it in.

Programs send back what they were told, also to the next model: what Claude thought is told in `reasoning_content`,
of which OpenAI, Groq and others say that it is unknown.
"""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec.structs import replace

from dragoman.dialects import openai_chat
from dragoman.models.cards import Card
from dragoman.models.refusal import EARLIER, Refusals, refused_member, without
from dragoman.models.servers import server_of
from dragoman.relay.call import Call, Way
from dragoman.surfaces.calls import report
from dragoman.surfaces.exchange import Exchange, Header, parse_object

# How the names of such members begin, and others too (`reasoning_effort`); `thinking_blocks` come with one of these.
_MARK = b'"reasoning'
_NAMES = (b'"reasoning_content"', b'"reasoning"', b'"reasoning_details"')

_encode = msgspec.json.Encoder().encode


class Replayed:
    """The earlier reasoning of one request."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._lost: dict[str, str] = {}

    @classmethod
    def of(cls, body: bytes, refusals: Refusals) -> Replayed | None:
        """None where it says nothing of it, which is mostly known without reading it."""
        if _MARK not in body or not any(name in body for name in _NAMES):
            return None
        document = parse_object(body)
        return cls(refusals) if without(document, EARLIER) != document else None

    def way(self, way: Way, *, strict: bool) -> Way:
        """The same way, where it leads to a server that may read earlier reasoning; the others get a translated call.

        What a server refuses all the same is left out, unless that is an error (`strict`), and known from then on.
        """
        instead = None if strict else partial(self._instead, way)
        return replace(way, takes=partial(self._is_taken, way.dialect), instead=instead)

    def tell(self, exchange: Exchange, call: Call) -> None:
        """Have the answer's headers name what is taken out on the way."""
        exchange.report = partial(self._told, call)

    def _is_taken(self, dialect: str, card: Card) -> bool:
        reads = bool(server_of(card.flavor).replay) and EARLIER not in self._refusals.of(card.key)
        return reads and card.dialect == dialect

    def _instead(self, way: Way, card: Card, data: bytes) -> bytes | None:
        """What is sent to the model in place of what its server refused with `data`; None: nothing else would do."""
        body = parse_object(way.body(card.id))
        if refused_member(body, openai_chat.decode_error(400, data, None)) != EARLIER:
            return None
        self._refusals.add(card.key, EARLIER)
        self._lost["thinking"] = "this model's server refuses earlier reasoning"
        return _encode(without(body, EARLIER))

    def _told(self, call: Call) -> list[Header]:
        for name, why in self._lost.items():
            call.losses.drop(name, why)
        return report(call)
