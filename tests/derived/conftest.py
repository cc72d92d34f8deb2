"""A gateway before a simulator of Anthropic's servers and one of Ollama's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx
import ollama
import pytest
from msgspec.structs import replace

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OllamaSimulator, Simulator
from dragoman.simulator.ollama_models import DEFAULT_MODELS
from dragoman.simulator.server import run_in_thread
from tests.running import run_gateway, simulate

FAR = replace(DEFAULT_MODELS[0], name="far:latest")
"""A model that the Ollama simulator does not have, and can pull."""


class House(NamedTuple):
    """A gateway and what is behind it."""

    url: str
    claude: Simulator
    box: OllamaSimulator
    http: httpx.Client
    client: Any

    def post(self, path: str, body: dict[str, Any], **more: Any) -> httpx.Response:
        return self.http.post(path, json=body, **more)

    def names(self) -> list[str]:
        return [model["name"] for model in self.http.get("/api/tags").json()["models"]]


@contextmanager
def house(**settings: Any) -> Iterator[House]:
    """One that is on its own."""
    with ExitStack() as stack:
        claude = stack.enter_context(run_in_thread(simulate()))
        box = stack.enter_context(run_in_thread(OllamaSimulator(remote=[FAR])))
        upstreams = (
            Upstream(name="anthropic", base_url=claude.url, key=Secret("sk-test")),
            Upstream(name="box", dialect="ollama", base_url=box.url),
        )
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "upstreams": upstreams,
            "retries": 0,
            "default_model": None,
        }
        gateway = stack.enter_context(run_gateway(Settings(**(given | settings))))
        http = stack.enter_context(httpx.Client(base_url=gateway.url, timeout=20, trust_env=False))
        client = stack.enter_context(ollama.Client(gateway.url, timeout=20.0, trust_env=False))
        yield House(gateway.url, claude.simulator, box.simulator, http, client)


@pytest.fixture(scope="module")
def home() -> Iterator[House]:
    """One for all tests of a file, each with names of its own."""
    with house() as found:
        yield found
