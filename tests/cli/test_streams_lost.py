"""Nobody reads what the gateway says, or there is no room for it: it serves all the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.serving import PATIENCE
from tests.waiting import until

ASKED = {"model": "claude-sonnet-4.5", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}
# How a shell would leave its standard streams.
LOST = {
    "read for a line": "2>&1 | head -1",
    "nobody reads at all": "2>&1 | true",
    "a full disk": "> /dev/full 2> /dev/full",
    "closed": ">&- 2>&-",
    "all closed": "<&- >&- 2>&-",
}
COMMAND = '"$PYTHON" -m dragoman serve --demo --host 127.0.0.1 --port "$PORT"'


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="wants /dev/full and /proc")


def test_it_serves_all_the_same() -> None:
    """All ways at once, for the start is what takes time."""
    ports = {name: free_port() for name in LOST}
    shells = {
        name: subprocess.Popen(
            ["/bin/sh", "-c", f"{COMMAND} {how}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHON": sys.executable, "PORT": str(ports[name])},
        )
        for name, how in LOST.items()
    }
    try:
        for name, port in ports.items():
            until(lambda port=port: alive(port), f"{name}: it does not serve")  # type: ignore[misc]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as http:
                for _ in range(3):  # each has a line
                    assert http.post("/api/chat", json=ASKED).json()["done"] is True, name
                    assert http.post("/api/chat", content=b"{").status_code == 400, name
                assert http.get("/health").status_code == 200, name
    finally:
        for shell in shells.values():
            os.killpg(shell.pid, signal.SIGTERM)
        for shell in shells.values():
            shell.wait(PATIENCE)


def test_a_worker_that_dies_is_begun_again() -> None:
    port = free_port()
    gateway = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {COMMAND.replace('--demo', '--workers 2')} > /dev/full 2> /dev/full"],
        env={**os.environ, "PYTHON": sys.executable, "PORT": str(port), "ANTHROPIC_API_KEY": "k"},
    )
    try:
        until(lambda: alive(port), "it does not serve")
        until(lambda: len(below(gateway.pid)) == 2, "its workers do not begin")
        first, second = below(gateway.pid)
        os.kill(first, signal.SIGKILL)
        until(lambda: len(below(gateway.pid)) == 2 and first not in below(gateway.pid), "it stays alone")
        assert second in below(gateway.pid)
        assert alive(port)
    finally:
        gateway.terminate()
        gateway.terminate()
        assert gateway.wait(PATIENCE) is not None


def below(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
