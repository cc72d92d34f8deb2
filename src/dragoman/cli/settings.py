"""The settings as the commands get them, what is said when there are none, and when their address is taken."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from dragoman.cli.output import complain, redactor
from dragoman.config import Settings, find_file, load
from dragoman.config.secrecy import learn
from dragoman.config.sources import SYSTEM_FILE, Flag
from dragoman.models.servers import servers

NO_UPSTREAM = f"""\
ANTHROPIC_API_KEY environment variable is required, or one of these instead:
  ANTHROPIC_API_KEY_FILE=FILE                  a file that holds the key
  /run/secrets/anthropic_api_key               the key as a container secret
  $CREDENTIALS_DIRECTORY/anthropic_api_key     the key as a systemd credential (LoadCredential=)
  OLLAMA_BASE_URL=URL                          an Ollama server, which needs no key
  --preset local                               the Ollama server of this machine, on port 8000
  OPENAI_BASE_URL=URL                          an OpenAI-compatible server, with OPENAI_API_KEY if it wants a key
  OPENAI_API_KEY=KEY                           OpenAI itself
  dragoman.toml                                [anthropic] api_key_file = "FILE", or an [[upstream]] table;
                                               here, in ~/.config/dragoman, in {SYSTEM_FILE.parent}, or --config FILE
  --demo                                       no key at all: the built-in simulator answers"""

SPOKEN: Mapping[str, str] = {
    "anthropic": "Anthropic",
    "ollama": "Ollama",
    "openai_chat": "OpenAI",
    "openai_responses": "OpenAI Responses",
}
"""The dialects as people call them."""


def settings(config: Path | None, *, demo: bool = False, flags: Mapping[str, Flag] | None = None) -> Settings:
    """What the environment, the file and the flags say.  Raises ConfigError; warnings go to stderr."""

    def warn(text: str) -> None:
        complain(f"warning: {text}", "warn")

    file = find_file(os.environ, config)
    chosen = load(os.environ, file, demo=demo, warn=warn, flags=flags, flavors=servers().keys())
    learn(redactor(), chosen)
    return chosen


def not_listening(host: str, port: int, error: OSError, way: str = "--port") -> str:
    """Why an address could not be had, in one line.  `way` is how another port is chosen."""
    where = f"cannot listen on {host} port {port}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: {host} is not an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is already in use (an Ollama server? another dragoman?); {way} chooses another"
        case errno.EACCES:
            return f"{where}: ports below 1024 are reserved; {way} chooses another"
        case _:
            return f"{where}: {error.strerror or error}"
