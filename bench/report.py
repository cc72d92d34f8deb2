"""The figures of a run, and which bars they meet."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping

import msgspec

from bench.gateways import Pair
from bench.measure import Requests, Streams

FEW, MANY = 50, 200
"""How many streams at once."""


class Round(msgspec.Struct, kw_only=True, frozen=True):
    requests: Requests
    streams: Mapping[int, Streams]


class Row(msgspec.Struct, kw_only=True):
    """All that was measured of one gateway and one kind of call.  Times as in `measure`, `startups` in seconds."""

    gateway: str
    pair: Pair
    startups: list[float]
    idle: float
    rounds: list[Round] = []

    @property
    def label(self) -> str:
        """Who was asked, and what."""
        return f"{self.gateway} {self.call}"

    @property
    def call(self) -> str:
        """From whose words into whose."""
        return f"{_LETTERS[self.pair.client]}→{_LETTERS[self.pair.upstream]}"

    def median(self, figure: Callable[[Round], float]) -> float:
        """The median over the rounds."""
        return statistics.median(map(figure, self.rounds))


class Bar(msgspec.Struct, frozen=True):
    """`value` of a dragoman row and of the row it is compared with; `at_most` false: the more the better.

    `passed` is the limit for calls that are passed through; None where they have no bar.
    """

    text: str
    limit: float
    passed: float | None
    unit: str
    value: Callable[[Row, Row], float]
    other: str = ""
    """The gateway that dragoman is compared with; empty when it is measured alone."""
    at_most: bool = True


_LETTERS = {"anthropic": "A", "openai": "C", "ollama": "O"}
_LEGEND = "client → server: A Anthropic, C OpenAI chat, O Ollama; the same on both sides is passed through"


def _request(row: Row) -> float:
    return row.median(lambda one: one.requests.cpu)


def _event(row: Row, count: int) -> float:
    return row.median(lambda one: one.streams[count].cpu)


def _first(row: Row, count: int) -> float:
    return row.median(lambda one: one.streams[count].first_p50)


def _late(row: Row, count: int) -> float:
    return row.median(lambda one: one.streams[count].late) * 100


def _resident(row: Row) -> float:
    return max(one.streams[MANY].resident for one in row.rounds)


_FIGURES: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("CPU per request, ms", ".3f", lambda row: row.median(lambda one: one.requests.cpu)),
    ("  time of a request, median, ms", ".2f", lambda row: row.median(lambda one: one.requests.p50)),
    ("  and of 99 in 100 at most, ms", ".2f", lambda row: row.median(lambda one: one.requests.p99)),
    (f"CPU per event, {FEW} streams, µs", ".1f", lambda row: _event(row, FEW)),
    (f"CPU per event, {MANY} streams, µs", ".1f", lambda row: _event(row, MANY)),
    (f"first token, {FEW} streams, median, ms", ".2f", lambda row: _first(row, FEW)),
    ("  and of 99 in 100 at most, ms", ".2f", lambda row: row.median(lambda one: one.streams[FEW].first_p99)),
    (f"first token, {MANY} streams, median, ms", ".2f", lambda row: _first(row, MANY)),
    ("memory idle, MB", ".0f", lambda row: row.idle),
    (f"memory at {MANY} streams, MB", ".0f", _resident),
    ("start-up, s", ".2f", lambda row: statistics.median(row.startups)),
    (f"behind the pace, {FEW} streams, %", ".1f", lambda row: _late(row, FEW)),
    (f"behind the pace, {MANY} streams, %", ".1f", lambda row: _late(row, MANY)),
)


def _times(figure: Callable[[Row], float]) -> Callable[[Row, Row], float]:
    return lambda row, other: figure(row) / figure(other)


def _times_less(figure: Callable[[Row], float]) -> Callable[[Row, Row], float]:
    return lambda row, other: figure(other) / figure(row)


_EVENTS: tuple[tuple[int, Callable[[Row], float]], ...] = (
    (FEW, lambda row: _event(row, FEW)),
    (MANY, lambda row: _event(row, MANY)),
)

_BARS = (
    Bar("CPU per request, times nginx", 14, 14, "×", _times(_request), other="nginx"),
    *(
        Bar(f"CPU per event, {count} streams, times nginx", 3, 2, "×", _times(event), other="nginx")
        for count, event in _EVENTS
    ),
    Bar(f"first token, {FEW} streams, times nginx", 2.5, 2.5, "×", _times(lambda row: _first(row, FEW)), other="nginx"),
    Bar(
        "CPU per request, times less than LiteLLM", 50, None, "×", _times_less(_request), other="LiteLLM", at_most=False
    ),
    *(
        Bar(
            f"CPU per event, {count} streams, times less than LiteLLM",
            12,
            None,
            "×",
            _times_less(event),
            other="LiteLLM",
            at_most=False,
        )
        for count, event in _EVENTS
    ),
    Bar("memory idle", 64, 64, " MB", lambda row, _: row.idle),
    Bar(f"memory at {MANY} streams", 96, 96, " MB", lambda row, _: _resident(row)),
    Bar("start-up", 1, 1, " s", lambda row, _: statistics.median(row.startups)),
)


def figures(rows: Iterable[Row]) -> str:
    """The table of what was measured, one column a row."""
    rows = list(rows)
    heads = [["", *(row.gateway for row in rows)], ["", *(row.call for row in rows)]]
    lines = [[text, *(format(value(row), form) for row in rows)] for text, form, value in _FIGURES]
    return f"{_table(heads, lines)}\n{_LEGEND}"


def bars(rows: Iterable[Row]) -> str:
    """Each bar for each row of dragoman: what it is, what was reached, met or MISSED."""
    rows = list(rows)
    ours = [row for row in rows if row.gateway == "dragoman"]
    lines = [[bar.text, _limit(bar), *(_verdict(bar, row, rows) for row in ours)] for bar in _BARS]
    return _table([["dragoman", "bar", *(row.call for row in ours)]], lines)


def _limit(bar: Bar) -> str:
    sign = "≤" if bar.at_most else "≥"
    passed = "" if bar.passed in (None, bar.limit) else f", passed {bar.passed:g}{bar.unit}"
    return f"{sign} {bar.limit:g}{bar.unit}{passed}"


def _verdict(bar: Bar, row: Row, rows: list[Row]) -> str:
    limit = bar.passed if row.pair.passed else bar.limit
    if limit is None:
        return ""
    other = next((other for other in rows if other.gateway == bar.other), row)
    if bar.other and other is row:
        return "not measured"
    if bar.passed is None and other.pair.upstream != row.pair.upstream:
        return ""
    value = bar.value(row, other)
    met = value <= limit if bar.at_most else value >= limit
    return f"{value:.2f}{bar.unit} {'met' if met else 'MISSED'}"


def _table(heads: list[list[str]], lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*heads, *lines, strict=True)]
    rows = [
        "  ".join(
            cell.ljust(width) if nth == 0 else cell.rjust(width)
            for nth, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [*heads, *lines]
    ]
    return "\n".join([*rows[: len(heads)], "-" * len(rows[0]), *rows[len(heads) :]])
