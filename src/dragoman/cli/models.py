"""`dragoman models`: every name, and the model behind it, as the settings and the upstreams' own lists have it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from dragoman.cli.gathering import gathered, with_kept
from dragoman.cli.output import complain, say, watched
from dragoman.cli.settings import SPOKEN, settings
from dragoman.config import ConfigError, Settings
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.models.catalogue import Catalogue

HEADINGS = (
    "name",
    "resolves to",
    "upstream",
    "dialect",
    "context",
    "output",
    "capabilities",
    "price in/out",
    "lifecycle",
)
_WIDTHS = {"capabilities": 170, "lifecycle": 130, "dialect": 110}
"""How many columns a terminal must have for these."""


class Line(Struct, frozen=True):
    """One name.  `upstream` is the server that has the model.  Sizes are tokens (0: unknown), prices US dollars per
    million of them; `note` says why another model answers."""

    name: str
    model: str
    upstream: str
    dialect: str
    context_window: int
    max_output_tokens: int
    capabilities: list[str]
    price_input: float | None
    price_output: float | None
    lifecycle: str
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """The line under `HEADINGS`."""
        price = "" if self.price_input is None else f"${self.price_input:g} / ${self.price_output:g}"
        model = f"{self.model} ({self.note})" if self.note else self.model
        sizes = (_size(self.context_window), _size(self.max_output_tokens))
        where = (self.upstream, SPOKEN.get(self.dialect, self.dialect))
        return (self.name, model, *where, *sizes, ", ".join(self.capabilities), price, self.lifecycle)


def run(config: Path | None, *, as_json: bool, everything: bool) -> int:
    """0, or 2 for a configuration that is wrong."""
    try:
        chosen = settings(config)
    except ConfigError as error:
        complain(str(error))
        return 2
    if not chosen.upstreams and watched(sys.stdout):
        complain("note: no server is configured; these are Claude's models, which a key would reach", "faint")
    lines = list(listing(with_kept(gathered(chosen), chosen), chosen, datetime.now(UTC).date(), everything=everything))
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(lines), indent=2).decode())
    elif watched(sys.stdout):
        _draw(lines)
    else:
        for cells in (HEADINGS, *(line.cells() for line in lines)):
            say("\t".join(cells))
    return 0


def listing(catalogue: Catalogue, chosen: Settings, today: date, *, everything: bool) -> Iterator[Line]:
    """Every name that is listed; with `everything` also those of retired models, and hidden ones."""
    shown = [entry.name for entry in catalogue.entries(today)]
    names = [*shown, *(name for name in (*catalogue.cards, *catalogue.aliases) if name not in shown)]
    for name in names if everything else shown:
        if not everything and chosen.hides(name):
            continue
        try:
            resolution = catalogue.resolve(name, today)
            yield _line(name, resolution.card, today, resolution.substituted)
        except GatewayError as error:
            if card := catalogue.find(name, today):
                yield _line(name, card, today, error.message)


def _line(name: str, card: Card, today: date, note: str) -> Line:
    return Line(
        name=name,
        model=card.id,
        upstream=card.upstream,
        dialect=card.dialect,
        context_window=card.context_window,
        max_output_tokens=card.max_output_tokens,
        capabilities=card.capabilities,
        price_input=card.prices.input if card.prices else None,
        price_output=card.prices.output if card.prices else None,
        lifecycle=_lifecycle(card, today),
        note=note,
    )


def _lifecycle(card: Card, today: date) -> str:
    """`active until at least 2027-11-09`, `deprecated, ends 2026-11-30`, `retired 2026-02-19`."""
    if card.retired(today):
        return f"retired {card.retires_at}".strip()
    if not card.retires_at:
        return card.status
    return f"{card.status}{' until at least' if card.retirement == 'not_sooner_than' else ', ends'} {card.retires_at}"


def _size(tokens: int) -> str:
    """`200k` and `1M`, where that is exact."""
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if tokens and tokens % unit == 0:
            return f"{tokens // unit}{letter}"
    return str(tokens or "")


def _draw(lines: list[Line]) -> None:
    from rich.console import Console  # noqa: PLC0415  only where somebody looks
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    # A narrow terminal gets fewer columns rather than words in pieces; a pipe and --json have them all.
    left_out = {name for name, width in _WIDTHS.items() if console.width < width}
    shown = [i for i, heading in enumerate(HEADINGS) if heading not in left_out]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i in shown:
        table.add_column(HEADINGS[i], justify="right" if HEADINGS[i] in ("context", "output") else "left")
    for line in lines:
        cells = line.cells()
        faint = line.lifecycle.startswith("retired") or bool(line.note)
        table.add_row(*(cells[i] for i in shown), style="dim" if faint else "")
    console.print(table)
