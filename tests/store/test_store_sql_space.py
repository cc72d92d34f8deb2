"""How much is kept, and that what is no longer wanted goes by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dragoman.config import Settings
from dragoman.errors import GatewayError
from dragoman.relay.derivations import durable_of
from dragoman.store import durable as module
from dragoman.store.durable import FILE, Durable, url_of
from tests.store.sql import DAY, Clock, Minted, response, said

MIB = 2**20


def made(url: str, clock: Clock, **options: Any) -> Durable:
    return Durable(url, clock, ttl=30 * DAY, mint=Minted(), **options)


async def there(durable: Durable, id: str) -> bool:
    try:
        return bool(await (await durable.open()).responses.get("", id))
    except GatewayError as error:
        assert error.kind == "not_found"
        return False


def test_what_has_expired_goes_though_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)
    clock = Clock()

    async def act() -> None:
        durable = made(url_of(None, str(tmp_path)), clock)
        tending = asyncio.create_task(durable.tend())
        await asyncio.sleep(0.03)
        assert not (tmp_path / FILE).exists(), "nothing is made to be swept"
        responses = (await durable.open()).responses
        await responses.put("", response("resp_1"), said("a"))
        clock.now += 31 * DAY
        await responses.put("", response("resp_2"), said("a"))  # sweeps at once; from here on nothing does
        await responses.put("", response("resp_3"), said("a"))
        clock.now += 31 * DAY
        async with asyncio.timeout(30):
            while True:
                clock.now -= 31 * DAY  # it is not hidden, it is gone
                left = await there(durable, "resp_3")
                clock.now += 31 * DAY
                if not left:
                    break
                await asyncio.sleep(0.01)
        tending.cancel()
        await durable.close()

    asyncio.run(act())


def test_a_store_that_cannot_be_used_stops_no_sweeping(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all\n" * 300)

    async def act() -> None:
        durable = made(url_of(None, str(tmp_path)), Clock())
        for _ in range(3):
            await durable.sweep()
        await durable.close()

    asyncio.run(act())
    assert len(caplog.records) == 1, "told once"


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_the_oldest_make_room(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()

    async def act() -> None:
        durable = made("memory" if kind == "memory" else url_of(None, str(tmp_path)), clock, space=4 * MIB)
        responses = (await durable.open()).responses
        await responses.put("", response("resp_runs", "in_progress"), said("a"))
        for i in range(120):
            clock.now += 0.1
            await responses.put("", response(f"resp_{i}"), said("x" * 100_000))
            if i % 10 == 9:
                await responses.put("", response(f"resp_more_{i}"), said("a"), previous="resp_0")
        await durable.sweep()
        found = [i for i in range(120) if await there(durable, f"resp_{i}")]
        assert found[0] == 0, "its chain was used last"
        assert found[1:] == list(range(found[1], 120)), "the oldest go first"
        assert 30 <= len(found) <= 41, "no more than is needed"
        assert await there(durable, "resp_more_119")
        assert await there(durable, "resp_runs"), "what runs is not taken away"
        await durable.close()

    asyncio.run(act())
    assert "used longest ago are gone" in caplog.text


def test_a_flood_is_not_waited_out(tmp_path: Path) -> None:
    """Much more than there is space for, all within a minute."""

    async def act() -> None:
        clock = Clock()
        durable = made(url_of(None, str(tmp_path)), clock, space=4 * MIB)
        responses = (await durable.open()).responses
        for i in range(100):
            clock.now += 0.1
            await responses.put("", response(f"resp_{i}", "in_progress"), said("x"))
            await responses.update("", response(f"resp_{i}", "completed", "x" * 200_000))
        await responses.renew(["resp_99"])  # what is swept was swept before
        assert (tmp_path / FILE).stat().st_size < 8 * MIB
        assert await there(durable, "resp_99")
        await durable.close()

    asyncio.run(act())


def test_bounds_are_those_of_the_settings(tmp_path: Path) -> None:
    async def act() -> None:
        durable = durable_of(Settings(data_dir=str(tmp_path), max_body=1000, response_space=5 * MIB))
        responses = (await durable.open()).responses
        await responses.put("", response("resp_1"), said("x" * 2000))
        with pytest.raises(GatewayError, match="more than the 1000"):
            await responses.chain("", "resp_1")  # no client could have sent so much itself
        for i in range(90):
            await responses.put("", response(f"resp_large_{i}"), said("x" * 100_000))
        await durable.sweep()
        assert not await there(durable, "resp_1")
        await durable.close()

    asyncio.run(act())


# --- at the start ----------------------------------------------------------------------------------------


def test_a_good_place_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url in (url_of(None, str(tmp_path / "a" / "b")), "memory", "postgresql://u:p@localhost/d"):
        Durable(url, Clock(), ttl=1).look()
    (tmp_path / FILE).write_bytes(b"")
    Durable(url_of(None, str(tmp_path)), Clock(), ttl=1).look()
    assert not caplog.records


def test_a_place_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one who runs the tests may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    Durable(url_of(None, str(tmp_path / "state")), Clock(), ttl=1).look()
    assert f"nothing can be stored: {tmp_path} cannot be written" in caplog.text


def test_a_disk_without_room(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    Durable(url_of(None, str(tmp_path)), Clock(), ttl=1).look()
    assert "is full (4096 bytes are free)" in caplog.text


# --- nothing to keep ---------------------------------------------------------------------------------------

STATELESS = """
import json, sys
from pathlib import Path
import httpx
from dragoman.config import Secret, Settings
from dragoman.simulator.server import run_in_thread
from tests.running import run_with_simulator

with run_with_simulator(data_dir=sys.argv[1]) as gateway:
    def post(path, **body):
        return httpx.post(gateway.url + path, json=body, timeout=30, trust_env=False).status_code
    model, user = "claude-haiku-4-5-20251001", [{"role": "user", "content": "Hi"}]
    told = [
        post("/v1/responses", model=model, input=user, store=False),
        post("/v1/responses", model=model, input=user, store=False, stream=True),
        post("/v1/responses", model=model, input=user, store=False, previous_response_id="resp_none"),
        post("/v1/responses", model=model, input=user, store=False, conversation="conv_none"),
        post("/v1/responses", model=model, input=[{"type": "item_reference", "id": "msg_none"}], store=False),
        post("/v1/responses/input_tokens", model=model, input=user),
        post("/v1/responses/compact", model=model, input=user),
        post("/v1/chat/completions", model=model, messages=user),
        httpx.get(gateway.url + "/v1/responses/resp_none", trust_env=False).status_code,
        httpx.get(gateway.url + "/v1/conversations/conv_none", trust_env=False).status_code,
    ]
    print(json.dumps([told, sorted(name for name in sys.modules if "sqlalchemy" in name or "sqlite3" in name)]))
"""


def test_who_keeps_nothing_opens_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STATELESS, str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[[200, 200, 400, 404, 404, 200, 200, 200, 404, 404], []]", done.stderr
    assert not list(tmp_path.iterdir())
