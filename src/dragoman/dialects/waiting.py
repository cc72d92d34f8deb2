"""Tool calls that wait for their results, found by id, by name or by place without looking through all of them."""

from __future__ import annotations

from collections import deque

from dragoman.conversation import ToolCall


class _Entry:
    __slots__ = ("answered", "call")

    def __init__(self, call: ToolCall) -> None:
        self.call = call
        self.answered = False


class Waiting:
    """The calls of one turn, in order.  Each one found has its result, and is not found again."""

    def __init__(self) -> None:
        self._by_id: dict[str, deque[_Entry]] = {}
        self._by_name: dict[str, deque[_Entry]] = {}
        self._all: deque[_Entry] = deque()

    def clear(self) -> None:
        """Another turn begins: who still waits is forgotten."""
        if self._all or self._by_name:
            self._by_id, self._by_name, self._all = {}, {}, deque()

    def add(self, call: ToolCall, id: str) -> None:
        """`id` is what the client calls it, and may be empty."""
        entry = _Entry(call)
        self._all.append(entry)
        self._by_name.setdefault(call.name, deque()).append(entry)
        if id:
            self._by_id.setdefault(id, deque()).append(entry)

    def with_id(self, id: str) -> ToolCall | None:
        """The first call with this id that waits; None where there is none."""
        return _first(self._by_id.get(id))

    def with_name(self, name: str) -> ToolCall | None:
        """The first call of this tool that waits."""
        return _first(self._by_name.get(name))

    def next(self) -> ToolCall | None:
        """The first call that waits."""
        return _first(self._all)

    def all_answered(self, id: str) -> bool:
        """Whether there are calls with this id, and none of them waits any more."""
        queue = self._by_id.get(id)
        return queue is not None and not _trimmed(queue)


def _trimmed(queue: deque[_Entry]) -> deque[_Entry]:
    while queue and queue[0].answered:
        queue.popleft()
    return queue


def _first(queue: deque[_Entry] | None) -> ToolCall | None:
    if not queue or not _trimmed(queue):
        return None
    entry = queue.popleft()
    entry.answered = True
    return entry.call
