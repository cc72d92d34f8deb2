"""How the conversations begin of which a turn is remembered: most others need not be looked for any further."""

from __future__ import annotations

import mmap
from collections.abc import Callable

from dragoman.conversation import Request, Text

SIZE = 1 << 18
"""Bytes.  Conversations whose beginnings fall on the same one are told apart by who looks further."""

# Characters of a conversation's first words that tell it from others.
_BEGINNING = 256
_HOUR = 3600.0


class Beginnings:
    """A byte for each: the hour in which a turn was kept last, 0 for never.  Marks of the last `hours` count.

    `room` may be memory that processes share, which have a `clock` (monotonic seconds) and a seed of `hash` in common:
    forks of one process do.  A mark is seen by all of them at once.
    """

    def __init__(self, clock: Callable[[], float], max_age: float, room: bytearray | mmap.mmap) -> None:
        self._clock = clock
        self._hours = int(max_age / _HOUR) + 1
        self._room = room

    def add(self, request: Request) -> None:
        """A turn of this conversation is kept from now on."""
        self._room[_place(request)] = self._now() + 1

    def __contains__(self, request: Request) -> bool:
        mark = self._room[_place(request)]
        return mark > 0 and (self._now() + 1 - mark) % 255 <= self._hours

    def _now(self) -> int:
        return int(self._clock() / _HOUR) % 255


def _place(request: Request) -> int:
    """The same for a conversation that grows, and for few others."""
    first = request.messages[0].content if request.messages else ()
    text = next((part.text for part in first if isinstance(part, Text)), "")
    return hash(text.strip()[:_BEGINNING]) % SIZE
