"""An offline server that speaks the Anthropic Messages API: for the demo, for tests, for benchmarks.

    from dragoman.simulator import Simulator
    from dragoman.simulator.server import run_in_thread

    with run_in_thread(Simulator()) as running:
        client = anthropic.Anthropic(base_url=running.url, api_key="any")

It answers without a model (`brain`), as a script wants (`scenario`), and refuses what the real API refuses (`rules`).

`OllamaSimulator` is the same for the Ollama API, `OpenAISimulator` for OpenAI-compatible servers of several kinds.
"""

from __future__ import annotations

from dragoman.simulator.app import Simulator
from dragoman.simulator.ollama_app import OllamaSimulator
from dragoman.simulator.openai_app import OpenAISimulator

__all__ = ["OllamaSimulator", "OpenAISimulator", "Simulator"]
