"""Times as Ollama writes them: RFC 3339 with nanoseconds, and durations in nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from dragoman.conversation import Object, Reply
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama.vocabulary import DURATIONS

SECOND = 1_000_000_000


class Durations(NamedTuple):
    """In nanoseconds, each at least 1, the parts never more than the total: clients divide by them."""

    total: int
    load: int
    prompt: int
    eval: int


def durations(body: Object) -> Object:
    """What a server says of the time its answer took; nothing where it does not say the whole of it."""
    told = {name: value for name, value in body.items() if name in DURATIONS and type(value) is int and value > 0}
    return told if "total_duration" in told else {}


def measured(load: int, prompt: int, eval: int) -> Durations:
    """Of an answer that came all at once nothing but the total is known; it counts as generation.  One whose beginning
    came with its first part took that long to read its prompt: no model was loaded that anybody knows of."""
    if eval <= 0:
        load, prompt, eval = 0, 0, load + prompt
    elif prompt <= 0:
        load, prompt = 0, load
    load, prompt, eval = max(load, 1), max(prompt, 1), max(eval, 1)
    return Durations(load + prompt + eval, load, prompt, eval)


def whole(reply: Reply, stamp: Stamp) -> Durations:
    """Of an unstreamed answer.  Where it is not known when it began and spoke, all of the time counts as generation."""
    total = stamp.clock() - stamp.started
    load = max((reply.began or stamp.started) - stamp.started, 0)
    prompt = max((reply.spoke or reply.began) - reply.began, 0)
    return measured(load, prompt, total - max(load, 1) - max(prompt, 1))


def created_at(stamp: Stamp) -> str:
    """Now, as RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(stamp.created + stamp.clock() - stamp.started, SECOND)
    return f"{to_the_second(seconds)}.{nanoseconds:09d}Z"


@lru_cache(maxsize=4)  # many lines fall into one second
def to_the_second(seconds: int) -> str:
    """Unix time as 2026-11-22T06:00:00."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
