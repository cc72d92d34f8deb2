"""Models as clients see them listed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.models.catalogue import Entry
from dragoman.relay.defaults import find_override
from dragoman.relay.relay import Relay

# A model of an API has no weights here.  The oldest date there is keeps lists sorted when a release date is unknown.
_UNKNOWN_DATE = datetime(2023, 1, 1, tzinfo=UTC)


def visible(relay: Relay) -> Sequence[Entry]:
    """Every name that can be called and is not hidden, newest model first."""
    settings = relay.settings
    return [
        replace(entry, card=shown(relay, entry.name, entry.card))
        for entry in relay.catalogue.entries(relay.today())
        if not settings.hides(entry.name) and not settings.hides(entry.card.id)
    ]


def shown(relay: Relay, name: str, card: Card) -> Card:
    """The card as clients are told of it, under this name: the configuration may give it another window."""
    override = find_override(relay.settings.overrides, name, card)
    if override is None or not override.context_window:
        return card
    return replace(card, context_window=override.context_window)


async def entry_of(relay: Relay, name: str) -> Entry | None:
    """What is listed under a name; None for one that nobody knows."""
    card = await relay.find(name)
    if card is None:
        return None
    return Entry(name, shown(relay, name, card), relay.catalogue.derived_of(name))


def created(entry: Entry) -> datetime:
    """When the model was made or released (UTC); of one that nobody knows a date of, a date that stays the same."""
    if entry.derived is not None:
        return datetime.fromtimestamp(int(entry.derived.created), UTC)
    card = entry.card
    return datetime.fromisoformat(card.released).replace(tzinfo=UTC) if card.released else _UNKNOWN_DATE


def tagged(name: str) -> str:
    """An Ollama name always shows a tag."""
    return name if ":" in name else f"{name}:latest"


def details(entry: Entry) -> Object:
    """Ollama's `details`: an Ollama server's own, or the same members for a model of another."""
    parent = {} if entry.derived is None else {"parent_model": entry.derived.spec.parent}
    return _details(entry.card) | parent


def _details(card: Card) -> Object:
    own = card.native.get("details")
    if card.dialect == "ollama" and isinstance(own, dict):
        return own
    return {
        "parent_model": "",
        "format": "api",
        "family": architecture(card),
        "families": [architecture(card)],
        "parameter_size": "",
        "quantization_level": "",
        "context_length": card.context_window,
        "embedding_length": 0,
    }


# The `general.architecture` of models that are not on an Ollama server: the prefix of their other keys.
_ARCHITECTURES = {"anthropic": "claude", "openai_chat": "openai", "openai_responses": "openai"}


def architecture(card: Card) -> str:
    """`general.architecture` in Ollama's words."""
    return _ARCHITECTURES.get(card.dialect, card.dialect)


def digest(entry: Entry) -> str:
    """64 hex characters that stand for the model: clients cut them without looking."""
    if entry.derived is not None:
        return entry.derived.digest
    card = entry.card
    own = card.native.get("digest")
    if card.dialect == "ollama" and isinstance(own, str) and own:
        return own
    return hashlib.sha256(card.id.encode()).hexdigest()


def size(card: Card) -> int:
    """Bytes on disk: a model of an API has none."""
    own = card.native.get("size")
    return own if card.dialect == "ollama" and type(own) is int else 0


def modified(entry: Entry) -> str:
    """When the model last changed, as a timestamp."""
    if entry.derived is not None:
        return rfc3339(datetime.fromtimestamp(entry.derived.modified, UTC))
    own = entry.card.native.get("modified_at")
    return own if entry.card.dialect == "ollama" and isinstance(own, str) and own else rfc3339(created(entry))


def template(card: Card) -> str:
    """The template of a prompt: that of an Ollama model, as far as it is known, or what stands for one."""
    if card.dialect != "ollama":
        return "{{ .System }}\n{{ .Prompt }}"
    show = card.native.get("show")
    own = show.get("template") if isinstance(show, dict) else None
    return own if isinstance(own, str) else ""


def rfc3339(moment: datetime) -> str:
    """A moment in UTC as Ollama writes it, with a Z.  https://www.rfc-editor.org/rfc/rfc3339"""
    return moment.isoformat().replace("+00:00", "Z")
