"""Names: which server a name means, what is listed, and models and servers that come later."""

from __future__ import annotations

import struct
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from dragoman.config.settings import Route, Target
from dragoman.simulator import OllamaSimulator
from dragoman.simulator.ollama_models import DEFAULT_MODELS, Model
from dragoman.simulator.openai_flavors import Model as OpenAIModel
from tests.relay.herd import PATIENT, Dialect, Kind, Moody, herd, moody
from tests.waiting import until

TALK = Kind("/v1/messages", stream=True)
MODELS = {model.name: model for model in DEFAULT_MODELS}
HEADERS = {"anthropic-version": "2023-06-01"}


def having(server: Moody, *names: str) -> None:
    """An Ollama server with these models."""
    server.simulator = OllamaSimulator(models=[_named(name) for name in names])


def _named(name: str) -> Model:
    pattern = MODELS.get(name, MODELS["qwen3:8b"])
    return Model(**{field: getattr(pattern, field) for field in pattern.__struct_fields__} | {"name": name})


def route(name: str, *models: str, **more: Any) -> Route:
    return Route(name=name, targets=tuple(Target(model=m, order=i) for i, m in enumerate(models)), **more)


@contextmanager
def gateway(
    monkeypatch: pytest.MonkeyPatch,
    servers: dict[str, Moody],
    *,
    up: dict[str, dict[str, Any]] | None = None,
    **more: Any,
) -> Iterator[httpx.Client]:
    """A client of a gateway before these servers; `up` is more of what their configuration says."""
    upstreams = []
    for name, server in servers.items():
        upstream = server.upstream(PATIENT)
        fields = {field: getattr(upstream, field) for field in upstream.__struct_fields__}
        upstreams.append(type(upstream)(**(fields | (up or {}).get(name, {}))))
    with (
        herd(monkeypatch, upstreams=tuple(upstreams), **more) as it,
        httpx.Client(base_url=it.url, headers=HEADERS, trust_env=False, timeout=30) as http,
    ):
        yield http


def who(http: httpx.Client, model: str, kind: Kind = TALK) -> tuple[str, str]:
    """Who answers to a name: server and model."""
    answer = http.post(kind.path, json=kind.body(model, "Hi"))
    assert answer.status_code == 200, answer.text
    assert kind.read(answer.text)[1]
    return answer.headers["x-dragoman-upstream"], answer.headers["x-dragoman-model"]


def listed(http: httpx.Client) -> list[set[str]]:
    """The names in each of the three lists."""
    tags = http.get("/api/tags").json()["models"]
    openai = http.get("/v1/models", headers={"anthropic-version": ""}).json()
    anthropic = http.get("/v1/models").json()
    assert openai["object"] == "list" and anthropic["has_more"] is False
    return [{m["name"] for m in tags}, {m["id"] for m in openai["data"]}, {m["id"] for m in anthropic["data"]}]


def test_the_same_model_on_two_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    with moody(one="ollama", two="ollama") as servers:
        having(servers["one"], "qwen3:8b")
        having(servers["two"], "qwen3:8b", "phi4:latest")
        with gateway(monkeypatch, servers) as http:
            assert who(http, "qwen3:8b") == ("one", "qwen3:8b")
            assert who(http, "one/qwen3:8b") == ("one", "qwen3:8b")
            assert who(http, "two/qwen3:8b") == ("two", "qwen3:8b")
            assert who(http, "phi4") == ("two", "phi4:latest")
            for names in listed(http):
                assert {"qwen3:8b", "two/qwen3:8b", "phi4:latest"} <= names
                assert "one/qwen3:8b" not in names
            assert http.post("/v1/messages", json=TALK.body("one/phi4", "Hi")).status_code == 404


