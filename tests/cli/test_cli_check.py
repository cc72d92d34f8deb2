"""`dragoman check` says in words what is wrong, and its exit code agrees."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import date
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from dragoman.cli.check import names
from dragoman.cli.probe import probe, unreachable
from dragoman.config import Override, Secret, Settings, Upstream
from dragoman.models.catalogue import build
from tests.cli.loopback import KEY, Answer, Call, Run, Script, Serve, as_json

TODAY = date(2026, 11, 22)
MODEL = {"type": "model", "id": "claude-sonnet-4-5-20250929", "display_name": "x", "created_at": "2025-09-29T00:00:00Z"}


def listing(*models: dict[str, Any], more: bool = False) -> Answer:
    last = models[-1]["id"] if models else None
    return as_json({"data": list(models), "has_more": more, "first_id": None, "last_id": last})


def anthropic(call: Call) -> Answer:
    if call.headers.get("x-api-key") != KEY:
        return as_json({"type": "error", "error": {"type": "authentication_error", "message": KEY}}, 401)
    assert call.headers["anthropic-version"] == "2023-06-01"
    if call.path == "/v1/models?limit=1000":
        return listing(MODEL, more=True)
    assert call.path == f"/v1/models?limit=1000&after_id={MODEL['id']}"
    return listing(MODEL | {"id": "claude-new-9"})


def test_all_is_well(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(anthropic)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    monkeypatch.setenv("DRAGOMAN_DEFAULT_MODEL", "claude-new-9")
    result = run("check")
    assert result.output.splitlines() == [
        "ok       every setting is allowed",
        f"ok       anthropic ({url}) is reached and lists 2 models",
        "ok       default model claude-new-9 is claude-new-9",
    ]
    assert result.exit_code == 0


def test_a_wrong_key(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(anthropic)
    monkeypatch.setenv("ANTHROPIC_API_KEY", f"{KEY}-wrong")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    result = run("check")
    assert (
        f"error    anthropic ({url}): it does not accept the key (401): mistyped, revoked, or of another service"
        in result.output.splitlines()
    )
    assert result.exit_code == 1


def test_a_wrong_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_text("\nprot = 1\n")
    result = run("check")
    assert result.output == "error    dragoman.toml:2: prot is not a known key; did you mean port?\n"
    assert result.exit_code == 1


def test_nothing_configured(run: Run) -> None:
    result = run("check")
    assert "error    ANTHROPIC_API_KEY environment variable is required, or " in result.output
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (lambda _: as_json({}, 401), "it does not accept the key (401)"),
        (lambda _: as_json({}, 403), "not allowed to list models (403)"),
        (lambda _: as_json({}, 429), "over its rate limit (429)"),
        (lambda _: as_json({}, 503), "it answers, but fails itself (503)"),
        (lambda _: as_json({}, 418), "it answers with status 418"),
        (lambda _: as_json({}, 404), "not as the Anthropic API does"),
        (lambda _: Answer([b"<html>hello</html>"]), "not as the Anthropic API does"),
        (
            lambda _: as_json({"object": "list", "data": [{"object": "model", "id": "x"}]}),
            "not as the Anthropic API does",
        ),
        (lambda _: as_json(["data"]), "not as the Anthropic API does"),
        (lambda _: as_json({}, 301, {"location": "https://x.example/a?b=c"}), "it redirects to https://x.example/a:"),
    ],
)
def test_answers(serve: Serve, script: Script, expected: str) -> None:
    [found] = probe([Upstream(name="a", base_url=serve(script), key=Secret(KEY))])
    assert expected in found.problem
    assert found.models == []


def test_a_missing_key(serve: Serve) -> None:
    [found] = probe([Upstream(name="a", base_url=serve(anthropic))])
    assert found.problem == "it asks for a key, and none is configured"


def test_headers_of_the_upstream_are_sent(serve: Serve) -> None:
    def script(call: Call) -> Answer:
        return listing(MODEL) if call.headers.get("x-team") == "a" else as_json({}, 403)

    [found] = probe([Upstream(name="a", base_url=serve(script), headers={"x-team": "a"})])
    assert not found.problem


@pytest.fixture
def raw() -> Iterator[Any]:
    """A server that says some bytes to whoever connects, or with None never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def start(data: bytes | None) -> int:
            def answer() -> None:
                while True:  # a client may try again
                    try:
                        connection, _ = listener.accept()
                    except OSError:  # the test is over
                        return
                    held.append(connection)
                    if data is not None:
                        connection.recv(65536)
                        connection.sendall(data)
                        connection.close()

            threading.Thread(target=answer, daemon=True).start()
            return int(listener.getsockname()[1])

        yield start
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("scheme", "data", "expected"),
    [
        ("http", b"", "it closes the connection without an answer"),
        ("http", b"\x15\x03\x03\x00\x02\x02\x46", "it does not answer in HTTP: is it an http:// server at that port?"),
        ("http", None, "no answer within 0.2 s"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS fails: is it an https:// server?"),
    ],
)
def test_servers_that_are_none(raw: Any, scheme: str, data: bytes | None, expected: str) -> None:
    url = f"{scheme}://127.0.0.1:{raw(data)}"
    [found] = probe([Upstream(name="a", base_url=url)], patience=0.2 if data is None else 10)
    assert found.problem == expected


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    [found] = probe([Upstream(name="a", base_url=f"http://127.0.0.1:{port}")])
    assert found.problem == "the connection is refused: nothing listens there"


