"""The dashboard, the alert rules and the page of the documentation speak of metrics that are there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from dragoman.config import Settings
from dragoman.models.catalogue import build
from dragoman.relay.relay import Relay
from dragoman.surfaces.metrics import MetricsSurface
from dragoman.telemetry.families import Family
from tests.docs.pages import ROOT, codes, rows

_DASHBOARD, _ALERTS = ROOT / "deploy" / "grafana.json", ROOT / "deploy" / "alerts.yml"
_NAME = r"\b(?:dragoman|process)_[a-z_]+\b"
# What Prometheus adds itself.
_OUTER = frozenset({"job", "instance", "le"})


def families() -> dict[str, Family]:
    return {each.name: each for each in MetricsSurface(Relay(Settings(demo=True), build(), {})).families()}


def samples() -> dict[str, frozenset[str]]:
    """The labels of every sample, by its name."""
    found: dict[str, frozenset[str]] = {}
    for family in families().values():
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        found |= {family.name + suffix: frozenset(family.labels) | _OUTER for suffix in suffixes}
    return found


def dashboard() -> Iterator[str]:
    for panel in json.loads(_DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def alerts() -> Iterator[str]:
    for found in re.finditer(r"^ +expr: (?:\|\n((?: {10}.*\n)+)|(.*))", _ALERTS.read_text("utf-8"), re.MULTILINE):
        yield found[1] or found[2]


QUERIES = [*dashboard(), *alerts()]


def test_there_are_queries() -> None:
    assert len(list(dashboard())) > 20
    assert len(list(alerts())) == _ALERTS.read_text("utf-8").count("- alert: ") >= 8


@pytest.mark.parametrize("query", QUERIES)
def test_queries_are_about_what_is_there(query: str) -> None:
    known = samples()
    names = re.findall(_NAME, query)
    assert names and set(names) <= known.keys()
    for name, matchers in re.findall(rf"({_NAME})\{{([^}}]*)\}}", query):
        assert set(re.findall(r"(\w+)(?:=|!)", matchers)) <= known[name], query
    for labels in re.findall(r"by \(([^)]*)\)", query):
        wanted = {label.strip() for label in labels.split(",")}
        assert any(wanted <= known[name] for name in names), query
    assert query.count("(") == query.count(")") and query.count("{") == query.count("}")


def test_whatever_is_worth_a_look_is_on_the_dashboard() -> None:
    shown = {name for query in dashboard() for name in re.findall(_NAME, query)}
    apart = {"dragoman_build_info", "dragoman_workers", "dragoman_calls_total", "dragoman_upstream_calls_total"}
    apart |= {"dragoman_request_duration_seconds", "dragoman_upstream_running"}
    kinds = {name.removesuffix("_bucket") for name in shown}
    assert {name for name in families() if name.startswith("dragoman")} - kinds == apart


def test_each_alert_says_what_it_is_about() -> None:
    text = _ALERTS.read_text("utf-8")
    for rule in text.split("- alert: ")[1:]:
        assert "severity: " in rule and "summary: " in rule, rule


def test_the_page_has_every_metric_with_its_labels() -> None:
    told = {
        codes(name)[0]: tuple(codes(labels)) for name, labels, _ in rows("docs/observability.md", "<!-- metrics -->")
    }
    ours = {name: family.labels for name, family in families().items() if name.startswith("dragoman")}
    assert told == ours
