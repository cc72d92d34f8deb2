"""One folder a wire.  Each module satisfies `contract.Dialect`; `registry` is the whole plug-in system."""

from __future__ import annotations

from dragoman.dialects import anthropic, ollama, openai_chat, openai_responses
from dragoman.dialects.contract import Dialect


def registry() -> dict[str, Dialect]:
    """Every dialect that has both halves, by name."""
    return {
        anthropic.NAME: anthropic,
        openai_chat.NAME: openai_chat,
        openai_responses.NAME: openai_responses,
        ollama.NAME: ollama,
    }
