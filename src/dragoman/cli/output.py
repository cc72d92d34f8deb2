"""Colour where a person watches, plain lines where a pipe does."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Literal, TextIO

import click

from dragoman.redaction import Redactor

_REDACTOR = "dragoman.redactor"

_STDERR = 2

Look = Literal["good", "bad", "warn", "faint", "strong"]

_CODES: dict[Look, str] = {"good": "32", "bad": "31", "warn": "33", "faint": "2", "strong": "1"}


def watched(stream: TextIO) -> bool:
    """Whether a person sees `stream` in colour.  https://no-color.org"""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, look: Look, stream: TextIO | None = None) -> str:
    """`text` as `stream` (stdout) should have it."""
    return f"\x1b[{_CODES[look]}m{text}\x1b[0m" if watched(stream or sys.stdout) else text


def say(text: str = "", *, given: bool = False) -> None:
    """A line on stdout, at once, without secrets.  What is `given` is the person's own, and stays as it is."""
    print(text if given else redactor().hide(text), flush=True)


def complain(text: str, look: Look = "bad") -> None:
    """Lines on stderr, without secrets."""
    print(paint(redactor().hide(text), look, sys.stderr), file=sys.stderr, flush=True)


def open_all() -> None:
    """Whoever has closed a standard stream gets none of what is said there.

    Left closed, the next socket would have its number, and libuv does not close what it takes for such a stream.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(_STDERR, "w", closefd=False)


def redactor() -> Redactor:
    """What knows the secrets that this command has read so far."""
    context = click.get_current_context(silent=True)
    if context is None:
        return Redactor()
    known: Redactor = context.find_root().meta.setdefault(_REDACTOR, Redactor())
    return known


class _Warnings(logging.Formatter):
    """What is logged by a command that does not serve, and sets no log up."""

    def format(self, record: logging.LogRecord) -> str:
        return redactor().hide(super().format(record))


def hide_everywhere() -> None:
    """What ends the command unforeseen, and what is logged though there is no log, is told without secrets too."""
    secrets = redactor()
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Warnings())

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        print(secrets.hide(text), end="", file=sys.stderr, flush=True)

    sys.excepthook = tell
    threading.excepthook = lambda args: tell(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
