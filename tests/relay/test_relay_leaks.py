"""What a call leaves behind: nothing that waits for the collector, no descriptor, no task."""

from __future__ import annotations

import asyncio
import errno
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman.errors import GatewayError
from dragoman.relay.breaker import Breaker
from dragoman.relay.endpoint import endpoint_of
from dragoman.relay.pool import Pool
from dragoman.relay.stream import Stream
from tests.relay.failures import EARLY, LATE
from tests.relay.scripted import IMPATIENT, Act, Answer, ok_message, ok_stream
from tests.relay.setting import Setting, setting
from tests.relay.test_relay_faults_clients import asked
from tests.relay.test_relay_faults_passed import BREAKS, INSTEAD, WIRES, bed, fresh
from tests.surfaces.leaving import CLIENTS, Client
from tests.waiting import until

CALLS = 10


@pytest.fixture
def impatient() -> Iterator[Setting]:
    with setting(timeouts=IMPATIENT) as it:
        yield it


def circles() -> Counter[str]:
    """Objects of ours that only the collector could find."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return Counter(type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("dragoman"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def streams() -> int:
    """How many there are, held by somebody or not."""
    return sum(type(each) is Stream for each in gc.get_objects())


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_the_memory_of_a_call_is_free_when_it_is_over(patient: Setting, client: Client, stream: bool) -> None:
    """What is in a circle stays until the collector comes, and in a gateway full of streams it seldom does."""
    folded = client.name.startswith(("ollama", "responses"))  # who gives no limit is streamed upstream all the same
    patient.upstream.play([ok_stream("Hel", "lo") if stream or folded else ok_message("Hello")])
    for _ in range(3):
        assert asked(patient, client, stream=stream).status_code == 200
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(CALLS):
            asked(patient, client, stream=stream)
        # A stream is held for a second after its last event: `stream._LINGER`.
        until(lambda: streams() == circles()["Stream"], "somebody still holds one")
        found = circles()
    finally:
        if enabled:
            gc.enable()
    assert max(found.values(), default=0) < CALLS, found


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def tasks() -> Counter[str]:
    """What runs in all loops of this process, by the names of the coroutines."""
    found = [each for each in gc.get_objects() if isinstance(each, asyncio.Task)]
    return Counter(getattr(each.get_coro(), "__qualname__", "?") for each in found if not each.done())


def leaves_nothing(calls: Callable[[], object]) -> None:
    """The second time `calls` leaves no more behind than the first."""
    calls()
    open_before, running_before = descriptors(), tasks()
    calls()
    until(
        lambda: descriptors() <= open_before + 2 and not tasks() - running_before,
        lambda: (open_before, descriptors(), tasks() - running_before),
    )


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
def test_no_fault_leaves_a_descriptor_or_a_task(impatient: Setting) -> None:
    scripts: list[Answer] = [fault.script(True) for fault in EARLY] + [fault.script for fault in LATE]

    def all_of_them() -> None:
        for client in CLIENTS[::3]:
            for script in scripts:
                impatient.upstream.play(script)
                asked(impatient, client, stream=True)
        impatient.play_afresh([ok_message("Hello")])

    leaves_nothing(all_of_them)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
def test_nor_does_one_of_an_answer_that_is_passed_on() -> None:
    wires = [wire for wire in WIRES if wire.client.name in ("ollama-chat", "openai-chat", "responses")]

    def all_of_them(bed: Setting) -> None:
        for wire in wires:
            scripts: list[Answer] = [make(wire) for make in (*INSTEAD.values(), *BREAKS.values())]
            scripts.append([wire.said, Act.HOLD])
            for script in scripts:
                bed.upstream.play(script)
                wire.asked(bed)
            fresh(bed, wire)

    with bed(IMPATIENT) as it:
        leaves_nothing(lambda: all_of_them(it))


# --- nothing left to open ----------------------------------------------------------------------------


def test_a_gateway_without_descriptors_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def call() -> None:
        await Pool(endpoint_of("http://127.0.0.1:1"), 1.0).call(b"", 1.0)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", full)
    with pytest.raises(GatewayError, match="this gateway cannot open another connection: Too many open files") as told:
        asyncio.run(call())
    assert told.value.kind == "overloaded"
    breaker = Breaker(lambda: 1.0, in_a_row=1)
    breaker.blame(breaker.admit(), told.value)
    assert breaker.until == 0.0
    breaker.blame(breaker.admit(), GatewayError("overloaded", "theirs"))
    assert breaker.state == "open"
