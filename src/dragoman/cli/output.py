"""Colour where a person watches, plain lines where a pipe does."""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO

Look = Literal["good", "bad", "warn", "faint", "strong"]

_CODES: dict[Look, str] = {"good": "32", "bad": "31", "warn": "33", "faint": "2", "strong": "1"}


def watched(stream: TextIO) -> bool:
    """Whether a person sees `stream` in colour.  https://no-color.org"""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, look: Look, stream: TextIO | None = None) -> str:
    """`text` as `stream` (stdout) should have it."""
    return f"\x1b[{_CODES[look]}m{text}\x1b[0m" if watched(stream or sys.stdout) else text


def say(text: str = "") -> None:
    """A line on stdout, at once."""
    print(text, flush=True)


def complain(text: str, look: Look = "bad") -> None:
    """Lines on stderr."""
    print(paint(text, look, sys.stderr), file=sys.stderr, flush=True)
