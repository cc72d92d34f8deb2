"""Who may answer a call, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from random import Random

from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.config.settings import Override, Route
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Catalogue, Resolution, normal
from dragoman.models.local import with_override
from dragoman.relay.call import Plan
from dragoman.relay.defaults import override_of
from dragoman.relay.order import plan, ready_first


def plan_for(
    name: str,
    catalogue: Catalogue,
    settings: Settings,
    *,
    today: date,
    rng: Random,
    busy: Callable[[str], bool],
) -> Plan:
    """The models behind `name`: those of its route, drawn anew for each call, or the one it means.

    `busy` says whether a server asked us to come later.  Raises `GatewayError` for a name nobody answers to.
    """
    derived = catalogue.derived_of(name)
    route = behind(name, catalogue, settings)
    if route is None:
        return Plan((_as_configured(catalogue.resolve(name, today), settings),))
    found = {}
    for target in plan(route, rng):
        try:
            found[target] = catalogue.resolve(target, today)
        except GatewayError as error:
            if error.kind != "model_not_found":
                raise
    targets = [target for target in found if not found[target].substituted] or list(found)
    if not targets:
        raise GatewayError("model_not_found", f"none of the models of the route '{name}' is known", param="model")
    ordered = ready_first(targets, lambda target: busy(found[target].card.upstream))
    resolved = (found[target] for target in ordered)
    candidates = tuple(replace(each, asked=name, derived=derived or each.derived) for each in resolved)
    return Plan(candidates, route.on_context, route.on_refusal)


class Known:
    """The plans of names that were asked for lately.  One stays as it is while catalogue, settings and day do."""

    _MOST = 1000

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}
        self._of: tuple[Catalogue, Settings, date] | None = None

    def get(self, name: str, catalogue: Catalogue, settings: Settings, today: date) -> Plan | None:
        of = self._of
        if of is None or of[0] is not catalogue or of[1] is not settings or of[2] != today:
            self._of = (catalogue, settings, today)
            self._plans.clear()
        return self._plans.get(name)

    def put(self, name: str, plan: Plan) -> None:
        """Right after a `get` that found nothing."""
        if len(self._plans) >= self._MOST:
            self._plans.clear()
        self._plans[name] = plan


def _as_configured(resolution: Resolution, settings: Settings) -> Resolution:
    """What is configured for an alias holds for calls by that name; for a model's own name the directory sees to it,
    but for the prices of Claude's models, which come from the table."""
    if not settings.overrides:
        return resolution
    asked, card = resolution.asked, resolution.card
    override = override_of(settings.overrides, resolution)
    if override is None:
        return resolution
    if normal(asked) == normal(card.id):
        if card.dialect != "anthropic" or override.prices is None:
            return resolution
        override = Override(prices=override.prices)
    return replace(resolution, card=with_override(card, override))


def behind(name: str, catalogue: Catalogue, settings: Settings) -> Route | None:
    """The route of this name, or that of the route it is derived from."""
    derived = catalogue.derived_of(name)
    return route_of(name if derived is None else derived.spec.base, settings)


def route_of(name: str, settings: Settings) -> Route | None:
    """The route of this name."""
    if not settings.routes:
        return None
    key = normal(name)
    return next((route for route in settings.routes if normal(route.name) == key), None)


def refuses_for_length(error: GatewayError) -> bool:
    """Whether a model with a larger context would have taken the call."""
    return error.kind in ("context_length", "too_large")
