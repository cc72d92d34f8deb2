"""A shelf that nobody has to wait for: what it has in time is a gain, and what it has not is none of the caller's loss.

A server that is down, slow or full is asked again after a pause, and the log says so once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from mmap import mmap

from dragoman.store import Shelf

log = logging.getLogger("dragoman.store")

WAIT = 0.2
"""How long (seconds) a call waits for what it wants to know."""

PAUSE = 5.0
"""How long (seconds) a server that failed is left alone."""

_WRITE = 2.0
_MOST_WRITES = 128


class Patient:
    """`clock` gives monotonic seconds; a `wait` of 0 is `WAIT`.

    Reading and writing fail apart: a full server can still be read.
    """

    def __init__(self, shelf: Shelf, clock: Callable[[], float], wait: float = 0.0, pause: float = PAUSE) -> None:
        self._shelf = shelf
        self._wait = wait or WAIT
        self._reads = _Outage("read", clock, pause)
        self._writes = _Outage("written", clock, pause)
        self._running: set[asyncio.Task[None]] = set()

    @property
    def failures(self) -> int:
        """How often it failed."""
        return self._reads.count + self._writes.count

    def room(self, size: int) -> mmap | None:
        """As `Shelf.room`."""
        return self._shelf.room(size)

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is there under `keys`; nothing at all when it cannot be had in time."""
        if self._reads.lasts():
            return [None] * len(keys)
        try:
            async with asyncio.timeout(self._wait):
                found = await self._shelf.get(keys)
        except Exception as error:
            self._reads.begins(error)
            return [None] * len(keys)
        self._reads.ends()
        return found

    def put(self, key: bytes, value: bytes, seconds: float) -> asyncio.Task[None] | None:
        """Keep `value`, some time soon: see `soon`.  Where too many wait already it is left, and there is no task."""
        if self._writes.lasts() or len(self._running) >= _MOST_WRITES:
            return None
        task = asyncio.get_running_loop().create_task(self._put(key, value, seconds))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _put(self, key: bytes, value: bytes, seconds: float) -> None:
        try:
            async with asyncio.timeout(_WRITE):
                await self._shelf.put(key, value, seconds)
        except Exception as error:
            self._writes.begins(error)
        else:
            self._writes.ends()

    async def written(self) -> None:
        """Wait for everything that is being put."""
        if self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Finish what is being put, if that is quick, and let go."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_WRITE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        try:
            async with asyncio.timeout(_WRITE):
                await self._shelf.close()
        except Exception as error:
            log.debug("closing the shared store: %s", type(error).__name__)


async def soon(task: asyncio.Task[None]) -> None:
    """Wait until what is being put is there, but not for long."""
    await asyncio.wait((task,), timeout=WAIT)


class _Outage:
    """A failure, and the pause after it."""

    def __init__(self, what: str, clock: Callable[[], float], pause: float) -> None:
        self._what = what
        self._clock = clock
        self._pause = pause
        self._until = 0.0
        self._told = False
        self.count = 0

    def lasts(self) -> bool:
        return self._clock() < self._until

    def begins(self, error: Exception) -> None:
        self._until = self._clock() + self._pause
        self.count += 1
        if not self._told:
            # Its message may repeat the address, and the password in it.
            log.warning("the shared store cannot be %s (%s): calls go on without", self._what, _name(error))
            self._told = True

    def ends(self) -> None:
        if self._told:
            log.warning("the shared store can be %s again", self._what)
            self._told = False


def _name(error: Exception) -> str:
    return "too slow" if isinstance(error, TimeoutError) else type(error).__name__
