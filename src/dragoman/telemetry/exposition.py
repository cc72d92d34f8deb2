"""Families in the words of Prometheus or OpenMetrics, whichever a scraper asks for.

Imported for the first scrape, not at the start: see `surfaces/metrics.py`.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from dragoman.telemetry.families import Family, Histogram, merge


def exposed(snapshots: Sequence[bytes], accept: str) -> tuple[bytes, bytes]:
    """The text for what several processes showed, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Collector(merge(snapshots))), content_type.encode("ascii")


class _Collector(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a sample too: a query for what has not happened yet finds nothing wrong."""
        yield from map(_metric, self._families)


def _metric(family: Family) -> Metric:
    match family.kind:
        case "counter":
            counters = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in family.values.items():
                counters.add_metric(labels, value)
            return counters
        case "gauge":
            gauges = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in family.values.items():
                gauges.add_metric(labels, value)
            return gauges
        case "histogram":
            histograms = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for labels, histogram in family.histograms.items():
                histograms.add_metric(labels, list(_buckets(family.bounds, histogram)), histogram.total)
            return histograms


def _buckets(bounds: Sequence[float], histogram: Histogram) -> Iterator[tuple[str, float]]:
    """Each with all that are below it."""
    below = 0
    for bound, count in zip((*bounds, None), histogram.counts, strict=True):
        below += count
        yield "+Inf" if bound is None else repr(float(bound)), below
