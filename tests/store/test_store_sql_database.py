"""The database itself: where it is, who may read it, what becomes of an older one, and what is said when it fails."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from dragoman.errors import GatewayError
from dragoman.store.database import Database
from dragoman.store.durable import FILE, Durable, owner_of, url_of
from dragoman.store.responses import Responses
from dragoman.store.schema import STEPS
from tests.store.sql import Clock, Minted, response, said

TTL = 3600.0


def opened(path: Path, **options: Any) -> tuple[Database, Responses]:
    database = Database.open(f"sqlite:///{path}", Clock(), **options)
    return database, Responses(database, Minted(), TTL, 2**20)


async def failure(waited: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await waited
    assert caught.value.row.openai == 503 and caught.value.code == "store_unavailable"
    assert caught.value.message.startswith("what this gateway stores cannot be had: ")
    return caught.value


# --- where it is ---------------------------------------------------------------------------------


def test_urls() -> None:
    assert url_of(None, "/var/lib/x") == "sqlite:////var/lib/x/dragoman.db"
    assert url_of(None, "") == url_of("memory", "/var/lib/x") == "memory"
    assert url_of("postgres://u:p@h/d", "/x") == url_of("postgresql://u:p@h/d", "/x") == "postgresql://u:p@h/d"


def test_owners() -> None:
    assert owner_of("") == ""
    assert len({owner_of("a"), owner_of("b"), owner_of("\u00e9"), ""}) == 4
    assert owner_of("a") == owner_of("a") and "a-long-key" not in owner_of("a-long-key")


def test_a_directory_and_a_file_for_nobody_else(tmp_path: Path) -> None:
    async def act() -> None:
        directory = tmp_path / "state" / "dragoman"
        durable = Durable(url_of(None, str(directory)), Clock(), ttl=TTL)
        before = durable.empty
        assert not (tmp_path / "state").exists(), "nothing is made before something is stored"
        stores = await durable.open()
        assert (before, durable.empty) == (True, False)
        await stores.responses.put("", response("resp_1"), said("a"))
        files = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
        assert files == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600}
        await durable.close()
        assert (directory.stat().st_mode & 0o777, durable.empty) == (0o700, False)
        again = await durable.open()
        assert (await again.responses.get("", "resp_1"))["id"] == "resp_1"
        await durable.close()

    asyncio.run(act())


def test_a_write_is_on_the_disk_when_it_is_done(tmp_path: Path) -> None:
    async def act() -> None:
        database, _ = opened(tmp_path / FILE)

        def pragmas(connection: Connection) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum")
            return [connection.scalar(text(f"PRAGMA {name}")) for name in names]

        assert await database.read(pragmas) == ["wal", 2, 1, 2]
        await database.close()

    asyncio.run(act())


def test_the_disk_has_back_what_was_swept(tmp_path: Path) -> None:
    async def act() -> None:
        database, responses = opened(tmp_path / FILE)
        await responses.put("", response("resp_1"), said("x" * 4_000_000))
        assert await responses.sweep() == 0
        database.clock = Clock(database.clock() + TTL + 1)
        large = await database.read(_pages)
        assert await responses.sweep() == 1
        assert await database.read(_pages) < large / 10
        await database.close()

    asyncio.run(act())


def _pages(connection: Connection) -> int:
    return int(connection.scalar(text("PRAGMA page_count")) or 0)


def test_many_open_it_at_once() -> None:
    async def act() -> None:
        durable = Durable("memory", Clock(), ttl=TTL)
        stores = await asyncio.gather(*(durable.open() for _ in range(5)))
        assert all(each is stores[0] for each in stores)
        await durable.close()
        await durable.close()

    asyncio.run(act())


# --- older and newer -----------------------------------------------------------------------------


def _with_note(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE dragoman_responses ADD COLUMN note VARCHAR"))


def test_an_older_database_is_brought_forward(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        old, responses = opened(tmp_path / FILE)
        await responses.put("", response("resp_1"), said("a"))
        await old.close()
        for _ in range(2):  # the second time there is nothing to do
            new, responses = opened(tmp_path / FILE, steps=(*STEPS, _with_note))
            notes = await new.read(lambda c: c.execute(text("SELECT id, note FROM dragoman_responses")).all())
            assert [tuple(row) for row in notes] == [("resp_1", None)]
            assert (await responses.get("", "resp_1"))["id"] == "resp_1"
            await new.close()
        with pytest.raises(GatewayError):
            opened(tmp_path / FILE)
        assert "its schema is version 2, and this dragoman knows 1" in caplog.text

    asyncio.run(act())


def _broken(connection: Connection) -> None:
    _with_note(connection)
    connection.execute(text("ALTER TABLE nothing ADD COLUMN note VARCHAR"))


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    async def act() -> None:
        old, responses = opened(tmp_path / FILE)
        await responses.put("", response("resp_1"), [])
        await old.close()
        with pytest.raises(GatewayError):
            opened(tmp_path / FILE, steps=(*STEPS, _broken))
        again, responses = opened(tmp_path / FILE)
        assert (await responses.get("", "resp_1"))["id"] == "resp_1"
        await again.close()

    asyncio.run(act())


# --- failures ------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_got_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "dragoman.store")

    async def act() -> None:
        database, responses = opened(tmp_path / FILE)
        await responses.put("", response("resp_1"), said("a"))
        for i in range(2):  # SQLite's own limit gives the same error as a disk
            await database.read(lambda c: c.execute(text("PRAGMA max_page_count = 1")).all())
            large = responses.put("", response(f"resp_{i}_large"), said("x" * 400_000))
            assert (await failure(large)).message.endswith("the disk is full")
        with pytest.raises(GatewayError, match="not found"):
            await responses.get("", "resp_0_large")
        await responses.put("", response("resp_2"), said("x" * 400_000))
        assert (await responses.get("", "resp_1"))["id"] == "resp_1"
        await database.close()

    asyncio.run(act())
    told = [record.getMessage() for record in caplog.records]
    assert told.count("the store can be used again") >= 1
    assert sum("database or disk is full" in line for line in told) >= 1
    assert "xxx" not in caplog.text, "what is stored is not logged"


def test_a_disk_that_is_read_only_is_told(tmp_path: Path) -> None:
    async def act() -> None:
        database, responses = opened(tmp_path / FILE)
        await database.read(lambda c: c.execute(text("PRAGMA query_only = ON")) and None)
        error = await failure(responses.put("", response("resp_1"), []))
        assert error.message.endswith("it cannot be written")
        await database.close()

    asyncio.run(act())


def test_no_directory_can_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")

    async def act() -> None:
        durable = Durable(url_of(None, str(tmp_path / "file" / "state")), Clock(), ttl=TTL)
        for _ in range(2):
            assert str(tmp_path) not in (await failure(durable.open())).message
        assert len(caplog.records) == 1, "told once"
        (tmp_path / "file").unlink()
        assert await (await durable.open()).derived.all() == []
        await durable.close()

    asyncio.run(act())


def test_a_file_that_is_no_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all\n" * 300)

    async def act() -> None:
        durable = Durable(url_of(None, str(tmp_path)), Clock(), ttl=TTL)
        await failure(durable.open())
        await durable.close()

    asyncio.run(act())
    assert "file is not a database" in caplog.text
    assert (tmp_path / FILE).read_bytes().startswith(b"no database"), "it is left alone"


def test_another_process_that_does_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep)

    async def act() -> None:
        database, responses = opened(tmp_path / FILE, busy=0.01)
        await responses.put("", response("resp_1"), [])
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("dragoman.store.database.time", clock)
        error = await failure(responses.put("", response("resp_2"), []))
        assert (error.message.endswith("it is busy"), error.retry_after) == (True, 1.0)
        other.execute("ROLLBACK")
        await responses.put("", response("resp_2"), [])
        other.close()
        await database.close()

    asyncio.run(act())


def test_a_long_failure_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else everybody who came meanwhile would wait as long, one after another."""
    now = [100.0]
    monkeypatch.setattr("dragoman.store.database.time", SimpleNamespace(monotonic=lambda: now[0]))
    tries = []

    def slow(_: Connection) -> None:
        tries.append(now[0])
        now[0] += 5.0
        raise OSError("no route to host")

    async def act() -> None:
        database = Database.open("memory", Clock())
        for wait in (0.0, 4.75, 0.25):
            now[0] += wait
            await failure(database.read(slow))
        now[0] += 5.25
        assert await database.read(lambda _: 1) == 1
        await database.close()

    asyncio.run(act())
    assert tries == [100.0, 110.0]


def test_a_mistake_of_ours_is_no_outage() -> None:
    def wrong(_: Connection) -> None:
        raise KeyError("x")

    async def act() -> None:
        database = Database.open("memory", Clock())
        with pytest.raises(KeyError):
            await database.write(wrong)
        assert await database.read(lambda _: 1) == 1
        await database.close()

    asyncio.run(act())
