"""The order of the conversation, and what is in it, as strict chat templates want both.

Parts that are empty or belong to another server go; late system messages are the user's; neighbours of one role are
one turn; every call has its result, in the next turn.  Each repair depends only on what stands before it.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec.structs import replace

from dragoman.conversation import (
    TOOL_FAILED,
    Foreign,
    Media,
    Message,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.open.places import inner_places, part_places, place
from dragoman.models.open.system import placed, texts_joined, without_billing
from dragoman.models.servers import server_of
from dragoman.models.turns import OPENING, merged, paired, result_as_text

# Any id will do, and some models read meaning out of theirs (`functions.name:0`).
_ID = re.compile(r".{1,64}", re.DOTALL)


def fit_turns(request: Request, card: Card, losses: Losses, *, plain: bool = False) -> Request:
    """Clean parts, place system messages, merge neighbours, pair tool results, and let the user speak first.

    `plain`: it is known that there is nothing to clean, and nothing to pair (see `plain.is_plain`).
    """
    clean = request.messages if plain else _cleaned(request, card, losses)
    messages = placed(clean, request.origin, card, losses)
    messages = [message for message in without_billing(messages, losses) if message.content]
    turns = merged(messages)
    if not plain:
        turns = paired(turns, losses, _ID)
    if not card.tools and not plain:
        turns = [_without_tools(turn, losses) for turn in turns]
    turns = [replace(turn, content=texts_joined(_said(turn.content))) for turn in turns]
    return replace(request, messages=_opened(turns, card, losses), cache=_kept(request, card, losses))


def _kept(request: Request, card: Card, losses: Losses) -> Literal["5m", "1h"] | None:
    """How long the prompt is to be kept, where the server only keeps what it is asked to; others keep it by themselves.

    Texts are joined on the way, so that the client's marks have no place: one that moves with the end does for them.
    """
    if server_of(card.flavor).cache_marks != "control":
        return None
    parts = [part for message in request.messages for part in message.content]
    inner = [each for part in parts if isinstance(part, ToolResult) for each in part.content]
    marks = {holder.cache for holder in (*request.tools, *parts, *inner)}
    if marks - {None}:
        losses.emulate("cache", "one mark that moves with the end of the conversation stands for the client's")
    return "1h" if "1h" in marks | {request.cache} else "5m" if "5m" in marks | {request.cache} else None


def _opened(turns: list[Message], card: Card, losses: Losses) -> list[Message]:
    """A user who speaks first, where the server may insist on it, and at all, where nobody has asked anything."""
    lead = next((i for i, turn in enumerate(turns) if turn.role != "system"), len(turns))
    strict = card.dialect == "openai_chat" and (lead == len(turns) or turns[lead].role != "user")
    if not strict and any(turn.role == "user" for turn in turns):
        return turns
    losses.emulate("messages", "the user must speak first: an opening line was put before the rest")
    return [*turns[:lead], Message(role="user", content=[Text(text=OPENING)]), *turns[lead:]]


# --- parts ---------------------------------------------------------------------------------------


def _cleaned(request: Request, card: Card, losses: Losses) -> list[Message]:
    """Every message, even one that is empty now, with the parts that can be said.  Cache marks ask nothing here.

    What the user says stays a turn, even if it is nothing: without it two answers would be one.
    """
    cleaned = []
    for index, message in enumerate(request.messages):
        if message.name and (card.dialect != "openai_chat" or message.role in ("system", "developer")):
            at = place(request.messages, request.origin, index)
            losses.drop(f"{at}.name", "this speaker can have no name")
            message = replace(message, name="")
        content = _clean_parts(request, index, card, losses)
        if not content and message.role == "user":
            content.append(Text(text=""))
        cleaned.append(replace(message, content=content, extra={}))
    return cleaned


def _clean_parts(request: Request, index: int, card: Card, losses: Losses) -> list[Part]:
    parts = request.messages[index].content
    theirs = request.messages[index].role != "assistant"
    strange = any(type(part) in (Foreign, ToolResult) or (theirs and type(part) is ToolCall) for part in parts)
    places = part_places(request.messages, request.origin, index) if strange else [""] * len(parts)
    cleaned = []
    for part, at in zip(parts, places, strict=True):
        if isinstance(part, ToolResult):
            inner = zip(part.content, inner_places(part, at, request.origin), strict=True)
            content = [_clean_part(each, where, card, losses) for each, where in inner]
            result = replace(part, content=texts_joined([each for each in content if each]))
            cleaned.append(_unmarked(_said_to_fail(_hoisted(result, at, card, losses), at, request.origin, losses)))
        elif isinstance(part, ToolCall) and theirs:
            losses.drop(at, "only the assistant calls tools")
        elif (clean := _clean_part(part, at, card, losses)) is not None:
            cleaned.append(clean)
    return cleaned


def _hoisted(result: ToolResult, at: str, card: Card, losses: Losses) -> ToolResult:
    """The result as it is: its dialect moves what a message of a tool cannot hold, but no longer knows its place."""
    moved = any(isinstance(part, Media) and part.source != "text" for part in result.content)
    if moved and card.dialect == "openai_chat":
        losses.emulate(at, "what the tool returned besides text follows in a user message")
    return result


def _said_to_fail(result: ToolResult, at: str, origin: str, losses: Losses) -> ToolResult:
    """A failure in words, since these wires have no mark for it.  OpenAI programs write those words themselves."""
    if not result.is_error:
        return result
    if origin != "openai_chat":
        losses.emulate(f"{at}.is_error", f"the result begins with {TOOL_FAILED.strip()!r}")
    head, *rest = result.content or [Text(text="")]
    if not isinstance(head, Text):
        head, rest = Text(text=""), [head, *rest]
    return replace(result, content=[replace(head, text=TOOL_FAILED + head.text), *rest], is_error=False)


def _clean_part(part: Part, at: str, card: Card, losses: Losses) -> Part | None:
    said = _said_part(part, at, card, losses)
    return None if said is None else _unmarked(said)


def _unmarked(part: Part) -> Part:
    return replace(part, cache=None) if part.cache else part


def _said_part(part: Part, at: str, card: Card, losses: Losses) -> Part | None:
    match part:
        case Text(text=text):
            return part if text and not text.isspace() else None
        case Refusal(text=text):
            return Text(text=text) if text.strip() else None
        case Thinking():
            return _clean_thought(part, card, losses)
        case Foreign(extra=extra):
            losses.drop(at, f"{card.id} knows no {extra.get('type', 'such')} block")
            return None
        case _:
            return part


def _clean_thought(part: Thinking, card: Card, losses: Losses) -> Thinking | None:
    """Earlier reasoning as text, without a proof that only another server could read."""
    if part.seal is not None and part.seal.origin == card.dialect:
        return part
    if part.redacted or not part.text:
        if part.seal is not None:
            losses.drop("thinking", "earlier reasoning is sealed, and only the server that sealed it can read it")
        return None
    if card.dialect == "openai_responses" and not server_of(card.flavor).reads_thoughts:
        losses.drop("thinking", "earlier reasoning goes back only to the server that made it")
        return None
    if card.dialect != "ollama" and not card.thinking.types:
        losses.drop("thinking", f"{card.id} does not think, and does not read earlier reasoning")
        return None
    if part.seal is None:
        return part
    losses.emulate("thinking", "earlier reasoning is passed on without the proof that only its own server can read")
    return replace(part, seal=None)


def _said(parts: list[Part]) -> list[Part]:
    """Without the empty text of a turn that says something after all."""
    return [part for part in parts if not isinstance(part, Text) or part.text] or parts


# --- a model without tools -----------------------------------------------------------------------


def _without_tools(turn: Message, losses: Losses) -> Message:
    """Calls and results of an earlier model, in words: a template without tools would leave them out."""
    content: list[Part] = []
    for part in turn.content:
        match part:
            case ToolCall(name=name, arguments=arguments):
                content.append(Text(text=f"(Called the tool {name} with {arguments or '{}'})"))
            case ToolResult():
                content += result_as_text(part)
            case _:
                content.append(part)
                continue
        losses.emulate("messages", "the model has no tools: earlier calls and results are told in words")
    return replace(turn, content=content)
