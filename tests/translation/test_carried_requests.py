"""Random requests of every client, to every kind of server: taken, and nothing lost in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.translation import sources
from tests.translation import by_anthropic, by_ollama, by_openai
from tests.translation.judging import complaints
from tests.translation.nonces import filled
from tests.translation.servers import Bench, servers

CLIENTS: dict[str, st.SearchStrategy[Any]] = {
    "anthropic": by_anthropic.bodies(),
    "openai_chat": by_openai.bodies(),
    "ollama": by_ollama.bodies(),
    "ollama_generate": by_ollama.completions(),
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_request_arrives_whole(bench: Bench, client: str, data: st.DataObject) -> None:
    body, nonces = filled(data.draw(CLIENTS[client]))
    server = data.draw(st.sampled_from(servers()))
    assert complaints(bench, sources()[client], server, body, nonces) == []
