"""Metrics of several processes as those of one, and workers that answer for each other."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.telemetry import peers as peers_module
from dragoman.telemetry.families import Family, Histogram, counter, gauge, lasting, merge, snapshot
from dragoman.telemetry.peers import Peers


def shown(count: float, *, now: float = 1.0, spread: tuple[int, int] = (1, 0)) -> list[Family]:
    bounds = Family("times_seconds", "histogram", "Times.", ("a",), bounds=(0.5,))
    bounds.histograms[("x",)] = Histogram(list(spread), float(sum(spread)))
    return [
        counter("things_total", "Things.", ("a",), {("x",): count}),
        gauge("running", "Now.", (), {(): now}),
        gauge("start", "First.", (), {(): now}, "min"),
        gauge("most", "Largest.", (), {(): now}, "max"),
        bounds,
    ]


def values(families: list[Family]) -> dict[str, float]:
    return {family.name: value for family in families for value in family.values.values()}


def test_what_several_processes_counted_is_added_up() -> None:
    both = merge([snapshot(shown(2, now=3, spread=(1, 2))), snapshot(shown(5, now=1, spread=(0, 4)))])
    assert values(both) == {"things_total": 7, "running": 4, "start": 1, "most": 3}
    assert both[-1].histograms == {("x",): Histogram([1, 6], 7.0)}
    assert [family.help for family in both] == [family.help for family in shown(0)]


def test_what_is_no_snapshot_and_what_does_not_fit_is_left_out() -> None:
    other = Family("times_seconds", "histogram", "Times.", ("a",), bounds=(0.1, 0.2))
    other.histograms[("x",)] = Histogram([1, 1, 1], 3.0)
    found = merge([snapshot(shown(2)), b"", b"garbage", snapshot([other])])
    assert values(found)["things_total"] == 2
    assert found[-1].histograms["x",].counts == [1, 0]


_COUNTS = st.dictionaries(st.sampled_from([("a",), ("b",), ("c",)]), st.integers(0, 1000), max_size=3)


@given(st.lists(_COUNTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_processes_does_not_matter(
    counts: list[dict[tuple[str, ...], int]], rng: random.Random
) -> None:
    snapshots = [snapshot([counter("things_total", "Things.", ("a",), each)]) for each in counts]
    total = {key: float(sum(each.get(key, 0) for each in counts)) for each in counts for key in each}
    rng.shuffle(snapshots)
    assert merge(snapshots)[0].values == total


# --- peers ---------------------------------------------------------------------------------------


def test_whichever_is_asked_answers_for_all(tmp_path: Path) -> None:
    async def work() -> None:
        workers = [Peers(tmp_path, partial(shown, count)) for count in (1, 10, 100)]
        for worker in workers:
            await worker.start()
        for worker in workers:
            found = values(merge(await worker.gathered()))
            assert (found["things_total"], found["running"]) == (111, 3)
        for worker in workers:
            await worker.close()

    asyncio.run(work())


def test_what_a_worker_counted_outlives_it(tmp_path: Path) -> None:
    """Sums do not shrink when a worker is replaced; what was only now is gone with it."""

    async def work() -> None:
        first, second = Peers(tmp_path, lambda: shown(1)), Peers(tmp_path, lambda: shown(10))
        await first.start()
        await second.start()
        await second.close()
        found = values(merge(await first.gathered()))
        assert (found["things_total"], found["running"]) == (11, 1)
        await first.close()

    asyncio.run(work())


def test_a_worker_that_was_killed_counts_as_it_last_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "EVERY", 0.001)

    async def work() -> None:
        first, second = Peers(tmp_path, lambda: shown(1)), Peers(tmp_path, lambda: shown(10), "killed")
        await first.start()
        await second.start()
        while not (tmp_path / "killed.counts").exists():  # noqa: ASYNC110  nothing else says so
            await asyncio.sleep(0.001)
        assert second._server is not None and second._writing is not None
        second._writing.cancel()  # its socket stays, and nobody answers there
        second._server.close()
        (tmp_path / "killed.sock").touch()
        assert values(merge(await first.gathered()))["things_total"] == 11
        assert not (tmp_path / "killed.sock").exists(), "it is known to be dead"
        await first.close()

    asyncio.run(work())


def test_the_files_of_many_dead_workers_become_one(tmp_path: Path) -> None:
    async def work() -> None:
        for _ in range(20):
            worker = Peers(tmp_path, lambda: shown(1))
            await worker.start()
            await worker.close()
        left = Peers(tmp_path, lambda: shown(100))
        await left.start()
        before = values(merge(await left.gathered()))["things_total"]
        left._tidy()
        assert values(merge(await left.gathered()))["things_total"] == before == 120
        assert len(list(tmp_path.iterdir())) < 5  # noqa: ASYNC240
        await left.close()

    asyncio.run(work())


def test_what_is_only_now_does_not_last() -> None:
    assert [family.name for family in lasting(shown(1))] == ["things_total", "times_seconds"]
