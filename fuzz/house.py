"""A gateway with every door open, before a simulator of each wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.running import Gateway, run_gateway, simulate

MODELS = ("claude-sonnet-4-5", "claude-opus-5", "claude-haiku-4-5", "qwen3:8b", "nomic-embed-text", "Qwen/Qwen3-8B")
"""Names that somebody answers to: of each wire, with and without thinking, and one that makes vectors."""


@contextmanager
def house(**settings: Any) -> Iterator[Gateway]:
    """Serve until the block ends.  What clients want kept is kept in memory."""
    with ExitStack() as stack:
        claude = stack.enter_context(run_in_thread(simulate()))
        ollama = stack.enter_context(run_in_thread(OllamaSimulator()))
        openai = stack.enter_context(run_in_thread(OpenAISimulator(flavor="vllm")))
        upstreams = (
            Upstream(name="anthropic", base_url=claude.url, key=Secret("sk-test")),
            Upstream(name="ollama", dialect="ollama", base_url=ollama.url),
            Upstream(name="vllm", dialect="openai_chat", flavor="vllm", base_url=openai.url, key=Secret("k")),
        )
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "retries": 0,
            "upstreams": upstreams,
            "manage_models": True,
        }
        yield stack.enter_context(run_gateway(Settings(**(values | settings))))
