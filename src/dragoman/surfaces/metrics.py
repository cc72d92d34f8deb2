"""`/metrics`: what was counted, for Prometheus.  Of all workers, whichever is asked."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from starlette.routing import BaseRoute, Route

from dragoman.dialects import ollama
from dragoman.errors import GatewayError
from dragoman.redaction import Redactor
from dragoman.relay.relay import Relay
from dragoman.relay.tally import Count, Tally
from dragoman.relay.upstreams import UpstreamServer
from dragoman.surfaces.exchange import Endpoint, Exchange
from dragoman.surfaces.guard import METRICS_PATH
from dragoman.telemetry.families import Family, Histogram, Labels, counter, gauge, snapshot
from dragoman.telemetry.lag import measure_lag
from dragoman.telemetry.metrics import DURATIONS, FIRSTS, GAPS, LAGS, Metrics, Spread
from dragoman.telemetry.peers import Peers
from dragoman.telemetry.process import process_families
from dragoman.telemetry.tracing import Tracer, make_tracer

_MODEL = ("upstream", "model")
_STATES = ("closed", "open", "half-open")


class MetricsSurface:
    """The route, and what is behind it.  `peers` is the directory that the workers share, "" where there is one."""

    def __init__(self, relay: Relay, peers: str = "") -> None:
        self._relay = relay
        self.peers = Peers(peers, self.families) if peers else None
        self.tracer: Tracer | None = None
        self.hide: Callable[[str], str] = Redactor().hide
        """Takes secrets out of spans; it is that of the guard where there is one."""

    def routes(self) -> list[BaseRoute]:
        return [Route(METRICS_PATH, Endpoint(ollama, self.scrape), methods=["GET"])]

    def families(self) -> list[Family]:
        """Everything this worker shows."""
        return [*request_families(self._relay.metrics), *relay_families(self._relay), *process_families()]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What lives as long as the process: the lag is measured, the other workers answered, spans sent."""
        self.tracer = make_tracer(self._relay.settings.traces)
        if self.tracer is not None:
            self.tracer.hide = self.hide
        measuring = asyncio.create_task(measure_lag(self._relay.metrics))
        try:
            if self.peers is not None:
                await self.peers.start()
            yield
        finally:
            measuring.cancel()
            if self.peers is not None:
                await self.peers.close()
            if self.tracer is not None:
                await asyncio.to_thread(self.tracer.close)

    async def scrape(self, exchange: Exchange) -> None:
        """The text of it.  It is put together in a thread: calls go on meanwhile."""
        if self._relay.settings.metrics == "off":
            raise GatewayError("not_found", "this gateway shows no metrics (DRAGOMAN_METRICS)")
        shown = [snapshot(self.families())] if self.peers is None else await self.peers.gathered()
        data, content_type = await asyncio.to_thread(_exposed, shown, exchange.header(b"accept"))
        await exchange.reply_bytes(data, content_type)


def _exposed(snapshots: Sequence[bytes], accept: str) -> tuple[bytes, bytes]:
    """In the thread: what is imported here takes a while the first time."""
    from dragoman.telemetry.exposition import exposed  # noqa: PLC0415

    return exposed(snapshots, accept)


def request_families(metrics: Metrics) -> Iterator[Family]:
    """What happened between clients and us."""
    yield gauge(
        "dragoman_build_info",
        "Always 1; its labels say what runs.",
        ("version", "python"),
        {(version("dragoman"), platform.python_version()): 1},
        "max",
    )
    yield gauge("dragoman_workers", "Processes that serve.", (), {(): 1})
    yield from _exchange_families(metrics)
    yield from _call_families(metrics)
    yield _spreads(
        "dragoman_event_loop_lag_seconds",
        "How late a timer fired that was set each half second.",
        (),
        LAGS,
        {(): metrics.lag},
    )


def _exchange_families(metrics: Metrics) -> Iterator[Family]:
    """HTTP requests of clients, whatever they ask for."""
    yield counter(
        "dragoman_requests_total",
        "HTTP requests that ended, by the class of their status; none: the client left before there was one.",
        ("dialect", "endpoint", *_MODEL, "status"),
        metrics.requests,
    )
    yield _spreads(
        "dragoman_request_duration_seconds",
        "From the head of a request to the end of its answer.",
        ("dialect", "endpoint"),
        DURATIONS,
        metrics.durations,
    )
    yield gauge("dragoman_requests_running", "Requests under way.", (), {(): metrics.running})
    yield gauge("dragoman_streams_running", "Streamed answers under way.", (), {(): metrics.streams})
    yield counter("dragoman_errors_total", "Errors that clients were told.", ("dialect", "kind"), metrics.errors)


