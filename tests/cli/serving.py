"""`dragoman serve` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0


class Served:
    """A running gateway: `url`, what it has said so far (`said`), and the processes below it."""

    def __init__(self, *arguments: str, env: dict[str, str]) -> None:
        self.said = ""
        self.url = ""
        self._listening = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dragoman", "serve", "--host", "127.0.0.1", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line
            if " listens on " in line:
                self.url = f"http://{line.split()[-1]}"
                self._listening.set()

    def listens(self) -> None:
        """Wait until it does."""
        assert self._listening.wait(PATIENCE), self.said

    def below(self) -> list[int]:
        """The workers, as the system knows them (Linux)."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end: the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout
        self.process.stdout.close()
        return code


@contextmanager
def served(*arguments: str, port: int = 0, env: dict[str, str] | None = None) -> Iterator[Served]:
    """A gateway that listens, until the block ends."""
    gateway = Served("--port", str(port), *arguments, env=env or {})
    try:
        gateway.listens()
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.signal(signal.SIGTERM)
            gateway.signal(signal.SIGTERM)
            gateway.ended()
