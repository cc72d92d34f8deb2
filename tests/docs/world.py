"""Where the documentation's commands run: a directory of their own, a gateway at the address they mean."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from dragoman.cli.smoke_checks import red_square
from tests.docs.pages import ROOT

DOCUMENTED = "http://localhost:11434"
_PATIENCE = 20.0
_BASH = shutil.which("bash") or "bash"
_URL = re.compile(r"http://[\w.\[\]:]+:\d+")
_SERVING = re.compile(r"^(?:\w+=\S+ )*dragoman (serve|simulate)\b", re.MULTILINE)


class Done(NamedTuple):
    """What a command said.  `output` is stdout and stderr in one."""

    status: int
    stdout: str
    output: str


class World:
    """`gateway` answers where the documentation says port 11434, `upstream` where it says Anthropic."""

    def __init__(self, place: Path, gateway: str, upstream: str) -> None:
        self.place = place
        self.gateway = gateway
        self.upstream = upstream
        self._furnish()

    def _furnish(self) -> None:
        """The files that examples speak of; a `make` that only says what it would do; a `curl` that minds errors."""
        (self.place / "picture.png").write_bytes(base64.b64decode(red_square()))
        for name in ("anthropic.key", "client-keys"):
            (self.place / name).write_text("sk-test\n")
            (self.place / name).chmod(0o600)
        (self.place / "bin").mkdir()
        self._shim("make", f"--no-print-directory -n -C {ROOT}")
        self._shim("curl", "--fail-with-body")

    def _shim(self, name: str, options: str) -> None:
        shim = self.place / "bin" / name
        shim.write_text(f'#!/bin/sh\nexec {shutil.which(name)} {options} "$@"\n')
        shim.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.place / "bin"), str(Path(sys.executable).parent), os.defpath])
        return {
            "PATH": path,
            "HOME": str(self.place),
            "LANG": "C.UTF-8",
            "ANTHROPIC_API_KEY": "sk-test",
            "ANTHROPIC_BASE_URL": self.upstream,
            "PROXY_KEY": "sk-test",
            "PORT": "0",
        }

    def here(self, text: str) -> str:
        """`text` with the addresses that answer in these tests."""
        text = text.replace(DOCUMENTED, self.gateway)
        return re.sub(r"https://(api\.anthropic\.com|llm\.example\.org/anthropic)", self.upstream, text)

    def documented(self, text: str) -> str:
        """What a reader would see."""
        return text.replace(self.gateway, DOCUMENTED)

    def run(self, *command: str) -> Done:
        """Run it to its end."""
        with tempfile.TemporaryFile("w+", dir=self.place) as both:
            done = subprocess.run(
                command,
                cwd=self.place,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=both,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
            both.seek(0)
            return Done(done.returncode, self.documented(done.stdout), self.documented(done.stdout + both.read()))

    def shell(self, script: str) -> Done:
        return self.run(_BASH, "-euo", "pipefail", "-c", self.here(script))

    def serves(self, script: str) -> bool:
        """Whether `script` ends in a command that serves until it is stopped."""
        return _SERVING.search(script) is not None

    def serve(self, script: str) -> tuple[str, str]:
        """Start what `script` starts, on a free port; its URL and what it said, once it listens.  Then stop it.

        A curl that it prints is run while it listens, and must work.
        """
        command = self.here(script).strip() + ("" if "serve" in script else " --port 0")
        process = subprocess.Popen(
            [_BASH, "-c", command],
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said = self._until_ready(process)
            url = _URL.search(said)
            assert url, said
            if curl := re.search(r"^  (curl .*)$", said, re.MULTILINE):
                answer = self.run(_BASH, "-c", f"export KEY=first-long-secret; {curl[1]}")
                assert answer.status == 0, answer.output
                assert '"done":true' in answer.stdout
            return url[0], said
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=_PATIENCE)
            assert process.returncode in (0, 130, -signal.SIGINT)

    def _until_ready(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout
        said = ""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and (line := process.stdout.readline()):
            said += line
            if re.match(r"  (curl|ANTHROPIC_BASE_URL)", line):
                return said
        raise AssertionError(f"it does not start:\n{said}")
