"""What the configuration gives a model when the client did not say."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from dragoman.config.settings import Override
from dragoman.conversation import Message, Object, Reasoning, Request, Text
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution, normal
from dragoman.models.servertools import with_server_tools


def apply_override(
    request: Request, overrides: Mapping[str, Override], resolution: Resolution, losses: Losses
) -> Request:
    """`request` with the override of the name asked for, or of the model that answers.  The client's own words win."""
    if not overrides:
        return request
    override = find_override(overrides, resolution.asked, resolution.card)
    if override is None:
        return request
    changes: Object = {
        name: value
        for name in ("max_tokens", "temperature", "top_p", "top_k")
        if getattr(request, name) is None and (value := getattr(override, name)) is not None
    }
    if request.reasoning is None and (override.think is not None or override.effort):
        shown = None if override.think is False else override.think
        changes["reasoning"] = Reasoning(enabled=override.think, effort=override.effort, visible=shown)
    if override.system and not any(message.role in ("system", "developer") for message in request.messages):
        changes["messages"] = [Message(role="system", content=[Text(text=override.system)]), *request.messages]
        if request.origin != "anthropic":  # there a system prompt stands beside the messages
            most = sum(len(message.content) + 1 for message in request.messages)
            losses.moved({f"messages[{index + 1}]": f"messages[{index}]" for index in range(most)})
    return with_server_tools(replace(request, **changes), override.server_tools, resolution.card)


def changes_requests(override: Override) -> bool:
    """Whether it may put anything into a request."""
    return any(
        getattr(override, name) not in (None, "", ())
        for name in ("max_tokens", "temperature", "top_p", "top_k", "think", "effort", "system", "server_tools")
    )


def find_override(overrides: Mapping[str, Override], name: str, card: Card) -> Override | None:
    """What is configured for the name a client uses, or else for the model behind it."""
    if not overrides:
        return None
    names = {normal(key): override for key, override in overrides.items()}
    return names.get(normal(name)) or names.get(normal(card.id))
