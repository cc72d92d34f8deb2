"""Derived models are kept: over a restart, for several gateways, whoever makes them at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.cli.gathering import configured, with_kept
from dragoman.cli.models import listing
from dragoman.config import Secret, Settings
from tests.derived.conftest import house
from tests.running import TODAY

_PATIENCE = 20.0

_MAKER = """
import asyncio, sys, time
from dragoman.models.derived import Spec
from dragoman.models.catalogue import build
from dragoman.relay.derivations import Derivations
from dragoman.relay.directory import Directory
from dragoman.store.durable import Durable
from dragoman.config import Settings

async def main(url, who):
    durable = Durable(url, time.time, ttl=1.0)
    directory = Directory(Settings(), build(), {})
    made = Derivations(durable, directory, time.monotonic)
    for number in range(20):
        for name in (f"own-{who}-{number}:latest", f"shared-{number}:latest"):
            await made.put(Spec(name=name, base="claude-haiku", system=f"{who} {number}. " * 200))
    await durable.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_after_a_restart_it_is_there(tmp_path: Path) -> None:
    with house(data_dir=str(tmp_path)) as home:
        home.client.create("mario", from_="claude-haiku", system="Mario.")
        home.client.copy("mario", "luigi")
        home.client.create("peach", from_="claude-haiku")
        home.client.delete("peach")
        before = {model.model: (model.digest, model.modified_at) for model in home.client.list().models[:2]}
    with house(data_dir=str(tmp_path)) as home:
        home.client.chat("luigi", [{"role": "user", "content": "Hi"}])
        assert home.claude.requests[-1].body["system"][0]["text"] == "Mario."
        after = {model.model: (model.digest, model.modified_at) for model in home.client.list().models[:2]}
        assert before == after
        assert before.keys() == {"mario:latest", "luigi:latest"}
        assert "peach:latest" not in home.names()


def test_the_command_line_lists_it(tmp_path: Path) -> None:
    with house(data_dir=str(tmp_path)) as home:
        home.client.create("mario", from_="claude-haiku", system="Mario.")
    settings = Settings(data_dir=str(tmp_path))
    names = with_kept(configured(settings), settings)
    listed = {line.name: line.model for line in listing(names, settings, TODAY, everything=False)}
    assert listed["mario"] == "claude-haiku-4-5-20251001"
    (tmp_path / "dragoman.db").write_bytes(b"no database " * 1000)
    assert with_kept(configured(settings), settings).derived == {}


def test_gateways_that_share_a_database_see_each_others(tmp_path: Path) -> None:
    with house(data_dir=str(tmp_path)) as one, house(data_dir=str(tmp_path)) as other:
        one.client.create("mario", from_="claude-haiku", system="First.")
        assert other.client.show("mario").modelfile, "a name that is new to it is looked up"
        one.client.create("mario", from_="claude-haiku", system="Second.")
        _until(lambda: "SYSTEM Second." in (other.client.show("mario").modelfile or ""))
        one.client.delete("mario")
        _until(lambda: other.post("/api/show", {"model": "mario"}).status_code == 404)


def _until(done: Any) -> None:
    end = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_processes_that_make_models_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dragoman.db'}"
    makers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", _MAKER, url, who], stderr=subprocess.PIPE)
        for who in ("a", "b")
    ]
    for maker in makers:
        _, errors = maker.communicate(timeout=120)
        assert maker.returncode == 0, errors.decode()
    with house(data_dir=str(tmp_path)) as home:
        names = {name for name in home.names() if name.startswith(("own", "shared"))}
        assert len(names) == 60
        for number in range(20):
            shown = home.client.show(f"shared-{number}").model_dump()["modelfile"]
            assert [f"{who} {number}. " * 200 in shown + " " for who in "ab"].count(True) == 1


def test_one_that_makes_no_sense_here_is_left_out(tmp_path: Path) -> None:
    with house(data_dir=str(tmp_path)) as home:
        home.client.create("mario", from_="claude-haiku", system="Mario.")
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(tmp_path / "dragoman.db") as database:
        for name, spec in (("odd", {"base": 1}), ("newer", {"name": "newer:latest", "base": "claude-haiku", "new": 1})):
            row = (name, 1.0, 1.0, json.dumps(spec).encode())
            database.execute(
                "INSERT INTO dragoman_derived (name, created_at, modified_at, spec) VALUES (?, ?, ?, ?)", row
            )
    database.close()
    with house(data_dir=str(tmp_path)) as home:
        assert {"mario:latest", "newer:latest"} < set(home.names())
        assert "odd:latest" not in home.names()


def test_a_store_that_does_not_work_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with house(data_dir=str(tmp_path / "file")) as home:
        answer = home.post("/api/create", {"model": "mario", "from": "claude-haiku"})
        assert answer.status_code == 503
        assert "mario:latest" not in home.names()
        assert home.post("/api/chat", {"model": "claude-haiku", "messages": []}).status_code == 200


def test_who_makes_none_opens_no_store(tmp_path: Path) -> None:
    with house(data_dir=str(tmp_path / "data")) as home:
        home.client.list()
        assert home.post("/api/show", {"model": "nobody"}).status_code == 404
        assert home.http.request("DELETE", "/api/delete", json={"model": "nobody"}).status_code == 404
    assert not (tmp_path / "data").exists()


def test_there_is_an_end_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.relay.derivations.MOST", 2)
    with house() as home:
        for name in ("a", "b", "a"):
            home.client.create(name, from_="claude-haiku")
        assert home.post("/api/create", {"model": "c", "from": "claude-haiku"}).status_code == 413
        monkeypatch.setattr("dragoman.relay.derivations.MOST_TOGETHER", 1000)
        long = {"from": "claude-haiku", "system": "x" * 600}
        assert home.post("/api/create", {"model": "a", **long}).status_code == 200
        assert home.post("/api/create", {"model": "a", **long}).status_code == 200
        assert "together" in home.post("/api/create", {"model": "b", **long}).json()["error"]


def test_with_keys_only_who_has_one_makes_models() -> None:
    with house(api_keys=(Secret("own"),)) as home:
        body = {"model": "mario", "from": "claude-haiku"}
        assert home.post("/api/create", body).status_code == 401
        assert httpx.post(f"{home.url}/api/create", json=body, headers={"x-api-key": "own"}).status_code == 200