def _untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            URLError(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
            "there is no host of that name (DNS): api.anthropic.com",
        ),
        (URLError(_untrusted()), "its TLS certificate is not trusted: certificate has expired"),
        (URLError(OSError(errno.ENETUNREACH, "Network is unreachable")), "cannot connect: Network is unreachable"),
        (URLError("no host given"), "cannot connect: no host given"),
        (IncompleteRead(b"{"), "it breaks off in the middle of its answer"),
    ],
)
def test_what_loopback_cannot_show(error: Exception, expected: str) -> None:
    assert unreachable(error, Upstream(name="a"), 1) == expected


@pytest.mark.parametrize(
    ("chosen", "live", "expected"),
    [
        (
            Settings(),
            None,
            "warning default model claude-sonnet-4.5: claude-sonnet-4-5-20250929 is deprecated and ends on 2026-11-30;"
            " then claude-sonnet-5-5 answers",
        ),
        (
            Settings(retired="refuse"),
            None,
            "warning default model claude-sonnet-4.5: claude-sonnet-4-5-20250929 is deprecated and ends on 2026-11-30;"
            " then it is refused",
        ),
        (
            Settings(default_model="claude-3.5-sonnet"),
            None,
            "warning default model claude-3.5-sonnet: claude-3-5-sonnet-20241022 is retired;"
            " claude-sonnet-5-5 answers instead",
        ),
        (
            Settings(default_model="claude-3.5-sonnet", retired="refuse"),
            None,
            "error default model claude-3.5-sonnet: model 'claude-3.5-sonnet' is retired"
            " (claude-3-5-sonnet-20241022); use claude-sonnet-5-5 instead",
        ),
        (Settings(default_model="gpt-5"), None, "error default model gpt-5: nobody knows a model of that name"),
        (Settings(default_model=None), None, None),
        (Settings(default_model="claude-opus-5"), None, "ok default model claude-opus-5 is claude-opus-5"),
        (
            Settings(default_model="claude-opus-5"),
            [MODEL],
            "error default model claude-opus-5: claude-opus-5 is retired, and nothing takes its place",
        ),
        (
            Settings(default_model=None, aliases={"gpt-4o": "claude-nine"}),
            None,
            "error alias gpt-4o → claude-nine: nobody knows a model of that name",
        ),
        (
            Settings(default_model=None, aliases={"a": "b", "b": "a"}),
            None,
            "error alias a → b: nobody knows a model of that name",
        ),
        (
            Settings(default_model=None, aliases={"gpt-4o": "claude-opus-5"}),
            None,
            "ok alias gpt-4o → claude-opus-5 is claude-opus-5",
        ),
        (
            Settings(default_model=None, overrides={"claude-nine": Override(max_tokens=1)}),
            None,
            'error [models."claude-nine"]: nobody knows a model of that name',
        ),
        (Settings(default_model=None, overrides={"claude-opus-5": Override(max_tokens=1)}), None, None),
        (Settings(default_model=None, hide=("gpt-*",)), None, 'warning hide "gpt-*": no name matches it'),
        (Settings(default_model=None, hide=("Claude-3*",)), None, None),
    ],
)
def test_names_of_models(chosen: Settings, live: list[dict[str, Any]] | None, expected: str | None) -> None:
    catalogue = build(chosen.aliases, default=chosen.default_model, retired=chosen.retired)
    catalogue = catalogue.with_live(live) if live else catalogue
    found = [f"{finding.verdict} {finding.text}" for finding in names(chosen, catalogue, TODAY)]
    assert found[:1] == ([expected] if expected else [])
