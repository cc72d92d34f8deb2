"""Derived models: names that are made, copied, listed and removed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dragoman.store.derived import Derived
from dragoman.store.durable import Stores
from tests.store.sql import PLACES, Store, place


@pytest.fixture(params=PLACES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(place(request.param, tmp_path))


def test_made_copied_listed_removed(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept, start = stores.derived, store.clock.now
        assert await kept.put("b:latest", {"from": "claude-haiku"})
        store.clock.now += 10
        assert not await kept.put("b:latest", {"from": "claude-opus", "system": "é"})
        made = Derived("b:latest", {"from": "claude-opus", "system": "é"}, start, start + 10)
        assert await kept.get("b:latest") == made
        assert await kept.copy("b:latest", "a:latest")
        assert not await kept.copy("none", "c:latest")
        assert not await kept.copy("\ud800", "c:latest")
        assert await kept.all() == [Derived("a:latest", made.spec, start + 10, start + 10), made]
        await kept.put("b:latest", {"from": "x"})
        copied = await kept.get("a:latest")
        assert copied is not None and copied.spec == made.spec, "a copy is no link"
        assert [await kept.delete(name) for name in ("b:latest", "b:latest", "\0")] == [True, False, False]
        assert [model.name for model in await kept.all()] == ["a:latest"]
        assert await kept.some(["a:latest", "b:latest"]) == await kept.all()
        assert await kept.changed() == {"a:latest": start + 10}
        assert await kept.get("b:latest") is None and await kept.get("\0") is None

    store.run(act)


def test_of_many_that_make_one_name_one_is_first(store: Store) -> None:
    async def act(stores: Stores) -> None:
        first = await asyncio.gather(*(stores.derived.put("m", {"n": n}) for n in range(30)))
        assert sorted(first) == [False] * 29 + [True]
        assert len(await stores.derived.all()) == 1

    store.run(act)
