"""`dragoman check` reaches each upstream by its own dialect, and knows the names of all of them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from dragoman.cli.check import reached
from dragoman.cli.probe import probe
from dragoman.config import Secret, Upstream
from tests.cli.loopback import KEY, Answer, Call, Run, Script, Serve, as_json, handler

CERTIFICATE = Path(__file__).parents[1] / "relay" / "localhost.pem"
SHOWN = {
    "capabilities": ["completion", "tools"],
    "model_info": {"general.architecture": "x", "x.context_length": 16384},
}


def ollama(*names: str) -> Script:
    def script(call: Call) -> Answer:
        match call.path:
            case "/api/version":
                return as_json({"version": "0.33.0"})
            case "/api/tags":
                return as_json({"models": [{"name": name, "model": name, "digest": name} for name in names]})
            case "/api/show":
                return as_json(SHOWN)
            case _:
                return Answer([b"404 page not found"], 404)

    return script


def openai(*names: str) -> Script:
    def script(call: Call) -> Answer:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            return as_json({"error": {"message": KEY, "code": "invalid_api_key"}}, 401)
        if call.path != "/v1/models":
            return as_json({"error": {"message": "Not Found"}}, 404)
        return as_json({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    return script


SEVERAL = """\
default_model = "phi4"
aliases = { quick = "gpu/phi4", gone = "gpu/gone" }

[[upstream]]
name = "gpu"
dialect = "ollama"
base_url = "{gpu}"
hide = ["nomic*", "bge*"]

[[upstream]]
name = "cloud"
dialect = "openai"
base_url = "{cloud}/v1"
key_variable = "CLOUD_KEY"

[[upstream]]
name = "off"
dialect = "ollama"
base_url = "http://127.0.0.1:{port}"

[[route]]
name = "smart"
targets = ["cloud/big", "gpu/big"]
on_context = "off/huge"

[models."big"]
num_ctx = 16384
"""


def test_several_upstreams(run: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gpu, cloud = serve(ollama("phi4:latest", "nomic-embed-text:latest")), serve(openai("big", "vendor/small"))
    monkeypatch.setenv("CLOUD_KEY", KEY)
    text = SEVERAL.replace("{gpu}", gpu).replace("{cloud}", cloud).replace("{port}", str(port))
    (tmp_path / "dragoman.toml").write_text(text)
    result = run("check")
    unknown = "nobody who is reached has that model; off may"
    assert result.output.splitlines() == [
        "ok       every setting is allowed",
        f"ok       gpu ({gpu}) is reached and lists 2 models (Ollama 0.33.0)",
        'warning  gpu: hide "bge*": it lists no such model',
        f"ok       cloud ({cloud}) is reached and lists 2 models",
        f"error    off (http://127.0.0.1:{port}): the connection is refused: nothing listens there",
        "ok       default model phi4 is phi4:latest of gpu",
        "ok       alias quick → gpu/phi4 is phi4:latest of gpu",
        f"warning  alias gone → gpu/gone: {unknown}",
        "ok       route smart → cloud/big is big of cloud",
        f"warning  route smart → gpu/big: {unknown}",
        f"warning  route smart → off/huge: {unknown}",
    ]
    assert result.exit_code == 1


def test_a_default_model_that_is_not_pulled(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", url := serve(ollama("llama3.2:latest")))
    monkeypatch.setenv("DRAGOMAN_PRESET", "local")
    result = run("check")
    assert result.output.splitlines() == [
        "ok       every setting is allowed",
        f"ok       ollama ({url}) is reached and lists 1 models (Ollama 0.33.0)",
        "error    default model phi4:latest: nobody knows a model of that name",
    ]


def test_an_ollama_server_without_models(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", url := serve(ollama()))
    result = run("check")
    assert result.output.splitlines()[1] == (
        f"warning  ollama ({url}) is reached and lists no models (Ollama 0.33.0); `ollama pull MODEL` gets one"
    )
    assert result.exit_code == 0


HTML = Answer([b"<html>hello</html>"])
NOT_OLLAMA = 'not as an Ollama server does; is it an OpenAI-compatible one (dialect = "openai")?'
NOT_OPENAI = "not as the OpenAI API does: its /v1/models is no list of models"


@pytest.mark.parametrize(
    ("dialect", "script", "expected"),
    [
        ("ollama", lambda _: as_json({}, 401), "it does not accept the key (401)"),
        ("ollama", lambda _: as_json({}, 403), "an Ollama server that listens on its own machine only takes no calls"),
        ("ollama", lambda _: Answer([b"404 page not found"], 404), NOT_OLLAMA),
        ("ollama", lambda _: HTML, NOT_OLLAMA),
        ("ollama", lambda _: as_json({"version": "1"}), NOT_OLLAMA),
        ("ollama", openai("x"), "it does not accept the key (401)"),
        ("openai_chat", lambda _: as_json({}, 404), "it has no /v1/models (404): is a part of the path missing"),
        ("openai_chat", lambda _: as_json({}, 503), "it answers, but fails itself (503)"),
        ("openai_chat", lambda _: HTML, NOT_OPENAI),
        ("openai_chat", lambda _: as_json({"data": {"id": "x"}}), NOT_OPENAI),
        ("openai_chat", lambda _: as_json({"data": [{"name": "x"}]}), NOT_OPENAI),
    ],
)
def test_answers_of_other_dialects(
    serve: Serve, dialect: Literal["ollama", "openai_chat"], script: Script, expected: str
) -> None:
    [found] = probe([Upstream(name="a", dialect=dialect, base_url=serve(script), key=Secret(f"{KEY}-wrong"))])
    assert expected in found.problem
    assert found.models == []
    assert KEY not in found.problem


@pytest.mark.parametrize("listing", [{"data": [{"id": "x"}]}, [{"id": "x"}], {"object": "list", "data": None}, []])
def test_lists_of_openai_compatible_servers(serve: Serve, listing: Any) -> None:
    [found] = probe([Upstream(name="a", dialect="openai_chat", base_url=serve(lambda _: as_json(listing)))])
    assert (found.problem, len(found.models)) == ("", 1 if "x" in str(listing) else 0)


def test_a_server_without_a_list_whose_models_the_configuration_names(serve: Serve) -> None:
    url = serve(lambda _: as_json({}, 404))
    [found] = probe([Upstream(name="a", dialect="openai_chat", base_url=url, models=("x",))])
    assert found.problem == ""
    assert reached(found).text == f"a ({url}) is reached and lists 0 models"


def test_a_base_url_that_names_another_version(serve: Serve) -> None:
    asked: list[str] = []

    def script(call: Call) -> Answer:
        asked.append(call.path)
        return as_json({"data": []})

    probe([Upstream(name="a", dialect="openai_chat", base_url=f"{serve(script)}/api/paas/v4")])
    assert asked == ["/api/paas/v4/models"]


@pytest.fixture
def secure() -> Iterator[str]:
    """An Ollama server behind TLS, with a certificate that nobody trusts."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(ollama("phi4:latest"))) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("verify", "problem"),
    [(True, "its TLS certificate is not trusted: "), (False, ""), (str(CERTIFICATE), "")],
)
def test_whom_we_trust(secure: str, verify: bool | str, problem: str) -> None:
    [found] = probe([Upstream(name="a", dialect="ollama", base_url=secure, verify=verify)])
    assert found.problem.startswith(problem)
    assert len(found.models) == (0 if problem else 1)
