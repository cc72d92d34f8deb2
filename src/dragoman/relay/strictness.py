"""Strict mode: what cannot be carried is an error, told before anything is sent.

Only what a client itself asked for counts.  What is honoured by other means is not lost, and neither is what an answer
turns out to lack.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from dragoman.conversation import JSON, Request
from dragoman.errors import invalid
from dragoman.losses import Losses
from dragoman.relay.call import Plan
from dragoman.relay.defaults import GIVEN, MADE

_FILLED = (*GIVEN, "stop", "reasoning")

_UNSAID: tuple[JSON, ...] = (None, [])


def check_losses(losses: Losses, model: str, *, ours: Collection[str] = ()) -> None:
    """Raises "invalid_request" that names all that was dropped, each with the reason, but for what is `ours`."""
    told = {name: why for name, why in losses.dropped.items() if name not in ours and not name.startswith(MADE)}
    if told:
        words = "; ".join(f"{name}: {why}" for name, why in told.items())
        raise invalid(f"strict mode: this cannot be carried to {model}: {words}", next(iter(told)))


def filled_in(asked: Request, wanted: Request, spelling: Mapping[str, str]) -> frozenset[str]:
    """What the configuration, or a derived model, put into a request, under the client's names for it."""
    if wanted is asked:
        return frozenset()
    names = [name for name in _FILLED if getattr(asked, name) in _UNSAID and getattr(wanted, name) not in _UNSAID]
    names += ["reasoning.effort"] if "reasoning" in names else []
    return frozenset(spelling.get(name, name) for name in names)


def without_successors(plan: Plan) -> Plan:
    """The plan without models that stand in for the one that was asked for.

    Raises "invalid_request" when nobody is left: another model's answer is not what the client wants.
    """
    meant = tuple(it for it in plan.candidates if not it.substituted)
    if len(meant) == len(plan.candidates):
        return plan
    if meant:
        return replace(plan, candidates=meant)
    first = plan.candidates[0]
    why = f"{first.card.id} would answer for {first.asked} ({first.substituted})"
    raise invalid(f"strict mode: {why}; ask for it by its own name", "model")
