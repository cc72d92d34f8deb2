"""Plans are remembered for as long as they are right."""

from __future__ import annotations

import asyncio
from datetime import date

from dragoman.config import Settings
from dragoman.config.settings import Route, Target
from dragoman.models.catalogue import build
from dragoman.relay.planning import Known
from dragoman.relay.relay import Relay
from tests.running import TODAY

NAME = "claude-sonnet-4.5"


def test_a_plan_is_made_once_and_anew_when_something_changes() -> None:
    days = [TODAY]
    relay = Relay(Settings(), build(), {}, lambda: days[-1])

    async def scene() -> None:
        first = await relay.plan(NAME)
        assert await relay.plan(NAME) is first
        relay.directory.catalogue = build(aliases={NAME: "claude-haiku"})
        second = await relay.plan(NAME)
        assert second.candidates[0].card.line == "haiku"
        days.append(date(2026, 12, 24))
        assert await relay.plan(NAME) is not second

    asyncio.run(scene())


def test_routes_are_drawn_each_time() -> None:
    targets = (Target(model="claude-haiku"), Target(model="claude-opus"))
    route = Route(name="any", targets=targets)
    relay = Relay(Settings(routes=(route,)), build(routes={"any": ("claude-haiku", "claude-opus")}), {}, lambda: TODAY)

    async def scene() -> set[str]:
        return {(await relay.plan("any")).candidates[0].card.line for _ in range(60)}

    assert asyncio.run(scene()) == {"haiku", "opus"}


def test_names_without_end_do_not_pile_up() -> None:
    known, catalogue, settings = Known(), build(), Settings()
    relay = Relay(settings, catalogue, {}, lambda: TODAY)
    plan = asyncio.run(relay.plan(NAME))
    for number in range(2500):
        known.get(str(number), catalogue, settings, TODAY)
        known.put(str(number), plan)
    kept = [number for number in range(2500) if known.get(str(number), catalogue, settings, TODAY) is not None]
    assert 0 < len(kept) <= 1000
