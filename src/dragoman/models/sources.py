"""The models of one upstream, as the catalogue holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from msgspec import Struct, field
from msgspec.structs import replace

from dragoman.conversation import Object
from dragoman.models.cards import Bundle, Card, overlay
from dragoman.models.open.card import generic


class Source(Struct, frozen=True, kw_only=True):
    """One upstream: its name in the configuration, its dialect, and its models by normal name.

    `live` holds the ids it lists itself, or None while it has not been asked.  `patterns`, `hide`, `prefix` and
    `flavor` are as in the configuration's `Upstream`.
    """

    name: str
    dialect: str
    cards: Mapping[str, Card] = field(default_factory=dict)
    live: frozenset[str] | None = None
    patterns: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    prefix: str = ""
    flavor: str = ""

    def declared(self, name: str) -> Card | None:
        """The card of a name that only the configuration knows: it fits a pattern, or a listing was never had."""
        return self.plain(name) if self.patterns and self.admits(name) else None

    def plain(self, name: str) -> Card:
        """What is assumed of a model of which nothing is known."""
        return generic(name, self.dialect, self.name, flavor=self.flavor)

    def admits(self, name: str) -> bool:
        """Whether the configuration lets this model of the server in."""
        return not self.patterns or _fits(name, self.patterns)

    def hides(self, name: str) -> bool:
        return _fits(name, self.hide)

    def gone(self, card: Card) -> bool:
        """Whether the server has a list of models that does not have this one."""
        return self.live is not None and card.id not in self.live

    def with_cards(self, cards: Iterable[Card]) -> Source:
        """The models of an Ollama or OpenAI-compatible server, as its own list has them now."""
        kept = [card for card in cards if card.id and self.admits(card.id)]
        known = {normal(card.id): card for card in reversed(kept)}
        for pattern in self.patterns:
            if not _WILD.intersection(pattern) and normal(pattern) not in known:
                known[normal(pattern)] = self.plain(pattern)
        return replace(self, cards=known, live=frozenset(card.id for card in known.values()))

    def with_live(self, models: Iterable[Object], aliases: Mapping[str, str], bundle: Bundle) -> Source:
        """An Anthropic source, corrected by the elements of the server's own `GET /v1/models`.

        A list without a single model says nothing, and changes nothing.
        """
        cards = dict(self.cards)
        ids = set()
        for model in models:
            if not isinstance(name := model.get("id"), str) or not name or not self.admits(name):
                continue
            known = self.cards.get(normal(aliases.get(normal(name), name)))
            known = known or replace(bundle.unknown, id=name, line=_line(name, self.cards), upstream=self.name)
            cards[normal(known.id)] = overlay(known, model)
            ids.add(known.id)
        return replace(self, cards=cards, live=frozenset(ids)) if ids else self


_WILD = frozenset("*?[")


def anthropic_source(name: str, bundle: Bundle, patterns: tuple[str, ...] = ()) -> Source:
    """An upstream that speaks Anthropic's API, with the models the bundled table knows."""
    source = Source(name=name, dialect="anthropic", patterns=patterns)
    cards = (replace(card, upstream=name) for card in bundle.cards.values() if source.admits(card.id))
    return replace(source, cards={normal(card.id): card for card in cards})


def _fits(name: str, patterns: Iterable[str]) -> bool:
    low = name.lower()
    return any(fnmatchcase(low, pattern.lower()) for pattern in patterns)


def _line(name: str, cards: Mapping[str, Card]) -> str:
    """The line a model the table does not know belongs to: a known line's name among the words of its id."""
    lines = {card.line for card in cards.values()}
    return next((word for word in name.split("-") if word in lines), "")


def bare(name: str) -> str:
    """A name without what makes no difference: case, a `:latest` tag, Claude Code's `[1m]` mark."""
    return name.strip().lower().removesuffix("[1m]").removesuffix(":latest")


def normal(name: str) -> str:
    """The form under which names are compared: without what goes without saying, as Ollama's own registry does."""
    return bare(name).removeprefix("registry.ollama.ai/").removeprefix("library/").removeprefix("anthropic/")
