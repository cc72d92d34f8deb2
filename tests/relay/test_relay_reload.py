"""A real process, its configuration file and a hang-up signal: what changes, and what does not notice."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import run_in_thread
from tests.relay.failures import SAID
from tests.relay.herd import Kind
from tests.relay.scripted import END_CHUNK, Scripted, chunk, ending, ok_stream, scripted
from tests.relay.setting import client

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal here")
PATIENCE = 30.0
TALK = Kind("/v1/messages", stream=True)
MODEL = "claude-sonnet-4-5"
PLAIN = 'default_model = "error"\nretries = 0\nrefresh = 3600\n'


def table(name: str, server: Scripted | str, dialect: str = "anthropic", key: str = "first-key") -> str:
    """An `[[upstream]]`."""
    url = server if isinstance(server, str) else server.url
    return f'[[upstream]]\nname = "{name}"\ndialect = "{dialect}"\nbase_url = "{url}"\nkey = "{key}"\n'


class Process:
    """`dragoman serve` before a configuration file."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        file.write_text(text)
        command = [
            sys.executable,
            "-m",
            "dragoman",
            "serve",
            "--config",
            str(file),
            "--host",
            "127.0.0.1",
            "--port",
            "0",
        ]
        keep = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH", "TMPDIR")}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=keep, cwd=file.parent
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()
        self.url = next(word for word in self.until("http://127.0.0.1:").split() if word.startswith("http://127."))
        self.http = client()

    def _collect(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)

    def until(self, words: str) -> str:
        """The next line with these words."""
        while words not in (line := self._lines.get(timeout=PATIENCE)):
            pass
        return line

    def configure(self, text: str, told: str = "the configuration was read again") -> str:
        """Another file, and the signal.  What the log says of it."""
        self.file.write_text(text)
        return self.hang_up(told)

    def hang_up(self, told: str) -> str:
        self._process.send_signal(signal.SIGHUP)
        return self.until(told)

    def ask(self, model: str, **headers: str) -> httpx.Response:
        return self.http.post(self.url + TALK.path, json=TALK.body(model, "Hi"), headers=headers)

    def answers(self, model: str) -> str:
        """Who answers to a name; the status where nobody does."""
        answer = self.ask(model)
        return answer.headers["x-dragoman-upstream"] if answer.status_code == 200 else str(answer.status_code)

    def stop(self) -> None:
        self.http.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            assert self._process.stdout
            self._process.wait(PATIENCE)
            self._process.stdout.close()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("reload") / "dragoman.toml", PLAIN + table("none", "http://127.0.0.1:1"))
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def servers() -> Iterator[list[Scripted]]:
    """Two that answer."""
    with ExitStack() as stack:
        both = [stack.enter_context(scripted()) for _ in range(2)]
        for server in both:
            server.play([ok_stream("Hello")])
        yield both


def test_upstreams_come_and_go(process: Process, servers: list[Scripted]) -> None:
    one, two = servers
    plain = PLAIN.replace("refresh = 3600", "refresh = 0")  # a list is asked for over a connection of its own
    process.configure(plain + table("one", one))
    assert process.answers(MODEL) == "one"
    assert process.answers(f"two/{MODEL}") == "404"
    process.configure(plain + table("one", one) + table("two", two))
    assert (process.answers(MODEL), process.answers(f"two/{MODEL}")) == ("one", "two")
    assert one.connections == 1  # whoever did not change keeps its connections
    process.configure(plain + table("two", two))
    assert (process.answers(MODEL), process.answers(f"one/{MODEL}")) == ("two", "404")


def test_keys_change(process: Process, servers: list[Scripted]) -> None:
    one = servers[0]
    for key in ("old-key", "new-key"):
        process.configure(PLAIN + table("one", one, key=key))
        assert process.answers(MODEL) == "one"
        assert one.requests[-1].headers["x-api-key"] == key
    process.configure(PLAIN + 'api_keys = ["sesame"]\n' + table("one", one))
    assert process.answers(MODEL) == "401"
    assert process.ask(MODEL, **{"x-api-key": "sesame"}).status_code == 200


def test_a_file_of_keys_is_read_again(process: Process, servers: list[Scripted]) -> None:
    keys = process.file.with_name("client-keys")
    keys.touch(0o600)
    text = PLAIN + 'api_keys_file = "client-keys"\n' + table("one", servers[0])
    for line, good, bad in (("ann: first-key", "first-key", "second-key"), ("second-key", "second-key", "first-key")):
        keys.write_text(f"{line}\n")
        process.configure(text)
        assert process.ask(MODEL, **{"x-api-key": good}).status_code == 200
        assert process.ask(MODEL, **{"x-api-key": bad}).status_code == 401
    keys.write_text("# nobody\n")
    assert "holds no keys" in process.configure(text, "not read again")
    assert process.ask(MODEL, **{"x-api-key": "second-key"}).status_code == 200
    assert process.ask(MODEL).status_code == 401