def test_prefix_patterns_and_hidden_names(monkeypatch: pytest.MonkeyPatch) -> None:
    up: dict[str, dict[str, Any]] = {
        "one": {"prefix": "local-", "hide": ("phi*",)},
        "two": {"models": ("qwen3:*", "brand-new")},
    }
    with moody(one="ollama", two="ollama") as servers:
        having(servers["one"], "qwen3:8b", "phi4:latest")
        having(servers["two"], "qwen3:8b", "qwen3:30b", "llama3.2-vision:11b", "brand-new")
        with gateway(monkeypatch, servers, up=up) as http:
            assert who(http, "local-qwen3:8b") == ("one", "qwen3:8b")
            assert who(http, "local-phi4") == ("one", "phi4:latest")
            assert who(http, "qwen3:8b") == ("two", "qwen3:8b")
            assert who(http, "brand-new") == ("two", "brand-new")
            assert http.post("/v1/messages", json=TALK.body("llama3.2-vision:11b", "Hi")).status_code == 404
            for names in listed(http):
                assert {"local-qwen3:8b", "qwen3:8b", "qwen3:30b"} <= names
                assert not {"local-phi4:latest", "phi4:latest", "llama3.2-vision:11b"} & names


def test_a_route_is_listed_and_each_of_its_models_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with moody(claude="anthropic", gpu="ollama", cloud="openai_chat") as servers:
        targets = [f"{name}/{server.model}" for name, server in servers.items()]
        with gateway(monkeypatch, servers, routes=(route("Best One", *targets),)) as http:
            for names in listed(http):
                assert {"best one", "best one:latest"} & {name.lower() for name in names}
                assert {"Qwen/Qwen3-8B", "Qwen/Qwen3-8B:latest"} & names and "qwen3:8b" in names
            for path in ("/v1/messages", "/api/chat", "/v1/chat/completions", "/v1/completions", "/api/generate"):
                for stream in (True, False):
                    assert who(http, "best ONE", Kind(path, stream))[0] == "claude"
            for name, target in zip(servers, targets, strict=True):
                assert who(http, target)[0] == name


def test_a_model_that_was_pulled_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    with moody(gpu="ollama") as servers:
        having(servers["gpu"], "qwen3:8b")
        with gateway(monkeypatch, servers) as http:
            assert http.post("/v1/messages", json=TALK.body("fresh:1b", "Hi")).status_code == 404
            having(servers["gpu"], "qwen3:8b", "fresh:1b")
            monkeypatch.setattr("dragoman.relay.directory._RECENT", 0.0)  # five seconds have passed
            assert who(http, "fresh:1b") == ("gpu", "fresh:1b")


@pytest.mark.parametrize("dialect", ["ollama", "openai_chat"])
def test_a_server_that_comes_later(monkeypatch: pytest.MonkeyPatch, dialect: Dialect) -> None:
    """By its own name at once; in a route as soon as it was seen."""
    monkeypatch.setattr("dragoman.relay.directory._AGAIN", 0.0)
    with moody(late=dialect, there="ollama") as servers:
        late = servers["late"]
        targets = f"late/{late.model}", f"there/{servers['there'].model}"
        late.kill()
        with gateway(monkeypatch, servers, routes=(route("any", *targets),)) as http:
            answer = http.post("/v1/messages", json=TALK.body(targets[0], "Hi"))
            assert answer.status_code == 502 and "late could not be asked" in answer.text
            assert who(http, "any")[0] == "there"
            late.start()
            until(lambda: who(http, "any")[0] == "late")
            assert who(http, targets[0])[0] == "late"


def test_a_server_that_hangs_slows_no_other_names_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list is waited for once, and not by everybody who says a name nobody knows."""
    monkeypatch.setattr("dragoman.relay.directory._PATIENCE", 0.3)
    with moody(mute="ollama", claude="anthropic") as servers:
        servers["mute"].simulator = Silent()
        with gateway(monkeypatch, servers, default_model="claude-sonnet-4-5") as http:
            assert who(http, "gpt-4")[0] == "claude"
            # A hundred seconds later it is still being read, and whoever waited now would wait for a minute.
            later = SimpleNamespace(monotonic=lambda: time.monotonic() + 100)
            monkeypatch.setattr("dragoman.relay.directory.time", later)
            monkeypatch.setattr("dragoman.relay.directory._PATIENCE", 60.0)
            for _ in range(3):
                assert who(http, "gpt-4")[0] == "claude"


class Silent:
    """A server whose lists never come."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        while scope["type"] != "http" or (await receive())["type"] != "http.disconnect":
            pass


