"""`python -m bench`: dragoman beside nginx, which only passes bytes on, and LiteLLM; a report, not a test.

Exit code 0 whatever the figures say, 1 when they could not be had.  What they mean: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from bench import measure, report
from bench.gateways import DRAGOMAN, LITELLM, NGINX, NGINX_KEPT, Gateway, Pair, Running, running
from bench.measure import CouldNotMeasureError, Stage
from bench.report import Round, Row

_EVENTS = 100
_PACE = 0.02  # seconds between two events of a stream
_REQUESTS = 4000
_BESIDE = (NGINX, DRAGOMAN)
_BUSY = 0.3  # load average a core from which the figures are not to be trusted


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a request and a streamed event cost.")
    parser.add_argument("--quick", action="store_true", help="one round, two calls, no LiteLLM: 45 seconds")
    parser.add_argument("--rounds", type=int, default=3, help="how often each figure is taken; the median counts")
    parser.add_argument("--json", type=Path, help="write every single figure to this file, too")
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("The costs of a process are read from Linux's /proc: this needs Linux.", file=sys.stderr)
        return 1
    _introduce()
    try:
        with measure.stage(_EVENTS) as stage:
            if args.quick:
                rows = _side_by_side(stage, [(each, each.pairs[: each.quick]) for each in _BESIDE], rounds=1)
            else:
                rows = _side_by_side(stage, [(each, each.pairs) for each in _BESIDE], args.rounds)
                rows += _alone(stage, NGINX_KEPT, requests=_REQUESTS)
                rows += _alone(stage, LITELLM, requests=240)  # it is slow
    except (CouldNotMeasureError, RuntimeError) as error:
        print(f"Could not measure: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    print(f"\n{report.figures(rows)}\n\n{report.bars(rows)}")
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    return 0


def _introduce() -> None:
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, load {load:.2f}")
    if load > _BUSY * (os.cpu_count() or 1):
        print("This machine is busy with something else: nginx profits from that (it reads bursts), Python does not.")


def _side_by_side(stage: Stage, asked: Iterable[tuple[Gateway, Sequence[Pair]]], rounds: int) -> list[Row]:
    """The gateways in turn, as often as there are rounds, so that a slow moment of the machine meets all."""
    with contextlib.ExitStack() as stack:
        places: list[tuple[Running, Row]] = []
        for gateway, pairs in asked:
            if _here(gateway):
                startups = [_startup(gateway, stage) for _ in range(rounds)]
                place = stack.enter_context(running(gateway, stage.port))
                places += [(place, _row(stage, place, pair, startups)) for pair in pairs]
        for nth in range(rounds):
            for place, row in places:
                _say(f"round {nth + 1} of {rounds}: {row.label}")
                row.rounds.append(_round(stage, place, row.pair, _REQUESTS))
    return [row for _, row in places]


def _alone(stage: Stage, gateway: Gateway, requests: int) -> list[Row]:
    """A gateway that is asked once, with no other beside it."""
    if not _here(gateway):
        return []
    _say(f"starting {gateway.name}")
    with running(gateway, stage.port) as place:
        row = _row(stage, place, gateway.pairs[0], [place.startup])
        _say(row.label)
        row.rounds.append(_round(stage, place, row.pair, requests))
    return [row]


def _row(stage: Stage, place: Running, pair: Pair, startups: list[float]) -> Row:
    """Warm the gateway up, and let it rest."""
    stage.requests(place, pair, 80)
    stage.streams(place, pair, 8, pace=0.002)
    idle = measure.idle(place)
    return Row(gateway=place.gateway.name, pair=pair, startups=startups, idle=idle, rounds=[])


def _round(stage: Stage, place: Running, pair: Pair, requests: int) -> Round:
    return Round(
        requests=stage.requests(place, pair, requests),
        streams={count: stage.streams(place, pair, count, _PACE) for count in (report.FEW, report.MANY)},
    )


def _startup(gateway: Gateway, stage: Stage) -> float:
    with running(gateway, stage.port) as place:
        return place.startup


def _here(gateway: Gateway) -> bool:
    if missing := gateway.missing():
        print(f"Without {gateway.name}: {missing}.")
    return not missing


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
