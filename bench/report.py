"""The figures of a run, and which bars they meet."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping

import msgspec

from bench.measure import Requests, Streams

FEW, MANY = 50, 200
"""How many streams at once."""


class Round(msgspec.Struct, kw_only=True, frozen=True):
    requests: Requests
    streams: Mapping[int, Streams]


class Row(msgspec.Struct, kw_only=True):
    """All that was measured of one gateway, asked in one dialect.  Times as in `measure`, `startups` in seconds."""

    gateway: str
    dialect: str
    startups: list[float]
    idle: float
    rounds: list[Round] = []

    @property
    def label(self) -> str:
        return f"{self.gateway}, {_CLIENTS[self.dialect]} client"

    def median(self, figure: Callable[[Round], float]) -> float:
        """The median over the rounds."""
        return statistics.median(map(figure, self.rounds))


class Bar(msgspec.Struct, kw_only=True, frozen=True):
    """`value` of a dragoman row and of the row it is compared with; `at_most` false: the more the better."""

    text: str
    limit: float
    unit: str
    value: Callable[[Row, Row], float]
    other: str
    """The gateway that dragoman is compared with; empty when it is measured alone."""
    at_most: bool = True


_CLIENTS = {"ollama": "Ollama", "openai": "OpenAI", "anthropic": "Anthropic"}


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


_BARS = (
    Bar(
        text="CPU per request, times nginx",
        limit=14,
        unit="×",
        other="nginx",
        value=lambda row, nginx: _request(row) / _request(nginx),
    ),
    *(
        Bar(
            text=f"CPU per event, {count} streams, times nginx",
            limit=3,
            unit="×",
            other="nginx",
            value=lambda row, nginx, count=count: _event(row, count) / _event(nginx, count),  # type: ignore[misc]
        )
        for count in (FEW, MANY)
    ),
    Bar(
        text=f"first token, {FEW} streams, times nginx",
        limit=2.5,
        unit="×",
        other="nginx",
        value=lambda row, nginx: _first(row, FEW) / _first(nginx, FEW),
    ),
    Bar(
        text="CPU per request, times less than LiteLLM",
        limit=50,
        unit="×",
        other="LiteLLM",
        at_most=False,
        value=lambda row, litellm: _request(litellm) / _request(row),
    ),
    *(
        Bar(
            text=f"CPU per event, {count} streams, times less than LiteLLM",
            limit=12,
            unit="×",
            other="LiteLLM",
            at_most=False,
            value=lambda row, litellm, count=count: _event(litellm, count) / _event(row, count),  # type: ignore[misc]
        )
        for count in (FEW, MANY)
    ),
    Bar(text="memory idle", limit=64, unit=" MB", other="", value=lambda row, _: row.idle),
    Bar(text=f"memory at {MANY} streams", limit=96, unit=" MB", other="", value=lambda row, _: _resident(row)),
    Bar(text="start-up", limit=1, unit=" s", other="", value=lambda row, _: statistics.median(row.startups)),
)


def figures(rows: Iterable[Row]) -> str:
    """The table of what was measured, one column a row."""
    rows = list(rows)
    lines = [["", *(row.label for row in rows)]]
    lines += [[text, *(format(value(row), form) for row in rows)] for text, form, value in _FIGURES]
    return _table(lines)


def bars(rows: Iterable[Row]) -> str:
    """Each bar for each row of dragoman: what it is, what was reached, met or MISSED."""
    rows = list(rows)
    ours = [row for row in rows if row.gateway == "dragoman"]
    lines = [["", "bar", *(row.label for row in ours)]]
    for bar in _BARS:
        sign = "≤" if bar.at_most else "≥"
        verdicts = [_verdict(bar, row, rows) for row in ours]
        lines.append([bar.text, f"{sign} {bar.limit:g}{bar.unit}", *verdicts])
    return _table(lines)


def _verdict(bar: Bar, row: Row, rows: list[Row]) -> str:
    other = next((other for other in rows if other.gateway == bar.other), row)
    if bar.other and other is row:
        return "not measured"
    value = bar.value(row, other)
    met = value <= bar.limit if bar.at_most else value >= bar.limit
    return f"{value:.2f}{bar.unit} {'met' if met else 'MISSED'}"


def _table(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        "  ".join(
            cell.ljust(width) if nth == 0 else cell.rjust(width)
            for nth, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([rows[0], "-" * len(rows[0]), *rows[1:]])
