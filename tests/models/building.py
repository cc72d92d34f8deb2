"""Short ways to write conversations, and a request taken all the way to the wire."""

from __future__ import annotations

from typing import Any, Literal

from dragoman.conversation import Message, Object, Part, Request, Role, Text, ToolCall, ToolResult
from dragoman.dialects import anthropic
from dragoman.losses import Losses
from dragoman.models.cards import Card, bundled
from dragoman.models.fit import Fitted, fit

CARDS = bundled().cards


def say(role: Role, *content: Part | str) -> Message:
    return Message(role=role, content=[Text(text=part) if isinstance(part, str) else part for part in content])


def user(*content: Part | str) -> Message:
    return say("user", *content)


def assistant(*content: Part | str) -> Message:
    return say("assistant", *content)


def call(id: str, name: str = "f", arguments: str = "{}") -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments)


def result(id: str, text: str = "done", **more: Any) -> ToolResult:
    return ToolResult(id=id, content=[Text(text=text)] if text else [], **more)


def request(*messages: Message, **members: Any) -> Request:
    return Request(**{"origin": "ollama", "model": "asked", "messages": list(messages) or [user("hi")]} | members)


def card_with(**traits: Any) -> Card:
    """Some callable card with these traits, so that tests name abilities and not models."""
    for card in CARDS.values():
        if card.status != "retired" and all(_trait(card, name) == value for name, value in traits.items()):
            return card
    raise LookupError(traits)


def _trait(card: Card, name: str) -> object:
    match name:
        case "thinks":
            return next((kind for kind in ("adaptive", "enabled") if kind in card.thinking.types), "never")
        case "off":
            return next((kind for kind in ("disabled", "between_tools") if kind in card.thinking.types), "never")
        case "default_on":
            return card.thinking.default_on
        case "levels":
            return bool(card.effort.levels)
        case _:
            return getattr(card, name)


def fitted(asked: Request, card: Card, prompt_cache: Literal["auto", "off"] = "off") -> tuple[Fitted, Object, Losses]:
    """What `fit` makes of it, the body that would be sent, and the report."""
    losses = Losses()
    made = fit(asked, card, losses, prompt_cache=prompt_cache)
    return made, anthropic.encode_request(made.request, losses), losses
