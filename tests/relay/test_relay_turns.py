"""Places that clients take in turns: whoever wants many at once holds up nobody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from dragoman.relay.turns import Turns
from dragoman.telemetry.trail import CURRENT, Trail
from tests.relay.looping import run


class Work:
    """What was begun, in order, and each piece of work that runs until it is told to end."""

    def __init__(self, most: int, each: int) -> None:
        self.turns = Turns(most, each)
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def want(self, *names: str) -> None:
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._do(name))
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await settled()

    async def leave(self, *names: str) -> None:
        for name in names:
            self.tasks[name].cancel()
        for name in names:
            with suppress(asyncio.CancelledError):
                await self.tasks[name]
        await settled()

    async def _do(self, name: str) -> None:
        CURRENT.set(Trail(client=name[0]))
        async with self.turns.one():
            self.begun.append(name)
            await self._ends[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_alone_has_all_there_are_and_then_they_take_turns() -> None:
    async def work() -> None:
        it = Work(2, 2)
        await it.want("a1", "a2", "a3", "a4", "b1", "c1", "b2")
        assert it.begun == ["a1", "a2"]
        for name in ("a1", "a2", "a3", "b1", "c1"):
            await it.end(name)
        assert it.begun == ["a1", "a2", "a3", "b1", "c1", "a4", "b2"]
        await it.leave(*it.tasks)

    run(work)


def test_one_has_no_more_than_his() -> None:
    async def work() -> None:
        it = Work(3, 2)
        await it.want("a1", "a2", "a3", "a4")
        assert it.begun == ["a1", "a2"]
        await it.want("b1", "b2")
        assert it.begun == ["a1", "a2", "b1"]
        await it.end("a1")
        assert it.begun[3:] == ["a3"]
        await it.leave(*it.tasks)

    run(work)


@pytest.mark.parametrize(
    "gone", [["a2"], ["a2", "b1"], ["a1"], ["a1", "a2"], ["b1", "c1", "a2"], ["a1", "a2", "b1", "c1"]]
)
def test_who_leaves_takes_nothing_along(gone: list[str]) -> None:
    """At the same moment, waiting or not: then all places are there again."""

    async def work() -> None:
        it = Work(1, 1)
        await it.want("a1", "a2", "b1", "c1")
        await it.leave(*gone)
        for name in ("a1", "b1", "c1", "a2"):
            if name not in gone:
                it._ends[name].set()
        await asyncio.gather(*(task for name, task in it.tasks.items() if name not in gone))
        await it.want("x1", "y1")
        assert it.begun[-1] == "x1"
        await it.end("x1")
        assert it.begun[-1] == "y1"
        await it.leave("y1")

    run(work)
