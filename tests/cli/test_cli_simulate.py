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

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import run_in_thread
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


@pytest.mark.parametrize(
    ("arguments", "first", "variables"),
    [
        (["ollama"], "the simulator speaks the Ollama API on URL", "OLLAMA_BASE_URL=URL"),
        (
            ["ollama", "--key", "k"],
            "the simulator speaks the Ollama API on URL",
            "OLLAMA_BASE_URL=URL OLLAMA_API_KEY=k",
        ),
        (
            ["openai", "--flavor", "vllm"],
            "the simulator speaks the OpenAI API, as vllm does, on URL",
            "OPENAI_BASE_URL=URL OPENAI_API_KEY=any",
        ),
    ],
)
def test_other_dialects_are_taken_for_the_real_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], first: str, variables: str
) -> None:
    command = [sys.executable, "-m", "dragoman", "simulate", "--port", "0", "--dialect", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said, then = process.stdout.readline().rstrip(), process.stdout.readline().strip()
        url = said.rpartition(" ")[2]
        assert (said.replace(url, "URL"), then.replace(url, "URL")) == (first, f"{variables} dragoman serve")
        for variable in then.split()[:-2]:
            monkeypatch.setenv(*variable.split("=", 1))
        result = run("check")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert re.search(
        rf"ok       (ollama|openai) \({re.escape(url)}\) is reached and lists [1-9]\d* models", result.output
    )
    assert result.exit_code == 0


def test_a_flavor_belongs_to_one_dialect(run: Run) -> None:
    result = run("simulate", "--flavor", "vllm")
    assert result.exit_code == 2
    assert result.stderr == "--flavor is a kind of OpenAI-compatible server; it goes with --dialect openai\n"
    result = run("simulate", "--dialect", "openai", "--flavor", "gopher")
    assert result.exit_code == 2
    assert result.stderr.startswith("unknown flavor 'gopher'; there are openai, vllm, ")


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


@pytest.fixture
def ollama() -> Iterator[str]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running.url


def test_smoke_passes_the_local_preset(ollama: str) -> None:
    command = [sys.executable, "-m", "dragoman"]
    serving = subprocess.Popen(
        [*command, "serve", "--preset", "local", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OLLAMA_HOST": ollama},
    )
    try:
        assert serving.stdout
        url = next(found[0] for line in serving.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        for model in ("phi4:latest", "nobody-has-this"):  # the second is answered by the first
            smoke = subprocess.run(
                [*command, "smoke", url, "--model", model], capture_output=True, text=True, check=False
            )
            assert smoke.returncode == 0, smoke.stdout + smoke.stderr
            assert re.search(r"^1\d passed, 0 failed, ", smoke.stdout, re.MULTILINE)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=20)


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
