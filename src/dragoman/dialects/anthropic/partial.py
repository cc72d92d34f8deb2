"""The arguments of a call on their way into deltas, which must add up to a JSON object.

A model writes its arguments as text, and now and then that is not JSON.  Programs parse what there is at every delta,
and give the whole answer up when that fails.  So the text leaves only as far as an object can begin that way; where it
stops being one, the object is closed, and the text itself stands in it under `_invalid_json`.
"""

from __future__ import annotations

import re
from typing import Literal

from dragoman.arguments import json_text, parse_arguments

_State = Literal["start", "first key", "string", "colon", "value", "first item", "next", "end", "broken"]

_SPACE = r"[ \t\r\n]*"
_VALUE = r'(?=["{\[\-0-9tfn])'
_HIGH, _LOW, _HEX = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}", r"[0-9a-fA-F]"

# What may stand next in each state.  A step is taken whole or not at all: a comma leaves with what comes after it.
_SPACES = re.compile(r"[ \t\r\n]+")
_OPEN = re.compile(rf"{_SPACE}\{{")
_FIRST_KEY = re.compile(rf'{_SPACE}(["}}])')
_NEXT_KEY = re.compile(rf'{_SPACE}(?:(\}})|,{_SPACE}")')
_NEXT_ITEM = re.compile(rf"{_SPACE}(?:(\])|,{_SPACE}{_VALUE})")
_COLON = re.compile(rf"{_SPACE}:{_SPACE}{_VALUE}")
_FIRST_ITEM = re.compile(rf"{_SPACE}(?:(\])|{_VALUE})")
_ANY_VALUE = re.compile(
    r'(["{\[])|(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?=[ \t\r\n,\]}])'
)
_IN_STRING = re.compile(
    rf'(")|[^"\\\x00-\x1f\ud800-\udfff]+|\\["\\/bfnrt]|{_HIGH}{_LOW}|\\u(?![dD][89a-fA-F]){_HEX}{{4}}'
)

# Longer numbers, and longer pauses, are no arguments.
_PATIENCE = 4096

# What the end of the text so far looks like where more of it may make a step of it.
_UNFINISHED = re.compile(rf"{_SPACE}[,:]?{_SPACE}")
_UNFINISHED_WORD = re.compile(r"[-+.0-9a-zA-Z]*")
_UNFINISHED_ESCAPE = re.compile(rf"\\(?:u{_HEX}{{0,3}})?|{_HIGH}(?:\\(?:u{_HEX}{{0,3}})?)?")


class ObjectText:
    """`feed` it text: what it returns may leave.  `close` returns what is missing then."""

    def __init__(self) -> None:
        self._state: _State = "start"
        self._stack: list[str] = []  # of the brackets that are open, those that close them
        self._in_key = False
        self._has_members = False
        self._raw: list[str] = []
        self._rest = ""
        self._close = ""

    def feed(self, text: str) -> str:
        self._raw.append(text)
        if self._state == "broken":
            return ""
        rest = self._rest + text
        at = 0
        while at < len(rest) and (step := self._step(rest, at)) is not None:
            at = step
        self._rest = rest[at:]
        if self._rest and not self._may_go_on():
            self._rest = ""
            if self._state != "end":  # what stands after an object cannot spoil it any more
                self._close = self._closing()
                self._state = "broken"
        return rest[:at]

    def close(self) -> str:
        """An object cut off by the end of the answer stays as it is: programs know that case."""
        if self._state == "start" or (self._state == "broken" and not self._stack):
            return json_text(parse_arguments("".join(self._raw)))
        if self._state != "broken":
            return ""
        comma = "," if self._has_members else ""
        return f"{self._close}{comma}{json_text({'_invalid_json': ''.join(self._raw)})[1:]}"

    def _step(self, text: str, at: int) -> int | None:
        """Where `text` goes on after the step at `at`, or None when there is none."""
        if self._state not in ("start", "string", "end") and (space := _SPACES.match(text, at)):
            return space.end()
        found = self._pattern().match(text, at) if self._state != "end" else None
        if found is None:
            return None
        mark = found[1] if found.re.groups else None
        match self._state:
            case "start":
                self._push("}")
            case "string" if mark:
                self._state = "colon" if self._in_key else "next"
            case "string":
                pass
            case "value":
                self._begin(mark)
            case _ if mark in ("}", "]"):
                self._pop()
            case "colon" | "first item":
                self._state = "value"
            case "next" if self._stack[-1] == "]":
                self._state = "value"
            case _:
                self._state, self._in_key, self._has_members = "string", True, True
        return found.end()

    def _pattern(self) -> re.Pattern[str]:
        match self._state:
            case "start":
                return _OPEN
            case "first key":
                return _FIRST_KEY
            case "string":
                return _IN_STRING
            case "colon":
                return _COLON
            case "value":
                return _ANY_VALUE
            case "first item":
                return _FIRST_ITEM
            case _:
                return _NEXT_KEY if self._stack[-1] == "}" else _NEXT_ITEM

    def _begin(self, mark: str | None) -> None:
        match mark:
            case '"':
                self._state, self._in_key = "string", False
            case "{":
                self._push("}")
            case "[":
                self._push("]")
            case _:
                self._state = "next"

    def _push(self, closing: str) -> None:
        self._stack.append(closing)
        self._state = "first key" if closing == "}" else "first item"

    def _pop(self) -> None:
        self._stack.pop()
        self._state = "next" if self._stack else "end"

    def _may_go_on(self) -> bool:
        unfinished = {"string": _UNFINISHED_ESCAPE, "value": _UNFINISHED_WORD}.get(self._state, _UNFINISHED)
        return len(self._rest) < _PATIENCE and unfinished.fullmatch(self._rest) is not None

    def _closing(self) -> str:
        """What makes the text that has left an object that lacks its last bracket."""
        match self._state:
            case "string":
                end = '":null' if self._in_key else '"'
            case "colon":
                end = ":null"
            case "value":
                end = "null"
            case _:
                end = ""
        return end + "".join(reversed(self._stack[1:]))
