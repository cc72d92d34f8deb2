"""Responses: kept, told, changed, given up, continued, listed, forgotten; and nobody else's business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dragoman.errors import GatewayError
from dragoman.store.durable import Durable, Stores, owner_of
from dragoman.store.leases import LEASE
from tests.store.sql import DAY, PLACES, Store, place, response, said

ANN, BOB = owner_of("ann's key"), owner_of("bob's key")
GARBAGE = ["", "resp_none", "\0", "\ud800", "é", "x" * 10_000, "' OR 1=1 --"]


@pytest.fixture(params=PLACES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(place(request.param, tmp_path))


def texts(items: list[dict[str, Any]]) -> list[str]:
    return [item["content"] if isinstance(item["content"], str) else item["content"][0]["text"] for item in items]


async def refused(waited: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await waited
    return caught.value


def test_a_response_comes_back_as_it_was(store: Store) -> None:
    odd = response("resp_1", "completed", "Hi \ud800 é", metadata={"n": 10**30, "x": None, "é": [1.5, True]})

    async def act(stores: Stores) -> None:
        await stores.responses.put(ANN, odd, said("a"))
        assert await stores.responses.get(ANN, "resp_1") == odd
        assert list(await stores.responses.get(ANN, "resp_1")) == list(odd), "members keep their order"
        assert (await refused(stores.responses.put(ANN, odd, []))).kind == "conflict"

    store.run(act)


def test_nothing_is_kept_of_what_is_not_to_be(store: Store) -> None:
    async def act(stores: Stores) -> None:
        await stores.responses.put(ANN, response("resp_1", store=False), said("a"))
        assert (await refused(stores.responses.get(ANN, "resp_1"))).kind == "not_found"
        assert await stores.responses.item(ANN, "in_a") is None
        assert not await stores.responses.update(ANN, response("resp_1", store=False))

    store.run(act)
    store.ttl = 0

    async def none(stores: Stores) -> None:
        await stores.responses.put(ANN, response("resp_2"), [])
        assert (await refused(stores.responses.get(ANN, "resp_2"))).kind == "not_found"

    store.run(none)
    assert not Durable(store.url, store.clock, ttl=0).keeps


def test_what_belongs_to_one_key_is_not_there_for_another(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put(ANN, response("resp_1", "queued", "x"), said("a"))
        for owner in (BOB, ""):
            for waited in (
                kept.get(owner, "resp_1"),
                kept.delete(owner, "resp_1"),
                kept.cancel(owner, "resp_1"),
                kept.input_items(owner, "resp_1"),
            ):
                error = await refused(waited)
                assert (error.kind, error.message) == ("not_found", "Response with id 'resp_1' not found.")
            for continued in (kept.chain(owner, "resp_1"), kept.put(owner, response("r"), [], previous="resp_1")):
                assert (await refused(continued)).code == "previous_response_not_found"
            assert not await kept.update(owner, response("resp_1"))
            assert await kept.item(owner, "in_a") is None
        assert (await kept.get(ANN, "resp_1"))["status"] == "queued"

    store.run(act)


@pytest.mark.parametrize("id", GARBAGE)
def test_any_text_may_be_asked_for(store: Store, id: str) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put("", response("resp_1"), said("a"))
        for waited in (kept.get("", id), kept.delete("", id), kept.cancel("", id), kept.input_items("", id)):
            assert (await refused(waited)).kind == "not_found"
        for continued in (kept.chain("", id), kept.put("", response("r"), [], previous=id)):
            error = await refused(continued)
            assert (error.row.openai, error.code, error.param) == (
                400,
                "previous_response_not_found",
                "previous_response_id",
            )
        assert (await refused(kept.input_items("", "resp_1", after=id))).param == "after"
        assert await kept.item("", id) is None

    store.run(act)


def test_a_response_that_runs_and_ends(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put(ANN, response("resp_1", "queued", background=True), said("a"))
        assert await kept.update(ANN, response("resp_1", "in_progress", "so", "far"))
        assert texts((await kept.get(ANN, "resp_1"))["output"]) == ["so", "far"]
        done = response("resp_1", "completed", "done")
        assert await kept.update(ANN, done)
        assert await kept.get(ANN, "resp_1") == done
        assert not await kept.update(ANN, response("resp_1", "failed")), "what is done stays done"
        assert await kept.cancel(ANN, "resp_1") == done == await kept.get(ANN, "resp_1")

    store.run(act)


def test_one_that_was_cancelled_stays_so_and_its_maker_hears_of_it(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        for id in ("resp_1", "resp_2", "resp_3"):
            await kept.put(ANN, response(id, "in_progress", "x"), [])
        assert (await kept.cancel(ANN, "resp_1"))["status"] == "cancelled"
        await kept.delete(ANN, "resp_2")
        assert await kept.renew(["resp_1", "resp_2", "resp_3", "resp_4"]) == {"resp_3"}
        assert not await kept.update(ANN, response("resp_1", "completed", "late"))
        found = await kept.get(ANN, "resp_1")
        assert (found["status"], texts(found["output"])) == ("cancelled", ["x"])
        assert await kept.renew([]) == set()

    store.run(act)


def test_one_whose_maker_is_gone_has_failed(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put(ANN, response("resp_1", "in_progress", "x"), [])
        await kept.put(ANN, response("resp_2", "in_progress", "x"), [])
        store.clock.now += LEASE - 1
        assert await kept.renew(["resp_2"]) == {"resp_2"}
        store.clock.now += 2
        assert (await kept.get(ANN, "resp_2"))["status"] == "in_progress"
        lost = await kept.get(ANN, "resp_1")
        assert (lost["status"], lost["error"]["code"], texts(lost["output"])) == ("failed", "server_error", ["x"])
        assert await kept.get(ANN, "resp_1") == lost
        assert await kept.renew(["resp_1"]) == set()

    store.run(act)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_ends_nothing(store: Store, jump: float) -> None:
    """It is set, or the machine wakes up: whoever is alive has the time to say so; whoever is not is given up."""

    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put(ANN, response("resp_1", "in_progress", "x"), [])
        await kept.put(ANN, response("resp_2", "in_progress", "x"), [])
        store.clock.jump(jump)
        for id in ("resp_1", "resp_2"):
            assert (await kept.get(ANN, id))["status"] == "in_progress"
        store.clock.now += 30
        assert await kept.renew(["resp_2"]) == {"resp_2"}
        store.clock.now += LEASE - 20
        assert (await kept.get(ANN, "resp_2"))["status"] == "in_progress"
        store.clock.now += max(-jump, 0.0)  # set back, nobody can tell sooner that it is gone
        assert await kept.renew(["resp_2"]) == {"resp_2"}
        assert (await kept.get(ANN, "resp_2"))["status"] == "in_progress"
        assert (await kept.get(ANN, "resp_1"))["status"] == "failed"
        store.clock.jump(jump)
        assert await kept.update(ANN, response("resp_2", "completed", "x"))
        assert (await kept.get(ANN, "resp_2"))["status"] == "completed"

    store.run(act)


def test_a_clock_that_is_set_back_does_not_stop_the_sweeping(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put(ANN, response("resp_1"), [])  # sweeps, and not again for a minute
        store.clock.jump(-40 * DAY)
        await kept.put(ANN, response("resp_0"), [])
        store.clock.now += 31 * DAY
        await kept.put(ANN, response("resp_2"), [])
        assert await stores.responses.sweep() == 0, "what had expired is gone by itself"

    store.run(act)


# --- chains --------------------------------------------------------------------------------------


async def conversed(stores: Stores, count: int) -> None:
    """`count` responses, each continued from the one before."""
    for i in range(count):
        previous = f"resp_{i - 1}" if i else None
        await stores.responses.put(ANN, response(f"resp_{i}", "completed", f"a{i}"), said(f"q{i}"), previous=previous)


def test_a_chain_is_whole(store: Store) -> None:
    async def act(stores: Stores) -> None:
        await conversed(stores, 4)
        await stores.responses.put(ANN, response("resp_b", "completed", "b"), said("qb"), previous="resp_1")
        chain = stores.responses.chain
        assert texts(await chain(ANN, "resp_3")) == ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]
        assert texts(await chain(ANN, "resp_b")) == ["q0", "a0", "q1", "a1", "qb", "b"], "a branch leaves the other out"
        assert texts(await chain(ANN, "resp_0")) == ["q0", "a0"]

    store.run(act)


def test_a_chain_with_a_hole_is_none(store: Store) -> None:
    async def act(stores: Stores) -> None:
        await conversed(stores, 3)
        await stores.responses.delete(ANN, "resp_1")
        error = await refused(stores.responses.chain(ANN, "resp_2"))
        assert error.code == "previous_response_not_found" and "'resp_1'" in error.message
        assert texts(await stores.responses.chain(ANN, "resp_0")) == ["q0", "a0"]

    store.run(act)


def test_a_response_that_runs_cannot_be_continued_yet(store: Store) -> None:
    async def act(stores: Stores) -> None:
        await stores.responses.put(ANN, response("resp_1", "in_progress"), said("q"))
        assert "still in progress" in (await refused(stores.responses.chain(ANN, "resp_1"))).message
        await stores.responses.cancel(ANN, "resp_1")
        assert texts(await stores.responses.chain(ANN, "resp_1")) == ["q"]

    store.run(act)


def test_a_chain_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.most_bytes = 30_000

    async def act(stores: Stores) -> None:
        await stores.responses.put(ANN, response("resp_a"), said("x" * 20_000))
        await stores.responses.put(ANN, response("resp_b"), said("y" * 20_000), previous="resp_a")
        assert (await refused(stores.responses.chain(ANN, "resp_b"))).kind == "too_large"
        assert len(await stores.responses.chain(ANN, "resp_a")) == 1
        monkeypatch.setattr("dragoman.store.chains.MOST", 3)
        await conversed(stores, 4)
        assert len(await stores.responses.chain(ANN, "resp_2")) == 6
        assert (await refused(stores.responses.chain(ANN, "resp_3"))).kind == "too_large"

    store.run(act)


def test_long_chains_and_many_items(store: Store) -> None:
    """More than one statement takes."""

    async def act(stores: Stores) -> None:
        await conversed(stores, 520)
        chain = await stores.responses.chain(ANN, "resp_519")
        assert texts(chain) == [text for i in range(520) for text in (f"q{i}", f"a{i}")]
        many = said(*(f"m{i}" for i in range(1200)))
        await stores.responses.put(ANN, response("resp_m"), many)
        assert await stores.responses.chain(ANN, "resp_m") == many

    store.run(act)


# --- items ---------------------------------------------------------------------------------------


def test_input_items_in_pages(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await kept.put(ANN, response("resp_1", "completed", "out"), said(*"abcde"))
        page = await kept.input_items(ANN, "resp_1")
        assert (texts(page["data"]), page["has_more"]) == (list("edcba"), False)
        page = await kept.input_items(ANN, "resp_1", order="asc", limit=2)
        assert page == {
            "object": "list",
            "data": said(*"ab"),
            "first_id": "in_a",
            "last_id": "in_b",
            "has_more": True,
        }
        page = await kept.input_items(ANN, "resp_1", order="asc", limit=3, after="in_b")
        assert (texts(page["data"]), page["has_more"]) == (list("cde"), False)
        page = await kept.input_items(ANN, "resp_1", after="in_b", limit=0)
        assert (texts(page["data"]), page["has_more"]) == (["a"], False)
        empty = await kept.input_items(ANN, "resp_1", after="in_a")
        assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}

    store.run(act)


def test_items_without_a_usable_id_get_one(store: Store) -> None:
    async def act(stores: Stores) -> None:
        items: list[dict[str, Any]] = [
            {"role": "user", "content": "a"},
            {"type": "function_call_output", "id": None, "content": "b"},
            {"type": ["odd"], "id": "\0", "content": "c"},
        ]
        await stores.responses.put(ANN, response("resp_1"), items)
        page = await stores.responses.input_items(ANN, "resp_1", order="asc")
        assert [item["id"] for item in page["data"]] == ["msg_1", "fco_2", "item_3"]
        assert items[0] == {"role": "user", "content": "a"}, "the caller's own are left alone"

    store.run(act)


def test_items_are_found_by_their_id(store: Store) -> None:
    async def act(stores: Stores) -> None:
        await stores.responses.put(ANN, response("resp_1", "completed", "out"), said("a"))
        conversation = await stores.conversations.create(ANN, {}, said("c"))
        found = [await stores.responses.item(ANN, id) for id in ("in_a", "msg_resp_1_0", "in_c")]
        assert texts([item for item in found if item]) == ["a", "out", "c"]
        assert await stores.responses.item(BOB, "in_c") is None
        await stores.responses.delete(ANN, "resp_1")
        await stores.conversations.delete(ANN, conversation["id"])
        assert [await stores.responses.item(ANN, id) for id in ("in_a", "msg_resp_1_0", "in_c")] == [None] * 3

    store.run(act)


# --- expiry --------------------------------------------------------------------------------------


def test_a_chain_expires_after_its_last_use(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await conversed(stores, 1)
        await kept.put(ANN, response("resp_other"), said("o"))
        store.clock.now += 20 * DAY
        await kept.put(ANN, response("resp_next", "completed", "n"), said("qn"), previous="resp_0")
        store.clock.now += 20 * DAY
        assert texts(await kept.chain(ANN, "resp_next")) == ["q0", "a0", "qn", "n"]
        assert (await refused(kept.get(ANN, "resp_other"))).kind == "not_found"
        assert await kept.item(ANN, "in_o") is None
        store.clock.now += 11 * DAY
        for waited in (kept.get(ANN, "resp_next"), kept.get(ANN, "resp_0"), kept.input_items(ANN, "resp_0")):
            assert (await refused(waited)).kind == "not_found"
        assert (await refused(kept.chain(ANN, "resp_next"))).code == "previous_response_not_found"

    store.run(act)


def test_what_has_expired_is_removed_so_much_at_once(store: Store) -> None:
    async def act(stores: Stores) -> None:
        kept = stores.responses
        await conversed(stores, 250)
        assert await kept.sweep() == 0
        store.clock.now += 31 * DAY
        assert [await kept.sweep() for _ in range(3)] == [200, 50, 0]
        store.clock.now -= 31 * DAY  # it is not hidden, it is gone
        assert (await refused(kept.get(ANN, "resp_0"))).kind == "not_found"

    store.run(act)


def test_sweeping_goes_by_itself(store: Store) -> None:
    async def act(stores: Stores) -> None:
        await conversed(stores, 3)
        store.clock.now += 31 * DAY
        await stores.responses.put(ANN, response("resp_new"), [])
        assert await stores.responses.sweep() == 0  # whatever waits in the thread comes first
        store.clock.now -= 31 * DAY
        assert (await refused(stores.responses.get(ANN, "resp_0"))).kind == "not_found"

    store.run(act)
