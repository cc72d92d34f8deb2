"""What the workers of one gateway remember together, in the process above them: the other end of `store.link`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dragoman.relay.kept import Kept
from dragoman.store.link import frame

MAX_BYTES = 64 * 1024 * 1024
MAX_AGE = 24 * 3600.0


class Shelves:
    """What the parent keeps.  `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], max_bytes: int = MAX_BYTES) -> None:
        self._kept: Kept[bytes, bytes] = Kept(clock, max_bytes, MAX_AGE)

    def heard(self, message: list[Any]) -> bytes:
        """What a worker is answered, as a frame.  Raises ValueError for what no worker says."""
        match message:
            case [int(number), "get", list(keys)]:
                return frame([number, [self._kept.get(bytes(key)) for key in keys]])
            case [int(number), "put", bytes(key), bytes(value)]:
                self._kept.put(key, value, len(key) + len(value))
                return frame([number, []])
            case _:
                raise ValueError("a message of no shape")
