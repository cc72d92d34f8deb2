"""A server of Redis's protocol as a shelf, and a shelf nobody has to wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from dragoman.store import shelf_of
from dragoman.store.patient import Patient
from tests.store.resp import Mood, Resp, run_resp

LONG = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stuck:
    """A shelf that answers when it is told to, or not at all."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.values: dict[bytes, bytes] = {}
        self.closed = False

    def room(self, size: int) -> None:
        """There is none."""

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.asked += 1
        await self._wait()
        return [self.values.get(key) for key in keys]

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        self.asked += 1
        await self._wait()
        self.values[key] = value

    async def _wait(self) -> None:
        if self.error is not None:
            raise self.error
        await self.open.wait()

    async def close(self) -> None:
        self.closed = True


async def _put_and_got(resp: Resp, scheme: str = "redis") -> list[bytes | None]:
    shelf = shelf_of(resp.url.replace("redis", scheme, 1))
    await shelf.put(b"a", b"\x00\xff one", LONG)
    await shelf.put(b"b", b"two", LONG)
    try:
        return await shelf.get([b"b", b"none", b"a"])
    finally:
        await shelf.close()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
@pytest.mark.parametrize("password", ["", "s3cret"])
def test_values_come_back(scheme: str, password: str) -> None:
    with run_resp(password) as resp:
        assert asyncio.run(_put_and_got(resp, scheme)) == [b"two", None, b"\x00\xff one"]
        assert resp.connections == 1


def test_values_end() -> None:
    async def run(resp: Resp) -> list[bytes | None]:
        shelf = shelf_of(resp.url)
        await shelf.put(b"short", b"x", 0.0004)
        await shelf.put(b"long", b"x", LONG)
        key, (value, _) = b"short", resp.values[b"short"]
        resp.values[key] = (value, 0.0)
        try:
            return await shelf.get([b"short", b"long"])
        finally:
            await shelf.close()

    with run_resp() as resp:
        assert asyncio.run(run(resp)) == [None, b"x"]


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    """The reader gives up; what then arrives on that connection must not answer another question."""

    async def run(resp: Resp) -> list[bytes | None]:
        clock = Clock()
        patient = Patient(shelf_of(resp.url), clock, wait=0.05)
        patient.put(b"a", b"A", LONG)
        patient.put(b"b", b"B", LONG)
        await patient.written()
        resp.mood = "silent"
        assert await patient.get([b"a"]) == [None]
        resp.mood = "well"
        clock.now += 60
        patient = Patient(patient._shelf, clock, wait=20)
        try:
            return await patient.get([b"b"])
        finally:
            await patient.close()

    with run_resp() as resp:
        assert asyncio.run(run(resp)) == [b"B"]


@pytest.mark.parametrize("mood", ["silent", "garbage"])
def test_a_server_that_fails_is_left_alone_for_a_while(mood: Mood, caplog: pytest.LogCaptureFixture) -> None:
    async def run(resp: Resp) -> None:
        clock = Clock()
        patient = Patient(shelf_of(resp.url), clock, wait=0.05, pause=5)
        resp.mood = mood
        assert await patient.get([b"a", b"b"]) == [None, None]
        asked = len(resp.commands)
        for _ in range(10):
            assert await patient.get([b"a"]) == [None]
        assert len(resp.commands) == asked, "it was asked during the pause"
        clock.now += 6
        assert await patient.get([b"a"]) == [None]
        assert len(resp.commands) > asked
        await patient.close()

    with caplog.at_level(logging.DEBUG, "dragoman"), run_resp("hidden-word") as resp:
        asyncio.run(run(resp))
    assert [record.levelname for record in caplog.records if "cannot be read" in record.message] == ["WARNING"]
    assert "hidden-word" not in caplog.text


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    with run_resp() as resp:
        url = resp.url

    async def run() -> None:
        patient = Patient(shelf_of(url), Clock())
        assert await patient.get([b"a"]) == [None]
        patient.put(b"a", b"A", LONG)
        await patient.written()
        await patient.close()

    asyncio.run(run())
    assert len(caplog.records) == 2, "once for reading, once for writing"


def test_a_full_server_is_still_read(caplog: pytest.LogCaptureFixture) -> None:
    async def run(resp: Resp) -> list[bytes | None]:
        clock = Clock()
        patient = Patient(shelf_of(resp.url), clock, wait=20)
        patient.put(b"a", b"A", LONG)
        await patient.written()
        resp.mood = "full"
        for _ in range(5):
            patient.put(b"b", b"B", LONG)
        await patient.written()
        found = await patient.get([b"a", b"b"])
        resp.mood = "well"
        clock.now += 60
        patient.put(b"b", b"B", LONG)
        await patient.written()
        await patient.close()
        return found

    with run_resp() as resp:
        assert asyncio.run(run(resp)) == [b"A", None]
        assert set(resp.values) == {b"a", b"b"}
    assert [record.message for record in caplog.records] == [
        "the shared store cannot be written (OutOfMemoryError): calls go on without",
        "the shared store can be written again",
    ]


def test_writes_are_bounded_and_end_with_the_process() -> None:
    async def run() -> None:
        stuck = Stuck()
        patient = Patient(stuck, Clock())
        for number in range(1000):
            patient.put(b"%d" % number, b"x", LONG)
        await asyncio.sleep(0)
        assert 0 < stuck.asked <= 128
        stuck.open.set()
        await patient.close()
        assert stuck.closed and len(stuck.values) == stuck.asked
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_writes_that_never_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.store.patient._WRITE", 0.05)

    async def run() -> None:
        stuck = Stuck()
        patient = Patient(stuck, Clock())
        patient.put(b"a", b"x", LONG)
        await patient.close()
        assert stuck.closed and not stuck.values
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_shelf_may_fail_in_any_way() -> None:
    async def run() -> None:
        stuck = Stuck()
        stuck.error = ZeroDivisionError()
        patient = Patient(stuck, Clock())
        assert await patient.get([b"a"]) == [None]
        patient.put(b"a", b"x", LONG)
        await patient.written()
        await patient.close()

    asyncio.run(run())
