"""An event loop whose timers are on time.

Streams of different people do not deliver their tokens in step.  The usual loops round timers to a millisecond, so
that of 200 streams ten would come at once, and a gateway would be measured at reading ten events for one wake-up.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Coroutine


class _Selector(selectors.EpollSelector):
    """`epoll_wait` takes whole milliseconds; `select` on the epoll takes what it is given."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


def run(main: Coroutine[None, None, None]) -> None:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Selector())) as runner:
        runner.run(main)
