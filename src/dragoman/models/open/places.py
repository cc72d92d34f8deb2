"""Where something stands in what the client wrote, for errors and reports."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dragoman.conversation import Media, Message, Part, Text, Thinking, ToolCall, ToolResult

_CONTENT = re.compile(r"\.content.*")


def item_of(at: str) -> str:
    """The path of the item that holds the part at `at`, on a wire of items."""
    return _CONTENT.sub("", at)


def place(messages: Sequence[Message], origin: str, index: int) -> str:
    """The path of the message that is `messages[index]` here.

    Some come from other members of the request.  Each tool result is a message of its own on Ollama's wire, where it is
    one of a run here.
    """
    if messages[index].at:
        return messages[index].at
    if messages[index].places:
        return item_of(messages[index].places[0])
    lead = 0
    while messages[lead].at:
        lead += 1
    if origin == "ollama":
        before = sum(1 if _is_said(message) else len(message.content) for message in messages[lead:index])
        return f"messages[{before}]"
    return f"messages[{index - lead}]"


def part_places(messages: Sequence[Message], origin: str, index: int) -> list[str]:
    """The paths of the parts of `messages[index]`, in order."""
    message, at = messages[index], place(messages, origin, index)
    match origin:
        case _ if message.at == "prompt":
            return _named(message.content, "")
        case _ if message.at == "instructions":
            return [at] * len(message.content)
        case "openai_responses" if len(message.places) == len(message.content):
            return message.places
        case "openai_responses":  # it is as its model wrote it by now
            return [at] * len(message.content)
        case _ if message.at:
            return [f"{at}[{number}]" for number in range(len(message.content))]
        case "ollama" if not _is_said(message):
            first = int(at.removeprefix("messages[").removesuffix("]"))
            return [f"messages[{first + number}]" for number in range(len(message.content))]
        case "ollama":
            return _named(message.content, at)
        case "openai_chat" if not _is_said(message):
            return [at] * len(message.content)
        case "openai_chat":
            thoughts = _thoughts(message.content)
            calls = sum(isinstance(part, ToolCall) for part in message.content)
            said = len(message.content) - thoughts - calls
            spoken = [f"{at}.content[{number}]" for number in range(said)]
            called = [f"{at}.tool_calls[{number}]" for number in range(calls)]
            if calls == 1 and "function_call" in message.content[-1].extra:  # the deprecated spelling
                called = [at]
            return [at] * thoughts + spoken + called
        case _:
            return [f"{at}.content[{number}]" for number in range(len(message.content))]


def inner_places(result: ToolResult, at: str, origin: str) -> list[str]:
    """The paths of what is in a tool result, which stands at `at`."""
    if origin == "ollama":
        return _named(result.content, at)
    if origin == "openai_responses":
        return [f"{at}.output[{number}]" for number in range(len(result.content))]
    return [f"{at}.content[{number}]" for number in range(len(result.content))]


def _is_said(message: Message) -> bool:
    """Whether it is somebody's words, and not a run of results."""
    return not message.content or not isinstance(message.content[0], ToolResult)


def _thoughts(content: Sequence[Part]) -> int:
    """How many thoughts stand before everything else: chat completions have members of their own for them."""
    return next((number for number, part in enumerate(content) if not isinstance(part, Thinking)), len(content))


def _named(content: Sequence[Part], at: str) -> list[str]:
    """On Ollama's wire each kind of part has a member.  Without `at` it is one of the request itself."""
    found = []
    images = calls = 0
    inside = f"{at}." if at else ""
    for part in content:
        match part:
            case Media():
                found.append(f"{inside}images[{images}]")
                images += 1
            case ToolCall():
                found.append(f"{inside}tool_calls[{calls}]")
                calls += 1
            case Thinking():
                found.append(f"{inside}thinking")
            case Text():
                found.append(f"{at}.content" if at else "prompt")
            case _:
                found.append(at)
    return found
