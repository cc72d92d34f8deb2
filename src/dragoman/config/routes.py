"""The `[[route]]` tables: names with several models behind them, and whether they lead anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dragoman.config import kinds, table
from dragoman.config.section import Section
from dragoman.config.settings import Route, Target, Upstream

_ROUTE_KEYS = ("on_context", "on_refusal")


class Written(NamedTuple):
    """A route with its table and those of its targets, for complaints."""

    route: Route
    section: Section
    targets: list[Section]


def routes(top: Section, aliases: Mapping[str, str], upstreams: Iterable[Upstream], *, demo: bool) -> tuple[Route, ...]:
    """Every route of `dragoman.toml`, each checked against the upstreams, the aliases and the other routes.

    In a demo the upstreams may lack their keys, and those that are missing are not missed.
    """
    written = [_route(section) for section in top.array("route")]
    known = _Names(upstreams, written, aliases)
    for i, each in enumerate(written):
        _check_name(each, written[:i], known)
        _check_weights(each)
        if demo:
            continue
        for target, section in zip(each.route.targets, each.targets, strict=True):
            known.check(section, "model", target.model)
        for key in _ROUTE_KEYS:
            known.check(each.section, key, getattr(each.route, key))
    _check_circles(written, aliases)
    return tuple(each.route for each in written)


def _route(section: Section) -> Written:
    name = section.need("name", kinds.TEXT)
    if "targets" not in section.data:
        section.complain("targets", "is required: a list of names, or of tables such as { model = … }")
    tables = section.array("targets", "model")
    if section.data.get("targets") == []:
        section.complain("targets", "is empty, so that nobody answers")
    after = {key: section.take(key, kinds.TEXT) or "" for key in _ROUTE_KEYS}
    section.close()
    targets = tuple(_target(each) for each in tables)
    return Written(Route(name=name or "", targets=targets, **after), section, tables)


def _target(section: Section) -> Target:
    section.need("model", table.TARGET["model"])
    members = {key: value for key, kind in table.TARGET.items() if (value := section.take(key, kind)) is not None}
    section.close()
    return Target(**{"model": "", **members})


class _Names:
    """What may stand before the slash of a name."""

    def __init__(self, upstreams: Iterable[Upstream], written: Iterable[Written], aliases: Mapping[str, str]) -> None:
        upstreams = list(upstreams)
        self.upstreams = [upstream.name for upstream in upstreams]
        self.aliases = {_normal(alias) for alias in aliases}
        self._prefixes = tuple(upstream.prefix.lower() for upstream in upstreams if upstream.prefix)
        self._whole = {_normal(each.route.name) for each in written} | self.aliases

    def upstream_of(self, name: str) -> str:
        """The upstream that `name` addresses, or ""."""
        first, slash, _ = name.lower().partition("/")
        return next((known for known in self.upstreams if slash and known.lower() == first), "")

    def check(self, section: Section, key: str, name: str) -> None:
        """Complain when `name` means a model of an upstream that there is not."""
        if "/" not in name or _normal(name) in self._whole or self.upstream_of(name):
            return
        if self._prefixes and name.lower().startswith(self._prefixes):
            return
        what = f'is "{name}", but no upstream is called "{name.partition("/")[0]}"'
        there_are = ", ".join(self.upstreams) or "none"
        way_out = (
            f'; a model whose own name has a slash is written "{self.upstreams[0]}/{name}"' if self.upstreams else ""
        )
        section.complain(key, f"{what} (there are: {there_are}){way_out}")


def _check_name(each: Written, earlier: Iterable[Written], known: _Names) -> None:
    name = each.route.name
    if any(_normal(other.route.name) == _normal(name) for other in earlier) and name:
        each.section.complain("name", f'is "{name}", but another route is called that')
    if _normal(name) in known.aliases:
        each.section.complain("name", f'is "{name}", but an alias is called that')
    if upstream := known.upstream_of(name):
        each.section.complain("name", f'is "{name}", but such names address the models of the upstream "{upstream}"')


def _check_weights(each: Written) -> None:
    """Of each order somebody must be drawn."""
    for order in sorted({target.order for target in each.route.targets}):
        if not any(target.weight for target in each.route.targets if target.order == order):
            first = next(i for i, target in enumerate(each.route.targets) if target.order == order)
            others = f" and so are all others of order {order}" if _count(each.route, order) > 1 else ""
            each.targets[first].complain("weight", f"is 0{others}, so that none of them is ever drawn")


def _count(route: Route, order: int) -> int:
    return sum(target.order == order for target in route.targets)


def _check_circles(written: Iterable[Written], aliases: Mapping[str, str]) -> None:
    """Complain once of every circle of routes, with the aliases on its way."""
    routes = {_normal(each.route.name): each for each in written}
    ways = {_normal(alias): [_normal(target)] for alias, target in aliases.items()}
    ways |= {name: _leads_to(each.route) for name, each in routes.items()}
    told: set[str] = set()
    for name, each in routes.items():
        if name not in told and (circle := _circle(name, ways)):
            told.update(circle)
            way = " → ".join([*circle, name])
            each.section.complain("name", f'is "{each.route.name}", and it leads back to itself: {way}')


def _leads_to(route: Route) -> list[str]:
    return [_normal(n) for n in (*(target.model for target in route.targets), route.on_context, route.on_refusal) if n]


def _circle(start: str, ways: Mapping[str, list[str]]) -> list[str]:
    """The shortest way from `start` back to it, or []."""
    paths, seen = [[start]], {start}
    while paths:
        path = paths.pop(0)
        for after in ways.get(path[-1], ()):
            if after == start:
                return path
            if after not in seen:
                seen.add(after)
                paths.append([*path, after])
    return []


def _normal(name: str) -> str:
    """The form under which names are compared."""
    return name.strip().lower().removesuffix(":latest")
