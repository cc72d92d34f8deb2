"""Where something stands in what the client wrote, for errors and reports."""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.conversation import Media, Message, Part, Text, Thinking, ToolCall, ToolResult


def place(messages: Sequence[Message], origin: str, index: int) -> str:
    """The path of the message that is `messages[index]` here.

    The Messages API has no system message at the beginning: what stands there came from the member `system`.  Each
    tool result is a message of its own on Ollama's wire, where it is one of a run here.
    """
    if origin == "ollama":
        before = sum(1 if _is_said(message) else len(message.content) for message in messages[:index])
        return f"messages[{before}]"
    if origin != "anthropic" or messages[0].role != "system":
        return f"messages[{index}]"
    return f"messages[{index - 1}]" if index else "system"


def part_places(messages: Sequence[Message], origin: str, index: int) -> list[str]:
    """The paths of the parts of `messages[index]`, in order."""
    message, at = messages[index], place(messages, origin, index)
    match origin:
        case "ollama" if not _is_said(message):
            first = int(at.removeprefix("messages[").removesuffix("]"))
            return [f"messages[{first + number}]" for number in range(len(message.content))]
        case "ollama":
            return _named(message.content, at)
        case "openai_chat" if not _is_said(message):
            return [at] * len(message.content)
        case "openai_chat":
            thoughts = _thoughts(message.content)
            return [at] * thoughts + [f"{at}.content[{number}]" for number in range(len(message.content) - thoughts)]
        case _:
            return [f"{at}[{number}]" if at == "system" else f"{at}.content[{number}]" for number in _range(message)]


def inner_places(result: ToolResult, at: str, origin: str) -> list[str]:
    """The paths of what is in a tool result, which stands at `at`."""
    if origin == "ollama":
        return _named(result.content, at)
    return [f"{at}.content[{number}]" for number in range(len(result.content))]


def _is_said(message: Message) -> bool:
    """Whether it is somebody's words, and not a run of results."""
    return not message.content or not isinstance(message.content[0], ToolResult)


def _range(message: Message) -> range:
    return range(len(message.content))


def _thoughts(content: Sequence[Part]) -> int:
    """How many thoughts stand before everything else: chat completions have members of their own for them."""
    return next((number for number, part in enumerate(content) if not isinstance(part, Thinking)), len(content))


def _named(content: Sequence[Part], at: str) -> list[str]:
    """On Ollama's wire each kind of part has a member."""
    found = []
    images = calls = 0
    for part in content:
        match part:
            case Media():
                found.append(f"{at}.images[{images}]")
                images += 1
            case ToolCall():
                found.append(f"{at}.tool_calls[{calls}]")
                calls += 1
            case Thinking():
                found.append(f"{at}.thinking")
            case Text():
                found.append(f"{at}.content")
            case _:
                found.append(at)
    return found
