"""One thread that does what blocks, one thing after another, so that nothing else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Worker:
    """The thread begins with the first work there is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor: ThreadPoolExecutor | None = None

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` gives.  Who stops waiting stops it only if it has not begun."""
        return await asyncio.get_running_loop().run_in_executor(self._thread(), work)

    def later(self, work: Callable[[], object]) -> None:
        """Have `work` done when its turn comes.  It must not raise: nobody hears of it."""
        self._thread().submit(work)

    def _thread(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return self._executor

    async def close(self) -> None:
        """When all is done that was begun or waits."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)
