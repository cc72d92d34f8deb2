"""Presets: settings for an occasion, as data.

A preset says what nobody else says: flags, variables and `dragoman.toml` win over it.  Its members are named as in
`dragoman.toml`, and a test holds them to what is allowed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dragoman.config.settings import OLLAMA_URL

PRESETS: Mapping[str, Mapping[str, str | int | bool]] = MappingProxyType(
    {
        # Local models for programs that expect a server on port 8000 and streams when they do not say.
        "local": MappingProxyType(
            {
                "port": 8000,
                "ollama.base_url": OLLAMA_URL,
                "default_model": "phi4:latest",
                "stream_default": True,
                "model_optional": True,
            }
        ),
    }
)
