"""Messages, two ways.  A run of `tool` messages and a `user` message with tool results are the same thing.

What real histories lack is repaired where the repair is certain: ids by the order of the calls, failure by the prefix
of the text.  Everything a model may object to is the business of `models.fit`.
"""

from __future__ import annotations

from collections.abc import Sequence

from dragoman import ids
from dragoman.conversation import (
    JSON,
    TOOL_FAILED,
    Media,
    Message,
    Object,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.openai_chat.parts import decode_content, encode_content, encode_part, take_cache
from dragoman.dialects.openai_chat.reasoning import decode_reasoning, encode_reasoning
from dragoman.dialects.openai_chat.tools import decode_calls, encode_call
from dragoman.dialects.openai_chat.vocabulary import NAME
from dragoman.dialects.reading import need, objects, path, take
from dragoman.dialects.waiting import Waiting
from dragoman.errors import invalid
from dragoman.losses import Losses

_Placed = Sequence[tuple[Part, str]]
"""Parts, each with its path in the conversation."""


# --- decode -------------------------------------------------------------------------------------


_PLAIN = frozenset({"system", "developer", "user", "assistant"})


def decode_messages(value: JSON, at: str = "messages") -> list[Message]:
    """The array `messages`; raises with the path of what is wrong."""
    waiting = Waiting()
    return [_decode_message(message, where, waiting) for message, where in objects(value, at)]


def _decode_message(message: Object, at: str, waiting: Waiting) -> Message:
    role = need(message, "role", str, at)
    if len(message) == 1 and role in _PLAIN and type(text := message.get("content")) is str and text:
        if role == "assistant":
            waiting.clear()
        return Message(role=role, content=[Text(text=text)])  # type: ignore[arg-type]  # nearly every message
    content = decode_content(message.pop("content", None), path(at, "content"))
    if content and (cache := take_cache(message, at)):
        content[-1].cache = content[-1].cache or cache
    name = take(message, "name", str, at) or ""
    match role:
        case "system" | "developer" | "user":
            return Message(role=role, content=content, name=name, extra=_rest(message))
        case "assistant":
            calls = decode_calls(message, at, at)
            waiting.clear()
            for call in calls:
                waiting.add(call, call.id)
            parts = decode_answer(message, at, content) + list[Part](calls)
            return Message(role=role, content=parts, name=name, extra=_rest(message))
        case "tool" | "function":
            call_id = take(message, "tool_call_id", str, at) or ""
            result = _decode_result(call_id, name, content, at, waiting)
            if name:
                message["name"] = name
            result.extra = _rest(message)
            return Message(role="user", content=[result])
        case _:
            allowed = "system, developer, user, assistant or tool"
            raise invalid(f"{path(at, 'role')} must be {allowed}, not {role!r}", path(at, "role"))


def decode_answer(message: Object, at: str, content: list[Part], *, theirs: bool = False) -> list[Part]:
    """What an assistant message says besides its calls: thoughts first, then `content`, then its refusal.

    `theirs`: an upstream said it.
    """
    parts = decode_reasoning(message, at, theirs=theirs) + content
    if refusal := take(message, "refusal", str, at):
        parts.append(Refusal(text=refusal))
    return parts


def _decode_result(call_id: str, name: str, content: list[Part], at: str, waiting: Waiting) -> ToolResult:
    call = waiting.with_id(call_id) if call_id else waiting.with_name(name) or waiting.next()
    failed = False
    if content and isinstance(first := content[0], Text) and first.text.startswith(TOOL_FAILED):
        failed, first.text = True, first.text.removeprefix(TOOL_FAILED)
    if call is None:
        return ToolResult(id=call_id or ids.mint("call_", at, name), name=name, content=content, is_error=failed)
    return ToolResult(id=call.id, name=call.name, content=content, is_error=failed, freeform=call.freeform)


def _rest(message: Object) -> Object:
    """What is left of a message, without the members that SDKs send back empty."""
    return {key: value for key, value in message.items() if value not in (None, [], {}, "")}


# --- encode -------------------------------------------------------------------------------------


def encode_messages(request: Request, losses: Losses) -> list[Object]:
    """The array `messages`.

    A `tool` message holds text only: other parts of tool results follow in a `user` message behind the run of
    `tool` messages, which must not be interrupted.  What the user says in that turn stands in the same message: many
    templates want user and assistant to take turns.
    """
    wire: list[Object] = []
    hoisted: list[tuple[Part, str]] = []
    own = request.origin == NAME
    for index, message in enumerate(request.messages):
        placed: _Placed = [(part, f"messages[{index}].content[{i}]") for i, part in enumerate(message.content)]
        results = [(part, at) for part, at in placed if isinstance(part, ToolResult)]
        others: _Placed = [(part, at) for part, at in placed if not isinstance(part, ToolResult)]
        for result, at in results:
            at = f"messages[{index}]" if own else at  # each result is a message of its own
            wire.append(_encode_result(result, at, own, losses, hoisted))
        if others and results:
            others = [*hoisted, *others]
            hoisted.clear()
        if others or not results:
            _flush(wire, hoisted, own, losses)
            wire.append(_encode_message(message, others, own, losses))
    _flush(wire, hoisted, own, losses)
    return wire


def _encode_message(message: Message, placed: _Placed, own: bool, losses: Losses) -> Object:
    body: Object = {"role": message.role}
    if message.name:
        body["name"] = message.name
    if message.role != "assistant":
        return body | {"content": encode_content(placed, own, losses)} | (message.extra if own else {})
    calls = [part for part, _ in placed if isinstance(part, ToolCall)]
    thoughts = [part for part, _ in placed if isinstance(part, Thinking)]
    # One that says more than its words is a part of the content.
    plain = [p for p, _ in placed if isinstance(p, Refusal) and not (own and (p.extra or p.cache))]
    refusals = [part.text for part in plain]
    aside = {id(part) for part in (*calls, *thoughts, *plain)}
    said = [(part, at) for part, at in placed if id(part) not in aside]
    content = encode_content(said, own, losses)
    body["content"] = content if content or not (calls or refusals) else None
    body |= encode_reasoning(thoughts, own=own)
    if refusals:
        body["refusal"] = "".join(refusals)
    if calls:
        body["tool_calls"] = [encode_call(call, own) for call in calls]
    return body | (message.extra if own else {})


def _encode_result(result: ToolResult, at: str, own: bool, losses: Losses, hoisted: list[tuple[Part, str]]) -> Object:
    """One `tool` message; what it cannot hold is added to `hoisted`."""
    texts: list[tuple[Part, str]] = []
    moved: list[tuple[Part, str]] = []
    for i, part in enumerate(result.content):
        where = f"{at}.content[{i}]"
        (moved if isinstance(part, Media) and part.source != "text" else texts).append((part, where))
    if moved:
        if own:  # other clients' places are known before the conversation is put in order, and reported there
            losses.emulate(at, "what the tool returned besides text follows in a user message")
        label = f"Returned by the tool call {result.id}:"
        hoisted += [(Text(text=label), at), *moved]
    content = encode_content(texts, own, losses)
    if result.is_error:
        content = _mark_failed(content)
    body = {"role": "tool", "tool_call_id": result.id, "content": content}
    return body | (result.extra if own else {})


def _mark_failed(content: JSON) -> JSON:
    if isinstance(content, str):
        return TOOL_FAILED + content
    if content[0].get("type") == "text":
        return [content[0] | {"text": TOOL_FAILED + content[0]["text"]}, *content[1:]]
    return [{"type": "text", "text": TOOL_FAILED}, *content]


def _flush(wire: list[Object], hoisted: list[tuple[Part, str]], own: bool, losses: Losses) -> None:
    parts = [w for part, at in hoisted if (w := encode_part(part, own, losses, at)) is not None]
    if parts:
        wire.append({"role": "user", "content": parts})
    hoisted.clear()
