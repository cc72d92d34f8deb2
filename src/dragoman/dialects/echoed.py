"""Reading blocks that came from Anthropic's servers, or were echoed by a client: nothing here fails, whatever their
shape."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.conversation import JSON, Object


def word(owner: JSON, key: str) -> str:
    """The text in the member `key`, or ""."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, str) else ""


def inner(owner: JSON, key: str) -> Object:
    """The object in the member `key`, or an empty one."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return value if isinstance(value, dict) else {}


def each(value: JSON) -> Iterator[Object]:
    """The objects in an array; of anything else, none."""
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def texts(content: JSON) -> str:
    """A string, or the text of an array of blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(text for block in each(content) if (text := word(block, "text")))


def failure(content: Object) -> str:
    """The error that a server tool's result is instead, with its message, or ""."""
    code = word(content, "error_code")
    return f"{code} {word(content, 'error_message')}".rstrip() if code else ""
