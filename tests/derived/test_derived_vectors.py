"""Derived models of embedding models: their parameters, in whatever words a client asks for vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.config import Secret, Upstream
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.derived.conftest import House, house

PARAMETERS = {"num_ctx": 512, "temperature": 0.5, "stop": ["END"], "repeat_penalty": 1.2}
ASKED: dict[str, Any] = {"model": "short", "input": "Hello there."}


@pytest.fixture(scope="module")
def served() -> Iterator[House]:
    """An Ollama server and another, and models derived from one of each."""
    with run_in_thread(OllamaSimulator()) as box, run_in_thread(OpenAISimulator(flavor="vllm")) as other:
        upstreams = (
            Upstream(name="box", dialect="ollama", base_url=box.url),
            Upstream(name="other", dialect="openai_chat", base_url=other.url, key=Secret("sk-test")),
        )
        with house(upstreams=upstreams) as found:
            for name, base in (("short", "nomic-embed-text"), ("far", "BAAI/bge-m3")):
                assert found.client.create(name, from_=base, parameters=PARAMETERS).status == "success"
            found.client.create("plain", from_="nomic-embed-text")
            yield found._replace(box=box.simulator)


def options(home: House, path: str = "/api/embed") -> Any:
    """What the server was told last."""
    body = home.box.posted(path)[-1].json
    assert body["model"].startswith("nomic-embed-text")
    return body.get("options")


def test_ollama_clients_get_them_and_their_own_win(served: House) -> None:
    answer = served.post("/api/embed", ASKED)
    assert len(answer.json()["embeddings"]) == 1
    assert "x-dragoman-dropped" not in answer.headers
    assert options(served) == PARAMETERS
    own = {"num_ctx": 2048, "temperature": None, "num_thread": 3}
    served.post("/api/embed", ASKED | {"options": own, "truncate": False, "of_tomorrow": 1}).raise_for_status()
    assert options(served) == PARAMETERS | {"num_ctx": 2048, "num_thread": 3}
    body = served.box.posted("/api/embed")[-1].json
    assert (body["truncate"], body["of_tomorrow"], body["input"]) == (False, 1, "Hello there.")


def test_the_older_path(served: House) -> None:
    answer = served.post("/api/embeddings", {"model": "short", "prompt": "Hello there."})
    assert answer.json()["embedding"]
    assert options(served, "/api/embeddings") == PARAMETERS


def test_openai_clients_get_them(served: House) -> None:
    answer = served.post("/v1/embeddings", ASKED)
    assert answer.json()["data"][0]["embedding"]
    assert "x-dragoman-dropped" not in answer.headers
    assert options(served) == PARAMETERS


@pytest.mark.parametrize("path", ["/api/embed", "/v1/embeddings"])
@pytest.mark.parametrize("strict", ["0", "1"])
def test_other_servers_take_none_and_that_is_told(served: House, path: str, strict: str) -> None:
    """Also in strict mode: the client did not say it.  Where a runner finds room is nobody's business."""
    answer = served.post(path, ASKED | {"model": "far"}, headers={"x-dragoman-strict": strict})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-dropped"] == "repeat_penalty, stop, temperature"


def test_a_model_that_gives_nothing_changes_nothing(served: House) -> None:
    served.post("/api/embed", ASKED | {"model": "plain"}).raise_for_status()
    assert served.box.posted("/api/embed")[-1].json == ASKED | {"model": "nomic-embed-text:latest"}


def test_options_that_are_none_are_the_servers_business(served: House) -> None:
    assert served.post("/api/embed", ASKED | {"options": "many"}).status_code == 400
