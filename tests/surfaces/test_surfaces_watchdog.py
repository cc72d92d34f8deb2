"""An event loop that is blocked says so, with the place; one that is not says nothing."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from dragoman.surfaces.watchdog import watched_loop

LIMIT = 0.2


def dawdle() -> None:
    time.sleep(5 * LIMIT)


def watched(work: float, caplog: pytest.LogCaptureFixture) -> list[str]:
    async def run() -> None:
        with watched_loop(LIMIT):
            await asyncio.sleep(LIMIT)
            if work:
                dawdle()
            await asyncio.sleep(LIMIT)

    with caplog.at_level(logging.WARNING, "dragoman.loop"):
        asyncio.run(run())
    return [record.getMessage() for record in caplog.records if record.name == "dragoman.loop"]


def test_what_blocks_it_is_told_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):  # a machine that gives the watching thread no time proves nothing: `_Watch._look`
        if told := watched(1, caplog):
            break
    assert told[0].startswith("the event loop is blocked since ")
    assert "in dawdle" in told[0]
    assert told[1].startswith("the event loop was blocked for ")


def test_a_loop_that_turns_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):  # a machine that gives the loop no time is one that may be complained of
        if not watched(0, caplog):
            return
        caplog.clear()
    pytest.fail("a loop that turns was complained of each time")
