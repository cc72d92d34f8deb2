"""Metrics as values that can be sent and added up: what one process shows, and what several show together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add
from typing import Literal

import msgspec
from msgspec import Struct, field

Labels = tuple[str, ...]
Kind = Literal["counter", "gauge", "histogram"]
Way = Literal["sum", "min", "max"]

OTHER = "other"
"""What stands for a name nobody vouches for, and for all that are too many."""


class Histogram(Struct):
    """`counts[i]` values were at most `bounds[i]` and above the bound before it, and `counts[-1]` above all.

    `total` is the sum of them all.
    """

    counts: list[int]
    total: float = 0.0


def _lower(one: float, other: float) -> float:
    return min(one, other)


def _higher(one: float, other: float) -> float:
    return max(one, other)


_TOGETHER: Mapping[Way, Callable[[float, float], float]] = {"sum": add, "min": _lower, "max": _higher}


class Family(Struct):
    """One metric.  Names and units are Prometheus's: https://prometheus.io/docs/practices/naming/

    `merge` is how the values of several processes make one; counters and histograms are always added up.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    merge: Way = "sum"
    bounds: tuple[float, ...] = ()
    values: dict[Labels, float] = field(default_factory=dict)
    histograms: dict[Labels, Histogram] = field(default_factory=dict)


class _Packed(Struct, array_like=True):
    """A family without words: `name`, `kind`, how it is merged, and its samples as pairs."""

    family: Family
    values: list[tuple[Labels, float]]
    histograms: list[tuple[Labels, Histogram]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Packed]).decode


def snapshot(families: Iterable[Family]) -> bytes:
    """All of them as bytes, for `merge`."""
    return _encode(
        [
            _Packed(
                msgspec.structs.replace(family, values={}, histograms={}),
                list(family.values.items()),
                list(family.histograms.items()),
            )
            for family in families
        ]
    )


def merge(snapshots: Sequence[bytes]) -> list[Family]:
    """The families of several processes as those of one.  What is no snapshot is left out."""
    merged: dict[str, Family] = {}
    for data in snapshots:
        try:
            packed = _decode(data)
        except msgspec.DecodeError:
            continue
        for each in packed:
            family = merged.setdefault(each.family.name, each.family)
            if (family.kind, family.labels, family.bounds) == (
                each.family.kind,
                each.family.labels,
                each.family.bounds,
            ):
                _add(family, each.values, each.histograms)
    return list(merged.values())


def lasting(families: Iterable[Family]) -> list[Family]:
    """Those that still count when their process has ended: what happened, and not what is."""
    return [family for family in families if family.kind != "gauge"]


def _add(
    family: Family, values: Iterable[tuple[Labels, float]], histograms: Iterable[tuple[Labels, Histogram]]
) -> None:
    together = _TOGETHER[family.merge]
    for labels, value in values:
        known = family.values.get(labels)
        family.values[labels] = float(value) if known is None else together(known, float(value))
    for labels, histogram in histograms:
        if (sums := family.histograms.get(labels)) is None:
            family.histograms[labels] = histogram
        else:
            sums.counts = [mine + theirs for mine, theirs in zip(sums.counts, histogram.counts, strict=True)]
            sums.total += histogram.total


def counter(name: str, help: str, labels: Labels, values: Mapping[Labels, float]) -> Family:
    """A sum that only grows; `name` ends in `_total`."""
    return Family(name, "counter", help, labels, values={labels: float(value) for labels, value in values.items()})


def gauge(name: str, help: str, labels: Labels, values: Mapping[Labels, float], merge: Way = "sum") -> Family:
    """What is now."""
    shown = {labels: float(value) for labels, value in values.items()}
    return Family(name, "gauge", help, labels, merge, values=shown)
