"""The event loop, watched from outside: one piece of work that does not let go keeps everybody waiting.

Whatever blocks it (a slow disk, a lock, much computing in one turn) is told in the log with the place where it is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("dragoman.loop")

LIMIT = 1.0
"""Seconds after which a loop that has not turned counts as blocked."""

_MOST_FRAMES = 12


@contextmanager
def watched_loop(limit: float = LIMIT) -> Iterator[None]:
    """Watch the running loop from a thread of its own.  Costs four wake-ups per `limit` seconds."""
    watch = _Watch(asyncio.get_running_loop(), limit)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Watch:
    """The loop says now and then that it turns; the thread looks when it said so last."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._turned = time.monotonic()
        self._watched = threading.get_ident()
        self._told = False
        self._over = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._look, name="dragoman-watchdog", daemon=True)

    def start(self) -> None:
        self._turn()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.join()

    def _turn(self) -> None:
        now = time.monotonic()
        late = now - self._turned
        self._turned = now
        if self._told:
            self._told = False
            log.warning("the event loop was blocked for %.1f seconds", late)
        self._timer = self._loop.call_later(self._limit / 4, self._turn)

    def _look(self) -> None:
        before = time.monotonic()
        while not self._over.wait(self._limit / 4):
            now = time.monotonic()
            # A process that was stopped, or got no time, is late in both its threads: nobody here is to blame.
            awake, before = now - before < self._limit / 2, now
            if awake and not self._told and now - self._turned > self._limit:
                self._told = True
                log.warning("the event loop is blocked since %.1f seconds, at:\n%s", now - self._turned, self._where())

    def _where(self) -> str:
        frame = sys._current_frames().get(self._watched)
        return "".join(traceback.format_stack(frame)[-_MOST_FRAMES:]).rstrip() if frame is not None else "?"
