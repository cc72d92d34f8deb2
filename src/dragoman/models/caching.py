"""Marks of the prompt cache, as Claude takes them, and our own for clients that cannot set any.

A mark says: remember the prompt up to here.  A later prompt reads the longest beginning that was remembered, but each
of its marks looks back over twenty blocks only.  https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Literal

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Foreign, Message, Part, Refusal, Request, Text, Thinking, Tool, ToolResult
from dragoman.losses import Losses
from dragoman.models.cards import Card

MAX_CACHE_MARKS = 4
# Blocks that may be new since the last call before the mark at the end does not find what that one left.
_REACH = 18
# Tokens: what a model caches at the least, where its card does not say; and characters that are at most one token.
_LEAST = 512
_CHARACTERS = 2

_Lifetime = Literal["5m", "1h"]
_CONTROL = "cache_control"
_encode = msgspec.json.Encoder().encode


def settle_marks(request: Request, losses: Losses) -> Request:
    """Marks where Claude refuses them, or on text that is about to leave, moved to what stands before in the turn."""
    if not any(_marked(part) and not _can_be_marked(part) for turn in request.messages for part in turn.content):
        return request
    return replace(request, messages=[_settled(turn, at, losses) for at, turn in enumerate(request.messages)])


def _settled(turn: Message, at: int, losses: Losses) -> Message:
    content: list[Part] = []
    for part in turn.content:
        if (lifetime := _marked(part)) and not _can_be_marked(part):
            part = _unmarked(part)
            place = next((i for i in reversed(range(len(content))) if _can_be_marked(content[i])), None)
            if place is None:
                losses.drop("cache", f"nothing in messages[{at}] can bear the mark")
            elif not _marked(content[place]):
                content[place] = replace(content[place], cache=lifetime)
                losses.emulate("cache", "a mark on reasoning or on empty text was put on what stands before it")
        content.append(part)
    return replace(turn, content=content)


def _can_be_marked(part: Part) -> bool:
    match part:
        case Text(text=text) | Refusal(text=text):
            return bool(text) and not text.isspace()
        case Thinking():
            return False
        case Foreign(extra=extra):
            return extra.get("type") not in ("thinking", "redacted_thinking")
        case _:
            return True


def fit_cache(request: Request, card: Card, losses: Losses, automatic: bool) -> Request:
    """The client's own marks, as many as fit and in an order of lifetimes that is accepted; where it set none and
    `automatic`, ours."""
    holders = list(_holders(request))
    if not holders:
        own = request.origin == card.dialect and request.cache
        return _automatic(request, card) if automatic and not own else request
    excess = max(len(holders) + bool(request.cache) - MAX_CACHE_MARKS, 0)
    lifetimes = [_marked(holder) for holder in holders] + [request.cache]
    mixed = "1h" in lifetimes and "5m" in lifetimes
    if not excess and not mixed:
        return request
    request = deepcopy(request)
    holders = list(_holders(request))
    for holder in holders[:excess]:
        holder.cache = None
        holder.extra.pop(_CONTROL, None)
    if excess:
        losses.drop("cache", f"at most {MAX_CACHE_MARKS} cache marks fit in a request; the newest were kept")
    return _ordered(request, holders[excess:], losses)


def _ordered(request: Request, holders: Sequence[Tool | Part], losses: Losses) -> Request:
    """Claude wants the longer lifetimes first: what stands before an hour's mark is kept for an hour too."""
    if request.cache == "5m" and holders and holders[-1] is _last_block(request) and _marked(holders[-1]) == "1h":
        request = replace(request, cache=None)  # the end is marked already, and for longer
    longest = len(holders) if request.cache == "1h" else 0
    longest = longest or max((at for at, holder in enumerate(holders) if _marked(holder) == "1h"), default=0)
    for holder in holders[:longest]:
        if _marked(holder) == "5m":
            losses.emulate("cache", "what stands before a part that is kept for an hour is kept as long")
            if _CONTROL in holder.extra:
                holder.extra[_CONTROL] = {**holder.extra[_CONTROL], "ttl": "1h"}
            if not isinstance(holder, Foreign) and not (isinstance(holder, Tool) and holder.hosted):
                holder.cache = "1h"
    return request


