"""What tests share: a simulator and a gateway before it, each in a thread, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import Simulator
from dragoman.simulator.server import run_in_thread
from tests.running import Gateway, run_gateway

GatewayMaker = Callable[..., Gateway]


@pytest.fixture
def make_gateway() -> Iterator[GatewayMaker]:
    """Start a gateway before a simulator: `make_gateway(simulator=Simulator(...), **settings)`."""
    with ExitStack() as stack:

        def make(simulator: Simulator | None = None, **settings: Any) -> Gateway:
            behind = stack.enter_context(run_in_thread(simulator or Simulator()))
            upstream = Upstream(name="anthropic", base_url=behind.url, key=Secret("sk-test"))
            values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "upstreams": (upstream,), "retries": 0}
            chosen = Settings(**(values | settings))
            gateway = stack.enter_context(run_gateway(chosen))
            gateway.simulator = behind.simulator
            return gateway

        yield make


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """One gateway with default settings before one simulator, for tests that change nothing in either."""
    with run_in_thread(Simulator()) as behind:
        upstream = Upstream(name="anthropic", base_url=behind.url, key=Secret("sk-test"))
        with run_gateway(Settings(host="127.0.0.1", port=0, upstreams=(upstream,), retries=0)) as running:
            running.simulator = behind.simulator
            yield running