def test_names_change(process: Process, servers: list[Scripted]) -> None:
    upstreams = table("one", servers[0]) + table("two", servers[1])
    for name in ("one", "two"):
        routes = f'[[route]]\nname = "house"\ntargets = ["{name}/{MODEL}"]\n'
        process.configure(PLAIN + upstreams + routes + f'[aliases]\n"quick" = "{name}/{MODEL}"\n')
        assert (process.answers("quick"), process.answers("house")) == (name, name)
    process.configure(PLAIN + upstreams)
    assert (process.answers("quick"), process.answers("house")) == ("404", "404")


def test_the_models_of_a_new_server_are_there_at_once(process: Process) -> None:
    with run_in_thread(OllamaSimulator()) as gpu:
        local = table("gpu", gpu.url, "ollama")

        def capabilities() -> list[str]:
            tags = process.http.get(process.url + "/api/tags").json()["models"]
            return next(model["capabilities"] for model in tags if model["name"] == "qwen3:8b")

        process.configure(PLAIN + local)
        assert process.answers("qwen3:8b") == "gpu"
        assert {"tools", "thinking"} <= set(capabilities())
        process.configure(PLAIN + local + '[models."qwen3:8b"]\ncapabilities = ["completion"]\n')
        assert process.answers("qwen3:8b") == "gpu"
        assert capabilities() == ["completion"]
        process.configure(PLAIN + local)
        assert process.answers("qwen3:8b") == "gpu"
        assert {"tools", "thinking"} <= set(capabilities())


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/api/chat"])
def test_streams_on_a_server_that_is_removed_go_on_to_their_end(
    process: Process, servers: list[Scripted], path: str
) -> None:
    one, two = servers
    enough = threading.Event()

    async def hold(_: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(enough.wait, PATIENCE)

    one.play([SAID, hold, chunk(ending()) + END_CHUNK])
    process.configure(PLAIN + table("one", one))
    kind = Kind(path, stream=True)
    with process.http.stream("POST", process.url + path, json=kind.body(MODEL, "Hi")) as answer:
        pieces = answer.iter_text()
        said = next(pieces)
        process.configure(PLAIN + table("two", two, key="other"))
        assert process.answers(MODEL) == "two"
        enough.set()
        said += "".join(pieces)
    assert answer.headers["x-dragoman-upstream"] == "one"
    assert kind.read(said) == ("Hello", True)


def test_a_call_that_waits_for_its_first_byte_is_not_dropped(process: Process, servers: list[Scripted]) -> None:
    one, two = servers
    holding, enough = threading.Event(), threading.Event()

    async def hold(_: asyncio.StreamWriter) -> None:
        holding.set()
        await asyncio.to_thread(enough.wait, PATIENCE)

    one.play([hold, ok_stream("Hel", "lo")])
    process.configure(PLAIN + table("one", one))
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(process.ask(MODEL)))
    waiting.start()
    assert holding.wait(PATIENCE)
    process.configure(PLAIN + table("two", two))
    enough.set()
    waiting.join(PATIENCE)
    assert (answers[0].headers["x-dragoman-upstream"], TALK.read(answers[0].text)) == ("one", ("Hello", True))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('retries = "many"\n', "dragoman.toml:1: retries"),
        ("\n\nretries = 1 2\n", "dragoman.toml:3"),
        ('[[upstream]]\nname = "a"\ndialect = "klingon"\n', "dragoman.toml:3"),
        ("", "required"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(process: Process, servers: list[Scripted], text: str, place: str) -> None:
    process.configure(PLAIN + table("one", servers[0]))
    told = process.configure(text, "is not read again")
    assert place in told and "first-key" not in told
    assert process.answers(MODEL) == "one"


def test_a_file_that_is_gone_changes_nothing(process: Process, servers: list[Scripted]) -> None:
    process.configure(PLAIN + table("one", servers[0]))
    process.file.rename(process.file.with_suffix(".away"))
    process.hang_up("is not read again")
    assert process.answers(MODEL) == "one"


def test_what_needs_a_restart_is_said(process: Process, servers: list[Scripted]) -> None:
    process.file.write_text(PLAIN + 'log_format = "json"\n' + table("one", servers[0]))
    process.hang_up("a change of log_format needs a restart")
    process.until("the configuration was read again")
    assert process.answers(MODEL) == "one"
