"""What every simulator does around a call, whatever wire it speaks, and the books a test reads of it afterwards."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import unquote

from dragoman.simulator.connection import Receive, Send
from dragoman.simulator.scenario import AUTO, Scenario

MOST_KEPT = 1000
"""Of requests, departures and counters: what is older is forgotten."""


class Served(Protocol):
    """A simulator as `server` and tests need it: an ASGI application with books."""

    open: int
    idle: threading.Event
    departures: list[float]
    departed: threading.Event

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""


class Books:
    """Calls under way, and clients that left before they were answered."""

    def __init__(self) -> None:
        self.open = 0
        """Calls under way."""
        self.idle = threading.Event()
        """Set while no call is under way: a client has its answer a little before the call is over here."""
        self.idle.set()
        self.departures: list[float] = []
        """When clients left before their answer was complete, by `time.monotonic()`."""
        self.departed = threading.Event()
        """Set when a client leaves; clear it before the next wait."""
        self._held: Counter[str] = Counter()

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """A call, from its first byte to its last."""
        self.open += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.open -= 1
            if not self.open:
                self.idle.set()

    def note_departure(self) -> None:
        """A client left."""
        self.departures.append(time.monotonic())
        del self.departures[:-MOST_KEPT]
        self.departed.set()

    def in_force(self, scenario: Scenario) -> Scenario:
        """`scenario`, or after its `times` calls the ordinary answer."""
        if "times" not in scenario.params:
            return scenario
        if len(self._held) > MOST_KEPT:
            self._held.clear()
        self._held[scenario.spelling] += 1
        return scenario if self._held[scenario.spelling] <= scenario.count("times") else AUTO


async def lifespan(receive: Receive, send: Send) -> None:
    """Say yes to a server's start and stop."""
    while (event := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{event['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def headers_of(scope: dict[str, Any]) -> dict[str, str]:
    """Headers by name in lower case, repeated ones joined, with `:method` and `:path`."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers | {":method": scope["method"], ":path": unquote(scope["path"])}
