"""The settings as the commands get them, and what is said when there are none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dragoman.cli.output import complain
from dragoman.config import Settings, find_file, load
from dragoman.config.sources import SYSTEM_FILE, Flag

NO_UPSTREAM = f"""\
ANTHROPIC_API_KEY environment variable is required, or one of these instead:
  ANTHROPIC_API_KEY_FILE=FILE                  a file that holds the key
  /run/secrets/anthropic_api_key               the key as a container secret
  $CREDENTIALS_DIRECTORY/anthropic_api_key     the key as a systemd credential (LoadCredential=)
  dragoman.toml                                [anthropic] api_key_file = "FILE", or an [[upstream]] table;
                                               here, in ~/.config/dragoman, in {SYSTEM_FILE.parent}, or --config FILE
  --demo                                       no key at all: the built-in simulator answers"""


def settings(config: Path | None, *, demo: bool = False, flags: Mapping[str, Flag] | None = None) -> Settings:
    """What the environment, the file and the flags say.  Raises ConfigError; warnings go to stderr."""
    environ = os.environ
    file = find_file(environ, config)
    return load(environ, file, demo=demo, warn=lambda text: complain(f"warning: {text}", "warn"), **(flags or {}))
