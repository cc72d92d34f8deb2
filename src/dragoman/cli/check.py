"""`dragoman check`: everything that can be known to be wrong before the first call, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from dragoman.cli.output import Look, paint, say
from dragoman.cli.probe import Probe, probe
from dragoman.cli.settings import NO_UPSTREAM, settings
from dragoman.config import ConfigError, Settings
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Catalogue, build


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
    yield from (reached(answer) for answer in probes)
    catalogue = build(chosen.aliases, default=chosen.default_model, retired=chosen.retired)
    if live := [model for answer in probes for model in answer.models]:
        catalogue = catalogue.with_live(live)
    yield from names(chosen, catalogue, datetime.now(UTC).date())


def reached(answer: Probe) -> Finding:
    """What came of asking an upstream."""
    where = f"{answer.upstream.name} ({answer.upstream.base_url})"
    if answer.problem:
        return Finding("error", f"{where}: {answer.problem}")
    return Finding("ok", f"{where} is reached and lists {len(answer.models)} models")


def names(chosen: Settings, catalogue: Catalogue, today: date) -> Iterator[Finding]:
    """What is wrong with the names in the settings: the default, aliases, overrides, hidden ones."""
    if chosen.default_model:
        yield _name(f"default model {chosen.default_model}", chosen.default_model, catalogue, today)
    for alias, target in chosen.aliases.items():
        yield _name(f"alias {alias} → {target}", target, catalogue, today)
    for name in chosen.overrides:
        if catalogue.find(name, today) is None:
            yield Finding("error", f'[models."{name}"]: nobody knows a model of that name')
    known = [*catalogue.cards, *catalogue.aliases]
    for pattern in chosen.hide:
        if not any(fnmatchcase(name, pattern.lower()) for name in known):
            yield Finding("warning", f'hide "{pattern}": no name matches it')


def _name(what: str, name: str, catalogue: Catalogue, today: date) -> Finding:
    if catalogue.find(name, today) is None:
        return Finding("error", f"{what}: nobody knows a model of that name")
    try:
        resolution = catalogue.resolve(name, today)
    except GatewayError as error:
        return Finding("error", f"{what}: {error.message}")
    if resolution.substituted:
        return Finding("warning", f"{what}: {resolution.substituted}; {resolution.card.id} answers instead")
    if not any(card.id == resolution.card.id for card in catalogue.callable_cards(today)):
        return Finding("error", f"{what}: {resolution.card.id} is retired, and nothing takes its place")
    if resolution.card.status != "active":
        return Finding(
            "warning", f"{what}: {resolution.card.id} is deprecated and ends on {resolution.card.retires_at}"
        )
    return Finding("ok", f"{what} is {resolution.card.id}")
