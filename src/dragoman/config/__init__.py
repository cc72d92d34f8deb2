"""Environment, `dragoman.toml` and command-line flags → one validated `Settings`."""

from dragoman.config.presets import PRESETS
from dragoman.config.settings import (
    ANTHROPIC_URL,
    OLLAMA_URL,
    OPENAI_URL,
    ClientKey,
    Limits,
    Override,
    Route,
    Secret,
    Settings,
    Target,
    Timeouts,
    Upstream,
)
from dragoman.config.sources import ConfigError, find_file, load
from dragoman.config.table import settings_table

__all__ = [
    "ANTHROPIC_URL",
    "OLLAMA_URL",
    "OPENAI_URL",
    "PRESETS",
    "ClientKey",
    "ConfigError",
    "Limits",
    "Override",
    "Route",
    "Secret",
    "Settings",
    "Target",
    "Timeouts",
    "Upstream",
    "find_file",
    "load",
    "settings_table",
]
