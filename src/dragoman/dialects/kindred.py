"""What a chat completions request says that a Responses request says, too, in the same or in another place.

None of it concerns what is said in the conversation, and no other wire has it: so it has no names in the conversation.
https://platform.openai.com/docs/guides/migrate-to-responses
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dragoman.conversation import JSON, Object, Request

CHAT, RESPONSES = "openai_chat", "openai_responses"

_PLACES: Mapping[str, str] = MappingProxyType(
    {
        **{
            name: name
            for name in (
                *("service_tier", "metadata", "store", "user", "moderation"),
                *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
            )
        },
        "verbosity": "text.verbosity",
    }
)
"""A member of a chat request → where a Responses request has it."""


def alike(origin: str, target: str) -> frozenset[str]:
    """The members of `Request.extra` from a client of `origin` that a server of `target` is told as they are."""
    return frozenset(_PLACES) if (origin, target) == (CHAT, RESPONSES) else frozenset()


def retold(request: Request) -> Object:
    """These members of a chat request as a Responses request has them, one of an object by its path."""
    if request.origin != CHAT:
        return {}
    return {place: request.extra[name] for name, place in _PLACES.items() if name in request.extra}


def put(body: Object, place: str, value: JSON) -> None:
    """`value` in `body` at a path of one or two steps."""
    top, _, inner = place.partition(".")
    body[top] = (body.get(top) or {}) | {inner: value} if inner else value


def name_in(request: Request, place: str) -> str:
    """How the client of `request` calls what a Responses request has at `place`."""
    names = {there: name for name, there in _PLACES.items()} if request.origin == CHAT else {}
    return names.get(place, place)
