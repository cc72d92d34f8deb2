"""One gateway before one server of every kind, for all tests of the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cases.bed import Bed, Pair, bed


@pytest.fixture(scope="session")
def shared() -> Iterator[Bed]:
    with bed() as running:
        yield running


@pytest.fixture
def pair(request: pytest.FixtureRequest, shared: Bed) -> Pair:
    client, server = request.param
    return Pair(client, server, shared)
