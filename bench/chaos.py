"""`python -m bench.chaos`: a server that breaks in every way we know, at random, under clients of every dialect.

Every answer is judged: it is whole, or it is an error in the client's own words.  Anything else is untrue, and so is a
gateway that holds more descriptors or memory after the second half than after the first, or that does not serve again
when its server is well.  The configuration is read again now and then.  Prints a summary; exit code 1 upon anything
untrue.  Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
from msgspec.structs import replace

from bench import processes
from bench.gateways import DRAGOMAN, Running, running
from tests.relay.failures import EARLY, LATE, ONLY_STREAMS, SAID
from tests.relay.scripted import (
    CHUNKED_HEAD,
    END_CHUNK,
    Act,
    Answer,
    Scripted,
    chunk,
    ending,
    ok_message,
    ok_stream,
    scripted,
    text_event,
)
from tests.surfaces.leaving import CLIENTS, Client

_AT_ONCE = 24
_ENVIRONMENT = {
    "DRAGOMAN_TIMEOUT_FIRST_BYTE": "0.4",
    "DRAGOMAN_TIMEOUT_IDLE": "0.4",
    "DRAGOMAN_RETRIES": "1",
    "DRAGOMAN_DATABASE": "memory",
    "DRAGOMAN_RESPONSE_SPACE": str(16 * 1024 * 1024),
    # What was large goes back to the system when it is let go of: else what malloc keeps comes and goes by 100 MB.
    "MALLOC_MMAP_THRESHOLD_": str(256 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(1024 * 1024),
}
_RECOVERY = 30.0
# How much more (share, MB; descriptors) the second half may leave behind than the first.
_GROWTH, _MEGABYTES, _DESCRIPTORS = 0.1, 8.0, 8

_LARGE: Answer = [SAID, chunk(text_event("x" * (10 * 1024 * 1024))), chunk(ending()), END_CHUNK]
_WELL: tuple[Answer, ...] = ([ok_stream("Hel", "lo")], [ok_message("Hello")], [SAID, 0.1, chunk(ending()), END_CHUNK])
_STALLS: tuple[Answer, ...] = ([Act.HOLD], [CHUNKED_HEAD, Act.HOLD], [SAID, Act.HOLD])


def mood(rng: random.Random) -> Answer:
    """What the server does with one request, whatever it asks for."""
    roll = rng.random()
    if roll < 0.35:
        return rng.choice(_WELL)
    if roll < 0.37:
        return _LARGE
    if roll < 0.45:
        return rng.choice(_STALLS)
    if roll < 0.7:
        return rng.choice(LATE).script
    return rng.choice((*EARLY, *ONLY_STREAMS)).script(rng.random() < 0.5)


def judged(client: Client, status: int, kind: str, data: bytes) -> str:
    """ "whole" or "told", or what is untrue about an answer."""
    try:
        if kind.startswith("application/json"):
            document = json.loads(data)
            if status >= 400:
                return "told" if client.failure(document) else "an error that says nothing"
            return "whole" if "Hello" in str(document) else f"{document}"
        frames = client.frames(data)
        if client.finished(frames[-1]):
            return "whole" if b"Hel" in data else f"{data[-300:]!r}"
        return "told" if client.failure(frames[-1]) else "an error that says nothing"
    except (AssertionError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"{error!r} in {status} {data[-300:]!r}"


async def call(http: httpx.AsyncClient, url: str, rng: random.Random, *, leaves: float) -> tuple[str, str]:
    """One call: whose, and what came of it.  Some clients leave in the middle.

    An Anthropic client and this server speak the same dialect: it hears the server's own bytes, sense or not, so only
    of those that are translated can be told what is untrue.
    """
    client = rng.choice(CLIENTS)
    body, left, data = client.body(stream=rng.random() < 0.7), rng.random() < leaves, b""
    try:
        async with http.stream("POST", url + client.path, json=body) as answer:
            async for piece in answer.aiter_raw():
                data += piece
                if left:
                    return client.name, "left"
    except httpx.HTTPError as error:
        verdict = f"{error!r} after {data[-200:]!r}"
    else:
        verdict = judged(client, answer.status_code, answer.headers.get("content-type", ""), data)
    return client.name, verdict if client.name != "anthropic" or verdict in _TRUE else "passed on"


_TRUE = ("whole", "told", "left")


async def mix(url: str, seconds: float, rng: random.Random, *, leaves: float = 0.1) -> Counter[tuple[str, str]]:
    """Many callers at once for so long."""
    told: Counter[tuple[str, str]] = Counter()
    until = time.monotonic() + seconds

    async def caller() -> None:
        while time.monotonic() < until:
            limits = httpx.Limits(max_keepalive_connections=0 if rng.random() < 0.5 else 10)
            headers = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
            async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits, headers=headers) as http:
                for _ in range(10):
                    told[await call(http, url, rng, leaves=leaves)] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(caller())
    return told


def held(gateway: Running) -> tuple[int, float]:
    """Descriptors and MB, once everybody has left."""
    time.sleep(2.0)
    return len(list(Path(f"/proc/{gateway.pid}/fd").iterdir())), processes.resident(gateway.pid)


def recovered(gateway: Running, upstream: Scripted, rng: random.Random) -> str:
    """Whether everybody is served again once the server is well; what is wrong, or ""."""
    upstream.play([ok_stream("Hel", "lo")])
    until = time.monotonic() + _RECOVERY
    while True:
        told = asyncio.run(mix(f"http://127.0.0.1:{gateway.port}", 0.2, rng, leaves=0.0))
        streamed = {verdict for (name, verdict), _ in told.items() if name == "anthropic"}
        if streamed == {"whole"}:
            return ""
        if time.monotonic() > until:
            return f"it does not serve again: {told.most_common(5)}"


def _command(port: int, upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    arguments, environment = DRAGOMAN.command(port, upstream, scratch)
    kept = {name: environment[name] for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "HOST")}
    return arguments, kept | _ENVIRONMENT


CHAOTIC = replace(DRAGOMAN, command=_command)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description="Everything breaks, and all is told.")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"seed {args.seed}", flush=True)
    told: Counter[tuple[str, str]] = Counter()
    with scripted() as upstream, running(CHAOTIC, upstream.port) as gateway:
        url = f"http://127.0.0.1:{gateway.port}"
        marks: list[tuple[int, float]] = []
        wrong: list[str] = []
        for _ in range(2):
            until = time.monotonic() + args.seconds / 2
            while time.monotonic() < until:
                upstream.play(*(mood(rng) for _ in range(20_000)))
                told += asyncio.run(mix(url, min(5.0, args.seconds / 2), rng))
                os.kill(gateway.pid, signal.SIGHUP)
            wrong.append(recovered(gateway, upstream, rng))
            marks.append(held(gateway))
    return summed_up(told, marks, list(filter(None, wrong)))


def summed_up(told: Counter[tuple[str, str]], marks: Sequence[tuple[int, float]], wrong: list[str]) -> int:
    """Print what came of it all; the exit code."""
    for name in sorted({name for name, _ in told}):
        counts = {verdict: count for (whose, verdict), count in told.items() if whose == name}
        known = {verdict: counts.pop(verdict, 0) for verdict in (*_TRUE, "passed on")}
        print(f"{name:20}", " ".join(f"{verdict} {count:5d} " for verdict, count in known.items() if count))
        wrong += [f"{name}, {count} times: {verdict}" for verdict, count in counts.items()]
    (few, small), (many, large) = marks
    print(f"descriptors {few}, then {many}; resident {small:.1f} MB, then {large:.1f} MB")
    if many > few + _DESCRIPTORS:
        wrong.append("descriptors are left open")
    if large > small * (1 + _GROWTH) + _MEGABYTES:
        wrong.append("memory is not given back")
    for each in wrong:
        print(f"untrue: {each}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
