"""`dragoman check`: everything that can be known to be wrong before the first call, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from dragoman.cli.gathering import gathered
from dragoman.cli.output import Look, paint, say
from dragoman.cli.probe import Probe, probe
from dragoman.cli.settings import NO_UPSTREAM, settings
from dragoman.config import ConfigError, Settings
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.models.catalogue import Catalogue


class Finding(NamedTuple):
    """One line of the answer.  A "warning" is served all the same; an "error" is not."""

    verdict: Literal["ok", "warning", "error"]
    text: str


_LOOKS: dict[str, Look] = {"ok": "good", "warning": "warn", "error": "bad"}


def run(config: Path | None) -> int:
    """0 when all is well, 1 when something is wrong."""
    findings = list(_findings(config))
    for finding in findings:
        say(f"{paint(f'{finding.verdict:<8}', _LOOKS[finding.verdict])} {finding.text}")
    return int(any(finding.verdict == "error" for finding in findings))


def _findings(config: Path | None) -> Iterator[Finding]:
    try:
        chosen = settings(config)
    except ConfigError as error:
        yield from (Finding("error", problem) for problem in error.problems)
        return
    yield Finding("ok", "every setting is allowed")
    if not chosen.upstreams:
        yield Finding("error", NO_UPSTREAM)
        return
    probes = probe(chosen.upstreams)
    for answer in probes:
        yield reached(answer)
        yield from patterns(answer)
    there = {answer.upstream.name: answer for answer in probes if not answer.problem}
    local = [name for name, answer in there.items() if answer.upstream.dialect != "anthropic"]
    catalogue = gathered(chosen, local)
    for name, answer in there.items():
        if name not in local:
            catalogue = catalogue.with_live(answer.models, name)
    yield from names(chosen, catalogue, datetime.now(UTC).date(), there)


def reached(answer: Probe) -> Finding:
    """What came of asking an upstream."""
    where = f"{answer.upstream.name} ({answer.upstream.base_url})"
    if answer.problem:
        return Finding("error", f"{where}: {answer.problem}")
    software = f" ({answer.software})" if answer.software else ""
    if not answer.models and not answer.upstream.models:
        hint = "; `ollama pull MODEL` gets one" if answer.upstream.dialect == "ollama" else ""
        return Finding("warning", f"{where} is reached and lists no models{software}{hint}")
    return Finding("ok", f"{where} is reached and lists {len(answer.models)} models{software}")


def patterns(answer: Probe) -> Iterator[Finding]:
    """Which patterns of an `[[upstream]]` table mean none of the models that it lists."""
    ids = [str(model.get("id") or model.get("model") or model.get("name")).lower() for model in answer.models]
    for key, wanted in (("models", answer.upstream.models), ("hide", answer.upstream.hide)):
        for pattern in wanted if ids else ():
            if not any(fnmatchcase(name, p) for name in ids for p in (pattern.lower(), f"{pattern.lower()}:latest")):
                yield Finding("warning", f'{answer.upstream.name}: {key} "{pattern}": it lists no such model')


def names(
    chosen: Settings, catalogue: Catalogue, today: date, there: Collection[str] | None = None
) -> Iterator[Finding]:
    """What is wrong with the names in the settings: the default, aliases, routes, overrides, hidden ones.

    `there` names the upstreams that are reached, if not all are: the others may have what the rest has not.
    """
    away = [upstream.name for upstream in chosen.upstreams if there is not None and upstream.name not in there]
    for what, name in _meant(chosen):
        if catalogue.find(name, today) is None:
            yield _unknown(what, away)
        elif not what.startswith("[models"):
            yield _name(what, name, catalogue, today)
    known = [*catalogue.cards, *catalogue.aliases]
    for pattern in chosen.hide:
        if not any(fnmatchcase(name, pattern.lower()) for name in known):
            yield Finding("warning", f'hide "{pattern}": no name matches it')


def _meant(chosen: Settings) -> Iterator[tuple[str, str]]:
    """Every name of a model in the settings, and where it stands."""
    if chosen.default_model:
        yield f"default model {chosen.default_model}", chosen.default_model
    for alias, target in chosen.aliases.items():
        yield f"alias {alias} → {target}", target
    for route in chosen.routes:
        for name in (*(target.model for target in route.targets), route.on_context, route.on_refusal):
            if name:
                yield f"route {route.name} → {name}", name
    for name in chosen.overrides:
        yield f'[models."{name}"]', name


def _unknown(what: str, away: Sequence[str]) -> Finding:
    if away:
        return Finding("warning", f"{what}: nobody who is reached has that model; {', '.join(away)} may")
    return Finding("error", f"{what}: nobody knows a model of that name")


def _name(what: str, name: str, catalogue: Catalogue, today: date) -> Finding:
    try:
        resolution = catalogue.resolve(name, today)
    except GatewayError as error:
        return Finding("error", f"{what}: {error.message}")
    if resolution.substituted:
        return Finding("warning", f"{what}: {resolution.substituted}; {resolution.card.id} answers instead")
    card = resolution.card
    if card.dialect != "anthropic":
        return Finding("ok", f"{what} is {card.id} of {card.upstream}")
    if not any(other.id == card.id for other in catalogue.callable_cards(today)):
        return Finding("error", f"{what}: {card.id} is retired, and nothing takes its place")
    if card.status != "active":
        ends = f"{what}: {card.id} is deprecated and ends on {card.retires_at}"
        return Finding("warning", ends + _then(name, card, catalogue))
    return Finding("ok", f"{what} is {card.id}")


def _then(name: str, card: Card, catalogue: Catalogue) -> str:
    """What becomes of calls for a name when the model behind it has ended."""
    if not card.retires_at:
        return ""
    try:
        successor = catalogue.resolve(name, date.fromisoformat(card.retires_at)).card
    except GatewayError:
        return "; then it is refused"
    return f"; then {successor.id} answers" if successor.id != card.id else ""