def _call_families(metrics: Metrics) -> Iterator[Family]:
    """Those of them that ask a model, whoever answered."""
    yield counter(
        "dragoman_calls_total",
        "Calls of models that ended, by what came of them: ok, left (the client), refused (by a server whose answer "
        "was passed through), or a kind of error.",
        ("dialect", *_MODEL, "outcome"),
        metrics.calls,
    )
    yield _spreads(
        "dragoman_call_duration_seconds", "From a call's start to its end.", _MODEL, DURATIONS, metrics.call_durations
    )
    yield _spreads(
        "dragoman_time_to_first_token_seconds",
        "From a call's start to the first part of its answer.",
        _MODEL,
        FIRSTS,
        metrics.firsts,
    )
    yield _spreads(
        "dragoman_token_gap_seconds",
        "Between two pieces of a streamed answer, as they were written to the client.",
        _MODEL,
        GAPS,
        metrics.gaps,
    )
    yield counter(
        "dragoman_losses_total",
        "Members of requests that were dropped or emulated for a model that does not take them.",
        ("dialect", "kind", "member"),
        metrics.losses,
    )


def relay_families(relay: Relay) -> Iterator[Family]:
    """What happened between us and the servers behind us, what they are like now, and what is kept."""
    recall = relay.carrier.recall
    yield from _model_families(relay.tally.counts())
    yield from _failure_families(relay.tally)
    yield from _server_families(relay.servers)
    yield counter(
        "dragoman_recall_total",
        "Turns whose sealed thinking was looked for, because their client could not send it.",
        ("result",),
        {("hit",): recall.hits, ("miss",): recall.misses},
    )
    yield counter(
        "dragoman_store_errors_total",
        "Failures of what is stored: shared between gateways, or durable.",
        ("store",),
        {("shared",): recall.failures, ("durable",): relay.durable.failures},
    )


def _model_families(counts: Mapping[tuple[str, str], Count]) -> Iterator[Family]:
    """What each model did, by the names of its server and its own."""
    yield counter(
        "dragoman_upstream_calls_total",
        "Answers and failed attempts.",
        _MODEL,
        {who: c.calls for who, c in counts.items()},
    )
    yield counter(
        "dragoman_tokens_total",
        "Tokens as the servers counted them; input has all of the prompt, cached or not, output all of the answer, "
        "reasoning included.",
        (*_MODEL, "type"),
        {
            (*who, type): tokens
            for who, c in counts.items()
            for type, tokens in (
                ("input", c.input),
                ("output", c.output),
                ("cache_read", c.cache_read),
                ("cache_write", c.cache_write),
                ("reasoning", c.thinking),
            )
        },
    )
    yield counter(
        "dragoman_cost_dollars_total",
        "US dollars, of the calls whose price is known.",
        _MODEL,
        {who: c.cost for who, c in counts.items()},
    )


def _failure_families(tally: Tally) -> Iterator[Family]:
    """What failed behind us, and what was done about it."""
    yield counter(
        "dragoman_upstream_errors_total", "Attempts that failed, by kind.", ("upstream", "kind"), tally.failures
    )
    yield counter(
        "dragoman_retries_total",
        "Calls sent once more, by the failure before.",
        ("kind",),
        {(kind,): count for kind, count in tally.retries.items()},
    )
    yield counter(
        "dragoman_failovers_total",
        "Calls that another model took over, by the server that lost them.",
        ("upstream", "reason"),
        tally.moves,
    )


def _server_families(servers: Mapping[str, UpstreamServer]) -> Iterator[Family]:
    """What the servers behind us are like now."""
    yield gauge(
        "dragoman_upstream_running",
        "Calls that have a place at the server.",
        ("upstream",),
        {(name,): server.gate.inside for name, server in servers.items()},
    )
    yield gauge(
        "dragoman_upstream_queue",
        "Calls that wait for one.",
        ("upstream",),
        {(name,): server.gate.waiting for name, server in servers.items()},
    )
    yield gauge(
        "dragoman_breaker_state",
        "How many workers have the server's circuit breaker in this state.",
        ("upstream", "state"),
        {(name, state): server.breaker.state == state for name, server in servers.items() for state in _STATES},
    )


def _spreads(name: str, help: str, labels: Labels, bounds: Sequence[int], spreads: Mapping[Labels, Spread]) -> Family:
    """Nanoseconds as seconds."""
    shown = {labels: Histogram(list(each.counts), each.total / 1e9) for labels, each in spreads.items()}
    return Family(name, "histogram", help, labels, bounds=tuple(bound / 1e9 for bound in bounds), histograms=shown)