def _last_block(request: Request) -> Part | None:
    content = request.messages[-1].content if request.messages else []
    return content[-1] if content else None


def _holders(request: Request) -> Iterator[Tool | Part]:
    """Whatever has a mark, in the order of the prompt: tools, system, messages."""
    for tool in request.tools:
        if _marked(tool):
            yield tool
    for message in request.messages:
        for part in message.content:
            if type(part) is ToolResult:
                yield from (inner for inner in part.content if _marked(inner))
            if (part.cache or part.extra) and _marked(part):
                yield part


def _marked(holder: Tool | Part) -> _Lifetime | None:
    """How long the client wants it kept.  What only Anthropic understands has its mark among its own members."""
    if holder.cache:
        return holder.cache
    control = holder.extra.get(_CONTROL) if holder.extra else None
    if not isinstance(control, dict):
        return None
    return "1h" if control.get("ttl") == "1h" else "5m"


def _unmarked(part: Part) -> Part:
    return replace(part, cache=None, extra={name: value for name, value in part.extra.items() if name != _CONTROL})


# --- our own marks -------------------------------------------------------------------------------


def _automatic(request: Request, card: Card) -> Request:
    """Marks for a client that set none.

    One at the end of what begins every conversation (tools and system), for the next one; one that moves with the end;
    and where more is new than that one looks back over, one where the last call ended.  The end of a lone first
    question is not marked: writing it costs more than it could ever save.
    """
    lifetime: _Lifetime = request.cache or "5m"
    spoke = _last_of_assistant(request)
    request = _head_marked(request, card, lifetime)
    if request.tools or spoke is not None:
        request = replace(_last_call_marked(request, lifetime, spoke or 0), cache=lifetime)
    return request


def _last_of_assistant(request: Request) -> int | None:
    for at in range(len(request.messages) - 1, -1, -1):
        if request.messages[at].role == "assistant":
            return at
    return None


def _head_marked(request: Request, card: Card, lifetime: _Lifetime) -> Request:
    messages = request.messages
    lead = 0
    while lead < len(messages) and messages[lead].role in ("system", "developer"):
        lead += 1
    if not _is_long(request, lead, (card.min_cacheable_tokens or _LEAST) * _CHARACTERS):
        return request
    if lead:
        return _with_mark(request, lead - 1, lifetime)
    place = next((at for at in reversed(range(len(request.tools))) if _tool_can_be_marked(request.tools[at])), None)
    if place is None:
        return request
    tools = list(request.tools)
    tools[place] = replace(tools[place], cache=lifetime)
    return replace(request, tools=tools)


def _is_long(request: Request, lead: int, least: int) -> bool:
    """Whether the head may be long enough to be cached at all: `least` characters."""
    size = 0
    for message in request.messages[:lead]:
        for part in message.content:
            size += len(part.text) if type(part) is Text else least
    if size >= least or not request.tools:
        return size >= least
    return size + len(_encode([(tool.name, tool.description, tool.schema) for tool in request.tools])) >= least


def _tool_can_be_marked(tool: Tool) -> bool:
    return not tool.hosted and not tool.extra.get("defer_loading")


def _last_call_marked(request: Request, lifetime: _Lifetime, spoke: int) -> Request:
    """`spoke` is where the assistant spoke last; 0 where it did not."""
    if not spoke or sum([len(message.content) for message in request.messages[spoke:]]) <= _REACH:
        return request
    return _with_mark(request, spoke - 1, lifetime)


def _with_mark(request: Request, index: int, lifetime: _Lifetime) -> Request:
    """A mark on the last part of a message that can bear one."""
    messages = list(request.messages)
    content = list(messages[index].content)
    for place in reversed(range(len(content))):
        part = content[place]
        if not isinstance(part, Foreign) and _can_be_marked(part):
            content[place] = replace(part, cache=lifetime)
            messages[index] = replace(messages[index], content=content)
            return replace(request, messages=messages)
    return request
