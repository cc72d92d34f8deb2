"""What tests share: a simulator and a gateway before it, each in a thread, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dragoman.simulator import Simulator
from tests.running import Gateway, run_with_simulator

GatewayMaker = Callable[..., Gateway]


@pytest.fixture
def make_gateway() -> Iterator[GatewayMaker]:
    """Start a gateway before a simulator: `make_gateway(simulator=simulate(...), **settings)`."""
    with ExitStack() as stack:

        def make(simulator: Simulator | None = None, **settings: Any) -> Gateway:
            return stack.enter_context(run_with_simulator(simulator, **settings))

        yield make


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """One gateway with default settings before one simulator, for tests that change nothing in either."""
    with run_with_simulator() as running:
        yield running
