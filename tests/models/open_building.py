"""Requests taken to the wire of an Ollama or OpenAI-compatible server."""

from __future__ import annotations

from typing import Any

from dragoman.conversation import Message, Object, Part, Reply, Request, ToolChoice
from dragoman.dialects import ollama, openai_chat
from dragoman.folding import Fold, unfold
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.fit import fit
from dragoman.models.open.card import generic
from dragoman.models.restore import Fitted, Restore
from tests.models.building import request

OLLAMA = generic("phi4", "ollama", "ollama")
OPENAI = generic("gpt", "openai_chat", "openai")
BOTH = (OLLAMA, OPENAI)


def plain(dialect: str, *capabilities: str, **more: Any) -> Card:
    """A card with no more than these capabilities."""
    return generic("plain", dialect, "x", capabilities=("completion", *capabilities), **more)


def asked(*messages: Message, **members: Any) -> Request:
    """A request of a client of Anthropic's API."""
    return request(*messages, **{"origin": "anthropic", **members})


def opened(wanted: Request, card: Card) -> tuple[Fitted, Object, Losses]:
    """What `fit` makes of it, the body that would be sent, and the report."""
    losses = Losses()
    made = fit(wanted, card, losses)
    encode = ollama.encode_request if card.dialect == "ollama" else openai_chat.encode_request
    return made, encode(made.request, losses), losses


def sent(wanted: Request, card: Card) -> list[Object]:
    """The messages on the wire."""
    messages: list[Object] = opened(wanted, card)[1]["messages"]
    return messages


def restored(restore: Restore | None, *content: Part, **members: Any) -> Reply:
    """The reply a client gets, one event at a time."""
    assert restore is not None
    reply = Reply(**{"origin": "x", "id": "r", "model": "m", "content": list(content), **members})
    stream, fold = restore.stream(), Fold("x")
    for event in unfold(reply):
        fold.feed(stream.feed([event]))
    return fold.reply


FORCED = ToolChoice(mode="any")
