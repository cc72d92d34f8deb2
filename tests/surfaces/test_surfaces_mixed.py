"""Routes that hold models of several kinds: what is asked of which."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.config.settings import Override, Route, Target
from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import run_in_thread
from tests.running import Gateway, run_gateway, simulate

CLAUDE, LOCAL = Target(model="anthropic/claude-haiku"), Target(model="ollama/qwen3:8b", order=1)
DEAD = Target(model="dead/claude-haiku")


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[Gateway, OllamaSimulator]]:
    with run_in_thread(simulate()) as claude, run_in_thread(OllamaSimulator()) as local:
        upstreams = (
            Upstream(name="anthropic", base_url=claude.url, key=Secret("sk-test")),
            Upstream(name="ollama", dialect="ollama", base_url=local.url),
            Upstream(name="dead", base_url="http://127.0.0.1:1", key=Secret("sk-test")),
        )
        routes = (
            Route(name="both", targets=(CLAUDE, LOCAL)),
            Route(name="late", targets=(DEAD, LOCAL)),
            Route(name="twice", targets=(DEAD, Target(model="anthropic/claude-haiku", order=1))),
        )
        overrides = {"qwen3:8b": Override(system="Be brief.")}
        settings = Settings(
            host="127.0.0.1", port=0, upstreams=upstreams, routes=routes, overrides=overrides, retries=0
        )
        with run_gateway(settings) as gateway:
            gateway.simulator = claude.simulator
            yield gateway, local.simulator


@pytest.mark.parametrize("name", ["both", "late", "qwen3:8b"])
@pytest.mark.parametrize(
    ("path", "empty", "reason"),
    [
        ("/api/chat", {"messages": []}, "load"),
        ("/api/generate", {}, "load"),
        ("/api/chat", {"messages": [], "keep_alive": 0}, "unload"),
    ],
)
def test_only_ollama_is_told_to_load(
    places: tuple[Gateway, OllamaSimulator], name: str, path: str, empty: dict[str, object], reason: str
) -> None:
    gateway, local = places
    before, spent = len(local.posted(path)), len(gateway.simulator.requests)
    answer = httpx.post(gateway.url + path, json={"model": name, **empty}, trust_env=False)
    assert (answer.status_code, answer.json()["done_reason"]) == (200, reason)
    assert len(local.posted(path)) == before + 1
    assert len(gateway.simulator.requests) == spent, "a call that costs money was made"


@pytest.mark.parametrize(
    ("name", "model", "how"),
    [
        ("both", "claude-haiku-4-5-20251001", "upstream"),
        ("twice", "claude-haiku-4-5-20251001", "upstream"),
        ("late", "qwen3:8b", "estimate"),
        ("claude-haiku", "claude-haiku-4-5-20251001", "upstream"),
    ],
)
def test_who_can_counts(places: tuple[Gateway, OllamaSimulator], name: str, model: str, how: str) -> None:
    gateway, _ = places
    body = {"model": name, "messages": [{"role": "user", "content": "Hello there"}]}
    answer = httpx.post(f"{gateway.url}/v1/messages/count_tokens", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["input_tokens"] > 0
    assert answer.headers["x-dragoman-model"] == model
    assert answer.headers["x-dragoman-token-count"] == how
