"""Which names exist, and which model each one means today."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from dragoman.conversation import Object
from dragoman.errors import GatewayError
from dragoman.models.cards import Bundle, Card, bundled
from dragoman.models.derived import Derived
from dragoman.models.sources import Source, anthropic_source, bare, normal

__all__ = ["Catalogue", "Entry", "Resolution", "Source", "anthropic_source", "build", "normal"]


class Resolution(Struct, frozen=True):
    """`card` answers for the name `asked`.  `substituted` says why it is not the model the name means, or is empty.
    `derived` is the derived model that the name means, where it means one."""

    asked: str
    card: Card
    substituted: str = ""
    derived: Derived | None = None


class Entry(Struct, frozen=True):
    """A name that can be called, and the model behind it; `derived`: the name is a derived model's."""

    name: str
    card: Card
    derived: Derived | None = None


class Catalogue(Struct, frozen=True, kw_only=True):
    """Every name and model of every upstream, as one value; `with_live` and `with_source` make the next one.

    Where two upstreams have a model of the same name, the one configured first answers to it; `upstream/model` always
    means that upstream's.  `default` is the name that answers for unknown names (None: an unknown name is an error).
    `routes` are names with several models behind them, best first.  `derived` are the derived models by normal name:
    the configuration's own names come before them, and they before what the upstreams list.
    """

    sources: Mapping[str, Source]
    aliases: Mapping[str, str]
    bundle: Bundle
    default: str | None = "claude-sonnet-4.5"
    retired: Literal["substitute", "refuse"] = "substitute"
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cards: Mapping[str, Card] = field(default_factory=dict)
    """What bare names mean: made from the sources, see `_merged`."""
    own: frozenset[str] = frozenset()
    """The aliases of the user's own, which hide models of the same name."""
    derived: Mapping[str, Derived] = field(default_factory=dict)

    # --- names -------------------------------------------------------------------------------

    def find(self, name: str, today: date) -> Card | None:
        """The card a name means, retired or not; None when nobody knows the name.

        Case does not matter, nor does a `:latest` tag, an `anthropic/` prefix, or Claude Code's `[1m]` mark.
        """
        for _ in range(8):  # aliases may point at aliases; a circle ends here
            key, plain = bare(name), normal(name)
            if plain in self.routes:
                return next(iter(self.behind(name, today)), None)
            if plain in self.derived and plain not in self.own:
                name = self.derived[plain].spec.base
                continue
            if plain not in self.own:
                card = self.cards.get(plain)
                if card is not None and key == plain:
                    return card
                if (found := self._precise(name, today) or card) is not None:
                    return found
            if plain not in self.aliases:
                break
            name = self.aliases[plain]
        if plain.startswith("claude-") and plain.endswith("-latest"):
            return self._newest(self.cards.values(), _line_of(plain), today)
        return next((card for source in self.sources.values() if (card := source.declared(name))), None)

    def derived_of(self, name: str) -> Derived | None:
        """The derived model a name means."""
        for _ in range(8 if self.derived else 0):
            plain = normal(name)
            if plain in self.routes:
                break
            if plain not in self.own:
                return self.derived.get(plain)
            name = self.aliases[plain]
        return None

    def takes(self, name: str) -> bool:
        """Whether a model of the configuration or of an upstream is called so: no derived one can be."""
        plain = normal(name)
        owner, slash, _ = name.lower().partition("/")
        if plain in self.routes or plain in self.own or (slash and owner in (*self.sources, "anthropic")):
            return True
        if plain in self.derived:
            return False
        line = _line_of(plain) if plain.startswith("claude-") and plain.endswith("-latest") else ""
        return (
            plain in self.cards
            or plain in self.aliases
            or any(line == card.line for card in self.cards.values() if line)
        )

    def _precise(self, name: str, today: date) -> Card | None:
        """`upstream/model`."""
        upstream, slash, rest = name.strip().partition("/")
        source = self.sources.get(upstream.lower()) if slash else None
        if source is None or not rest:
            return None
        for _ in range(8):
            plain = normal(rest)
            card = source.cards.get(bare(rest)) or source.cards.get(plain)
            if card is not None or plain not in self.aliases:
                break
            rest = self.aliases[plain].removeprefix(f"{upstream}/")
        if card is None and plain.startswith("claude-") and plain.endswith("-latest"):
            card = self._newest(source.cards.values(), _line_of(plain), today)
        return card or source.declared(rest)

    def behind(self, name: str, today: date) -> list[Card]:
        """The models of the route `name`, best first; empty when there is no such route.

        A target that no upstream lists (yet) is left out.
        """
        targets = self.routes.get(normal(name), ())
        found = (self.find(target, today) for target in targets if normal(target) not in self.routes)
        return [card for card in found if card is not None]

    def resolve(self, name: str, today: date) -> Resolution:
        """Who answers for `name` on this day; for a route its first model.

        Raises `GatewayError` ("model_not_found") for a name that is unknown or whose model is retired, where the
        configuration says to refuse rather than to substitute.
        """
        card, derived = self.find(name, today), self.derived_of(name)
        if card is None and derived is not None:
            raise GatewayError(
                "model_not_found",
                f"model '{name}' not found: it is made from '{derived.spec.base}', which is not there",
                param="model",
            )
        if card is None:
            card = self.find(self.default, today) if self.default else None
            if card is None:
                raise GatewayError("model_not_found", f"model '{name}' not found", param="model")
            substituted = "unknown name"
        else:
            substituted = ""
        if self._gone(card, today):
            source = self.sources[card.upstream]
            successor = self._newest(source.cards.values(), card.line, today) if card.line else None
            if successor is None:
                return Resolution(name, card, substituted, derived)
            if self.retired == "refuse":
                raise GatewayError(
                    "model_not_found",
                    f"model '{name}' is retired ({card.id}); use {successor.id} instead",
                    param="model",
                )
            card, substituted = successor, substituted or f"{card.id} is retired"
        return Resolution(name, card, substituted, derived)

    # --- listings ----------------------------------------------------------------------------

    def callable_cards(self, today: date) -> list[Card]:
        """The models that can really be called: upstream by upstream, newest first."""
        return [card for source in self.sources.values() for card in self._of(source, today)]

    def _of(self, source: Source, today: date) -> list[Card]:
        cards = (card for card in source.cards.values() if not self._gone(card, today))
        return sorted(cards, key=lambda card: (card.released, card.id), reverse=True)

    def entries(self, today: date) -> list[Entry]:
        """Every name that can really be called: routes, derived models, each model's own name, then the aliases that
        lead to one.

        A model whose name belongs to an earlier upstream is there as `upstream/model`; hidden ones are left out.
        """
        found: dict[str, Card] = {}
        for name in self.routes:
            if behind := self.behind(name, today):
                found[name] = behind[0]
        made = {}
        for derived in sorted(self.derived.values(), key=lambda each: each.modified, reverse=True):
            means = self.find(derived.name, today)
            if means is not None and self.derived_of(derived.name) is derived:
                made[derived.name] = derived
                found[derived.name] = means
        listed = list(self._listed(today))
        for name, card in listed:
            found.setdefault(name, card)
        seen = {(card.upstream, card.id) for _, card in listed}
        for alias in self.aliases:
            means = self.find(alias, today)
            if means is not None and (means.upstream, means.id) in seen:
                found.setdefault(alias, means)
        for line in sorted({card.line for _, card in listed if card.line}):
            if (newest := self._newest(self.cards.values(), line, today)) is not None:
                found.setdefault(f"claude-{line}-latest", newest)
        return [Entry(name, card, made.get(name)) for name, card in found.items()]

    def _listed(self, today: date) -> Iterator[tuple[str, Card]]:
        for source in self.sources.values():
            for card in self._of(source, today):
                name = source.prefix + card.id
                if source.hides(card.id) or source.hides(name):
                    continue
                yield (name if self.cards.get(normal(name)) is card else f"{source.name}/{card.id}"), card

    # --- what the upstreams say --------------------------------------------------------------

    def with_live(self, models: Iterable[Object], upstream: str = "anthropic") -> Catalogue:
        """This catalogue, corrected by the elements of an Anthropic upstream's own `GET /v1/models`."""
        return self.with_source(self.sources[upstream].with_live(models, self.aliases, self.bundle))

    def with_source(self, source: Source) -> Catalogue:
        """This catalogue with the models an upstream has now."""
        return _merged(replace(self, sources={**self.sources, source.name: source}))

    def with_derived(self, derived: Mapping[str, Derived]) -> Catalogue:
        """This catalogue with these derived models, and no others."""
        return _merged(replace(self, derived=derived))

    # --- lifecycle ---------------------------------------------------------------------------

    def _gone(self, card: Card, today: date) -> bool:
        return card.retired(today) or self.sources[card.upstream].gone(card)

    def _newest(self, cards: Iterable[Card], line: str, today: date) -> Card | None:
        """The newest model of a line that can be called; one that is not on its way out comes first."""
        candidates = [card for card in cards if card.line == line and not self._gone(card, today)]
        return max(candidates, key=lambda card: (card.status == "active", card.released, card.id), default=None)


