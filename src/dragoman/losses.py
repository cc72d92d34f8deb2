"""What a translation could not carry.  Nothing is dropped without a word here."""

from __future__ import annotations

import re
from collections.abc import Mapping

_STEP = re.compile(r"\[\d+\]|\.?[^.\[]+")


class Losses:
    """The loss report of one request.

    `drop` names a member that the target cannot say at all; `emulate` one that is honoured by other means.
    Names are the conversation's (`max_tokens`, `seed`, `messages[2].content[0]`); `spelling` turns them into
    the client's own words (`num_predict`), so that the report is about what the client wrote.
    """

    def __init__(self, spelling: Mapping[str, str] | None = None) -> None:
        self._spelling = spelling or {}
        self._moved: dict[str, str] = {}
        self.dropped: dict[str, str] = {}
        self.emulated: dict[str, str] = {}

    def drop(self, name: str, why: str) -> None:
        """`name` is left out of the request.  What is told of it first counts."""
        self.dropped.setdefault(self._named(name), why)

    def emulate(self, name: str, how: str) -> None:
        """`name` is said in other words that mean nearly the same."""
        self.emulated.setdefault(self._named(name), how)

    def moved(self, places: Mapping[str, str]) -> None:
        """What stands at the path of a key from now on is what the client wrote at the path of its value.

        Of what is inside something that moved, only the last step of the key is new: where `messages[0]` was
        `messages[4]`, its second part, that was the first, is `messages[4].content[1]: messages[4].content[0]`.
        """
        self._moved |= places

    def place(self, name: str) -> str:
        """Where the client wrote what stands at the path `name` now."""
        return self._named(name)

    def _named(self, name: str) -> str:
        """The name in the client's words."""
        if self._moved:
            place = ""
            for step in _STEP.findall(name):
                place = self._moved.get(place + step, place + step)
            name = place
        return self._spelling.get(name, name)