# --- what one model cannot take ----------------------------------------------------------------------


def _png() -> str:
    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b64encode(b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(b"\0\0")) + part(b"IEND", b"")).decode()


PICTURE = {
    "max_tokens": 50,
    "stream": True,
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _png()}},
                {"type": "text", "text": "What is this?"},
            ],
        }
    ],
}


def test_a_model_that_cannot_take_the_request_leaves_it_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever place of the route it is, and also once the first server has failed."""
    with moody(sick="anthropic", blind="ollama", seeing="ollama") as servers:
        having(servers["blind"], "phi4:latest")
        having(servers["seeing"], "llama3.2-vision:11b")
        blind, seeing = "blind/phi4", "seeing/llama3.2-vision:11b"
        routes = (
            route("blind first", blind, seeing),
            route("blind second", f"sick/{servers['sick'].model}", blind, seeing),
            route("blind only", blind),
        )
        with gateway(monkeypatch, servers, routes=routes) as http:
            servers["sick"].mood = "overloaded"
            for name in ("blind first", "blind second"):
                answer = http.post("/v1/messages", json=PICTURE | {"model": name})
                assert answer.status_code == 200, answer.text
                assert answer.headers["x-dragoman-upstream"] == "seeing"
                assert "I see 1 image" in TALK.read(answer.text)[0]
            answer = http.post("/v1/messages", json=PICTURE | {"model": "blind only"})
            assert answer.status_code == 400 and "image" in answer.text
            assert servers["blind"].heard == []
            # A failure that may pass is worth more than a model that never could.
            servers["seeing"].kill()
            answer = http.post("/v1/messages", json=PICTURE | {"model": "blind second"})
            assert answer.status_code == 529


def test_embeddings_come_from_whom_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token ids are nothing for Ollama; the next model of the route reads them."""
    with moody(gpu="ollama", cloud="openai_chat") as servers:
        embedder = next(m.name for m in DEFAULT_MODELS if "embedding" in m.capabilities)
        having(servers["gpu"], embedder)
        vectors = OpenAIModel(id="vectors", does=("embeddings",), dimensions=8)
        servers["cloud"].simulator = type(servers["cloud"].simulator)(flavor="vllm", models=[vectors])
        routes = (route("embed", f"gpu/{embedder}", "cloud/vectors"), route("turned", "cloud/vectors"))
        with gateway(monkeypatch, servers, routes=routes) as http:
            answer = http.post("/v1/embeddings", json={"model": "embed", "input": [[1, 2, 3]]})
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-dragoman-upstream"] == "cloud"
            assert len(answer.json()["data"]) == 1
            answer = http.post("/v1/embeddings", json={"model": "embed", "input": "words"})
            assert answer.headers["x-dragoman-upstream"] == "gpu"
            # A load: there is nothing to load behind OpenAI's API, and nothing wrong with asking.
            answer = http.post("/api/embed", json={"model": "turned"})
            assert (answer.status_code, answer.json()["embeddings"]) == (200, [])
            answer = http.post("/api/embed", json={"model": "turned", "input": []})
            assert (answer.status_code, answer.json()["embeddings"]) == (200, [])
            answer = http.post("/api/embeddings", json={"model": "turned", "prompt": ""})
            assert (answer.status_code, answer.json()) == (200, {"embedding": []})
            servers["gpu"].kill()
            answer = http.post("/api/embed", json={"model": "embed", "input": "words"})
            assert answer.headers["x-dragoman-upstream"] == "cloud"
            assert len(answer.json()["embeddings"][0]) == 8
