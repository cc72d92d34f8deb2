"""One process that serves: its socket, its event loop, its signals, its logs."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import date
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from dragoman.config import ConfigError, Settings
from dragoman.config.secrecy import learn, redactor_of
from dragoman.config.tls import TLSError, server_context, show
from dragoman.redaction import Redactor
from dragoman.relay.relay import utc_today
from dragoman.surfaces.app import Application, build_app
from dragoman.surfaces.descriptors import with_room, without_dumps
from dragoman.surfaces.draining import Drain
from dragoman.surfaces.listening import BACKLOG, SETTLE, bind, close_door, url_of, waiting
from dragoman.surfaces.protocol import Protocol
from dragoman.surfaces.supervising import Hold, Supervisor
from dragoman.surfaces.turning import bounds_of, reset
from dragoman.surfaces.watchdog import watched_loop
from dragoman.telemetry.logs import set_levels, set_up_logging
from dragoman.telemetry.peers import shared_directory

log = logging.getLogger("dragoman.server")


def run(
    settings: Settings,
    *,
    started: Callable[[str], None] | None = None,
    reload: Callable[[], Settings] | None = None,
) -> None:
    """Serve until a signal says stop.  `started` is called with the URL once connections are accepted.

    `reload` gives the settings anew when SIGHUP asks for it.  Raises OSError when the address cannot be had, and
    SystemExit when there are to be several processes, and they cannot start.
    """
    redactor = redactor_of(settings)
    set_up_logging(settings, redactor.hide)
    without_dumps()
    settings = with_room(settings)
    tell = started or (lambda _: None)
    if settings.workers > 1:
        with shared_directory() as directory:
            work = partial(_work, reload, redactor, peers=directory)
            code = Supervisor(settings, work, tell).run()
        if code:
            raise SystemExit(code)
        return
    server, listener = make_server(settings, tell, reload=reload, redactor=redactor)
    server.run(sockets=[listener])


def _work(
    reload: Callable[[], Settings] | None,
    redactor: Redactor,
    settings: Settings,
    listener: socket.socket,
    hold: Hold,
    *,
    peers: str,
) -> None:
    """One worker of several.  When its parent is gone it ends as if it had been asked to."""

    def serving(_: str) -> None:
        asyncio.get_running_loop().add_reader(hold.alive, orphaned)
        hold.ready()

    def orphaned() -> None:
        asyncio.get_running_loop().remove_reader(hold.alive)
        log.error("the process above is gone")
        server.handle_exit(signal.SIGTERM, None)

    again = None if reload is None else lambda: hold.own(reload())
    own = hold.own(settings)
    who = f"worker {hold.number + 1}: "
    server, _ = make_server(own, serving, reload=again, listener=listener, redactor=redactor, peers=peers, who=who)
    server.run(sockets=[listener])


def make_server(
    settings: Settings,
    started: Callable[[str], None],
    *,
    signals: bool = True,
    today: Callable[[], date] = utc_today,
    reload: Callable[[], Settings] | None = None,
    listener: socket.socket | None = None,
    redactor: Redactor | None = None,
    peers: str = "",
    who: str = "",
) -> tuple[uvicorn.Server, socket.socket]:
    """A server and the socket it is to listen on.  Without `signals` their handling is left to the caller.

    `redactor` is what keeps secrets out of the log, and learns those of settings that are read anew.  `peers` is a
    directory that all workers of one gateway share: see `telemetry.peers`.  `who` stands before what is logged of
    a reload, which each worker does for itself.
    """
    tls = server_context(settings)
    listener = listener or bind(settings.host, settings.port)
    url = url_of(listener, tls=tls is not None)
    try:
        application = build_app(settings, today, peers)
    except BaseException:
        listener.close()
        raise
    bounds = bounds_of(settings)
    config = uvicorn.Config(
        application.asgi,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=cast("type[asyncio.Protocol]", partial(Protocol, bounds=bounds)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )

    def apply(changed: Settings) -> None:
        if redactor is not None:
            learn(redactor, changed)
        if tls is not None and changed.tls_cert:
            show(tls, changed)
        application.apply(changed)
        reset(bounds, changed)

    again = None if reload is None else _Reload(settings, reload, apply, who)
    return _Server(config, application, lambda: started(url), again, signals=signals), listener


_STORED = ("data_dir", "database", "response_ttl", "response_space")


class _Reload:
    """The configuration read again, and applied if it is good.  Calls under way do not notice."""

    def __init__(
        self, settings: Settings, read: Callable[[], Settings], apply: Callable[[Settings], None], who: str
    ) -> None:
        self._settings = settings
        self._read = read
        self._apply = apply
        self._who = who

    def __call__(self) -> None:
        try:
            settings = with_room(self._read())
        except ConfigError as error:
            log.error("%sthe configuration is not read again, for it is wrong: %s", self._who, error)
            return
        for name in ("host", "port", "demo", "workers", "log_format", "keep_alive", "store", *_STORED):
            if getattr(settings, name) != getattr(self._settings, name):
                log.warning("%sa change of %s needs a restart", self._who, name)
        if bool(settings.tls_cert) != bool(self._settings.tls_cert):
            log.warning("%sto begin or end with TLS needs a restart", self._who)
        set_levels(settings)
        try:
            self._apply(settings)
        except TLSError as error:  # the files were changed since they were read
            log.error("%sthe configuration is not read again, for it is wrong: %s", self._who, error)
            return
        self._settings = settings
        log.info("%sthe configuration was read again", self._who)


# How long (seconds) what lives as long as the process may take to end with it.
_LAST = 10.0


class _Server(uvicorn.Server):
    """A server that says when it listens, and ends in an orderly way: at a signal, and at a second one at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        application: Application,
        listening: Callable[[], None],
        reload: Callable[[], None] | None,
        *,
        signals: bool,
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._reload = reload
        self._signals = signals
        self._application = application
        self._hurry = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Mind the signals meanwhile.  A process that was asked to end, and did, has not failed."""
        if not self._signals:
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hurry = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        tls = self.config.ssl if sockets else None
        await super().startup([] if tls else sockets)
        if tls and sockets:
            loop, patience = asyncio.get_running_loop(), self._application.settings.limits.head
            for listener in sockets:  # who begins TLS and does not go on is no connection yet: nobody else minds him
                server = await loop.create_server(
                    self._protocol,
                    sock=listener,
                    ssl=tls,
                    ssl_handshake_timeout=patience,
                    backlog=BACKLOG,
                )
                self.servers.append(server)
        # What is there now stays: the collector need not look at it again, and may look less often at the rest.
        if self._signals:
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            if self._reload is not None and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        if self.started:
            self._listening()

    async def main_loop(self) -> None:
        with watched_loop() if self._signals else nullcontext():
            await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        application, settings = self._application, self._application.settings
        if self.force_exit:  # whoever embeds the server does not wait for anything
            await super().shutdown(sockets)
            return
        drain = Drain(self.server_state, application.draining, application, lambda: self._hurry)
        await drain.announced(settings.drain_delay)
        await self._leave(sockets or [])
        await drain.finished(settings.timeouts.drain)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.lifespan.shutdown(), _LAST)

    async def _leave(self, listeners: list[socket.socket]) -> None:
        """Listen no more, and lose nobody who is connected already."""
        closed = [close_door(listener) for listener in listeners]
        if any(closed):
            await asyncio.sleep(SETTLE)
        late = waiting(listeners)
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()
        loop = asyncio.get_running_loop()
        for connection in late:
            with suppress(OSError):  # he has left already
                await loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]
