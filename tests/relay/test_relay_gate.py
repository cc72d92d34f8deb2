"""The gate: a limit that holds, a queue in order, and no place lost or given twice, whoever is cancelled when."""

from __future__ import annotations

import asyncio
import random

import pytest

from dragoman.errors import GatewayError
from dragoman.relay.gate import Gate
from tests.relay.looping import run

LONG = 15.0


async def settle() -> None:
    """Let everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_without_a_limit_nothing_is_awaited() -> None:
    """The coroutine ends at once, without an event loop even."""
    gate = Gate("ollama")
    for _ in range(1000):
        with pytest.raises(StopIteration):
            gate.enter(LONG).send(None)
    assert (gate.inside, gate.full) == (1000, False)
    gate.leave()
    assert gate.inside == 999


def test_first_come_first_served() -> None:
    async def work() -> None:
        gate, order = Gate("ollama", 2), list[int]()

        async def call(number: int) -> None:
            async with gate.held(LONG):
                assert gate.inside <= 2
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(call(number) for number in range(20)))
        assert order == list(range(20))
        assert (gate.inside, gate.waiting) == (0, 0)

    run(work)


def test_who_comes_late_does_not_overtake() -> None:
    async def work() -> None:
        gate = Gate("ollama", 1)
        await gate.enter(LONG)
        waiting = asyncio.ensure_future(gate.enter(LONG))
        await settle()
        gate.leave()  # the place belongs to who waits, though it does not know yet
        assert (gate.inside, gate.full) == (1, True)
        late = asyncio.ensure_future(gate.enter(LONG))
        await waiting
        await settle()
        assert not late.done()
        gate.leave()
        await late
        gate.leave()
        assert gate.inside == 0

    run(work)


@pytest.mark.parametrize("queue", [0, 3])
def test_a_full_queue_turns_away(queue: int) -> None:
    async def work() -> None:
        gate = Gate("ollama", 1, queue)
        await gate.enter(LONG)
        waiting = [asyncio.ensure_future(gate.enter(LONG)) for _ in range(queue)]
        await settle()
        with pytest.raises(GatewayError) as caught:
            await gate.enter(LONG)
        error = caught.value
        assert (error.kind, error.retry_after) == ("overloaded", 1.0)
        assert error.message == f"ollama already has 1 calls, and {queue} wait; try again later"
        for turn in waiting:
            gate.leave()
            await turn
        gate.leave()
        assert (gate.inside, gate.waiting) == (0, 0)

    run(work)


def test_nobody_waits_longer_than_it_said() -> None:
    async def work() -> None:
        gate = Gate("ollama", 1)
        await gate.enter(LONG)
        patient = asyncio.ensure_future(gate.enter(LONG))
        await settle()
        with pytest.raises(GatewayError, match=r"no place for this call for 0\.01 seconds") as caught:
            await gate.enter(0.01)
        assert caught.value.kind == "overloaded"
        assert gate.waiting == 1
        with pytest.raises(GatewayError):
            await gate.enter(0)
        gate.leave()
        await patient
        gate.leave()
        assert (gate.inside, gate.waiting) == (0, 0)

    run(work)


def test_a_place_given_to_who_is_cancelled_goes_on_to_the_next() -> None:
    async def work() -> None:
        gate = Gate("ollama", 1)
        await gate.enter(LONG)
        first, second, third = (asyncio.ensure_future(gate.enter(LONG)) for _ in range(3))
        await settle()
        second.cancel()  # while it waits
        gate.leave()
        first.cancel()  # after the place is its own, before it knows
        await asyncio.gather(first, second, return_exceptions=True)
        assert first.cancelled()
        assert second.cancelled()
        await third
        assert (gate.inside, gate.waiting) == (1, 0)
        gate.leave()
        assert gate.inside == 0

    run(work)


def test_who_stops_waiting_makes_room_in_the_queue() -> None:
    async def work() -> None:
        gate = Gate("ollama", 1, 1)
        await gate.enter(LONG)
        for _ in range(5):
            waiting = asyncio.ensure_future(gate.enter(LONG))
            await settle()
            assert gate.waiting == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert gate.waiting == 0
        gate.leave()
        assert gate.inside == 0

    run(work)


def test_what_a_held_place_raises_gives_it_back() -> None:
    async def work() -> None:
        gate = Gate("ollama", 1)
        with pytest.raises(ZeroDivisionError):
            async with gate.held(LONG):
                raise ZeroDivisionError
        assert gate.inside == 0

    run(work)


def test_the_limit_can_be_changed() -> None:
    async def work() -> None:
        gate = Gate("ollama", 1)
        await gate.enter(LONG)
        waiting = [asyncio.ensure_future(gate.enter(LONG)) for _ in range(5)]
        await settle()
        gate.resize(3, 100)
        await settle()
        assert [turn.done() for turn in waiting] == [True, True, False, False, False]
        gate.resize(1, 100)  # the three inside stay; nobody comes in before they are gone
        gate.leave()
        gate.leave()
        await settle()
        assert (gate.inside, gate.waiting) == (1, 3)
        gate.leave()
        await settle()
        assert (gate.inside, gate.waiting) == (1, 2)
        gate.resize(0, 0)
        await settle()
        assert (gate.inside, gate.waiting) == (3, 0)
        await asyncio.gather(*waiting)
        for _ in range(3):
            gate.leave()
        assert gate.inside == 0

    run(work)


@pytest.mark.parametrize("changing", [False, True], ids=["fixed", "changing"])
@pytest.mark.parametrize("seed", range(8))
def test_no_place_is_lost_whoever_leaves_when(seed: int, changing: bool) -> None:
    """Random arrivals, lengths, cancellations, deadlines and limits: the limit holds, and in the end all is free."""
    rng = random.Random(seed)

    async def work() -> None:
        gate = Gate("ollama", 3, 20)
        inside, served = 0, 0
        most = 4 if changing else 3

        async def call() -> None:
            nonlocal inside, served
            async with gate.held(rng.choice((LONG, LONG, 0.001))):
                inside += 1
                served += 1
                try:
                    assert inside <= most
                    assert inside <= gate.inside
                    for _ in range(rng.randrange(4)):
                        await asyncio.sleep(0)
                finally:
                    inside -= 1

        tasks: list[asyncio.Task[None]] = []
        for _ in range(400):
            tasks.append(asyncio.ensure_future(call()))
            if rng.random() < 0.4:
                rng.choice(tasks[-15:]).cancel()
            if changing and rng.random() < 0.05:
                gate.resize(rng.randrange(1, most + 1), rng.randrange(1, 30))
            if rng.random() < 0.5:
                await asyncio.sleep(0)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError | GatewayError), result
        assert served > 50
        assert (inside, gate.inside, gate.waiting) == (0, 0, 0)
        async with asyncio.timeout(LONG):
            for _ in range(gate.limit):
                await gate.enter(0)

    run(work)
