"""Several processes that serve one port, and the one above them: it starts them, again when one dies, and ends them.

On Linux each has a listening socket of its own on that port, and the kernel deals the connections out evenly
(SO_REUSEPORT).  The parent holds all of them: who has connected to a worker that dies is served by the next.
What the workers have to remember together is kept here (`shelves`), where no server is configured for it.
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from msgspec import Struct
from msgspec.structs import replace

from dragoman.config import Secret, Settings
from dragoman.store.link import SCHEME, Frames, frame, shared_file
from dragoman.surfaces.listening import bind, url_of
from dragoman.surfaces.shelves import Shelves

log = logging.getLogger("dragoman.workers")

READY = frame(["ready"])
"""What a worker says when it listens."""

# In seconds: the pause before a worker that died is begun again, which doubles up to the longest; how long one has to
# live for its death to be a new one; how much longer than calls are given the end may take.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
_HEALTHY = 30.0
_END = 15.0
# How often in a row a worker may end before it has served, while none of the others serves.
_TRIES = 3

Serve = Callable[[Settings, socket.socket, "Hold"], None]
"""Serves on a socket until a signal says stop; runs in the worker."""


class Hold(Struct):
    """What a worker has of its parent: `link` is its socket to it, `alive` is at its end when the parent is gone.
    `number` counts from 0; `file` is that of `link.shared_file`."""

    number: int
    link: socket.socket
    alive: int
    file: int

    def ready(self) -> None:
        """Say that calls are taken."""
        self.link.sendall(READY)

    def own(self, settings: Settings) -> Settings:
        """The settings of this worker: its part of the calls that servers get at once, and the shelf it shares."""
        count = settings.workers
        upstreams = tuple(
            replace(each, concurrency=each.concurrency // count + (self.number < each.concurrency % count))
            for each in settings.upstreams
        )
        store = settings.store or Secret(f"{SCHEME}{self.link.fileno()},{self.file}")
        return replace(settings, upstreams=upstreams, store=store)


class _Worker(Struct, eq=False):
    number: int
    pid: int = 0
    link: socket.socket | None = None
    frames: Frames | None = None
    out: bytes = b""
    """What it has not taken yet."""
    ready: bool = False
    began: float = 0.0
    row: int = 0
    due: float = 0.0

    @property
    def alive(self) -> bool:
        return self.pid > 0


class Supervisor:
    """`run` is the life of the parent.  `started` is called with the URL when every worker serves."""

    def __init__(self, settings: Settings, serve: Serve, started: Callable[[str], None]) -> None:
        self._settings = settings
        self._serve = serve
        self._started = started
        self._listeners = _bind_all(settings)
        self.url = url_of(self._listeners[0], tls=bool(settings.tls_cert))
        self._workers = [_Worker(number) for number in range(settings.workers)]
        self._shelves = Shelves(time.monotonic)
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._alive, self._held = os.pipe()
        self._file = shared_file()
        self._told = False
        self._failed = False
        self._deadline = 0.0

    def run(self) -> int:
        """Until a signal says stop.  The exit code: 1 when the workers cannot start."""
        gc.collect()
        gc.freeze()  # so that the collector does not touch, and thereby copy, what the workers share
        inbox, outbox = socket.socketpair()
        inbox.setblocking(False)
        outbox.setblocking(False)
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = {each: signal.signal(each, self._heard) for each in handled}
        wakeup = signal.set_wakeup_fd(outbox.fileno(), warn_on_full_buffer=False)
        self._selector.register(inbox, selectors.EVENT_READ)
        try:
            for worker in self._workers:
                self._begin(worker)
            while any(worker.alive for worker in self._workers) or not self._deadline:
                self._turn(inbox)
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            for worker in self._workers:
                self._unlink(worker)
            self._selector.close()
            for each in (inbox, outbox, *self._listeners):
                each.close()
            for descriptor in (self._alive, self._held, self._file):
                os.close(descriptor)
        return int(self._failed)

    # --- what happens ----------------------------------------------------------------------------

    def _heard(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def _turn(self, inbox: socket.socket) -> None:
        for key, events in self._selector.select(self._pause()):
            if key.fileobj is inbox:
                with suppress(BlockingIOError):
                    inbox.recv(4096)
            else:
                self._linked(key.data, events)
        signals, self._signals = self._signals, []
        for number in signals:
            self._obey(number)
        self._reap()
        now = time.monotonic()
        if self._deadline:
            if now > self._deadline:
                self._send(signal.SIGKILL)
        else:
            for worker in self._workers:
                if not worker.alive and worker.due <= now:
                    self._begin(worker)

    def _pause(self) -> float | None:
        """Seconds until something is to be done by itself."""
        now = time.monotonic()
        dues = [worker.due for worker in self._workers if not worker.alive and not self._deadline]
        if self._deadline:
            dues.append(self._deadline)
        return max(min(dues) - now, 0.01) if dues else None

    def _obey(self, number: int) -> None:
        match number:
            case signal.SIGHUP:
                self._send(signal.SIGHUP)
            case signal.SIGTERM | signal.SIGINT:
                self._end()
            case _:
                pass

    def _end(self) -> None:
        """The workers end; asked twice, at once."""
        if not self._deadline:
            timeouts = self._settings.timeouts
            self._deadline = time.monotonic() + self._settings.drain_delay + timeouts.drain + _END
            for listener in self._listeners:  # each worker has its own still, and leaves it in order
                listener.close()
        self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        for worker in self._workers:
            if worker.alive:
                os.kill(worker.pid, number)

    # --- workers ---------------------------------------------------------------------------------

    def _begin(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        _flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become(worker, theirs)
        theirs.close()
        ours.setblocking(False)
        worker.pid, worker.link, worker.frames, worker.out = pid, ours, Frames(), b""
        worker.ready, worker.began = False, time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _become(self, worker: _Worker, link: socket.socket) -> None:
        """In the child: serve, and never return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)  # what a terminal sends to all, it gets from its parent
            os.close(self._held)
            self._selector.close()
            listener = self._listeners[worker.number % len(self._listeners)]
            for each in (*self._listeners, *(other.link for other in self._workers)):
                if each is not None and each is not listener:
                    each.close()
            self._serve(self._settings, listener, Hold(worker.number, link, self._alive, self._file))
            code = 0
        except BaseException:
            log.exception("worker %d", worker.number + 1)
        finally:
            with suppress(OSError):
                logging.shutdown()
            _flush()
            os._exit(code)

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.alive:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    self._buried(worker, os.waitstatus_to_exitcode(status))

    def _buried(self, worker: _Worker, code: int) -> None:
        pid, worker.pid = worker.pid, 0
        self._unlink(worker)
        if self._deadline:
            return
        now = time.monotonic()
        worker.row = worker.row + 1 if now - worker.began < _HEALTHY else 1
        if not worker.ready and worker.row >= _TRIES and not any(each.ready for each in self._workers if each.alive):
            log.error("the workers cannot start")
            self._failed = True
            self._end()
            return
        pause = min(_FIRST_PAUSE * 2 ** (worker.row - 1), _LONGEST_PAUSE)
        worker.due, worker.ready = now + pause, False
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        log.error("worker %d (pid %d) ended %s; the next begins in %g s", worker.number + 1, pid, how, pause)

    # --- what they say ---------------------------------------------------------------------------

    def _linked(self, worker: _Worker, events: int) -> None:
        if worker.link is None or worker.frames is None:
            return
        waited = bool(worker.out)
        try:
            if events & selectors.EVENT_READ:
                data = worker.link.recv(1 << 20)
                if not data:
                    self._unlink(worker)
                    return
                for message in worker.frames.feed(data):
                    if message == ["ready"]:
                        self._serves(worker)
                    else:
                        worker.out += self._shelves.heard(message)
            if worker.out:
                worker.out = worker.out[worker.link.send(worker.out) :]
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self._unlink(worker)
            return
        if bool(worker.out) != waited:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.out else 0)
            self._selector.modify(worker.link, wanted, worker)

    def _serves(self, worker: _Worker) -> None:
        worker.ready = True
        if not self._told and all(each.ready for each in self._workers):
            self._told = True
            self._started(self.url)

    def _unlink(self, worker: _Worker) -> None:
        if worker.link is not None:
            self._selector.unregister(worker.link)
            worker.link.close()
            worker.link = None


def _bind_all(settings: Settings) -> list[socket.socket]:
    """A listening socket for each worker; where the kernel does not deal connections out, one for all."""
    first = bind(settings.host, settings.port)  # alone: the port may be somebody else's, who shares it too
    if not sys.platform.startswith("linux"):
        return [first]
    port = first.getsockname()[1]
    first.close()
    return [bind(settings.host, port, shared=True) for _ in range(settings.workers)]


def _flush() -> None:
    """Have said what was said; where that goes nobody may read it any more, or have room for it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
