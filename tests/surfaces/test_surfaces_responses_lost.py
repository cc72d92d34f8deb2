"""A store that cannot be used: what is answered all the same, and what is told of it."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from dragoman.store.database import Database
from dragoman.store.durable import FILE, Durable
from dragoman.store.leases import LEASE
from dragoman.surfaces import background
from tests.conftest import GatewayMaker
from tests.surfaces.leaving import CLIENTS
from tests.surfaces.responding import (
    HAIKU,
    Behind,
    Object,
    before_all,
    code,
    create,
    events,
    get,
    named,
    polled,
    post,
)
from tests.waiting import until

SERVERS = ("anthropic", "ollama", "vllm", "openai", "responses")


class Disk:
    """The disk below every database of this process."""

    def __init__(self) -> None:
        self.full = False

    def check(self, connection: Connection) -> None:
        if self.full and connection.get_execution_options().get("writes"):
            raise sqlite3.OperationalError("database or disk is full")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made, work = Disk(), Database._work

    def checked(self: Database, engine: Any, act: Any, writes: bool) -> Any:
        def first(connection: Connection) -> Any:
            made.check(connection)
            return act(connection)

        return work(self, engine, first, writes)

    monkeypatch.setattr(Database, "_work", checked)
    return made


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with before_all() as behind:
        yield behind


@pytest.mark.parametrize("server", SERVERS)
def test_an_answer_that_cannot_be_kept_says_so(bed: Behind, disk: Disk, server: str) -> None:
    create(bed.url, model=named(server), input="Hello")  # the store is open
    disk.full = True
    answer = post(bed.url, {"model": named(server), "input": "Hello"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["output"]
    assert answer.json()["store"] is False
    assert answer.headers["x-dragoman-dropped"] == "store"
    streamed = events(post(bed.url, {"model": named(server), "input": "Hello", "stream": True}))
    assert streamed[-1]["type"] == "response.completed"
    assert streamed[-1]["response"]["store"] is False
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
    disk.full = False
    for lost in (answer.json(), streamed[-1]["response"]):
        assert code(get(bed.url, f"/responses/{lost['id']}")) == (404, None)
        gone_on = post(bed.url, {"model": named(server), "input": "More", "previous_response_id": lost["id"]})
        assert code(gone_on) == (400, "previous_response_not_found")
    kept = post(bed.url, {"model": named(server), "input": "Hello"})
    assert kept.json()["store"] is True
    assert "x-dragoman-dropped" not in kept.headers


def test_what_needs_the_store_is_refused_and_the_rest_is_not(
    make_gateway: GatewayMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "dragoman")
    (tmp_path / "file").write_text("x")
    url = make_gateway(data_dir=str(tmp_path / "file" / "state")).url
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("nothing can be stored: "), "it is said before anybody needs it"
    needing: list[tuple[str, Object]] = [
        ("/v1/responses", {"model": HAIKU, "input": "Hello", "background": True}),
        ("/v1/conversations", {}),
    ]
    for path, body in needing:
        refused = post(url, body, path)
        assert code(refused) == (503, "store_unavailable")
        assert refused.json()["error"]["type"]
        assert int(refused.headers["retry-after"]) >= 1
    stateless = post(url, {"model": HAIKU, "input": "Hello", "store": False})
    assert stateless.status_code == 200
    assert "x-dragoman-dropped" not in stateless.headers
    assert create(url, input="Hello")["store"] is False
    made = post(url, {"model": "mine", "from": HAIKU, "system": "Be brief."}, "/api/create")
    assert made.status_code == 503
    assert "what this gateway stores cannot be had" in made.json()["error"]
    for client in CLIENTS:
        for stream in (True, False):
            answer = post(url, client.body(stream=stream) | {"model": HAIKU}, client.path)
            assert answer.status_code == 200, (client.name, answer.text)
            assert not stream or client.finished(client.frames(answer.content)[-1])


def test_a_disk_that_is_full_is_got_over(
    make_gateway: GatewayMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own bound on a file is as good as a disk without room."""
    work, pages = Database._work, [1]

    def bounded(self: Database, engine: Any, act: Any, writes: bool) -> Any:
        def first(connection: Connection) -> Any:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages[0]}")
            return act(connection)

        return work(self, engine, first, writes)

    url = make_gateway(data_dir=str(tmp_path)).url
    small = create(url, input="one")
    monkeypatch.setattr(Database, "_work", bounded)
    large = "x" * 400_000
    told = post(url, {"model": HAIKU, "input": large})
    assert (told.status_code, told.json()["store"]) == (200, False)
    full = post(url, {"items": [{"type": "message", "role": "user", "content": large}]}, "/v1/conversations")
    assert code(full) == (503, "store_unavailable")
    assert "the disk is full" in full.json()["error"]["message"]
    assert get(url, f"/responses/{small['id']}").json() == small
    pages[0] = 1_000_000
    assert create(url, input=large)["store"] is True


def test_a_file_that_is_taken_away_takes_only_what_was_in_it(
    make_gateway: GatewayMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "state"
    url = make_gateway(data_dir=str(directory)).url
    first = create(url, input="one")
    shutil.rmtree(directory)
    assert code(get(url, f"/responses/{first['id']}")) == (404, None)
    second = create(url, input="two")
    assert get(url, f"/responses/{second['id']}").json() == second
    assert "the store's file is gone" in caplog.text
    assert (directory / FILE).exists()
    again = make_gateway(data_dir=str(directory)).url
    assert get(again, f"/responses/{second['id']}").json() == second, "what was told is on the disk"


# --- in the background -----------------------------------------------------------------------------------


def test_what_is_done_is_kept_when_it_can_be(
    make_gateway: GatewayMaker, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "_RENEWAL", 0.02)
    url = make_gateway().url
    queued = create(url, input="[[simulate: text tokens=20 pace=50]]", background=True)
    polled(url, queued["id"], states=("in_progress",))
    disk.full = True
    until(lambda: "is not kept" in caplog.text)
    assert get(url, f"/responses/{queued['id']}").json()["status"] == "in_progress"
    disk.full = False
    done = polled(url, queued["id"])
    assert done["status"] == "completed"
    assert done["output"]


def test_one_whose_gateway_died_has_failed(
    make_gateway: GatewayMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that it is over; another gateway finds that nobody has said that it goes on."""
    first, second = make_gateway(data_dir=str(tmp_path)), make_gateway(data_dir=str(tmp_path))
    monkeypatch.setattr(background.Background, "close", _no_end)
    slow = create(first.url, input="[[simulate: text delay=60]]", background=True)
    polled(second.url, slow["id"], states=("in_progress",))
    asked, later = Durable.open, LEASE + 1

    async def open_later(self: Durable) -> Any:
        self._clock, self._steady = lambda: time.time() + later, lambda: time.monotonic() + later
        if self._database is not None:
            self._database.clock, self._database.steady = self._clock, self._steady
        return await asked(self)

    monkeypatch.setattr(Durable, "open", open_later)
    lost = get(second.url, f"/responses/{slow['id']}").json()
    assert lost["status"] == "failed"
    assert lost["error"]["code"] == "server_error"
    assert "stopped before it was done" in lost["error"]["message"]
    last = events(get(second.url, f"/responses/{slow['id']}?stream=true"))[-1]
    assert last["type"] == "response.failed"


async def _no_end(self: background.Background) -> None:
    """Killed: nothing is told, nothing is stopped."""
