"""Environment, `dragoman.toml` and command-line flags → one validated `Settings`."""

from dragoman.config.settings import ANTHROPIC_URL, Override, Secret, Settings, Timeouts, Upstream
from dragoman.config.sources import ConfigError, find_file, load
from dragoman.config.table import settings_table

__all__ = [
    "ANTHROPIC_URL",
    "ConfigError",
    "Override",
    "Secret",
    "Settings",
    "Timeouts",
    "Upstream",
    "find_file",
    "load",
    "settings_table",
]
