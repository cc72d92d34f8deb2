"""In which order the models of a route are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from dragoman.config.settings import Route, Target


def plan(route: Route, rng: Random) -> list[str]:
    """The models of `route`, each once: lower `order` first, within one order drawn by weight without putting back.

    A target of weight 0 is never drawn: it comes after all the others, whatever their order.
    """
    if len(route.targets) == 1:
        return [route.targets[0].model]

    def place(target: Target) -> tuple[bool, int, float]:
        # Of several exponential waits the one with rate w ends first with a chance of w among the sum: sorting by such
        # waits is drawing by weight, one after the other.
        weight = target.weight
        return (True, target.order, 0.0) if weight <= 0 else (False, target.order, rng.expovariate(weight))

    return list(dict.fromkeys([target.model for target in sorted(route.targets, key=place)]))


def ready_first(names: Sequence[str], busy: Callable[[str], bool]) -> list[str]:
    """The same names, the `busy` ones last: who asked us to come later is asked when nobody else can serve."""
    if len(names) == 1:
        return list(names)
    late = [name for name in names if busy(name)]
    return [name for name in names if name not in late] + late if late else list(names)
