"""The order of the conversation, as Claude wants it.

First the user, then in turns; nothing empty; every tool call answered once, in the very next turn.  Each repair is a
pure function of the history before it, so that a growing conversation is translated to growing, never changing, bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from dragoman.conversation import (
    Foreign,
    Media,
    Message,
    Part,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.ids import mint
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.open.places import inner_places, part_places, place

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NO_RESULT = "No result was returned for this call."
OPENING = "(The conversation begins.)"
_CONTINUE = "Continue your last message from exactly where it stopped."


def fit_turns(request: Request, card: Card, losses: Losses, *, plain: bool = False) -> Request:
    """Clean parts, place system messages, merge neighbours, pair tool results, and begin and end with the user.

    `plain`: it is known that there is nothing to clean, and nothing to pair (see `plain.is_plain`).
    """
    clean = list(enumerate(request.messages)) if plain else _cleaned(request, card, losses)
    turns = merged(_placed(request, clean, card, losses))
    if not plain:
        turns = paired(turns, losses)
    lead = 0
    while lead < len(turns) and turns[lead].role in ("system", "developer"):
        lead += 1
    if lead == len(turns) or turns[lead].role != "user":
        turns.insert(lead, Message(role="user", content=[Text(text=OPENING)]))
        losses.emulate("messages", "Claude wants the user to speak first: an opening line was put before the rest")
    return replace(request, messages=turns)


def fit_ending(request: Request, card: Card, losses: Losses) -> Request:
    """A last message of the assistant is a prefill: kept where the model goes on from it, else asked for in words.

    A turn that was paused is none: its server takes it up where it was left.
    """
    last = request.messages[-1]
    if last.role != "assistant" or is_paused(last, card):
        return request
    thinks = request.reasoning is not None and request.reasoning.mode in ("adaptive", "enabled")
    if card.prefill and not thinks and request.format is None:
        *content, part = last.content
        if isinstance(part, Text) and part.text != part.text.rstrip():
            last = replace(last, content=[*content, replace(part, text=part.text.rstrip())])
        return replace(request, messages=[*request.messages[:-1], last])
    losses.emulate("messages", f"{card.id} does not go on from an assistant message by itself: it is asked to")
    closing = Message(role="user", content=[Text(text=_CONTINUE)])
    return replace(request, messages=[*request.messages, closing])


def is_paused(message: Message, card: Card) -> bool:
    """Whether the turn ends in the middle of the server's own work: in a call of its tools, or a result of one."""
    last = message.content[-1] if message.content else None
    if not isinstance(last, Foreign) or last.origin != card.dialect:
        return False
    return str(last.extra.get("type")).endswith(("_tool_use", "_tool_result"))


# --- parts ---------------------------------------------------------------------------------------


def _cleaned(request: Request, card: Card, losses: Losses) -> list[tuple[int, Message]]:
    """Every message without parts that are empty or that the target could not verify, each with its number."""
    messages = []
    for index, message in enumerate(request.messages):
        if message.name:
            at = place(request.messages, request.origin, index)
            losses.drop(f"{at}.name", "the Messages API has no names of speakers")
            message = replace(message, name="")
        content = [
            part
            for part in message.content
            # Nearly every part there is, without a call.
            if (type(part) is Text and part.text.strip()) or not _is_void(part, card, losses)
        ]
        _report_foreign(request, index, card, losses)
        if len(content) != len(message.content):
            message = replace(message, content=content)
        if content:
            messages.append((index, message))
    return messages


def _report_foreign(request: Request, index: int, card: Card, losses: Losses) -> None:
    """What another server's clients alone know is left out, and told by its place while that is known."""
    if request.origin == card.dialect or not any(type(part) in _OTHERS for part in request.messages[index].content):
        return
    places = part_places(request.messages, request.origin, index)
    for part, at in zip(request.messages[index].content, places, strict=True):
        if isinstance(part, ToolResult):
            inside = zip(part.content, inner_places(part, at, request.origin), strict=True)
        else:
            inside = zip([part], [at], strict=True)
        for each, where in inside:
            if isinstance(each, Foreign) and each.origin != card.dialect:
                losses.drop(where, f"a {each.extra.get('type', 'foreign')} block has no form in the Messages API")


