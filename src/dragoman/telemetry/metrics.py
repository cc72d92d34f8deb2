"""The counters that requests and calls run into: plain sums, a few microseconds a request, bounded in number.

Names that become labels come from the configuration and the lists of models, never from what clients write.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct, field

from dragoman.telemetry.families import OTHER, Labels

# Nanoseconds.  The boundaries are OpenTelemetry's for the same measures:
# https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md
_MS = 1_000_000
DURATIONS: Sequence[int] = tuple(_MS * 10 * 2**step for step in range(14))
FIRSTS: Sequence[int] = tuple(
    _MS * ms for ms in (1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 30_000, 60_000)
)
GAPS: Sequence[int] = tuple(
    _MS * ms for ms in (1, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2500, 10_000)
)
LAGS: Sequence[int] = tuple(_MS * ms for ms in (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000))

MOST = 2000
"""How many series one metric may have; those that come later are counted together."""

CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Statuses of answers; "none": the client left before there was one."""

V = TypeVar("V")


class Spread(Struct):
    """Times in nanoseconds, counted by `bounds`; `counts` has one more for those above all."""

    bounds: Sequence[int]
    counts: list[int]
    total: int = 0

    def observe(self, nanoseconds: int) -> None:
        self.counts[bisect_left(self.bounds, nanoseconds)] += 1
        self.total += nanoseconds

    def add(self, counts: list[int], total: int) -> None:
        """Many that were counted already."""
        self.counts = [mine + more for mine, more in zip(self.counts, counts, strict=True)]
        self.total += total


def spread(bounds: Sequence[int]) -> Spread:
    return Spread(bounds, [0] * (len(bounds) + 1))


def bounded(series: dict[Labels, V], labels: Labels, most: int = MOST) -> Labels:
    """`labels`, or what stands for them when there are too many already."""
    return labels if labels in series or len(series) < most else (OTHER,) * len(labels)


def _as_they_are(upstream: str, model: str) -> tuple[str, str]:
    return upstream, model


class Metrics(Struct):
    """What happened to requests and calls since the start.  For one event loop: nothing is locked."""

    named: Callable[[str, str], tuple[str, str]] = _as_they_are
    """An upstream and a model as labels: "other" for a model nobody vouches for."""
    running: int = 0
    streams: int = 0
    requests: dict[Labels, int] = field(default_factory=dict)
    """By dialect, endpoint, upstream, model and class of status."""
    durations: dict[Labels, Spread] = field(default_factory=dict)
    """Of requests, by dialect and endpoint."""
    calls: dict[Labels, int] = field(default_factory=dict)
    """By dialect, upstream, model and outcome."""
    call_durations: dict[Labels, Spread] = field(default_factory=dict)
    """By upstream and model, as the next two."""
    firsts: dict[Labels, Spread] = field(default_factory=dict)
    gaps: dict[Labels, Spread] = field(default_factory=dict)
    losses: dict[Labels, int] = field(default_factory=dict)
    """By dialect, "dropped" or "emulated", and the member."""
    errors: dict[Labels, int] = field(default_factory=dict)
    """What clients were told, by dialect and kind."""
    lag: Spread = field(default_factory=lambda: spread(LAGS))

    def request(
        self, dialect: str, endpoint: str, who: tuple[str, str], *, status: int, elapsed: int, kind: str = ""
    ) -> None:
        """One that ended.  `who`: the upstream and the model, "" for none; `kind` of the error it was told."""
        _count(self.requests, (dialect, endpoint, *who, CLASSES[status // 100 if 100 <= status < 600 else 0]))
        _observe(self.durations, (dialect, endpoint), DURATIONS, elapsed)
        if kind:
            _count(self.errors, (dialect, kind))

    def call(self, dialect: str, who: tuple[str, str], outcome: str, elapsed: int, first: int) -> None:
        """One that ended; `first` is when the answer began, in nanoseconds after its start, 0: never."""
        _count(self.calls, (dialect, *who, outcome))
        _observe(self.call_durations, who, DURATIONS, elapsed)
        if first:
            _observe(self.firsts, who, FIRSTS, first)

    def stream(self, who: tuple[str, str], gaps: list[int], total: int) -> None:
        """The pauses (by `GAPS`) of a stream that ended, and their sum."""
        if (known := self.gaps.get(who)) is None:
            known = self.gaps.setdefault(bounded(self.gaps, who), spread(GAPS))
        known.add(gaps, total)

    def lost(self, dialect: str, kind: str, names: Iterable[str]) -> None:
        """Members of a request that were "dropped" or "emulated"."""
        for name in names:
            _count(self.losses, (dialect, kind, member_of(name)))


def _count(series: dict[Labels, int], labels: Labels) -> None:
    try:
        series[labels] += 1
    except KeyError:
        labels = bounded(series, labels)
        series[labels] = series.get(labels, 0) + 1


def _observe(series: dict[Labels, Spread], labels: Labels, bounds: Sequence[int], nanoseconds: int) -> None:
    if (known := series.get(labels)) is None:
        known = series.setdefault(bounded(series, labels), spread(bounds))
    known.counts[bisect_left(bounds, nanoseconds)] += 1
    known.total += nanoseconds


def member_of(path: str) -> str:
    """What kind of member a loss is about: the last step of its path that is a word of an API and not a client's."""
    for step in reversed(_STEPS.findall(path)):
        if step in MEMBERS:
            return str(step)
    return OTHER


_STEPS = re.compile(r"[^.\[\]]+")

_MEMBERS = """
annotations audio background betas cache cache_control citations container content context context_management
conversation data defer_loading description detail effort encrypted_content file_id filename format frequency_penalty
function_call functions image images include inference_geo input input_audio input_examples instructions is_error
json_schema keep_alive logit_bias logprobs max_completion_tokens max_output_tokens max_tokens max_tool_calls mcp_servers
messages metadata metadata.user_id min_p mirostat mirostat_eta mirostat_tau modalities model moderation n name num_batch
num_ctx num_gpu num_keep num_predict num_thread options output_config parallel parallel_tool_calls parameters penalty
phase prediction prefix presence_penalty previous_response_id prompt prompt_cache_key prompt_cache_options
prompt_cache_retention raw reasoning reasoning_content reasoning_effort refusal repeat_last_n repeat_penalty
response_format role safety_identifier schema seed service_tier signature size source speed stop stop_sequences store
stream stream_options strict suffix summary system template temperature text think thinking title tool_calls tool_choice
tool_name tools top_k top_logprobs top_p transforms truncation type typical_p user user_id verbosity visible voice
web_search web_search_options
"""
MEMBERS = frozenset(_MEMBERS.split())
