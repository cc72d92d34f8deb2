"""Values kept for a while: bounded in bytes and in time, the one used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """`clock` gives monotonic seconds; a value is forgotten `max_age` seconds after it was put or renewed."""

    def __init__(self, clock: Callable[[], float], max_bytes: int, max_age: float) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._entries: OrderedDict[K, tuple[float, int, V]] = OrderedDict()
        self.size = 0

    def get(self, key: K) -> V | None:
        """The value, which is then the last to be pushed out for room; None where it is gone."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] < self._clock():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry[2]

    def renew(self, key: K) -> None:
        """As if it were put again now."""
        if (entry := self._entries.get(key)) is not None:
            self._entries[key] = (self._clock() + self._max_age, *entry[1:])
            self._entries.move_to_end(key)

    def put(self, key: K, value: V, size: int) -> None:
        """Keep `value`, which holds about `size` bytes.  One that would fill more than half the room is not kept."""
        self._forget(key)
        if size * 2 > self._max_bytes:
            return
        self._entries[key] = (self._clock() + self._max_age, size, value)
        self.size += size
        while self.size > self._max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: K) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self.size -= entry[1]
