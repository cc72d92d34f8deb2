"""What a chat completions request and a Responses request both say, in the same or in another place.

None of it concerns what is said in the conversation, and no other wire has it: so it has no names in the conversation.
https://platform.openai.com/docs/guides/migrate-to-responses
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dragoman.conversation import JSON, Object, Request
from dragoman.losses import Losses

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

_KEPT_HERE = frozenset({"store", "metadata"})
"""What a Responses client says of keeping the answer: the gateway keeps it, and asks no server to."""

_BACK: Mapping[str, str] = MappingProxyType({there: here for here, there in _PLACES.items() if here not in _KEPT_HERE})
"""A member of a Responses request → where a chat request has it."""

_ONLY: Mapping[str, tuple[JSON, ...]] = MappingProxyType(
    {
        "service_tier": ("ultrafast",),
        "prompt_cache_options.ttl": ("12h",),
        "prompt_cache_options.comparison_response_id": (),
        "prompt_cache_options.prewarm": (),
    }
)
"""What of these only a Responses request can say: these words of a member, or (none named) the member itself.

https://platform.openai.com/docs/api-reference/chat/create
"""

_SOME = frozenset(place.partition(".")[0] for place in _ONLY)
_ALIKE: Mapping[tuple[str, str], Mapping[str, str]] = MappingProxyType(
    {(CHAT, RESPONSES): _PLACES, (RESPONSES, CHAT): _BACK}
)
_NONE: Mapping[str, str] = MappingProxyType({})


def alike(origin: str, target: str) -> Mapping[str, str]:
    """What a client of `origin` says of such members → where a server of `target` is told it, both by their paths."""
    return _ALIKE.get((origin, target), _NONE)


def retold(request: Request, target: str, losses: Losses) -> Object:
    """These members of `request` as a server of `target` has them, one of an object by its path."""
    if not request.extra or not (places := alike(request.origin, target)):
        return {}
    found = {there: value for here, there in places.items() if (value := _at(request.extra, here)) is not None}
    return found if target == RESPONSES or found.keys().isdisjoint(_SOME) else _in_chat(found, losses)


def _in_chat(found: Object, losses: Losses) -> Object:
    """Without what only a Responses request can say."""
    for place, words in _ONLY.items():
        value = _at(found, place)
        if value is None or (words and value not in words):
            continue
        losses.drop(place, "chat completions cannot say it")
        top, _, inner = place.partition(".")
        rest = {name: each for name, each in found[top].items() if name != inner} if inner else None
        found = {name: each for name, each in found.items() if name != top} | ({top: rest} if rest else {})
    return found


def _at(body: Object, place: str) -> Any:
    """What stands in `body` at a path of one or two steps, None where nothing does."""
    top, _, inner = place.partition(".")
    value = body.get(top)
    if not inner:
        return value
    return value.get(inner) if isinstance(value, dict) else None


def put(body: Object, place: str, value: JSON) -> None:
    """`value` in `body` at a path of one or two steps."""
    top, _, inner = place.partition(".")
    body[top] = (body.get(top) or {}) | {inner: value} if inner else value


def name_in(request: Request, place: str) -> str:
    """How the client of `request` calls what a Responses request has at `place`."""
    names = {there: name for name, there in _PLACES.items()} if request.origin == CHAT else {}
    return names.get(place, place)
