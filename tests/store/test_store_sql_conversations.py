"""Conversations: their items, and what responses add to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dragoman.errors import GatewayError
from dragoman.store.durable import Stores
from tests.store.sql import DAY, PLACES, Store, place, response, said

ANN, BOB = "ann", "bob"


@pytest.fixture(params=PLACES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(place(request.param, tmp_path))


async def refused(waited: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await waited
    return caught.value


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_the_life_of_a_conversation(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.conversations
        made = await kept.create(ANN, {"topic": "x"}, said("a"))
        id = made["id"]
        assert made == {"id": id, "object": "conversation", "created_at": 1_800_000_000, "metadata": {"topic": "x"}}
        assert id.startswith("conv_")
        added = await kept.add(ANN, id, [*said("b"), {"type": "function_call", "call_id": "c"}])
        assert ids(added["data"]) == ["in_b", "fc_2"] and added["last_id"] == "fc_2" and not added["has_more"]
        store.clock.now += 400 * DAY
        assert await kept.update(ANN, id, {"topic": "y"}) == {**made, "metadata": {"topic": "y"}}
        assert (await kept.get(ANN, id))["metadata"] == {"topic": "y"}
        page = await kept.items(ANN, id, limit=2)
        assert (ids(page["data"]), page["has_more"]) == (["fc_2", "in_b"], True)
        assert ids((await kept.items(ANN, id, order="asc", after="in_b"))["data"]) == ["fc_2"]
        assert await kept.item(ANN, id, "in_b") == said("b")[0]
        assert (await kept.remove(ANN, id, "in_b"))["id"] == id
        assert ids(await kept.history(ANN, id)) == ["in_a", "fc_2"]
        await kept.add(ANN, id, said("b"))
        assert ids(await kept.history(ANN, id)) == ["in_a", "fc_2", "in_b"]
        await kept.delete(ANN, id)
        assert (await refused(kept.get(ANN, id))).message == f"Conversation with id '{id}' not found."

    store.run(act)


@pytest.mark.parametrize("id", ["", "conv_none", "\0", "\ud800", "x" * 9999])
def test_nobody_elses_and_no_others(store: Store, id: str) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.conversations
        own = (await kept.create(ANN, {}, said("a")))["id"]
        for owner, name in ((BOB, own), (ANN, id)):
            for waited in (
                kept.get(owner, name),
                kept.update(owner, name, {}),
                kept.delete(owner, name),
                kept.add(owner, name, said("b")),
                kept.items(owner, name),
                kept.item(owner, name, "in_a"),
                kept.remove(owner, name, "in_a"),
                kept.history(owner, name),
                stores.responses.put(owner, response("resp_1"), [], conversation=name),
            ):
                assert (await refused(waited)).kind == "not_found"
        for waited in (kept.item(ANN, own, id), kept.remove(ANN, own, id)):
            assert (await refused(waited)).kind == "not_found"
        assert ids(await kept.history(ANN, own)) == ["in_a"]
        assert (await refused(stores.responses.get(ANN, "resp_1"))).kind == "not_found"

    store.run(act)


def test_an_id_stands_for_one_item(store: Store) -> None:
    async def act(stores: Stores) -> None:
        id = (await stores.conversations.create(ANN, {}, said("a")))["id"]
        for items, at in ((said("b", "a"), 1), (said("c", "c"), 1)):
            assert (await refused(stores.conversations.add(ANN, id, items))).param == f"items[{at}].id"
        assert ids(await stores.conversations.history(ANN, id)) == ["in_a"], "all of them or none"

    store.run(act)


def test_a_history_is_bounded(store: Store) -> None:
    store.most_bytes = 1000

    async def act(stores: Stores) -> None:
        items = [{"id": f"in_{i}", "content": "x" * 600} for i in range(2)]
        id = (await stores.conversations.create(ANN, {}, items[:1]))["id"]
        assert await stores.conversations.history(ANN, id) == items[:1]
        await stores.conversations.add(ANN, id, items[1:])
        assert (await refused(stores.conversations.history(ANN, id))).kind == "too_large"

    store.run(act)


def test_a_response_adds_itself_when_it_is_done(store: Store) -> None:
    async def act(stores: Stores) -> None:
        id = (await stores.conversations.create(ANN, {}, said("a")))["id"]

        async def history() -> list[str]:
            return ids(await stores.conversations.history(ANN, id))

        await stores.responses.put(ANN, response("r1", "in_progress", "x"), said("b"), conversation=id)
        assert await history() == ["in_a"]
        await stores.responses.update(ANN, response("r1", "in_progress", "x", "y"))
        assert await history() == ["in_a"]
        await stores.responses.update(ANN, response("r1", "incomplete", "z"))
        assert await history() == ["in_a", "in_b", "msg_r1_0"]
        # What the client sends again of it is not there twice.
        await stores.responses.put(ANN, response("r2", "completed", "x"), said("b", "c"), conversation=id)
        assert await history() == ["in_a", "in_b", "msg_r1_0", "in_c", "msg_r2_0"]
        await stores.responses.put(ANN, response("r3", "failed", "x"), said("d"), conversation=id)
        await stores.responses.put(ANN, response("r4", "queued", "x"), said("d"), conversation=id)
        await stores.responses.cancel(ANN, "r4")
        assert len(await history()) == 5
        await stores.responses.put(ANN, response("r5", "queued"), said("e"), conversation=id)
        await stores.conversations.delete(ANN, id)
        assert await stores.responses.update(ANN, response("r5", "completed", "x"))
        assert (await stores.responses.get(ANN, "r5"))["status"] == "completed"

    store.run(act)
