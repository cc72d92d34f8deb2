"""What `/api/ps` shows: names in use until their time is over, and never more than a bounded number of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from dragoman.models.cards import bundled
from dragoman.surfaces.ollama import Loaded

CARD = bundled().cards["claude-sonnet-4-5-20250929"]


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def rows(loaded: Loaded) -> list[tuple[str, float]]:
    return [(name, left) for name, _, left in loaded.now()]


def test_a_name_stays_for_its_time() -> None:
    clock = Clock()
    loaded = Loaded(clock, default=300)
    loaded.touch("a", CARD, None)
    loaded.touch("b:x", CARD, 60)
    loaded.touch("c", CARD, inf)
    assert rows(loaded) == [("c:latest", inf), ("a:latest", 300), ("b:x", 60)]
    clock.now += 60
    assert rows(loaded) == [("c:latest", inf), ("a:latest", 240)]
    loaded.touch("a:latest", CARD, None)
    loaded.touch("c", CARD, 0)
    assert rows(loaded) == [("a:latest", 300)]


def test_names_that_are_made_up_do_not_fill_the_memory() -> None:
    loaded = Loaded(Clock(), default=300)
    for number in range(10_000):
        loaded.touch(f"made-up-{number}", CARD, inf)
    names = [name for name, _ in rows(loaded)]
    assert 50 <= len(names) <= 1000
    assert "made-up-9999:latest" in names, "the one in use was dropped"