def build(
    aliases: Mapping[str, str] | None = None,
    *,
    default: str | None = "claude-sonnet-4.5",
    retired: Literal["substitute", "refuse"] = "substitute",
    sources: Callable[[Bundle], Sequence[Source]] | None = None,
    routes: Mapping[str, tuple[str, ...]] | None = None,
) -> Catalogue:
    """The bundled table with the user's own aliases, which win over ours.

    `sources` makes the upstreams' models from the table; without it there is one upstream, "anthropic".
    """
    bundle = bundled()
    names = {normal(alias): card.id for card in bundle.cards.values() for alias in card.aliases}
    names |= bundle.aliases
    own = {normal(alias): target for alias, target in (aliases or {}).items()}
    made = sources(bundle) if sources is not None else [anthropic_source("anthropic", bundle)]
    catalogue = Catalogue(
        sources={source.name: source for source in made},
        aliases=names | own,
        own=frozenset(own),
        bundle=bundle,
        default=default,
        retired=retired,
        routes={normal(name): targets for name, targets in (routes or {}).items()},
    )
    return _merged(catalogue)


def _merged(catalogue: Catalogue) -> Catalogue:
    cards: dict[str, Card] = {}
    for source in catalogue.sources.values():
        for card in source.cards.values():
            cards.setdefault(normal(source.prefix + card.id), card)
    hidden = catalogue.own | catalogue.derived.keys()
    return replace(catalogue, cards={name: card for name, card in cards.items() if name not in hidden})


def _line_of(name: str) -> str:
    return name.removeprefix("claude-").removesuffix("-latest")
