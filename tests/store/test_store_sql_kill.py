"""A gateway that is killed in the middle of a write, and several gateways on one file."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from dragoman.store.durable import FILE, Stores, url_of
from tests.store.sql import Store

# Writes one response after another, each continued from the last, in a conversation, with an output that comes later;
# says when a write begins and when it is done.
WRITER = """
import asyncio, sys, time
from dragoman.store.durable import Durable

async def main(url, name):
    durable = Durable(url, time.time, ttl=1e9)
    stores = await durable.open()
    await stores.conversations.create("", {})
    previous = conversation = None
    if name.startswith("k"):
        conversation = (await stores.conversations.create("", {}))["id"]
        print("conversation", conversation, flush=True)
    for i in range(100_000):
        id = f"{name}_{i}"
        items = [{"id": f"{id}_in{n}", "content": "x" * 30_000} for n in range(8)]
        output = [{"id": f"{id}_out{n}", "content": "y" * 30_000} for n in range(4)]
        print("begin", id, flush=True)
        made = {"id": id, "status": "in_progress", "output": []}
        await stores.responses.put("", made, items, previous=previous, conversation=conversation)
        print("put", id, flush=True)
        await stores.responses.update("", {"id": id, "status": "completed", "output": output})
        print("done", id, flush=True)
        previous = id

asyncio.run(main(*sys.argv[1:]))
"""

SHARER = """
import asyncio, sys, time
from dragoman.store.durable import Durable

async def main(url, name):
    durable = Durable(url, time.time, ttl=1e9)
    print("ready", flush=True)
    conversation = sys.stdin.readline().strip()
    stores = await durable.open()
    first = 0
    for i in range(25):
        id = f"{name}_{i}"
        made = {"id": id, "status": "completed", "output": [{"id": f"{id}_out", "content": "y"}]}
        await stores.responses.put("", made, [{"id": f"{id}_in", "content": "x"}], conversation=conversation)
        first += await stores.derived.put(f"m{i}", {"by": name})
    print(first, flush=True)
    await durable.close()

asyncio.run(main(*sys.argv[1:]))
"""


def _started(code: str, url: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _killed(url: str, name: str, begun: int, what: str) -> tuple[str, list[list[str]]]:
    """Kill a writer the moment it begins step `what` of response number `begun`; its conversation, all it had said."""
    said = []
    with _started(WRITER, url, name) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            said.append(line.split())
            if said[-1] == [what, f"{name}_{begun}"]:
                writer.send_signal(signal.SIGKILL)
        assert writer.wait(60) == -signal.SIGKILL
    return said[0][1], said[1:]


def test_what_was_told_survives_a_kill_in_the_next_write(tmp_path: Path) -> None:
    url = url_of(None, str(tmp_path))
    store = Store(url, ttl=1e9, most_bytes=2**30)
    for turn, (begun, what) in enumerate([(0, "begin"), (1, "put"), (3, "begin"), (4, "put"), (6, "begin")]):
        name = f"k{turn}"
        conversation, said = _killed(url, name, begun, what)
        put, done = ([id for step, id in said if step == word] for word in ("put", "done"))
        assert len(done) >= begun

        async def check(
            stores: Stores, name: str = name, put: list[str] = put, done: list[str] = done, about: str = conversation
        ) -> None:
            for id in put:
                found = await stores.responses.get("", id)
                assert len((await stores.responses.input_items("", id))["data"]) == 8
                # The clock of this store is a year ahead: what its maker left is given up.
                assert (found["status"], len(found["output"])) in [("completed", 4), ("failed", 0)]
                assert id not in done or found["status"] == "completed"
            kept = [item["id"] for item in await stores.conversations.history("", about)]
            whole = [f"{name}_{i}_{side}" for i in range(len(done) + 1) for side in _SIDES]
            assert kept in (whole[: len(done) * 12], whole), "all of a response or nothing"
            if done:
                chain = await stores.responses.chain("", done[-1])
                assert [item["id"] for item in chain] == whole[: len(done) * 12]

        store.run(check)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        counts = connection.execute("SELECT count(*) FROM dragoman_response_items GROUP BY response_id").fetchall()
        assert {count for (count,) in counts} <= {8, 12}


_SIDES = (*(f"in{n}" for n in range(8)), *(f"out{n}" for n in range(4)))


def test_several_processes_at_once(tmp_path: Path) -> None:
    """They make the same new file, answer in one conversation, and create the same models."""
    url = url_of(None, str(tmp_path / "new"))
    sharers = [_started(SHARER, url, f"p{n}") for n in range(3)]
    for sharer in sharers:
        assert sharer.stdout is not None and sharer.stdout.readline() == "ready\n"
    store = Store(url, ttl=1e9)
    # The conversation must be there first; that the file is made by several is the next test's.
    conversation = store.run(lambda stores: stores.conversations.create("", {}))["id"]
    firsts = []
    for sharer in sharers:
        assert sharer.stdin is not None
        sharer.stdin.write(f"{conversation}\n")
        sharer.stdin.flush()
    for sharer in sharers:
        out, _ = sharer.communicate(timeout=60)
        assert sharer.returncode == 0
        firsts.append(int(out))
    assert sum(firsts) == 25, "each name was new to one of them"

    async def check(stores: Stores) -> None:
        history = [item["id"] for item in await stores.conversations.history("", conversation)]
        assert sorted(history) == sorted(
            f"p{n}_{i}_{side}" for n in range(3) for i in range(25) for side in ("in", "out")
        )
        for n in range(3):
            mine = [id for id in history if id.startswith(f"p{n}_")]
            assert mine == [f"p{n}_{i}_{side}" for i in range(25) for side in ("in", "out")], "in order"
        assert len(await stores.derived.all()) == 25

    store.run(check)


def test_several_make_the_file_at_once(tmp_path: Path) -> None:
    for turn in range(8):
        stores = [Store(url_of(None, str(tmp_path / f"{turn}"))) for _ in range(4)]

        async def act(kept: Stores) -> None:
            await kept.derived.put("m", {})

        async def main(stores: list[Store] = stores) -> None:
            await asyncio.gather(*(asyncio.to_thread(store.run, act) for store in stores))

        asyncio.run(main())
        assert len(stores[0].run(lambda kept: kept.derived.all())) == 1