_OTHERS = (Foreign, ToolResult)


def _is_void(part: Part, card: Card, losses: Losses) -> bool:
    match part:
        case Text() | Refusal():
            return not part.text or part.text.isspace()
        case Foreign():
            return part.origin != card.dialect
        case Thinking():
            if part.seal is not None and part.seal.origin == card.dialect:
                return False
            if part.text or part.seal:
                losses.drop("thinking", "earlier reasoning came back without the signature Claude wants to see")
            return True
        case _:
            return False


# --- system messages -----------------------------------------------------------------------------


def _placed(request: Request, messages: list[tuple[int, Message]], card: Card, losses: Losses) -> list[Message]:
    """Leading system messages stay; a later one stays only where the model takes it, else the user says it."""
    placed: list[Message] = []
    leading = True
    for next_one, (index, message) in enumerate(messages, 1):
        if message.role in ("user", "assistant"):
            leading = False
        elif not leading:
            after = messages[next_one][1].role if next_one < len(messages) else "assistant"
            if not (card.mid_conversation_system and placed[-1].role == "user" and after == "assistant"):
                message = spoken_by_user(message)
                at = place(request.messages, request.origin, index)
                losses.emulate(at, "a late instruction is passed on in the user's turn")
                _report_unspoken(request, index, card, losses)
        placed.append(message)
    return placed


def _report_unspoken(request: Request, index: int, card: Card, losses: Losses) -> None:
    """What only this dialect says of a text has no place in the words that the user says instead."""
    if request.origin != card.dialect:
        return  # it is reported as what that dialect alone knows
    content = request.messages[index].content
    for part, at in zip(content, part_places(request.messages, request.origin, index), strict=True):
        if not isinstance(part, Text):
            continue
        mark = part.extra.get("cache_control", {})
        rest = [name for name in part.extra if name != "cache_control"]
        rest += [f"cache_control.{name}" for name in mark if name not in ("type", "ttl")]
        for name in [*rest, *(["citations"] if part.citations else [])]:
            losses.drop(f"{at}.{name}", "a late instruction is passed on in the user's turn, as plain text")


def spoken_by_user(message: Message) -> Message:
    """A late instruction as the user's turn, marked as what it is."""
    text = "\n\n".join(part.text for part in message.content if isinstance(part, Text))
    marks = [part.cache for part in message.content if isinstance(part, Text) and part.cache]
    wrapped = Text(text=f"<system-reminder>\n{text}\n</system-reminder>", cache=marks[-1] if marks else None)
    others = [part for part in message.content if not isinstance(part, Text)]
    return replace(message, role="user", content=[wrapped, *others])


def merged(messages: list[Message]) -> list[Message]:
    """Neighbours of one role and one name as one turn.  Leading system messages stay apart, as blocks of their own."""
    turns: list[Message] = []
    joined = False  # whether the last turn is one of ours, whose content may grow
    for message in messages:
        role: Role = "system" if message.role == "developer" else message.role
        if turns and turns[-1].role == role and turns[-1].name == message.name and role != "system":
            if not joined:
                turns[-1] = replace(turns[-1], content=list(turns[-1].content), extra=dict(turns[-1].extra))
            turns[-1].content.extend(message.content)
            turns[-1].extra |= message.extra
            joined = True
        else:
            turns.append(message if message.role == role else replace(message, role=role))
            joined = False
    return turns


# --- tool calls and their results ----------------------------------------------------------------


