"""`python -m bench.soak`: a thousand paced streams at once, for ten minutes, through one worker.

Three bars: no stream is lost, the 99th percentile of what a token is delayed stays below 50 ms, and resident memory
after the warm-up grows by less than 5 %.  Exit code 1 when one is missed.  Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from bench import processes
from bench.gateways import DRAGOMAN, running
from bench.soak_ends import Load, Told

_GROWTH = 0.05
_DELAY = 50.0
_BASELINE = 15.0


class Sample(msgspec.Struct):
    """The gateway at one moment: when (`time.monotonic()`), MB, open descriptors."""

    at: float
    resident: float
    descriptors: int


def main() -> int:
    """1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Many streams for a long time.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--pace-ms", type=float, default=100, help="between two tokens of a stream")
    parser.add_argument("--events", type=int, default=300, help="tokens of a stream")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    load = Load(streams=args.streams, events=args.events, pace=args.pace_ms / 1000)
    length, seconds = load.events * load.pace, args.minutes * 60
    rate = load.streams / load.pace
    print(f"{load.streams} streams of {length:g} s, {rate:,.0f} tokens a second, {os.cpu_count()} cores", flush=True)
    with processes.python("bench.soak_ends", "server", "--load", msgspec.json.encode(load).decode()) as server:
        port = int(processes.pipe(server.stdout).readline())
        direct = _heard(port, load, _BASELINE + length, ["anthropic"], say=False)
        with (
            running(DRAGOMAN, port, DRAGOMAN_WORKERS=str(args.workers)) as gateway,
            processes.sampled(1.0, lambda: _looked(gateway.pid)) as samples,
        ):
            began, before = time.monotonic(), processes.cpu(gateway.pid)
            told = _heard(gateway.port, load, seconds, ["anthropic", "ollama", "openai"], say=True)
            cpu = processes.cpu(gateway.pid) - before
            own: dict[str, Any] = {"own lag of the gateway's event loop, p50, p99, p99.9, ms": _lag(gateway.port)}
    own["CPU of the gateway, of one core"] = f"{cpu / seconds:.0%}"
    own["CPU of the gateway, us a token"] = round(cpu / max(sum(_all(told).values()), 1) * 1e6, 1)
    own["load of the machine"] = f"{os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
    warm = max(length + 5, seconds * 0.2)
    steady = [sample for sample in samples if warm <= sample.at - began <= seconds]
    return _judged(load, direct, told, steady, own)


_BUCKET = re.compile(r'^dragoman_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', re.M)


def _lag(port: int) -> list[str]:
    """What the gateway itself says of how late its event loop is, so that the delays of a busy machine can be judged.

    Where it uses little of a core and is late all the same, it was others who had the processor.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = [(bound, float(count)) for bound, count in _BUCKET.findall(answer.read().decode())]
    total = found[-1][1] if found else 0.0
    places = (next((bound for bound, count in found if count >= total * share), "?") for share in (0.5, 0.99, 0.999))
    return [f"<= {float(place) * 1000:g}" if place not in ("+Inf", "?") else f"> {found[-2][0]} s" for place in places]


def _heard(port: int, load: Load, seconds: float, dialects: list[str], *, say: bool) -> list[Told]:
    """What the clients tell while they ask the server at `port`."""
    arguments = ["--port", str(port), "--seconds", str(seconds), "--dialects", ",".join(dialects)]
    told: list[Told] = []
    with processes.python(
        "bench.soak_ends", "clients", "--load", msgspec.json.encode(load).decode(), *arguments
    ) as clients:
        for line in processes.pipe(clients.stdout):
            told.append(msgspec.json.decode(line, type=Told))
            if say:
                each = told[-1]
                print(
                    f"  {len(told) * 10:5d} s: {each.running} run, {each.done} done, {len(each.lost)} lost, "
                    f"p99 {_quantile(each.delays, 0.99)} ms, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    return told


def _looked(pid: int) -> Sample:
    """The gateway as it is now."""
    descriptors = sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in processes.tree(pid))
    return Sample(time.monotonic(), processes.resident(pid), descriptors)


def _quantile(delays: dict[int, int], share: float) -> int:
    """Milliseconds that so many of all tokens were not delayed for longer."""
    left = sum(delays.values()) * share
    for delay in sorted(delays):
        left -= delays[delay]
        if left <= 0:
            return delay
    return 0


def _all(told: list[Told]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for each in told:
        total.update(each.delays)
    return total


def _judged(load: Load, direct: list[Told], told: list[Told], steady: list[Sample], own: dict[str, Any]) -> int:
    """The figures and the bars that were missed, printed; 1 when there is one.  `steady`: after the warm-up."""
    tenth = max(len(steady) // 10, 1)
    first = statistics.mean(sample.resident for sample in steady[:tenth])
    last = statistics.mean(sample.resident for sample in steady[-tenth:])
    delays, base = _all(told), _all(direct)
    added = _quantile(delays, 0.99) - _quantile(base, 0.99)
    lost = [each for one in told for each in one.lost]
    tokens = sum(delays.values())
    figures = {
        "streams at once": load.streams,
        "streams done": sum(each.done for each in told),
        "streams lost": len(lost),
        "tokens": tokens,
        "delay p50, p99, p99.9, ms": [_quantile(delays, share) for share in (0.5, 0.99, 0.999)],
        "the same without the gateway": [_quantile(base, share) for share in (0.5, 0.99, 0.999)],
        "added at p99, ms": added,
        "resident after the warm-up, at the end, MB": [round(first, 1), round(last, 1)],
        "growth": f"{(last / first - 1) * 100:+.1f} %",
        "descriptors, least and most": [min(s.descriptors for s in steady), max(s.descriptors for s in steady)],
        **own,
    }
    print(json.dumps(figures, indent=2))
    for each in lost[:3]:
        print(each, file=sys.stderr)
    missed = [
        f"{len(lost)} streams were lost" if lost else "",
        f"a token is delayed by {added} ms" if added >= _DELAY else "",
        f"memory grew by {(last / first - 1) * 100:.1f} %" if last / first - 1 >= _GROWTH else "",
        "no stream was finished" if not any(each.done for each in told) else "",
    ]
    for each in filter(None, missed):
        print(f"missed: {each}", file=sys.stderr)
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
