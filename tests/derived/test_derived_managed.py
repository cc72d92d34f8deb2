"""Models of an Ollama server, managed through the gateway: only where the configuration lets clients."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from tests.derived.conftest import FAR, House, house

LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def managed() -> Iterator[House]:
    with house(manage_models=True) as found:
        yield found


@pytest.fixture
def fresh() -> Iterator[House]:
    with house(manage_models=True) as found:
        yield found


def statuses(answer: Any) -> list[str]:
    return [step.status for step in answer]


def test_pulling(fresh: House) -> None:
    steps = list(fresh.client.pull("far", stream=True))
    assert steps[0].status == "pulling manifest" and steps[-1].status == "success"
    counted = [step for step in steps if step.total]
    assert counted[-1].completed == counted[-1].total == FAR.size
    assert "far:latest" in fresh.names(), "the list was not read again"
    assert fresh.box.posted("/api/pull")[-1].json["model"] == "far"
    assert fresh.client.pull("far").status == "success"
    assert fresh.client.chat("far", [{"role": "user", "content": "Hi"}]).done


def test_pulling_what_nobody_has(managed: House) -> None:
    with pytest.raises(ollama.ResponseError, match="file does not exist") as refused:
        managed.client.pull("nobody")
    assert refused.value.status_code == 500
    steps = managed.client.pull("nobody", stream=True)
    assert next(steps).status == "pulling manifest"
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        next(steps)


def test_pulling_what_is_elsewhere_downloads_nothing(managed: House) -> None:
    before = len(managed.box.posted("/api/pull"))
    assert managed.client.pull("claude-haiku").status == "success"
    assert len(managed.box.posted("/api/pull")) == before
    assert managed.client.pull("box/qwen3:8b").status == "success"
    assert managed.box.posted("/api/pull")[-1].json["model"] == "qwen3:8b"


def test_pushing(managed: House) -> None:
    steps = statuses(managed.client.push("qwen3:8b", stream=True))
    assert (steps[0], steps[-1]) == ("retrieving manifest", "success")
    assert managed.box.library.pushed[-1] == "qwen3:8b"
    assert managed.post("/api/push", {"name": "qwen3:8b"}).headers["content-type"] == LINES
    assert managed.http.post("/api/me").json()["name"] == "sim"
    managed.client.create("mario", from_="qwen3:8b")
    for name in ("claude-haiku", "mario"):
        assert "cannot be pushed" in managed.post("/api/push", {"model": name}).json()["error"]


def test_creating_from_a_file(fresh: House, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + bytes(range(256)) * 20000)
    digest = fresh.client.create_blob(file)
    assert fresh.box.library.blobs == {digest: file.stat().st_size}
    assert fresh.client.create("mine", files={"m.gguf": digest}).status == "success"
    assert "mine:latest" in fresh.names()
    assert fresh.client.show("mine").modified_at is not None
    assert fresh.client.create("mine", files={"m.gguf": digest}).status == "success", "it cannot be made anew"
    steps = fresh.client.create("other", files={"m.gguf": "sha256:" + "0" * 64}, stream=True)
    with pytest.raises(ollama.ResponseError, match="not found"):
        list(steps)
    assert fresh.client.create("small", from_="qwen3:8b", quantize="q4_0").status == "success"
    assert fresh.box.posted("/api/create")[-1].json["from"] == "qwen3:8b"


def test_a_blob_of_unknown_length(managed: House, tmp_path: Path) -> None:
    """The asynchronous client sends it in chunks."""
    file = tmp_path / "b"
    file.write_bytes(b"x" * 3_000_000)

    async def upload() -> str:
        async with ollama.AsyncClient(managed.url, trust_env=False) as client:
            return str(await client.create_blob(file))

    assert managed.box.library.blobs[asyncio.run(upload())] == 3_000_000


def test_blobs(managed: House) -> None:
    data = b"part of a model"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = f"/api/blobs/{digest}"
    assert managed.http.head(path).status_code == 404
    assert managed.http.post(path, content=data).status_code == 201
    assert managed.http.head(path).status_code == 200
    assert managed.http.post(path, content=data).status_code == 200
    wrong = managed.http.post("/api/blobs/sha256:" + "1" * 64, content=data)
    assert wrong.status_code == 400
    assert "digest mismatch" in wrong.json()["error"]
    for bad in ("sha256:00", "sha256:" + "x" * 64, "../../api/tags", "md5:" + "0" * 67):
        answer = managed.http.post(f"/api/blobs/{bad}", content=data)
        assert answer.status_code in (400, 404, 405), bad
    assert [name for name in managed.box.library.blobs if len(name) != 71] == []


def test_a_blob_larger_than_any_body(tmp_path: Path) -> None:
    with house(manage_models=True, max_body=1000) as home:
        file = tmp_path / "b"
        file.write_bytes(b"x" * 100_000)
        assert home.client.create_blob(file) in home.box.library.blobs


def test_where_it_is_not_allowed_an_upload_is_heard_out(home: House, tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_bytes(b"x" * 5_000_000)
    with pytest.raises(ollama.ResponseError, match="manage_models") as refused:
        home.client.create_blob(file)
    assert refused.value.status_code == 403
    assert home.http.head("/api/blobs/sha256:" + "0" * 64).status_code == 403


def test_copying_and_deleting(fresh: House) -> None:
    fresh.client.copy("qwen3:8b", "mine")
    assert "mine:latest" in fresh.names()
    assert fresh.box.posted("/api/copy")[-1].json == {"source": "qwen3:8b", "destination": "mine:latest"}
    fresh.client.delete("mine")
    assert "mine:latest" not in fresh.names()
    fresh.client.delete("phi4")
    assert "phi4:latest" not in fresh.names()
    fresh.client.create("derived", from_="qwen3:8b")
    fresh.client.delete("derived")
    assert "qwen3:8b" in fresh.names()
    assert fresh.http.request("DELETE", "/api/delete", json={"model": "claude-haiku"}).status_code == 403


def test_one_whose_base_is_gone_can_be_removed(fresh: House) -> None:
    fresh.client.create("mine", from_="phi4", system="S.")
    fresh.client.delete("phi4")
    assert "mine:latest" not in fresh.names()
    for path in ("/api/show", "/api/chat"):
        answer = fresh.post(path, {"model": "mine", "messages": []})
        assert answer.status_code == 404
    assert "is made from 'phi4'" in fresh.post("/api/pull", {"model": "mine"}).json()["error"]
    assert fresh.client.delete("mine").status == "success"
    assert fresh.http.request("DELETE", "/api/delete", json={"model": "mine"}).status_code == 404


def test_a_model_that_the_server_can_fetch_may_be_the_base(fresh: House) -> None:
    assert fresh.client.create("mine", from_="far", system="S.").status == "success"
    assert fresh.box.posted("/api/create")[-1].json["from"] == "far"
    assert "far:latest" in fresh.names()


def test_names_of_others_are_not_taken(managed: House) -> None:
    managed.client.create("luigi", from_="claude-haiku")
    for name in ("luigi", "claude-haiku"):
        answer = managed.post("/api/create", {"model": name, "from": "qwen3:8b", "quantize": "q4_0"})
        assert answer.status_code == 409
    answer = managed.post("/api/create", {"model": "x", "from": "claude-haiku", "quantize": "q4_0"})
    assert answer.status_code == 400


def test_without_a_server_that_can() -> None:
    with house(manage_models=True, upstreams=()) as home:
        for method, path, body in (
            ("POST", "/api/push", {"model": "x"}),
            ("POST", "/api/create", {"model": "x", "files": {"a": "b"}}),
            ("POST", "/api/blobs/sha256:00", {}),
        ):
            answer = home.http.request(method, path, json=body)
            assert answer.status_code == 501
            assert "no Ollama server" in answer.json()["error"]
        assert home.http.post("/api/me").status_code == 401


ELSEWHERE = [
    "http://10.0.0.5/library/x",
    "169.254.169.254/library/x:latest",
    "evil.test/library/x",
    "localhost:11434/library/x",
    "https://evil.test:8080/a/b:c",
    "registry.ollama.ai.evil.test/library/x",
]
NO_NAMES = ["evil.test/x", "a/b/c/d", "http://", "../x", "x y", "http://[::1]/a/b"]


@pytest.mark.parametrize("path", ["/api/pull", "/api/push", "/api/create"])
@pytest.mark.parametrize(("name", "status"), [*((n, 403) for n in ELSEWHERE), *((n, 400) for n in NO_NAMES)])
def test_no_name_makes_the_server_turn_to_another_host(managed: House, path: str, name: str, status: int) -> None:
    """It would connect to whatever the client names, in its own network."""
    before = len(managed.box.posted(path))
    body = {"model": "mine", "from": name} if path == "/api/create" else {"model": name}
    answer = managed.client._client.post(path, json={**body, "insecure": True, "stream": False})
    assert answer.status_code == status, answer.text
    assert len(managed.box.posted(path)) == before


def test_registries_are_configured() -> None:
    with house(manage_models=True, registries=("models.example.org",)) as found:
        pull = found.client._client.post
        assert pull("/api/pull", json={"model": "Models.Example.org/a/far"}).status_code == 200
        assert found.box.posted("/api/pull")[-1].json["model"] == "Models.Example.org/a/far"
        assert pull("/api/pull", json={"model": "hf.co/a/b"}).status_code == 403
        assert pull("/api/pull", json={"model": "far"}).status_code == 403


def test_nothing_is_made_that_another_host_answers_for(managed: House) -> None:
    body = {"model": "mine", "from": "nobody", "remote_host": "http://10.0.0.5"}
    assert managed.client._client.post("/api/create", json=body).status_code == 403
