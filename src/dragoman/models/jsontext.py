"""JSON picked out of a model's text as it streams: one value, without fences, prose or wrapper."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

_decode = msgspec.json.Decoder().decode

Root = Literal["json", "object", "array"]

# How an object or an array goes on, and how far that may be undecided yet: prose has brackets, too.
_OPENERS = {"json": re.compile(r"[{\[]"), "object": re.compile(r"[{\[]"), "array": re.compile(r"\[")}
_GOES_ON = {
    "{": re.compile(r'\{\s*["}]'),
    "[": re.compile(r'\[\s*(?:[\]\[{"0-9-]|(?:true|false|null)[\s,\]])'),
}
_UNDECIDED = re.compile(r"[{\[]\s*(?:t|tr|tru|true|f|fa|fal|fals|false|n|nu|nul|null)?")
_STRUCTURE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class _Nesting:
    """Reads one value from its first bracket or quotation mark to its last, in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def end(self, text: str, place: int = 0) -> int | None:
        """Where in `text`, read from `place`, the value is over; None: not in here."""
        if self._escaped and place < len(text):
            self._escaped, place = False, place + 1
        while (match := (_IN_STRING if self._in_string else _STRUCTURE).search(text, place)) is not None:
            place = match.end()
            match match[0]:
                case "\\":
                    self._escaped = place == len(text)
                    place += 1
                case '"':
                    self._in_string = not self._in_string
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
            if self._depth == 0 and not self._in_string:
                return place
        return None


class OneValue:
    """Passes on the first JSON object or array of a text and nothing around it.

    `root` says which of the two is wanted, where that is known: an object inside an array is not it.  A text that never
    opens one is passed on whole at the end, out of its fence where it is another value: a wrong answer is the client's
    to see.
    """

    def __init__(self, root: Root = "json") -> None:
        self._root = root
        self._before: list[str] = []
        self._pending = ""  # what may be a beginning
        self._skipped: _Nesting | None = None
        self._value: _Nesting | None = None
        self._done = False

    def feed(self, text: str) -> str:
        if self._done:
            return ""
        if self._value is not None:
            return self._inside(text, self._value)
        if self._root == "json" and not self._pending and (inside := self._string(text)) is not None:
            return inside
        text, self._pending = self._pending + text, ""
        place = self._beginning(text)
        if place is None:
            return ""
        self._value = _Nesting()
        return self._inside(text[place:], self._value)

    def close(self) -> str:
        """What is left at the end: the text as it came, where no value ever began."""
        return "" if self._value is not None else _bare("".join([*self._before, self._pending]))

    def _string(self, text: str) -> str | None:
        """A text that begins with a quotation mark is a string, whatever stands in it."""
        if any(map(str.strip, self._before)) or not text.lstrip().startswith('"'):
            return None
        self._value = _Nesting()
        return self._inside(text.lstrip(), self._value)

    def _beginning(self, text: str) -> int | None:
        """Where the value begins.  None: not in here, or not to be told yet."""
        at = 0
        while True:
            if self._skipped is not None:
                end = self._skipped.end(text, at)
                if end is None:
                    break
                self._skipped, at = None, end
            match = _OPENERS[self._root].search(text, at)
            if match is None:
                break
            at = match.start()
            if _GOES_ON[match[0]].match(text, at):
                if self._root != "object" or match[0] == "{":
                    return at
                self._skipped = _Nesting()
            elif _UNDECIDED.fullmatch(text, at):
                self._before.append(text[:at])
                self._pending = text[at:]
                return None
            else:
                at += 1
        self._before.append(text)
        return None

    def _inside(self, text: str, value: _Nesting) -> str:
        end = value.end(text)
        self._done = end is not None
        return text[:end]


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
