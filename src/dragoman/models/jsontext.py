"""JSON picked out of a model's text as it streams: one value, without fences, prose or wrapper."""

from __future__ import annotations

import re

import msgspec

_decode = msgspec.json.Decoder().decode
_OPEN = re.compile(r"[{\[]")


class OneValue:
    """Passes on the first JSON object or array of a text and nothing around it.

    A text that never opens one is passed on whole at the end: a wrong answer is the client's to see.
    """

    def __init__(self) -> None:
        self._before: list[str] = []
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._done = False

    def feed(self, text: str) -> str:
        if self._done:
            return ""
        if self._depth == 0:
            if (match := _OPEN.search(text)) is None:
                self._before.append(text)
                return ""
            text = text[match.start() :]
        return self._inside(text)

    def close(self) -> str:
        return "" if self._done or self._depth else _bare("".join(self._before))

    def _inside(self, text: str) -> str:
        for place, char in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif char == "\\":
                    self._escaped = True
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self._done = True
                    return text[: place + 1]
        return text


def _bare(text: str) -> str:
    """A lone scalar out of its fence; any other text as it is."""
    inner = re.sub(r"^\s*```[a-z]*\s*|\s*```\s*$", "", text)
    try:
        _decode(inner)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text
    return inner.strip()


class Unwrapped:
    """Passes on X of a text `{"value": X}`.  X's own end is known only at the end, so the last brace is held back."""

    _HEAD = re.compile(r'\s*\{\s*"value"\s*:\s*')

    def __init__(self) -> None:
        self._head: str | None = ""
        self._tail = ""

    def feed(self, text: str) -> str:
        if self._head is not None:
            self._head += text
            if (match := self._HEAD.match(self._head)) is None:
                return ""
            text, self._head = self._head[match.end() :], None
        held = self._tail + text
        body = held.rstrip(" \t\r\n")
        cut = len(body) - 1 if body.endswith("}") else len(held)
        self._tail = held[cut:]
        return held[:cut]

    def close(self) -> str:
        if self._head is not None:
            return self._head  # not what the constraint promised: shown as it came
        return ""
