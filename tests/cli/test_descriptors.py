"""A gateway that may open few files: it takes what it has room for, tells the others, and goes on afterwards."""

from __future__ import annotations

import resource
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from dragoman.config import Limits, Settings
from dragoman.surfaces import server
from dragoman.surfaces.descriptors import with_room, without_dumps
from dragoman.surfaces.listening import bind
from tests.cli.serving import PATIENCE, served
from tests.relay.scripted import ok_message, scripted
from tests.relay.test_relay_sealed import CHECKS
from tests.waiting import until

FEW = 160
BODY: dict[str, Any] = {"model": CHECKS, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


def test_the_bound_follows_what_the_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 1 << 20))
    settings = Settings(limits=Limits(connections=1000))
    assert with_room(settings) is settings
    assert given == [(2064, 1 << 20)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 264))
    assert with_room(settings).limits.connections == 100
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    assert with_room(settings) is settings


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="asks for the limits of another process")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_core_file_is_written(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("DRAGOMAN_REFRESH", "0")
    with served("--workers", workers) as gateway:
        for pid in (gateway.process.pid, *gateway.below()):
            assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


def test_a_sandbox_may_forbid_to_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        asked.append(1)
        raise PermissionError

    asked: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", refuse)
    without_dumps()
    assert asked


def test_a_gateway_that_cannot_be_built_leaves_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[socket.socket] = []

    def fails(*_: object) -> None:
        raise RuntimeError("no")

    def keeping(host: str, port: int) -> socket.socket:
        bound.append(bind(host, port))
        return bound[0]

    monkeypatch.setattr(server, "bind", keeping)
    monkeypatch.setattr(server, "build_app", fails)
    with pytest.raises(RuntimeError, match="no"):
        server.make_server(Settings(host="127.0.0.1", port=0), lambda _: None)
    assert bound[0].fileno() == -1


def cpu(pid: int) -> int:
    """Ticks of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def healthy(url: str) -> bool:
    try:
        return requests.get(url + "/health", timeout=PATIENCE).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_more_clients_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("DRAGOMAN_REFRESH", "0")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with scripted() as upstream:
        upstream.play([ok_message("Hi")])
        with served(env={"ANTHROPIC_BASE_URL": upstream.url}) as gateway:
            resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (FEW, hard))
            port = int(gateway.url.rpartition(":")[2])
            many: list[socket.socket] = []
            told: Counter[str] = Counter()
            try:
                for _ in range(2 * FEW):
                    many.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
                before = cpu(gateway.process.pid)
                time.sleep(1.0)
                spent = cpu(gateway.process.pid) - before
                for each in many:
                    try:
                        each.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
                        told[each.recv(12).decode() or "closed"] += 1
                    except OSError:
                        told["closed"] += 1
            finally:
                for each in many:
                    each.close()
            assert told["HTTP/1.1 200"] > FEW // 4, told
            assert told["closed"] > 0, told
            assert spent < 50, "it spins"  # of a hundred ticks in that second
            # It has to notice first that they have left.
            until(lambda: healthy(gateway.url), "it does not go on afterwards")
            for _ in range(5):
                assert requests.post(gateway.url + "/v1/messages", json=BODY, timeout=PATIENCE).status_code == 200
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
