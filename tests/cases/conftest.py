"""One gateway before one server of every kind, for all tests of the table."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import ollama
import pytest

from tests.cases.bed import Bed, Pair, bed, params


@pytest.fixture(scope="session")
def shared() -> Iterator[Bed]:
    with bed() as running:
        yield running


@pytest.fixture
def pair(request: pytest.FixtureRequest, shared: Bed) -> Pair:
    client, server = request.param
    return Pair(client, server, shared)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with `case` over it runs once for each of its pairs."""
    rows = getattr(metafunc.function, "rows", ())
    if rows:
        metafunc.parametrize("pair", params(rows), indirect=True)


@pytest.fixture(scope="session")
def anthropic_sdk(shared: Bed) -> Iterator[anthropic.Anthropic]:
    http = anthropic.DefaultHttpxClient(verify=False, trust_env=False)
    with anthropic.Anthropic(base_url=shared.url, api_key="any", max_retries=0, http_client=http) as client:
        yield client


@pytest.fixture(scope="session")
def ollama_sdk(shared: Bed) -> Iterator[ollama.Client]:
    with ollama.Client(shared.url, timeout=20.0, verify=False) as client:
        yield client