def paired(turns: list[Message], losses: Losses, ids: re.Pattern[str] = _ID) -> list[Message]:
    """Each call has one result, in the next turn, first in it, under an id the target takes (`ids`)."""
    if not any(isinstance(part, (ToolCall, ToolResult)) for turn in turns for part in turn.content):
        return turns
    out: list[Message] = []
    taken: set[str] = set()
    pending: list[tuple[str, ToolCall]] = []
    for index, turn in enumerate(turns):
        if pending and turn.role != "user":
            out.append(Message(role="user", content=[_missing(call, losses) for _, call in pending]))
            pending = []
        if turn.role == "user":
            turn = replace(turn, content=_answered(turn.content, pending, losses))
            pending = []
        elif turn.role == "assistant":
            turn, pending = _called(turn, taken, ids, index)
        out.append(turn)
    if pending:
        out.append(Message(role="user", content=[_missing(call, losses) for _, call in pending]))
    return out


def _called(
    turn: Message, taken: set[str], ids: re.Pattern[str], index: int
) -> tuple[Message, list[tuple[str, ToolCall]]]:
    """The turn with clean, unique call ids, and its calls under the ids the client knows them by."""
    content: list[Part] = []
    pending: list[tuple[str, ToolCall]] = []
    for number, part in enumerate(turn.content):
        if isinstance(part, ToolCall):
            clean = _unique(part.id, taken, ids, index, number)
            taken.add(clean)
            call = part if clean == part.id else replace(part, id=clean)
            pending.append((part.id, call))
            content.append(call)
        else:
            content.append(part)
    return replace(turn, content=content), pending


def _unique(id: str, taken: set[str], ids: re.Pattern[str], *place: int) -> str:
    """`id` if the target takes it and it is new; else a readable stand-in, made only from what is known by then."""
    if ids.fullmatch(id) and id not in taken:
        return id
    stem = re.sub(r"[^a-zA-Z0-9_-]", "_", id[:40]) + "_"
    clean = mint(stem, id, length=8)
    return clean if clean not in taken else mint(stem, id, *place, length=8)


def _answered(content: list[Part], pending: list[tuple[str, ToolCall]], losses: Losses) -> list[Part]:
    """The user's turn after `pending` calls: their results first and complete, then everything else."""
    results: dict[str, ToolResult] = {}
    rest: list[Part] = []
    # Calls that share an id are answered in order; one more answer replaces the last.
    waiting: dict[str, list[str]] = {}
    for known, call in reversed(pending):
        waiting.setdefault(known, []).append(call.id)
    for part in content:
        if not isinstance(part, ToolResult):
            rest.append(part)
        elif (same := waiting.get(part.id)) is None:
            losses.emulate("messages", f"the tool result {part.id} has no call: it is passed on as text")
            rest += result_as_text(part)
        else:
            id = same.pop() if len(same) > 1 else same[0]
            if id in results:
                losses.drop("messages", f"the tool call {part.id} has two results; the last one stays")
            results[id] = replace(part, id=id, content=_result_content(part, rest))
    answers = [results.get(call.id) or _missing(call, losses) for _, call in pending]
    return [*answers, *rest] or [Text(text=OPENING)]


def _result_content(result: ToolResult, rest: list[Part]) -> list[Part]:
    """What may stand inside a result.  An error may hold text only: its pictures follow in the same turn."""
    content = [part for part in result.content if not (isinstance(part, Text) and not part.text.strip())]
    if result.is_error:
        rest += [part for part in content if isinstance(part, Media)]
        content = [part for part in content if not isinstance(part, Media)]
    return content


def _missing(call: ToolCall, losses: Losses) -> ToolResult:
    losses.emulate("messages", f"the call of {call.name} had no result: one that says so was put in")
    return ToolResult(id=call.id, content=[Text(text=_NO_RESULT)], is_error=True)


def result_as_text(result: ToolResult) -> Iterator[Part]:
    """A tool result for a reader who knows no tools: its words under a label, and what else is in it."""
    text = "\n".join(part.text for part in result.content if isinstance(part, Text)).strip()
    label = f"Result of the tool {result.name}" if result.name else "Result of a tool"
    yield Text(text=f"{label}:\n{text or '(nothing)'}")
    yield from (part for part in result.content if not isinstance(part, Text))
