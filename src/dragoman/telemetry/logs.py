"""Logs, on stderr: for people or as JSON lines.  Bodies and secrets are never logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from dragoman.config import Settings
from dragoman.conversation import Object
from dragoman.redaction import Redactor
from dragoman.telemetry.lines import Clock, LineHandler, as_json, words

# Messages quote what clients sent, which may be anything and of any length.
_MAX_MESSAGE = 2000


def set_up_logging(settings: Settings, hide: Callable[[str], str] | None = None) -> None:
    """One handler for our own logs and uvicorn's warnings.  `hide` takes secrets out of a text: by default those that
    look like one."""
    hide = hide or Redactor().hide
    form = _JSONLines(hide) if settings.log_format == "json" else _Console(hide)
    handler = LineHandler(form.line, hide)
    handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    set_levels(settings)


def set_levels(settings: Settings) -> None:
    """How much is logged."""
    logging.getLogger("dragoman").setLevel(logging.DEBUG if settings.debug else logging.INFO)
    calls = settings.log_calls or settings.debug
    logging.getLogger("dragoman.calls").setLevel(logging.INFO if calls else logging.WARNING)


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "..."


class _Console(logging.Formatter):
    """One line a record, before its traceback: nobody outside writes lines of his own into the log."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._hide = hide
        self._clock = Clock("%Y-%m-%d %H:%M:%S")

    def line(self, members: Object) -> str:
        """The line of a call."""
        return f"{self._clock.text(time.time())} INFO    dragoman.calls: {words(members)}"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return self._clock.text(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = _message(record)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        record.message = text
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


class _JSONLines(logging.Formatter):
    """One JSON object a record."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._hide = hide
        self._clock = Clock("%Y-%m-%dT%H:%M:%S")

    def line(self, members: Object) -> str:
        """The line of a call."""
        head: Object = {"time": self._clock.text(time.time()), "level": "info", "logger": "dragoman.calls"}
        return as_json({**head, "message": _brief(members), **members})

    def format(self, record: logging.LogRecord) -> str:
        members: Object | None = getattr(record, "members", None)
        line: Object = {
            "time": self._clock.text(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record) if members is None else _brief(members),
        }
        if members is not None:
            line |= members
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._hide(as_json(line))


def _brief(members: Object) -> str:
    return f"{members.get('method', '')} {members.get('path', '')} {members.get('outcome', '')}"
