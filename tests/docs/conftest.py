"""Two gateways for all the documentation, and a fresh directory for each of its commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dragoman.config import Secret, Settings, Upstream, load
from dragoman.simulator import OllamaSimulator, OpenAISimulator, Simulator
from dragoman.simulator.books import Served
from dragoman.simulator.server import run_in_thread
from tests.docs.world import Addresses, World
from tests.running import run_gateway


@pytest.fixture(scope="session")
def addresses() -> Iterator[Addresses]:
    """A gateway that answers as `dragoman serve --demo` does, but without its pauses between words; one that answers as
    `dragoman serve --preset local` does; and a simulator of each kind of server that the documentation speaks of."""
    with ExitStack() as stack:

        def behind(simulator: Served) -> str:
            return stack.enter_context(run_in_thread(simulator)).url

        claude, ollama = behind(Simulator()), behind(OllamaSimulator())
        upstream = Upstream(name="anthropic", base_url=claude, key=Secret("sk-test"))
        settings = Settings(host="127.0.0.1", port=0, upstreams=(upstream,), retries=0)
        preset = {"DRAGOMAN_PRESET": "local", "OLLAMA_BASE_URL": ollama, "HOST": "127.0.0.1", "PORT": "0"}
        yield Addresses(
            gateway=stack.enter_context(run_gateway(settings)).url,
            local=stack.enter_context(run_gateway(load(preset))).url,
            anthropic=claude,
            ollama=ollama,
            vllm=behind(OpenAISimulator(flavor="vllm")),
            openrouter=behind(OpenAISimulator(flavor="openrouter")),
        )


@pytest.fixture
def world(addresses: Addresses, tmp_path: Path) -> World:
    return World(tmp_path, addresses)
