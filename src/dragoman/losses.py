"""What a translation could not carry.  Nothing is dropped without a word here."""

from __future__ import annotations

from collections.abc import Mapping


class Losses:
    """The loss report of one request.

    `drop` names a member that the target cannot say at all; `emulate` one that is honoured by other means.
    Names are the conversation's (`max_tokens`, `seed`, `messages[2].content[0]`); `spelling` turns them into
    the client's own words (`num_predict`), so that the report is about what the client wrote.
    """

    def __init__(self, spelling: Mapping[str, str] | None = None) -> None:
        self._spelling = spelling or {}
        self.dropped: dict[str, str] = {}
        self.emulated: dict[str, str] = {}

    def drop(self, name: str, why: str) -> None:
        self.dropped.setdefault(self._spelling.get(name, name), why)

    def emulate(self, name: str, how: str) -> None:
        self.emulated.setdefault(self._spelling.get(name, name), how)
