"""The process: one socket, one event loop, logs, and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import uvicorn

from dragoman.config import ConfigError, Settings
from dragoman.relay.relay import utc_today
from dragoman.surfaces.app import build_app
from dragoman.surfaces.protocol import Protocol

log = logging.getLogger("dragoman.server")


def run(
    settings: Settings,
    *,
    started: Callable[[str], None] | None = None,
    reload: Callable[[], Settings] | None = None,
) -> None:
    """Serve until a signal says stop.  `started` is called with the URL once connections are accepted.

    `reload` gives the settings anew when SIGHUP asks for it.  Raises OSError when the address cannot be had.
    """
    set_up_logging(settings)
    server, listener = make_server(settings, started or (lambda _: None), reload=reload)
    server.run(sockets=[listener])


def make_server(
    settings: Settings,
    started: Callable[[str], None],
    *,
    signals: bool = True,
    today: Callable[[], date] = utc_today,
    reload: Callable[[], Settings] | None = None,
) -> tuple[uvicorn.Server, socket.socket]:
    """A server and the socket it is to listen on.  Without `signals` their handling is left to the caller."""
    listener = _bind(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    application = build_app(settings, today)
    config = uvicorn.Config(
        application.asgi,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.timeouts.drain),
    )
    again = None if reload is None else _Reload(settings, reload, application.apply)
    return _Server(config, lambda: started(url), again, signals=signals), listener


_STORED = ("data_dir", "database", "response_ttl", "response_space")


class _Reload:
    """The configuration read again, and applied if it is good.  Calls under way do not notice."""

    def __init__(self, settings: Settings, read: Callable[[], Settings], apply: Callable[[Settings], None]) -> None:
        self._settings = settings
        self._read = read
        self._apply = apply

    def __call__(self) -> None:
        try:
            settings = self._read()
        except ConfigError as error:
            log.error("the configuration is not read again, for it is wrong: %s", error)
            return
        for name in ("host", "port", "demo", "log_format", "keep_alive", "store", *_STORED):
            if getattr(settings, name) != getattr(self._settings, name):
                log.warning("a change of %s needs a restart", name)
        _set_levels(settings)
        self._apply(settings)
        self._settings = settings
        log.info("the configuration was read again")


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        listening: Callable[[], None],
        reload: Callable[[], None] | None,
        *,
        signals: bool,
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._reload = reload
        self._signals = signals

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if self._signals:
            with super().capture_signals():
                yield
        else:
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there now stays: the collector need not look at it again, and may look less often at the rest.
        if self._signals:
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            if self._reload is not None and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        if self.started:
            self._listening()


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def set_up_logging(settings: Settings) -> None:
    """One handler for our own logs and uvicorn's warnings, on stderr.  Bodies and secrets are never logged."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JSONLines() if settings.log_format == "json" else _Console(_CONSOLE))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    _set_levels(settings)


def _set_levels(settings: Settings) -> None:
    logging.getLogger("dragoman").setLevel(logging.DEBUG if settings.debug else logging.INFO)
    calls = settings.log_calls or settings.debug
    logging.getLogger("dragoman.calls").setLevel(logging.INFO if calls else logging.WARNING)


_CONSOLE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


# Messages quote what clients sent, which may be anything and of any length.
_MAX_MESSAGE = 2000


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "..."


class _Console(logging.Formatter):
    """One line a record, before its traceback: nobody outside writes lines of his own into the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = _message(record)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        record.message = text
        return super().formatMessage(record)


class _JSONLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        line |= getattr(record, "members", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
