"""System messages where a model knows only one, at the beginning.

What stands where is decided by what came before it, so that a growing conversation keeps its beginning byte for byte:
these servers read again whatever has changed, and all that follows it.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise

from msgspec.structs import replace

from dragoman.conversation import Message, Part, Text, ToolCall
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.open.places import place
from dragoman.models.turns import spoken_by_user

# Claude Code's first line: a note to Anthropic's API, other at every call, and in the way of every prompt cache.
# https://github.com/anthropics/claude-code/issues/68900
_BILLING = re.compile(r"x-anthropic-billing-header:[^\n]*\n*")
_SYSTEM = ("system", "developer")


def without_billing(messages: list[Message], losses: Losses) -> list[Message]:
    """`messages` without that line at the head of the first system message."""
    if not messages or messages[0].role != "system" or not messages[0].content:
        return messages
    head, *rest = messages[0].content
    if not isinstance(head, Text) or _BILLING.match(head.text) is None:
        return messages
    losses.emulate("system", "the line for Anthropic's accounts is left out: it changes at every call")
    text = _BILLING.sub("", head.text, count=1)
    return [replace(messages[0], content=[replace(head, text=text), *rest] if text else rest), *messages[1:]]


def placed(messages: list[Message], origin: str, card: Card, losses: Losses) -> list[Message]:
    """Leading system messages stay; a later one is said by the user, unless the model takes it where it stands."""
    out: list[Message] = []
    leading = True
    for index, message in enumerate(messages):
        if message.role not in _SYSTEM:
            leading = False
        elif message.content and not leading and not (card.mid_conversation_system and not _calls(out[-1])):
            message = spoken_by_user(message)
            losses.emulate(place(messages, origin, index), "a late instruction is passed on in the user's turn")
        out.append(message)
    return out


def _calls(message: Message) -> bool:
    return any(isinstance(part, ToolCall) for part in message.content)


def joined(messages: list[Message], *, spoken: bool) -> list[Message]:
    """The leading system messages as one, since many templates know no second.

    With `spoken` the user says it: the client has set no system prompt, and the model may have one of its own.
    """
    lead = 0
    while lead < len(messages) and messages[lead].role in _SYSTEM:
        lead += 1
    if lead == 0:
        return messages
    texts = [part.text for message in messages[:lead] for part in message.content if isinstance(part, Text)]
    content: list[Part] = [Text(text="\n\n".join(texts))] if texts else []
    content += [part for message in messages[:lead] for part in message.content if not isinstance(part, Text)]
    rest = messages[lead:]
    if not spoken:
        return [Message(role="system", content=content), *rest]
    if not rest or rest[0].role != "user":
        return [Message(role="user", content=content), *rest]
    return [replace(rest[0], content=texts_joined([*content, *rest[0].content])), *rest[1:]]


def texts_joined(parts: list[Part]) -> list[Part]:
    """Neighbouring texts as one: not every server takes a list of them.  Text that was cut for citations is whole."""
    out: list[Part] = []
    for is_text, run in groupby(parts, lambda part: isinstance(part, Text)):
        if not is_text:
            out += run
            continue
        texts = [part for part in run if isinstance(part, Text)]
        words = [texts[0].text]
        for last, part in pairwise(texts):
            words.append(part.text if part.citations or last.citations else f"\n\n{part.text}")
        out.append(texts[0] if len(texts) == 1 else Text(text="".join(words), citations=texts[-1].citations))
    return out
