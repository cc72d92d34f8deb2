"""One measurement: a job put through a running gateway, and what it cost."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import subprocess
import time
from collections.abc import Iterator

import msgspec

from bench import processes, wire
from bench.gateways import Pair, Running
from bench.load import Job, Outcome


class CouldNotMeasureError(Exception):
    """An answer was wrong or missing: the figures would be those of something else."""


class Requests(msgspec.Struct, kw_only=True, frozen=True):
    """Unstreamed requests: CPU of the gateway and latency, both in ms per request."""

    cpu: float
    p50: float
    p99: float


class Streams(msgspec.Struct, kw_only=True, frozen=True):
    """Paced streams: CPU of the gateway in µs per event, time to first token in ms, resident memory in MB.

    `late`: how much longer the whole took than the pace alone asks for, as a part of it.
    """

    cpu: float
    first_p50: float
    first_p99: float
    resident: float
    late: float


class Stage:
    """The upstream and the load that every gateway of a run stands between."""

    def __init__(self, upstream: subprocess.Popen[bytes], load: subprocess.Popen[bytes], events: int) -> None:
        self._load = load
        self._events = events
        self.port = int(processes.pipe(upstream.stdout).readline())

    def requests(self, running: Running, pair: Pair, count: int) -> Requests:
        """Ask `count` times over eight connections, each as fast as it is answered."""
        job = self._job(running, pair, streamed=False)
        job.connections, job.each = 8, count // 8
        outcome, cpu, _ = self._measure(running, job, pace=0)
        p50, p99 = _quantiles(outcome.latencies)
        return Requests(cpu=cpu / len(outcome.latencies) * 1e3, p50=p50 * 1e3, p99=p99 * 1e3)

    def streams(self, running: Running, pair: Pair, count: int, pace: float) -> Streams:
        """Hold `count` streams, one event each per `pace` seconds; every connection reads two, one after the other.

        They begin at even distances over the length of one, and a little more so that no two are in step.
        """
        length = self._events * pace
        job = self._job(running, pair, streamed=True)
        job.connections, job.each, job.spread = count, 2, length + pace
        outcome, cpu, resident = self._measure(running, job, pace)
        p50, p99 = _quantiles(outcome.latencies)
        asked = job.spread * (count - 1) / count + 2 * length
        return Streams(
            cpu=cpu / (2 * count * self._events) * 1e6,
            first_p50=p50 * 1e3,
            first_p99=p99 * 1e3,
            resident=resident,
            late=outcome.wall / asked - 1,
        )

    def _job(self, running: Running, pair: Pair, streamed: bool) -> Job:
        path, body = wire.QUESTIONS[pair.client](wire.MODELS[pair.upstream], streamed)
        return Job(
            port=running.port,
            dialect=pair.client,
            path=path,
            body=body,
            events=self._events,
            streamed=streamed,
            connections=1,
            each=1,
        )

    def _measure(self, running: Running, job: Job, pace: float) -> tuple[Outcome, float, float]:
        """The outcome, the seconds of CPU it cost the gateway, and the most MB it held meanwhile."""
        self._control("POST", wire.PACE_PATH, str(pace * 1000))
        before = processes.cpu(running.pid)
        with processes.sampled(0.25, lambda: processes.resident(running.pid)) as resident:
            processes.pipe(self._load.stdin).write(msgspec.json.encode(job) + b"\n")
            processes.pipe(self._load.stdin).flush()
            line = processes.pipe(self._load.stdout).readline()
        cpu = processes.cpu(running.pid) - before
        if not line:
            raise CouldNotMeasureError("the load generator ended")
        outcome = msgspec.json.decode(line, type=Outcome)
        if outcome.failures:
            raise CouldNotMeasureError(f"{running.gateway.name}, {job.path}: " + "\n".join(outcome.failures[:3]))
        return outcome, cpu, max(resident)

    def _control(self, method: str, path: str, body: str = "") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            return connection.getresponse().read()


@contextlib.contextmanager
def stage(events: int) -> Iterator[Stage]:
    """Start the upstream and the load; both end with the context."""
    with (
        processes.python("bench.upstream", "--events", str(events)) as upstream,
        processes.python("bench.load") as load,
    ):
        yield Stage(upstream, load, events)


def idle(running: Running) -> float:
    """MB resident when nothing has been asked for a moment."""
    time.sleep(0.3)
    return processes.resident(running.pid)


def _quantiles(values: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    if len(values) < 2:
        return values[0], values[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
