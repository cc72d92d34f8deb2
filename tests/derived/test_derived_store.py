"""Derived models are kept: over a restart, for several gateways, whoever makes them at the same time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.cli.gathering import configured, with_kept
from dragoman.cli.models import listing
from dragoman.config import Secret, Settings
from dragoman.models.catalogue import build
from dragoman.models.derived import Spec
from dragoman.relay.derivations import Derivations
from dragoman.relay.directory import Directory
from dragoman.store.durable import Durable
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
    monkeypatch.setattr("dragoman.relay.derivations.EACH_TOGETHER", 2000)
    with house() as home:
        for name in ("a", "b", "a"):
            home.client.create(name, from_="claude-haiku")
        assert home.post("/api/create", {"model": "c", "from": "claude-haiku"}).status_code == 413
        monkeypatch.setattr("dragoman.relay.derivations.MOST_TOGETHER", 1000)
        long = {"from": "claude-haiku", "system": "x" * 600}
        assert home.post("/api/create", {"model": "a", **long}).status_code == 200
        assert home.post("/api/create", {"model": "a", **long}).status_code == 200
        assert "together" in home.post("/api/create", {"model": "b", **long}).json()["error"]


def test_one_client_makes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.relay.derivations.EACH", 2)
    monkeypatch.setattr("dragoman.relay.derivations.EACH_TOGETHER", 3000)
    with house(api_keys=(Secret("one"), Secret("other"))) as home:

        def create(key: str, name: str, **more: Any) -> int:
            body = {"model": name, "from": "claude-haiku", **more}
            return home.post("/api/create", body, headers={"x-api-key": key}).status_code

        def copy(key: str, source: str, name: str) -> int:
            body = {"source": source, "destination": name}
            return home.post("/api/copy", body, headers={"authorization": f"Bearer {key}"}).status_code

        assert [create("one", name) for name in ("a", "b", "c", "a")] == [200, 200, 413, 200]
        assert [copy("one", "a", "c"), copy("other", "a", "c")] == [413, 200], "a copy is its maker's"
        assert create("one", "c") == 413, "who replaces one makes one"
        assert create("other", "a") == 200, "of another's model it makes its own"
        assert [create("one", "d"), create("other", "e")] == [200, 413]
        assert create("one", "d", system="x" * 2900) == 413
        assert create("one", "d", system="x" * 100) == 200
        headers = {"x-api-key": "other"}
        assert home.http.request("DELETE", "/api/delete", json={"model": "b"}, headers=headers).status_code == 200
        assert create("one", "e") == 200, "whoever removed one made room"


def test_without_keys_a_made_up_one_is_no_other_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.relay.derivations.EACH", 1)
    with house() as home:
        made = [
            home.post("/api/create", {"model": name, "from": "claude-haiku"}, headers={"x-api-key": name}).status_code
            for name in ("a", "b")
        ]
        assert made == [200, 413]


def test_the_maker_is_told_nobody_and_changes_nothing(tmp_path: Path) -> None:
    with house(data_dir=str(tmp_path), api_keys=(Secret("one"), Secret("other"))) as home:
        digests = []
        for key in ("one", "other"):
            headers = {"x-api-key": key}
            home.post("/api/create", {"model": "m", "from": "claude-haiku", "system": "s"}, headers=headers)
            listed = home.http.get("/api/tags", headers=headers).json()["models"]
            digests += [model["digest"] for model in listed if model["name"] == "m:latest"]
            assert "maker" not in home.post("/api/show", {"model": "m"}, headers=headers).text
        assert len(digests) == 2 and len(set(digests)) == 1


async def _reads_of_a_change(url: str) -> list[list[str]]:
    """Which rows are read, each time one of thirty models is made anew."""
    durable = Durable(url, time.time, ttl=1.0)
    made = Derivations(durable, Directory(Settings(), build(), {}), time.monotonic)
    for number in range(30):
        await made.put(Spec(name=f"m{number}:latest", base="claude-haiku"))
    stores = await durable.open()
    reads: list[list[str]] = []
    whole, some = stores.derived.all, stores.derived.some

    async def counted(names: Iterable[str]) -> list[Any]:
        reads.append(sorted(names))
        return await some(names)

    stores.derived.some = counted  # type: ignore[method-assign]
    stores.derived.all = None  # type: ignore[assignment, method-assign]
    await made.put(Spec(name="m7:latest", base="claude-haiku", system="new"))
    await made.put(Spec(name="new:latest", base="claude-haiku"))
    await made.remove("m8")
    await made.recent(0.0)
    stores.derived.all = whole  # type: ignore[method-assign]
    await durable.close()
    return reads


def test_a_change_reads_what_changed_and_no_more(tmp_path: Path) -> None:
    reads = asyncio.run(_reads_of_a_change(f"sqlite:///{tmp_path / 'dragoman.db'}"))
    assert reads == [["m7"], ["new"]]


def test_too_much_is_refused_before_it_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr("dragoman.dialects.ollama.creation.decode_messages", looked.append)
    with house() as home:
        messages = [{"role": "user", "content": "x"}] * 40_000
        answer = home.post("/api/create", {"model": "m", "from": "claude-haiku", "messages": messages})
        assert answer.status_code == 413
        assert "1048576 bytes" in answer.json()["error"]
        assert not looked


def test_with_keys_only_who_has_one_makes_models() -> None:
    with house(api_keys=(Secret("own"),)) as home:
        body = {"model": "mario", "from": "claude-haiku"}
        assert home.post("/api/create", body).status_code == 401
        assert httpx.post(f"{home.url}/api/create", json=body, headers={"x-api-key": "own"}).status_code == 200
