"""`--workers`: several processes on one port, what they share, and who minds them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from dragoman.simulator.server import run_in_thread
from tests.cli.loopback import Run
from tests.cli.serving import PATIENCE, Served, served
from tests.relay.programs import Program
from tests.relay.scripted import CHUNKED_HEAD, END_CHUNK, chunk, ending, ok_message, opening, scripted
from tests.relay.test_relay_sealed import CHECKS, sealed
from tests.running import simulate
from tests.waiting import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}


@pytest.fixture
def environment(environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As `conftest` says, with a key and a place for data."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("DRAGOMAN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DRAGOMAN_REFRESH", "0")


def behind(url: str) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": url}


def call(gateway: Served, timeout: float = PATIENCE) -> requests.Response:
    """One call on a connection of its own."""
    return requests.post(gateway.url + "/v1/messages", json=BODY, timeout=timeout)


# --- together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_one_worker_goes_on_where_another_was(stream: bool) -> None:
    """An Ollama client cannot send Claude's signatures back, and each of its calls may meet another worker."""
    with run_in_thread(simulate()) as simulator, served("--workers", "3", env=behind(simulator.url)) as gateway:
        it = Program(gateway.url, CHECKS, stream=stream)
        it.run(10)
        sent = [request.body for request in simulator.simulator.requests]
        assert set(it.dropped) == {""}
        assert [len(sealed(body)) for body in sent] == list(range(10))


def test_a_model_made_by_one_worker_is_known_to_the_others() -> None:
    with run_in_thread(simulate()) as simulator, served("--workers", "2", env=behind(simulator.url)) as gateway:
        made = requests.post(
            gateway.url + "/api/create",
            json={"model": "mine", "from": "claude-sonnet-4-5", "system": "Be brief.", "stream": False},
            timeout=PATIENCE,
        )
        assert made.status_code == 200, made.text
        for _ in range(8):
            answer = requests.post(gateway.url + "/v1/messages", json={**BODY, "model": "mine"}, timeout=PATIENCE)
            assert answer.status_code == 200, answer.text


def test_servers_get_no_more_calls_at_once_than_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    config = tmp_path / "dragoman.toml"
    with scripted() as upstream:
        config.write_text(
            f'[[upstream]]\nname = "one"\nbase_url = "{upstream.url}"\nkey = "k"\nconcurrency = 3\nqueue = 100\n'
        )
        upstream.play([0.1, ok_message("Hi")])
        with served("--workers", "2", "--config", str(config)) as gateway:
            threads = [threading.Thread(target=call, args=(gateway,)) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert len(upstream.requests) == 12
            assert upstream.connections <= 3


# --- minded ------------------------------------------------------------------------------------------


@pytest.fixture
def gateway() -> Iterator[Served]:
    """Two workers before a server that answers."""
    with scripted() as upstream:
        upstream.play([ok_message("Hi")])
        with served("--workers", "2", env=behind(upstream.url)) as gateway:
            yield gateway


def test_a_worker_that_dies_is_replaced_and_no_call_is_refused(gateway: Served) -> None:
    before = gateway.below()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    assert [call(gateway).status_code for _ in range(20)] == [200] * 20
    until(lambda: len(gateway.below()) == 2)
    assert before[1] in gateway.below()
    until(lambda: "ended by SIGKILL; the next begins in 0.1 s" in gateway.said)


def test_all_that_die_at_once_are_replaced(gateway: Served) -> None:
    for pid in gateway.below():
        os.kill(pid, signal.SIGKILL)
    assert [call(gateway).status_code for _ in range(10)] == [200] * 10
    until(lambda: len(gateway.below()) == 2)


def test_the_workers_end_with_the_process_above_them(gateway: Served) -> None:
    workers = gateway.below()
    gateway.signal(signal.SIGKILL)
    gateway.ended()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "a worker was left")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_stream_is_finished_before_the_end(number: int) -> None:
    with scripted() as upstream:
        upstream.play([CHUNKED_HEAD + chunk(opening("Hel", "lo")), 0.5, chunk(ending()), END_CHUNK])
        with served("--workers", "2", env=behind(upstream.url)) as gateway:
            url = gateway.url + "/v1/messages"
            data = b""
            with requests.post(url, json={**BODY, "stream": True}, stream=True, timeout=PATIENCE) as answer:
                for piece in answer.iter_content(None):
                    if not data:
                        gateway.signal(number)
                    data += piece
            assert b"message_stop" in data
            assert gateway.ended() == 0
            with pytest.raises(requests.ConnectionError):
                call(gateway)


def test_one_that_is_not_done_is_told_by_its_worker() -> None:
    env = {"DRAGOMAN_TIMEOUT_DRAIN": "0.2"}
    with scripted() as upstream:
        upstream.play([CHUNKED_HEAD + chunk(opening("Hel", "lo")), PATIENCE])
        with served("--workers", "2", env=behind(upstream.url) | env) as gateway:
            url = gateway.url + "/v1/messages"
            data = b""
            with requests.post(url, json={**BODY, "stream": True}, stream=True, timeout=PATIENCE) as answer:
                for piece in answer.iter_content(None):
                    if not data:
                        gateway.signal(signal.SIGTERM)
                    data += piece
            assert b"overloaded_error" in data and b"shutting down" in data
            assert gateway.ended() == 0


def test_the_configuration_is_read_again_by_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    config = tmp_path / "dragoman.toml"
    with scripted() as upstream:
        text = f'[[upstream]]\nname = "one"\nbase_url = "{upstream.url}"\nkey = "k"\n'
        config.write_text(text)
        upstream.play([ok_message("Hi")])
        with served("--workers", "2", "--config", str(config)) as gateway:
            config.write_text('default_model = "error"\n' + text)
            gateway.signal(signal.SIGHUP)
            until(lambda: gateway.said.count("the configuration was read again") == 2, lambda: gateway.said)
            unknown = {**BODY, "model": "nobody"}
            for _ in range(6):
                assert requests.post(gateway.url + "/v1/messages", json=unknown, timeout=PATIENCE).status_code == 404
            assert "needs a restart" not in gateway.said
            for number in (1, 2):
                assert gateway.said.count(f"worker {number}: the configuration was read again") == 1


# --- refused -----------------------------------------------------------------------------------------

CANNOT = """
from dragoman.config import Settings
from dragoman.surfaces.supervising import Supervisor

def serve(settings, listener, hold):
    raise RuntimeError("no")

raise SystemExit(Supervisor(Settings(workers=2, host="127.0.0.1", port=0), serve, print).run())
"""


def test_workers_that_cannot_start() -> None:
    done = subprocess.run([sys.executable, "-c", CANNOT], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the workers cannot start" in done.stderr


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # somebody else's who shares it as we do
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        gateway = Served("--port", str(port), "--workers", "2", env={})
        assert gateway.ended() == 1
    assert f"port {port} is already in use" in gateway.said


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--demo"], {}, "workers is 2, but the simulator of a demo lives in one process"),
        ([], {"DRAGOMAN_DATABASE": "memory"}, "workers is 2, but what is stored is only in memory"),
        (["--config", "few.toml"], {}, "workers is 2, but the upstream gpu takes only 1 calls at once (concurrency)"),
    ],
)
def test_what_several_cannot_do_together(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], env: dict[str, str], words: str
) -> None:
    table = '[[upstream]]\nname = "gpu"\ndialect = "ollama"\nbase_url = "http://gpu:1"\nconcurrency = 1\n'
    Path("few.toml").write_text(table)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    result = run("serve", "--workers", "2", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
