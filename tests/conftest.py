"""What tests share: a simulator and a gateway before it, each in a thread, on loopback."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dragoman.simulator import Simulator
from tests.running import Gateway, run_with_simulator

GatewayMaker = Callable[..., Gateway]


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Iterator[None]:
    """What the tests of a file leave open (a socket, a task, a file) is held against this file, not a later one."""
    yield
    gc.collect()


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
