"""Clients of the official SDKs before the shared gateway, closed when a test is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import ollama
import openai
import pytest

from dragoman.simulator import Simulator
from tests.conftest import GatewayMaker
from tests.running import Gateway, run_with_simulator
from tests.sdks import asking_ollama, asking_openai


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDKs would take from the environment of whoever runs the tests."""
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OLLAMA_API_KEY",
        "OLLAMA_HOST",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def other_gateway() -> Iterator[GatewayMaker]:
    """Gateways with other settings, each started once: `other_gateway("name", simulator=..., **settings)`."""
    started: dict[str, Gateway] = {}
    with ExitStack() as stack:

        def make(name: str, simulator: Simulator | None = None, **settings: Any) -> Gateway:
            if name not in started:
                started[name] = stack.enter_context(run_with_simulator(simulator, **settings))
            return started[name]

        yield make


@pytest.fixture(params=asking_openai.MODES)
def ask(request: pytest.FixtureRequest, gateway: Gateway) -> asking_openai.Asking:
    """A chat completion asked for in each way: whole or streamed, synchronous or not."""
    return asking_openai.Asking(gateway.url, request.param)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    options: Any = {"base_url": f"{gateway.url}/v1", "api_key": "any", "max_retries": 0, "timeout": 20.0}
    with openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(verify=False)) as client:
        yield client


@pytest.fixture(params=asking_ollama.MODES)
def chat(request: pytest.FixtureRequest, gateway: Gateway) -> asking_ollama.Asking:
    """`/api/chat` and `/api/generate`, each asked in each way."""
    return asking_ollama.Asking(gateway.url, request.param)


@pytest.fixture
def ollama_client(gateway: Gateway) -> Iterator[ollama.Client]:
    with ollama.Client(gateway.url, timeout=20.0, verify=False) as client:
        yield client
