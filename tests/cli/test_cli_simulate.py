"""`dragoman simulate` serves the Anthropic API, and the other commands take it for one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.loopback import KEY, Run


@pytest.fixture
def simulator() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dragoman", "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_check_takes_it_for_the_real_one(run: Run, simulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", simulator)
    result = run("check")
    assert re.search(rf"ok       anthropic \({re.escape(simulator)}\) is reached and lists \d\d models", result.output)
    assert result.exit_code == 0


def test_a_scenario_that_does_not_exist(run: Run) -> None:
    result = run("simulate", "--scenario", "gopher")
    assert result.exit_code == 2
    assert "unknown scenario 'gopher'; there are auto, " in result.stderr


def test_a_port_in_use(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("simulate", "--port", str(port))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"port {port} is already in use")


def test_smoke_passes_a_gateway_before_it(simulator: str) -> None:
    """The whole house, each part a process of its own."""
    command = [sys.executable, "-m", "dragoman"]
    serving = subprocess.Popen(
        [*command, "serve", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": simulator},
    )
    try:
        assert serving.stdout
        url = next(found[0] for line in serving.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        smoke = subprocess.run([*command, "smoke", url], capture_output=True, text=True, check=False)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=20)
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    assert " 0 failed, " in smoke.stdout
