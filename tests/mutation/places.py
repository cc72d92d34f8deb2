"""Where in a client's body a name of a loss points, and the same body with something before its conversation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.mutation.rows import Object, Row

_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[]+)")
_MESSAGE = re.compile(r"messages\[(\d+)\]")
_EARLIER: list[Object] = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": "Well."}]


def found_in(body: Object, name: str) -> bool:
    """Whether `name`, such as `messages[3].content[1]` or `tools.get_weather.strict`, is in the body.

    A tool goes by its name; members of Ollama's `options` by their own.
    """
    here: Any = body
    if name.partition("[")[0].partition(".")[0] not in body and isinstance(body.get("options"), dict):
        here = body["options"]
    if (tool := re.fullmatch(r"tools\.([^.]+)(?:\.(\w+))?", name)) is not None:
        return any(_names(each) & {tool[1]} and (not tool[2] or _holds(each, tool[2])) for each in body["tools"])
    for index, member in _STEP.findall(name):
        try:
            here = here[int(index)] if index else here[member]
        except (KeyError, IndexError, TypeError):
            return False
    return here is not None


def _names(tool: Object) -> set[str]:
    inner = tool.get("function") or tool.get("custom") or {}
    return {name for holder in (tool, inner) for name in (holder.get("name"), holder.get("type")) if name}


def _holds(tool: Object, member: str) -> bool:
    return any(member in holder for holder in (tool, tool.get("function") or {}, tool.get("custom") or {}))


def moved(row: Row) -> bool:
    """Whether a message is named that can be further down."""
    return any(_MESSAGE.match(name) for name in row.dropped | row.emulated)


def shifted(body: Object) -> tuple[Object, Callable[[str], str]]:
    """The body with two messages before all but the leading system messages, and what its places are called then."""
    messages = body["messages"]
    lead = next((at for at, m in enumerate(messages) if m["role"] not in ("system", "developer")), len(messages))

    def rename(name: str) -> str:
        return _MESSAGE.sub(lambda found: f"messages[{int(found[1]) + 2 * (int(found[1]) >= lead)}]", name)

    return {**body, "messages": [*messages[:lead], *_EARLIER, *messages[lead:]]}, rename
