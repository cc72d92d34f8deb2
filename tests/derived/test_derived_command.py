"""What the `ollama` command sends, in its order, and what it reads of the answers.

https://github.com/ollama/ollama/blob/main/cmd/cmd.go
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.derived.conftest import House, house

AGENT = {"user-agent": "ollama/0.33.0 (amd64 linux) Go/go1.24", "accept": "application/json"}
MODELFILE = {
    "from": "claude-sonnet-4.5",
    "system": "You are Mario.",
    "parameters": {"temperature": 0.3, "stop": ["THE END"]},
    "messages": [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "It's-a me!"}],
    "license": ["MIT"],
    "template": "{{ .Prompt }}",
}


class Command:
    """Sends as the command does: first it looks whether anybody is there."""

    def __init__(self, home: House) -> None:
        self._http = home.http

    def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self._http.request(method, path, json=body, headers=AGENT)

    def begin(self) -> None:
        assert self("HEAD", "/").status_code == 200

    def lines(self, path: str, body: Any) -> list[dict[str, Any]]:
        """As its `stream` does: an error in a line or a status is the end."""
        answer = self("POST", path, body)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.status_code < 400 and not any("error" in line for line in lines), answer.text
        return lines


@pytest.fixture(scope="module")
def command(home: House) -> Iterator[Command]:
    found = Command(home)
    found.begin()
    assert found.lines("/api/create", {"model": "mario", **MODELFILE})[-1] == {"status": "success"}
    yield found


def test_list(command: Command) -> None:
    command.begin()
    for model in command("GET", "/api/tags").json()["models"]:
        assert len(model["digest"][:12]) == 12
        assert model["modified_at"] and model["name"] and type(model["size"]) is int


def test_show(command: Command) -> None:
    command.begin()
    told = command("POST", "/api/show", {"name": "mario", "verbose": False}).json()
    assert told["model_info"]["general.architecture"] == "claude"
    assert float(told["model_info"]["claude.context_length"]) > 0
    assert [line.split() for line in told["parameters"].splitlines()][:2] == [
        ["num_ctx", "200000"],
        ["temperature", "0.3"],
    ]
    assert (told["system"], told["license"], told["template"]) == ("You are Mario.", "MIT", "{{ .Prompt }}")
    assert told["messages"] == MODELFILE["messages"]
    assert told["details"]["parent_model"] == "claude-sonnet-4.5:latest"
    assert "remote_host" not in told


def test_run_interactively(command: Command) -> None:
    command.begin()
    told = command("POST", "/api/show", {"model": "mario"}).json()
    assert "thinking" in told["capabilities"]
    load = {"model": "mario", "prompt": "", "keep_alive": None, "think": True}
    assert command.lines("/api/generate", load)[-1]["done"] is True
    said: list[dict[str, Any]] = []
    for words in ("Hi", "Ho"):
        said.append({"role": "user", "content": words})
        ask: dict[str, Any] = {"model": "mario", "messages": said, "format": None, "options": {}, "think": True}
        lines = command.lines("/api/chat", ask)
        assert lines[-1]["done"] is True
        said.append({"role": "assistant", "content": "".join(line["message"]["content"] for line in lines)})


def test_run_once(command: Command, home: House) -> None:
    command.begin()
    assert command("POST", "/api/show", {"model": "mario"}).status_code == 200
    ask: dict[str, Any] = {
        "model": "mario",
        "prompt": "Hi",
        "context": [],
        "format": None,
        "system": "",
        "options": {},
        "think": False,
    }
    assert command.lines("/api/generate", ask)[-1]["done"] is True
    assert home.claude.requests[-1].body["system"][0]["text"] == "You are Mario."


def test_run_a_model_that_is_nowhere(command: Command) -> None:
    command.begin()
    assert command("POST", "/api/show", {"model": "nobody"}).status_code == 404
    answer = command("POST", "/api/pull", {"name": "nobody"})
    assert "file does not exist" in answer.text


def test_ps_and_stop(command: Command) -> None:
    command.begin()
    command("POST", "/api/generate", {"model": "mario"})
    running = {model["name"]: model for model in command("GET", "/api/ps").json()["models"]}["mario:latest"]
    assert len(running["digest"]) == 64 and running["expires_at"] and running["context_length"]
    assert command("POST", "/api/show", {"model": "mario"}).status_code == 200
    assert (
        command.lines("/api/generate", {"model": "mario", "prompt": "", "keep_alive": 0})[-1]["done_reason"] == "unload"
    )
    refused = command("POST", "/api/generate", {"model": "nobody", "prompt": "", "keep_alive": 0})
    assert "not found" in refused.json()["error"]


def test_cp_and_rm(command: Command) -> None:
    command.begin()
    copied = command("POST", "/api/copy", {"source": "mario", "destination": "luigi"})
    assert (copied.status_code, copied.content) == (200, b"")
    assert command("POST", "/api/show", {"model": "luigi"}).status_code == 200
    command("POST", "/api/generate", {"model": "luigi", "prompt": "", "keep_alive": 0})
    gone = command("DELETE", "/api/delete", {"model": "", "name": "luigi"})
    assert (gone.status_code, gone.content) == (200, b"")
    again = command("DELETE", "/api/delete", {"model": "", "name": "luigi"})
    assert (again.status_code, again.json()["error"]) == (404, "model 'luigi' not found")


def test_create_again_from_what_is_shown(command: Command) -> None:
    """`ollama show --modelfile mario | ollama create twin`, as the command reads it."""
    told = command("POST", "/api/show", {"model": "mario"}).json()["modelfile"]
    made = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in told.splitlines() if line and line[0] != "#"}
    assert made["FROM"] == MODELFILE["from"]
    assert (made["SYSTEM"], made["PARAMETER"], made["LICENSE"]) == ("You are Mario.", "stop THE END", "MIT")


def test_pull_what_can_be_called(command: Command) -> None:
    command.begin()
    for name in ("claude-sonnet-4.5", "mario", "qwen3:8b", "registry.ollama.ai/library/qwen3:8b"):
        assert command.lines("/api/pull", {"name": name, "insecure": False})[-1] == {"status": "success"}


def test_what_the_javascript_client_sends(home: House) -> None:
    """It says `name` here and `model` there, and always `stream`; its streams must end in a success."""
    asked = {"model": "js", "from": "claude-haiku", "stream": True, "system": "S.", "messages": MODELFILE["messages"]}
    assert json.loads(home.post("/api/create", asked).text.splitlines()[-1])["status"] == "success"
    assert home.post("/api/create", {**asked, "stream": False}).json() == {"status": "success"}
    assert home.post("/api/copy", {"source": "js", "destination": "js2"}).status_code == 200
    assert home.post("/api/show", {"model": "js2"}).json()["system"] == "S."
    assert home.http.request("DELETE", "/api/delete", json={"name": "js2"}).status_code == 200
    assert (
        json.loads(home.post("/api/pull", {"name": "js", "stream": True}).text.splitlines()[-1])["status"] == "success"
    )
    refused = home.post("/api/push", {"name": "js", "stream": False})
    assert refused.headers["content-type"].startswith("application/json")


def test_push_where_clients_may() -> None:
    with house(manage_models=True) as home:
        command = Command(home)
        command.begin()
        assert command("POST", "/api/me").json()["id"]
        assert command.lines("/api/push", {"name": "qwen3:8b", "insecure": False})[-1] == {"status": "success"}
