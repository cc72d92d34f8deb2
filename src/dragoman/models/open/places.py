"""Where something stands in what the client wrote, for errors and reports."""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.conversation import Message


def place(messages: Sequence[Message], origin: str, index: int) -> str:
    """The path of the message that is `messages[index]` here.

    The Messages API has no system message at the beginning: what stands there came from the member `system`.
    """
    if origin != "anthropic" or messages[0].role != "system":
        return f"messages[{index}]"
    return f"messages[{index - 1}]" if index else "system"


def within(at: str, index: int) -> str:
    """The path of a part of the message or result at `at`."""
    return f"{at}[{index}]" if at == "system" else f"{at}.content[{index}]"
