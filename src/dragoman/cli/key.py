"""`dragoman key`: a key for a client, shown once, and the line that lets it in."""

from __future__ import annotations

import os
from pathlib import Path

from dragoman.cli.output import complain, say
from dragoman.config.client_keys import line_for, mint
from dragoman.config.kinds import NAME, read_text


def run(name: str, file: Path | None) -> int:
    """0, or 1 for a file that cannot be written, or 2 for a name that is none."""
    _, problem = read_text(NAME, name, "NAME")
    if problem:
        complain(problem)
        return 2
    key = mint()
    line = line_for(name, key)
    if file is not None:
        try:
            _append(file, line)
        except OSError as error:
            complain(f"{file} cannot be written: {error.strerror or error}")
            return 1
    say(key, given=True)
    if file is None:
        say(line)
        complain("the key is shown this once; the line goes into the file that DRAGOMAN_API_KEYS_FILE names", "faint")
    else:
        complain(
            f"the key is shown this once; {file} has its digest, and SIGHUP makes a gateway read it again", "faint"
        )
    return 0


def _append(file: Path, line: str) -> None:
    """Add a line to a file, which is made for its owner only."""
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+", encoding="utf-8") as opened:
        text = opened.read()
        opened.write(("\n" if text and not text.endswith("\n") else "") + line + "\n")
