"""The tables of the documentation that are data: made from the code, and put where a marker stands.

`python -m tests.docs.tables` (`make docs`) writes them; a test fails when they are not what the code says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from dragoman.config import settings_table
from dragoman.config.presets import PRESETS
from dragoman.errors import TABLE
from dragoman.models.bounds import Bounds
from dragoman.models.cards import Card, bundled
from dragoman.models.servers import GENERIC, Server, servers
from dragoman.relay.patience import MEANING
from tests.docs.pages import ROOT
from tests.fidelity.matrix import AT_HOME, DIALECTS, fidelity
from tests.fidelity.reply_matrix import answers_table
from tests.fidelity.reply_probing import UPSTREAMS

_WHEN = {"retired": "retired", "scheduled": "ends", "not_sooner_than": "not before"}


def settings() -> str:
    """The README's settings."""
    return _table(("variable", "in `dragoman.toml`", "default", ""), settings_table())


def catalogue() -> str:
    """The models that ship, newest first."""
    cards = sorted(bundled().cards.values(), key=lambda card: (card.released, card.id), reverse=True)
    headings = ("model", "context", "output", "thinking", "sampling", "prices", "retirement")
    return _table(headings, [_card(card) for card in cards])


def _card(card: Card) -> Sequence[str]:
    thinks = "effort" if "adaptive" in card.thinking.types else "budget" if "enabled" in card.thinking.types else "–"
    prices = f"${card.prices.input:g} / ${card.prices.output:g}" if card.prices else "–"
    ends = f"{_WHEN[card.retirement]} {card.retires_at}" if card.retires_at else "–"
    sizes = (f"{card.context_window:,}", f"{card.max_output_tokens:,}")
    return (f"`{card.id}`", *sizes, thinks, card.sampling, prices, ends)


def errors() -> str:
    """Each kind of error in each dialect."""
    rows = [
        (
            f"`{kind}`",
            str(row.ollama),
            str(row.openai),
            f"`{row.openai_type}`",
            f"`{row.openai_code}`" if row.openai_code else "–",
            str(row.anthropic),
            f"`{row.anthropic_type}`",
        )
        for kind, row in TABLE.items()
    ]
    return _table(("kind", "Ollama", "OpenAI", "`type`", "`code`", "Anthropic", "`type`"), rows)


_CHOICES = {
    "all": "any, by name, some of them",
    "named": "any, by name",
    "required": "any; by name: the others are left out",
    "none": "made by other means",
}
_FORMATS = {(): "–", ("json_object",): "JSON", ("json_schema",): "schema", ("json_object", "json_schema"): "both"}
_THOUGHTS = {
    "effort": "`reasoning_effort`",
    "object": "`reasoning`",
    "switch": "`thinking`, `reasoning_effort`",
    "template": "`chat_template_kwargs`, `reasoning_effort`",
    "none": "–",
}
_COUNTS = {"": "–", "vllm": "`/tokenize`", "llamacpp": "`/apply-template`, `/tokenize`"}


def flavors() -> str:
    """The kinds of OpenAI-compatible servers."""
    headings = ("flavor", "known by", "`tool_choice`", "`response_format`", "thinking is asked for by", "counts at")
    return _table(headings, [_flavor(server) for server in servers().values()])


def _flavor(server: Server) -> Sequence[str]:
    owners = [f'`owned_by` "{owner}"' for owner in server.owners]
    signs = [*server.hosts, *owners, *(f"`{mark}` in its list" for mark in server.marks)]
    known = "anything else" if server.name == GENERIC else ", ".join(signs)
    choice, formats = _CHOICES[server.tool_choice], _FORMATS[server.formats]
    return (f"`{server.name}`", known, choice, formats, _THOUGHTS[server.reasoning], _COUNTS[server.count])


def bounds() -> str:
    """How much media each server takes: Claude by its window, then the servers of which anything is known."""
    headings = ("server", "images", "one image, as base64", "on a side", "of many", "pixels", "pages", "request")
    claude = {card.media: card for card in sorted(bundled().cards.values(), key=lambda card: card.context_window)}
    named = [(f"Claude, {card.context_window:,} tokens", media) for media, card in claude.items()]
    others = [(f"`{name}`", server.media) for name, server in servers().items()]
    known = [(name, media) for name, media in named + others if replace(media, sounds=()) != Bounds()]
    return _table(headings, [(name, *_bounds(media)) for name, media in known])


def _bounds(media: Bounds) -> Sequence[str]:
    many = f"{media.edge_of_many} (over {media.many})" if media.many else "–"
    whole = (media.images, _mebibytes(media.image_bytes), media.edge, many, f"{media.pixels:,}", media.pages)
    return [str(each) if each not in (0, "0") else "–" for each in (*whole, _mebibytes(media.request_bytes))]


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:g} MiB" if size else "–"


def preset() -> str:
    """What the preset for local models says."""
    rows = [(f"`{key}`", f"`{str(value).lower()}`") for key, value in PRESETS["local"].items()]
    return _table(("setting", ""), rows)


def failures() -> str:
    """What each kind of failure means for a call, before the first byte of its answer."""
    again = {"yes": "yes", "never": "no", "if told when": "if it says when"}
    blame = {"none": "–", "busy": "busy", "broken": "failed"}
    rows = [
        (f"`{kind}`", again[m.again], "yes" if m.elsewhere else "no", blame[m.blame]) for kind, m in MEANING.items()
    ]
    return _table(("failure", "the same server again", "the next one", "the breaker counts it as"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |").replace("| --- ", "|---") for line in lines)


PLACES: dict[str, tuple[str, Callable[[], str]]] = {
    "settings": ("README.md", settings),
    "catalogue": ("docs/models.md", catalogue),
    "errors": ("docs/translation.md", errors),
    "preset": ("docs/configuration.md", preset),
    "flavors": ("docs/upstreams.md", flavors),
    "bounds": ("docs/translation.md", bounds),
    "failures": ("docs/routing.md", failures),
    **{f"fidelity of {dialect}": ("docs/fidelity.md", partial(fidelity, dialect)) for dialect in DIALECTS},
    **{f"fidelity at home of {d}": ("docs/fidelity.md", partial(fidelity, d, own=True)) for d in AT_HOME},
    **{f"answers of {name}": ("docs/fidelity.md", partial(answers_table, name)) for name in UPSTREAMS},
}
"""Marker, file, and what belongs after it."""


def placed(text: str, marker: str, table: str) -> str:
    """`text` with `table` after `<!-- marker -->` instead of the table that is there."""
    pattern = rf"(<!-- {marker} -->\n\n)(?:\|[^\n]*\n)*\n*"
    out, count = re.subn(pattern, lambda found: f"{found[1]}{table}\n\n", text)
    if count != 1:
        raise ValueError(f"there are {count} markers <!-- {marker} -->")
    return out


def main() -> None:
    for marker, (name, make) in PLACES.items():
        page = ROOT / name
        page.write_text(placed(page.read_text("utf-8"), marker, make()), "utf-8")


if __name__ == "__main__":
    main()
