"""The line of a call, written without the detours of `logging`: there it costs as much as four calls' worth of JSON.

It goes the short way where the log is ours (`logs.set_up_logging`), and as an ordinary record where somebody else
listens.  Lines of one turn of the event loop leave in one write.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

import msgspec

from dragoman.conversation import Object
from dragoman.telemetry.trail import is_usual

log = logging.getLogger("dragoman.calls")
_ours = logging.getLogger("dragoman")
_root = logging.getLogger()

_encode = msgspec.json.Encoder().encode

# Members whose values others chose: clients, and servers.
_WORDED = ("request", "path", "model", "asked", "upstream_id", "dropped", "emulated", "why")
# How many of them, that come again and again, are known to be harmless; and the longest of those.
_HARMLESS = 1000
_SHORT = 100

# Lines that are held back, before they are written all the same.
_MOST = 500


class Clock:
    """The time of a line.  The seconds are written out once a second."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._second = -1
        self._text = ""

    def text(self, now: float) -> str:
        """`now`, in seconds since 1970, in UTC with milliseconds."""
        second = int(now)
        if second != self._second:
            self._second, self._text = second, time.strftime(self._form, time.gmtime(second))
        return f"{self._text}.{int((now - second) * 1000):03d}Z"


class LineHandler(logging.StreamHandler[TextIO]):
    """A log on stderr.  `tell` takes the members of a call's line; `render` makes the line of them, `hide` takes out
    what must not be in any log."""

    def __init__(self, render: Callable[[Object], str], hide: Callable[[str], str]) -> None:
        super().__init__(sys.stderr)
        self._render = render
        self._hide = hide
        self._held: list[str] = []
        self._harmless: set[str] = set()

    def tell(self, members: Object) -> None:
        """One line, at the end of this turn of the event loop."""
        for name in _WORDED:
            if (value := members.get(name)) is not None and value not in self._harmless:
                members[name] = self._checked(name, str(value))
        self._held.append(self._render(members))
        if len(self._held) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.pour)
            except RuntimeError:  # nobody runs who could come back to it
                self.pour()
        elif len(self._held) >= _MOST:
            self.pour()

    def _checked(self, name: str, value: str) -> str:
        """The value without secrets."""
        if name == "upstream_id" and is_usual(value):
            return value
        told = self._hide(value)
        often = name in ("path", "model", "asked")
        if often and told == value and len(value) <= _SHORT and len(self._harmless) < _HARMLESS:
            self._harmless.add(value)
        return told

    def pour(self) -> None:
        """Write what is held."""
        held, self._held = self._held, []
        if held:
            try:
                self.stream.write("\n".join(held) + "\n")
                self.stream.flush()
            except (OSError, ValueError):  # nobody reads the log any more, or its disk is full: calls go on
                pass

    def emit(self, record: logging.LogRecord) -> None:
        self.pour()
        super().emit(record)

    def close(self) -> None:
        self.pour()
        super().close()


def wanted() -> bool:
    """Whether anybody reads the lines of calls."""
    return log.isEnabledFor(logging.INFO)


def tell(members: Object) -> None:
    """Write one line: only where it is `wanted`."""
    handlers = _root.handlers
    if len(handlers) == 1 and isinstance(handlers[0], LineHandler) and not log.handlers and not _ours.handlers:
        handlers[0].tell(members)
    else:
        log.info("%s", words(members), extra={"members": members})


def words(members: Object) -> str:
    """`name=value` for people; what has spaces in it is quoted as in JSON."""
    told = []
    for name, value in members.items():
        if type(value) is str:
            if not value or " " in value or '"' in value or not value.isprintable():
                value = json.dumps(value)
        elif type(value) is float and "e" in (value := repr(value)):
            value = f"{float(value):.9f}".rstrip("0")
        told.append(f"{name}={value}")
    return " ".join(told)


def as_json(document: Object) -> str:
    """One line of ASCII: nothing in it moves a terminal's cursor."""
    try:
        data = _encode(document)
    except UnicodeEncodeError:  # half a character
        return json.dumps(document)
    return str(data, "ascii") if data.isascii() and b"\x7f" not in data else json.dumps(document)
