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

DOCUMENTED, LOCAL = "http://localhost:11434", "http://localhost:8000"
"""Where the documentation's gateways are: any of them, and the one of the preset for local models."""

# Where the documentation's servers are.  An address behind `=` of a variable or a file is a server's, and no gateway's.
_SERVERS = (
    ("ollama", re.compile(r"(?<=OLLAMA_BASE_URL=)(http://)?localhost:11434|http://gpu\.example\.org:11434")),
    ("vllm", re.compile(r"http://gpu\.example\.org:8000(/v1)?")),
    ("openrouter", re.compile(r"https://openrouter\.ai/api(/v1)?")),
    ("anthropic", re.compile(r"https://(api\.anthropic\.com|llm\.example\.org/anthropic)")),
)
_PATIENCE = 20.0
_BASH = shutil.which("bash") or "bash"
_URL = re.compile(r"http://[\w.\[\]:]+:\d+")
_OTHERS = re.compile(r"--preset local|(OLLAMA|OPENAI)_(BASE_URL|API_KEY)=")
_READY = re.compile(r"  (curl|(ANTHROPIC|OLLAMA|OPENAI)_BASE_URL)|default_model in dragoman.toml says")
_SERVING = re.compile(r"^(?:\w+=\S+ )*dragoman (serve|simulate)\b", re.MULTILINE)


class Addresses(NamedTuple):
    """What really answers: the two gateways, and a simulator for each kind of server."""

    gateway: str
    local: str
    anthropic: str
    ollama: str
    vllm: str
    openrouter: str


class Done(NamedTuple):
    """What a command said.  `output` is stdout and stderr in one."""

    status: int
    stdout: str
    output: str


class World:
    """`gateway` answers where the documentation says port 11434, `local` where it says port 8000."""

    def __init__(self, place: Path, addresses: Addresses) -> None:
        self.place = place
        self.gateway, self.local = addresses.gateway, addresses.local
        self._addresses = addresses
        self._furnish()

    def _furnish(self) -> None:
        """The files that examples speak of; a `make` that only says what it would do; a `curl` that minds errors."""
        (self.place / "picture.png").write_bytes(base64.b64decode(red_square()))
        shutil.copy(ROOT / "tests/relay/localhost.pem", self.place / "company.pem")
        for name in ("gateway.pem", "gateway.key"):
            shutil.copy(ROOT / "tests/relay/localhost.pem", self.place / name)
            (self.place / name).chmod(0o600)
        for name in ("gateway.password", "anthropic.key", "ollama.key", "openai.key", "openrouter.key", "client-keys"):
            (self.place / name).write_text("sk-test\n")
            (self.place / name).chmod(0o600)
        (self.place / "bin").mkdir()
        self._shim("make", f"--no-print-directory -n -C {ROOT}")
        self._shim("curl", "--fail-with-body")

    def _shim(self, name: str, options: str) -> None:
        shim = self.place / "bin" / name
        shim.write_text(f'#!/bin/sh\nexec {shutil.which(name)} {options} "$@"\n')
        shim.chmod(0o755)

    def environment(self, script: str = "") -> dict[str, str]:
        """A key to Claude, unless the script itself says who is to be behind the gateway."""
        path = os.pathsep.join([str(self.place / "bin"), str(Path(sys.executable).parent), os.defpath])
        environ = {
            "PATH": path,
            "HOME": str(self.place),
            "LANG": "C.UTF-8",
            "PROXY_KEY": "sk-test",
            "PORT": "0",
        }
        if "--preset local" in script:
            return environ | {"OLLAMA_BASE_URL": self._addresses.ollama}
        if _OTHERS.search(script):
            return environ
        return environ | {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": self._addresses.anthropic}

    def here(self, text: str) -> str:
        """`text` with the addresses that answer in these tests."""
        for name, pattern in _SERVERS:
            text = pattern.sub(getattr(self._addresses, name), text)
        return text.replace(DOCUMENTED, self.gateway).replace(LOCAL, self.local)

    def documented(self, text: str) -> str:
        """What a reader would see."""
        return text.replace(self.gateway, DOCUMENTED).replace(self.local, LOCAL)

    def run(self, *command: str) -> Done:
        """Run it to its end.  The environment is what its last word, which may be a script, asks for."""
        with tempfile.TemporaryFile("w+", dir=self.place) as both:
            done = subprocess.run(
                command,
                cwd=self.place,
                env=self.environment(command[-1]),
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
        command = self._on_a_free_port(script)
        process = subprocess.Popen(
            [_BASH, "-c", command],
            cwd=self.place,
            env=self.environment(script),
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

    def _on_a_free_port(self, script: str) -> str:
        """A port that is shown may be taken here."""
        command = re.sub(r"(--port |\bPORT=)\d+", r"\g<1>0", self.here(script).strip())
        return command if "--port" in command or "serve" in script else f"{command} --port 0"

    def _until_ready(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout
        said = ""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and (line := process.stdout.readline()):
            said += line
            if _READY.match(line):
                return said
        raise AssertionError(f"it does not start:\n{said}")
