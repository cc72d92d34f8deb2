"""One gateway for all the documentation, and a fresh directory for each of its commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import Simulator
from dragoman.simulator.server import run_in_thread
from tests.docs.world import World
from tests.running import run_gateway


class _Addresses(NamedTuple):
    gateway: str
    upstream: str


@pytest.fixture(scope="session")
def addresses() -> Iterator[_Addresses]:
    """A gateway that answers as `dragoman serve --demo` does, but without its pauses between words."""
    with run_in_thread(Simulator()) as simulator:
        upstream = Upstream(name="anthropic", base_url=simulator.url, key=Secret("sk-test"))
        with run_gateway(Settings(host="127.0.0.1", port=0, upstreams=(upstream,), retries=0)) as gateway:
            yield _Addresses(gateway.url, simulator.url)


@pytest.fixture
def world(addresses: _Addresses, tmp_path: Path) -> World:
    return World(tmp_path, addresses.gateway, addresses.upstream)
