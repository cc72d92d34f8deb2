"""A client that leaves: noticed without a task, while something else is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

from starlette.types import Receive


class Departure:
    """Waits for the client to leave, by a callback on the server's own future: a task for it would cost far more."""

    def __init__(self, receive: Receive, left: Callable[[], None]) -> None:
        self._left = left
        self._waiting: asyncio.Future[None] | None = None
        self._closed = False
        self._step = _until_gone(receive).__await__()
        self._advance()

    def _advance(self, _: object = None) -> None:
        if self._closed:  # woken in the same turn of the loop in which the work was done
            return
        try:
            self._waiting = self._step.send(None)
        except StopIteration:
            self._left()
            return
        if self._waiting is None:
            asyncio.get_running_loop().call_soon(self._advance)
        else:
            self._waiting.add_done_callback(self._advance)

    def close(self) -> None:
        self._closed = True
        if self._waiting is not None:
            self._waiting.remove_done_callback(self._advance)
        self._step.close()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def finish(step: Generator[Any, Any, Any], waiting: Any) -> None:
    """Drive a coroutine that stopped at `waiting` to its end."""
    while True:
        if waiting is None:
            await asyncio.sleep(0)
        else:
            # A coroutine that stops marks its future as awaited; the mark is for one who is no longer there.
            waiting._asyncio_future_blocking = False
            await waiting
        try:
            waiting = step.send(None)
        except StopIteration:
            return
