"""Which names exist, and which model each one means today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dragoman.conversation import Object
from dragoman.errors import GatewayError
from dragoman.models.cards import Bundle, Card, bundled, overlay


class Resolution(Struct, frozen=True):
    """`card` answers for the name `asked`.  `substituted` says why it is not the model the name means, or is empty."""

    asked: str
    card: Card
    substituted: str = ""


class Entry(Struct, frozen=True):
    """A name that can be called, and the model behind it."""

    name: str
    card: Card


class Catalogue(Struct, frozen=True, kw_only=True):
    """Every name and model, as one value; `with_live` makes the next one.

    `default` is the name that answers for unknown names (None: an unknown name is an error).  `live` holds the ids the
    upstream itself lists, or None while it has not been asked.
    """

    cards: Mapping[str, Card]
    aliases: Mapping[str, str]
    bundle: Bundle
    default: str | None = "claude-sonnet-4.5"
    retired: Literal["substitute", "refuse"] = "substitute"
    live: frozenset[str] | None = None

    # --- names -------------------------------------------------------------------------------

    def find(self, name: str, today: date) -> Card | None:
        """The card a name means, retired or not; None when nobody knows the name.

        Case does not matter, nor does a `:latest` tag, an `anthropic/` prefix, or Claude Code's `[1m]` mark.
        """
        key = normal(name)
        for _ in range(8):  # aliases may point at aliases; a circle ends here
            if key in self.cards:
                return self.cards[key]
            if key not in self.aliases:
                break
            key = normal(self.aliases[key])
        if key.startswith("claude-") and key.endswith("-latest"):
            return self._newest(key.removeprefix("claude-").removesuffix("-latest"), today)
        return None

    def resolve(self, name: str, today: date) -> Resolution:
        """Who answers for `name` on this day.

        Raises `GatewayError` ("model_not_found") for a name that is unknown or whose model is retired, where the
        configuration says to refuse rather than to substitute.
        """
        card = self.find(name, today)
        if card is None:
            card = self.find(self.default, today) if self.default else None
            if card is None:
                raise GatewayError("model_not_found", f"model '{name}' not found", param="model")
            substituted = "unknown name"
        else:
            substituted = ""
        if self._gone(card, today):
            successor = self._newest(card.line, today)
            if successor is None:
                return Resolution(name, card, substituted)
            if self.retired == "refuse":
                raise GatewayError(
                    "model_not_found",
                    f"model '{name}' is retired ({card.id}); use {successor.id} instead",
                    param="model",
                )
            card, substituted = successor, substituted or f"{card.id} is retired"
        return Resolution(name, card, substituted)

    # --- listings ----------------------------------------------------------------------------

    def callable_cards(self, today: date) -> list[Card]:
        """The models that can really be called, newest first."""
        cards = (card for card in self.cards.values() if self._callable(card, today))
        return sorted(cards, key=lambda card: (card.released, card.id), reverse=True)

    def entries(self, today: date) -> list[Entry]:
        """Every name that can really be called: each model's id, then the aliases that lead to one."""
        cards = self.callable_cards(today)
        names = {card.id: card for card in cards}
        for alias in self.aliases:
            if (card := self.find(alias, today)) is not None and card.id in names:
                names.setdefault(alias, card)
        for line in sorted({card.line for card in cards if card.line}):
            if (newest := self._newest(line, today)) is not None:
                names.setdefault(f"claude-{line}-latest", newest)
        return [Entry(name, card) for name, card in names.items()]

    # --- the live list -----------------------------------------------------------------------

    def with_live(self, models: Iterable[Object]) -> Catalogue:
        """This catalogue, corrected by the elements of the upstream's own `GET /v1/models`.

        A list without a single model says nothing, and changes nothing.
        """
        cards = dict(self.cards)
        ids = set()
        for model in models:
            if not isinstance(name := model.get("id"), str) or not name:
                continue
            known = self.cards.get(normal(self.aliases.get(normal(name), name)))
            known = known or replace(self.bundle.unknown, id=name, line=_line(name, self.cards))
            cards[normal(known.id)] = overlay(known, model)
            ids.add(known.id)
        return replace(self, cards=cards, live=frozenset(ids)) if ids else self

    # --- lifecycle ---------------------------------------------------------------------------

    def _gone(self, card: Card, today: date) -> bool:
        return card.retired(today) or (self.live is not None and card.id not in self.live)

    def _callable(self, card: Card, today: date) -> bool:
        return not self._gone(card, today)

    def _newest(self, line: str, today: date) -> Card | None:
        """The newest model of a line that can be called; one that is not on its way out comes first."""
        candidates = [card for card in self.cards.values() if card.line == line and self._callable(card, today)]
        return max(candidates, key=lambda card: (card.status == "active", card.released, card.id), default=None)


def build(
    aliases: Mapping[str, str] | None = None,
    *,
    default: str | None = "claude-sonnet-4.5",
    retired: Literal["substitute", "refuse"] = "substitute",
) -> Catalogue:
    """The bundled table with the user's own aliases, which win over ours."""
    bundle = bundled()
    names = {normal(alias): card.id for card in bundle.cards.values() for alias in card.aliases}
    names |= bundle.aliases
    own = {normal(alias): target for alias, target in (aliases or {}).items()}
    names |= own
    cards = {normal(name): card for name, card in bundle.cards.items() if normal(name) not in own}
    return Catalogue(cards=cards, aliases=names, bundle=bundle, default=default, retired=retired)


def _line(name: str, cards: Mapping[str, Card]) -> str:
    """The line a model the table does not know belongs to: a known line's name among the words of its id."""
    lines = {card.line for card in cards.values()}
    return next((word for word in name.split("-") if word in lines), "")


def normal(name: str) -> str:
    """The form under which names are compared."""
    return name.strip().lower().removesuffix(":latest").removesuffix("[1m]").removeprefix("anthropic/")
