"""A clean environment, the command in this process, and small servers on loopback."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import app
from tests.cli.loopback import KEY, Run, Script, Serve, handler


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is configured, and no file is found."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "DRAGOMAN_", "OLLAMA_", "OPENAI_")) or name in ("HOST", "PORT", "DEBUG"):
            monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "CREDENTIALS_DIRECTORY", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Run:
    """The command, here; nothing it prints may hold `KEY`."""

    def call(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)
        assert KEY not in result.output
        return result

    return call


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers by a script; gives its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(script: Script) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler(script))
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
