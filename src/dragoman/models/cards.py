"""What a model can do, as data: one `Card` a model, read from `claude.toml` and overlaid with the live list."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from typing import Literal

import msgspec
from msgspec import Struct, field

from dragoman.conversation import Effort, Object
from dragoman.models.bounds import Bounds

Status = Literal["active", "deprecated", "retired"]

_LEVELS: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")


class ThinkingCard(Struct, frozen=True, forbid_unknown_fields=True):
    """`types`: accepted values of `thinking.type`.  `default_on`: the model thinks when nobody says."""

    types: list[str]
    default_on: bool
    default_display: str = "summarized"
    interleaved: str = "never"
    max_effort_when_off: Effort | None = None


class EffortCard(Struct, frozen=True, forbid_unknown_fields=True):
    """`levels`: accepted values of `output_config.effort`, weakest first; empty when the member is refused."""

    levels: list[Effort] = field(default_factory=list)
    default: Effort | None = None


class Prices(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None
    cache_read: float | None = None
    above_100k_prompt: Mapping[str, float] | None = None


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model, the server it lives on, and the dialect of that server.

    Sizes are tokens; `sampling` is "omit", "one" (temperature or top_p, never both) or "all".  `upstream` is the
    server's name in the configuration, `flavor` the row of `servers.toml` that says what an OpenAI-compatible server
    understands beyond the common core.  `native` is what the server's own list says of the model.
    `server_tools` is the generation of those it may use (see `claude.toml`).
    `image_max_edge_px` is what the model looks at (larger pictures are scaled by its server), `media` what is refused.
    """

    id: str = ""
    dialect: str = "anthropic"
    upstream: str = "anthropic"
    flavor: str = ""
    line: str = ""
    display_name: str = ""
    released: str = ""
    status: Status = "active"
    retirement: Literal["retired", "scheduled", "not_sooner_than"] = "not_sooner_than"
    retires_at: str = ""
    aliases: list[str] = field(default_factory=list)
    context_window: int
    max_output_tokens: int
    image_input: bool
    pdf_input: bool
    audio_input: bool = False
    completion: bool = True
    tools: bool = True
    insert: bool = False
    embedding: bool = False
    structured_outputs: bool
    prefill: bool
    forced_tool_choice: bool
    mid_conversation_system: bool
    server_tools: str = ""
    sampling: Literal["omit", "one", "all"]
    effort: EffortCard
    thinking: ThinkingCard
    min_cacheable_tokens: int | None = None
    image_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/gif", "image/webp")
    image_max_edge_px: int | None = None
    image_max_tokens: int | None = None
    media: Bounds = Bounds()
    overflow: str = "stop_reason"
    thinking_prefix_check: bool = False
    tokenizer: str = "new"
    prices: Prices | None = None
    native: Object = field(default_factory=dict)

    def retired(self, today: date) -> bool:
        """Whether the model is gone: by its status, or by a date that is firm."""
        if self.status == "retired":
            return True
        return self.retirement == "scheduled" and bool(self.retires_at) and date.fromisoformat(self.retires_at) <= today

    @property
    def key(self) -> str:
        """The model's precise name, under which things are learnt of it."""
        return f"{self.upstream}/{self.id}"

    @property
    def capabilities(self) -> list[str]:
        """In Ollama's words: completion, tools, insert, vision, audio, embedding, thinking."""
        thinks = any(kind in self.thinking.types for kind in ("adaptive", "enabled"))
        held = (
            ("completion", self.completion),
            ("tools", self.completion and self.tools),
            ("insert", self.insert),
            ("vision", self.image_input),
            ("audio", self.audio_input),
            ("embedding", self.embedding),
            ("thinking", thinks),
        )
        return [word for word, yes in held if yes]


class Bundle(Struct, frozen=True):
    """The table that ships with us: cards and aliases, and what to assume of a model it does not know."""

    cards: Mapping[str, Card]
    aliases: Mapping[str, str]
    unknown: Card


def bundled() -> Bundle:
    """Read `claude.toml`."""
    table = tomllib.loads(resources.files(__package__).joinpath("claude.toml").read_text("utf-8"))
    cards = {name: _bounded(msgspec.convert({**card, "id": name}, Card)) for name, card in table["models"].items()}
    return Bundle(cards=cards, aliases=table["aliases"], unknown=_bounded(msgspec.convert(table["unknown"], Card)))


@cache
def _bounds() -> tuple[tuple[int, Bounds], ...]:
    """The rows of `[[media]]`, each with the largest window it is for."""
    table = tomllib.loads(resources.files(__package__).joinpath("claude.toml").read_text("utf-8"))
    return tuple((row.pop("window"), msgspec.convert(row, Bounds)) for row in table["media"])


def _bounded(card: Card) -> Card:
    """`card` with the bounds of media for a window like its own."""
    bounds = next(bounds for window, bounds in _bounds() if not window or card.context_window <= window)
    return msgspec.structs.replace(card, media=bounds)


def overlay(card: Card, live: Object) -> Card:
    """`card` corrected by an element of the upstream's `GET /v1/models`: lifecycle, limits, capabilities.

    Members the element does not have change nothing.
    """
    changes: Object = {}
    if live.get("lifecycle") in ("active", "deprecated", "retired"):
        changes["status"] = live["lifecycle"]
    if retires := _day(live.get("retires_at")):
        changes |= {"retires_at": retires, "retirement": "scheduled"}
    for theirs, ours in _TEXTS.items():
        if isinstance(value := live.get(theirs), str) and value:
            changes[ours] = value
    if (created := _day(live.get("created_at"))) and not card.released:
        changes["released"] = created
    for theirs, ours in (("max_input_tokens", "context_window"), ("max_tokens", "max_output_tokens")):
        if type(value := live.get(theirs)) is int and value > 0:
            changes[ours] = value
    if isinstance(told := live.get("capabilities"), dict):
        changes |= _capabilities(card, told)
    changed = msgspec.structs.replace(card, **changes)
    return _bounded(changed) if "context_window" in changes else changed


def _day(value: object) -> str:
    """The date of a timestamp, or "" where there is none."""
    try:
        return date.fromisoformat(value[:10]).isoformat() if isinstance(value, str) else ""
    except ValueError:
        return ""


_TEXTS = {"display_name": "display_name", "line": "line"}


def _capabilities(card: Card, told: Object) -> Object:
    changes: Object = {}
    for name in ("image_input", "pdf_input", "structured_outputs"):
        if isinstance(value := _supported(told.get(name)), bool):
            changes[name] = value
    if isinstance(effort := told.get("effort"), dict):
        levels = [level for level in _LEVELS if _supported(effort.get(level))]
        changes["effort"] = EffortCard(levels=levels, default=card.effort.default)
    if isinstance(thinking := told.get("thinking"), dict) and isinstance(types := thinking.get("types"), dict):
        accepted = [kind for kind, value in types.items() if _supported(value)]
        changes["thinking"] = msgspec.structs.replace(card.thinking, types=accepted)
    return changes


def _supported(value: object) -> bool | None:
    return bool(value.get("supported")) if isinstance(value, dict) else None
