"""Would the real API take this request?  A pure function over the body; the answer is `Approved` or `Refused`.

`check` goes through the rules in the order the real API seems to: the shape of the body, the model, what this model
takes, tools, messages, media, cache marks, thinking signatures, and last the size of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator import wire
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.rules_cache import check_cache_marks
from dragoman.simulator.rules_media import check_media
from dragoman.simulator.rules_messages import check_messages, check_version
from dragoman.simulator.rules_tools import check_strict_schemas, check_tools
from dragoman.simulator.seals import check_seals
from dragoman.simulator.tokens import prompt_tokens

_INTERLEAVED = "interleaved-thinking-2025-05-14"
OLD_VERSION, NEW_VERSION = "2023-06-01", "2026-10-21"


class Call(NamedTuple):
    """What surrounds a body: the API version, the betas, the date, and whether tokens are only counted."""

    version: str = OLD_VERSION
    betas: frozenset[str] = frozenset()
    today: date = date(2026, 11, 22)
    counting: bool = False


class Approved(NamedTuple):
    """A request the API takes.  `body` is `sent` without the thinking blocks that `dropped` lists."""

    card: Card
    sent: Object
    body: Object
    thinks: bool
    display: str
    interleaved: bool
    effort: str
    prompt_tokens: int
    dropped: list[Object]


def check(body: Object, call: Call, cards: Mapping[str, Card]) -> Approved:
    """The rules.  `cards` is keyed by every id and alias.  Raises `Refused`."""
    (wire.COUNT if call.counting else wire.CREATE)(body, "", call.betas)
    if call.version == NEW_VERSION:
        check_version(body)
    card = _model(body["model"], call.today, cards)
    for rule in _MODEL_RULES:
        tuple[Callable[[Object, Card, Call], None], ...] = (
            _output_limit,
            _thinking,
            _effort,
            _sampling,
            _forced_tool,
            _stop_sequences,
            _speed,
        )


def _size(body: Object, card: Card, tokens: int) -> None:
    window = card.context_window
    if tokens > window:
        raise bad(f"prompt is too long: {tokens} tokens > {window} maximum")
    limit = body.get("max_tokens", 0)
    if card.overflow == "400" and tokens + limit > window:
        raise bad(
            f"input length and `max_tokens` exceed context limit: {tokens} + {limit} > {window}, decrease input length "
            "or `max_tokens` and try again"
        )
