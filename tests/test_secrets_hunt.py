"""Keys are planted wherever one can be, then everything fails, and nothing that comes out has any of them in it.

That the hunt can find something is shown by the same with the redaction taken away.
"""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.config import ClientKey, Secret, Settings, Upstream
from dragoman.config.client_keys import digest_of
from dragoman.config.secrecy import redactor_of
from dragoman.redaction import Redactor
from dragoman.telemetry.lines import LineHandler
from dragoman.telemetry.logs import set_up_logging
from tests.hunting import PLANTED, UNKNOWN, forms, found, told
from tests.relay.scripted import (
    CHUNKED_HEAD,
    IMPATIENT,
    Act,
    Answer,
    Scripted,
    chunk,
    event,
    opening,
    response,
    scripted,
)
from tests.running import run_gateway

MODEL = "claude-sonnet-4-5"
MESSAGES = [{"role": "user", "content": "Hi"}]
# What the gateways here are configured with.  A database has no place beside the file that is looked at below.
INSIDE = tuple(name for name in PLANTED if name not in ("password of the database", "password of a proxy", *UNKNOWN))
# What the processes here are.
OUTSIDE = (
    "client key in the environment",
    "client key in a file",
    "anthropic key",
    "openai key",
    "password of the store",
)
DIALECTS = ("anthropic", "ollama", "openai_chat", "openai_responses")
KEYS = {"anthropic": "anthropic key", "ollama": "ollama key"}


def upstream(dialect: Any, url: str) -> Upstream:
    key = PLANTED[KEYS.get(dialect, "openai key")]
    headers = {"x-extra": PLANTED["header of an upstream"], "x-more": f"Bearer {PLANTED['header of an upstream']}"}
    return Upstream(
        name=f"the-{dialect}", dialect=dialect, base_url=url, key=Secret(key), headers=headers, models=("claude*",)
    )


CALLS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": MESSAGES},
    "/api/generate": {"prompt": "Hi"},
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 100},
    "/v1/messages/count_tokens": {"messages": MESSAGES},
    "/v1/embeddings": {"input": "Hi"},
}


def failures(dialect: str) -> dict[str, Answer]:
    """Ways for a server to fail, with every secret in what it says."""
    words = told(dialect, INSIDE)
    error = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": words, "code": words}})
    plain = json.dumps({"error": words})
    body = (plain if dialect == "ollama" else error).encode()
    echo = "".join(f"{name}: {PLANTED['anthropic key']}\r\n" for name in ("request-id", "x-request-id", "openai-x"))
    broken = {
        "anthropic": opening("Hello") + event("error", error={"type": "overloaded_error", "message": words}),
        "ollama": f'{{"message":{{"role":"assistant","content":"Hi"}},"done":false}}\n{plain}\n'.encode(),
        "openai_chat": b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\ndata: ' + body + b"\n\n",
        "openai_responses": f"event: error\ndata: {json.dumps({'type': 'error', 'message': words})}\n\n".encode(),
    }[dialect]
    return {
        **{
            status.split()[0]: [response(body, status=status, headers=echo)]
            for status in (
                "400 Bad Request",
                "401 Unauthorized",
                "404 Not Found",
                "429 Too Many",
                "500 Error",
                "529 No",
            )
        },
        "text": [response(words.encode(), status="502 Bad Gateway", kind="text/plain")],
        "garbage": [response(f"<html>{words}".encode(), kind="text/html")],
        "in-mid-stream": [CHUNKED_HEAD + chunk(broken) + chunk(b": over\n\n"), Act.CLOSE],
        "reset": [Act.RESET],
        "no-http": [f"{words}\r\n\r\n".encode(), Act.CLOSE],
    }


@contextmanager
def logged(settings: Settings) -> Iterator[io.StringIO]:
    """The log as `dragoman serve` has it, on paper."""
    root = logging.getLogger()
    before = root.handlers, root.level, logging.getLogger("dragoman").level, logging.getLogger("dragoman.calls").level
    set_up_logging(settings, redactor_of(settings).hide)
    paper = io.StringIO()
    [handler] = root.handlers
    assert isinstance(handler, LineHandler)
    handler.setStream(paper)
    try:
        yield paper
    finally:
        handler.pour()
        root.handlers = before[0]
        root.setLevel(before[1])
        logging.getLogger("dragoman").setLevel(before[2])
        logging.getLogger("dragoman.calls").setLevel(before[3])


class Hunt:
    """A gateway before servers that fail, and all that came out of it."""

    def __init__(self, place: Path, log_format: Any) -> None:
        self.outputs: dict[str, str] = {}
        with ExitStack() as stack:
            self._servers = {dialect: stack.enter_context(scripted()) for dialect in DIALECTS}
            settings = self._settings(place, log_format)
            paper = stack.enter_context(logged(settings))
            gateway = stack.enter_context(run_gateway(settings))
            self._http = stack.enter_context(httpx.Client(base_url=gateway.url, timeout=20, trust_env=False))
            self._headers = {"x-api-key": PLANTED["client key in the environment"]}
            for dialect, server in self._servers.items():
                self._fail(dialect, server)
            self._knock()
            self.outputs["/metrics"] = self._http.get("/metrics", headers=self._headers).text
            self.outputs["openapi"] = self._http.get("/openapi.json", headers=self._headers).text
            logging.getLogger("dragoman.relay").error("a fault: %s", told("log", INSIDE))
            try:
                raise RuntimeError(told("exception", INSIDE))
            except RuntimeError:
                logging.getLogger("asyncio").exception("unhandled")
        self.outputs["log"] = paper.getvalue()
        self.outputs["settings"] = f"{settings!r} {settings} {settings.upstreams} {settings.upstreams[0]!s}"
        for file in place.rglob("*"):
            if file.is_file():
                self.outputs[f"file {file.name}"] = file.read_bytes().decode("latin-1")

    def _settings(self, place: Path, log_format: Any) -> Settings:
        file_key = ClientKey(digest=digest_of(PLANTED["client key in a file"].encode()), name="ann")
        return Settings(
            host="127.0.0.1",
            port=0,
            upstreams=tuple(upstream(dialect, server.url) for dialect, server in self._servers.items()),
            api_keys=(Secret(PLANTED["client key in the environment"]), file_key),
            store=Secret(f"redis://me:{PLANTED['password of the store']}@127.0.0.1:1/0"),
            tls_key_password=Secret(PLANTED["password of the TLS key"]),
            data_dir=str(place),
            default_model=None,
            retries=0,
            refresh=0,
            debug=True,
            log_format=log_format,
            timeouts=IMPATIENT,
        )

    def _fail(self, dialect: str, server: Scripted) -> None:
        for failure, answer in failures(dialect).items():
            server.play(answer)
            server.listing = answer
            for path, body in CALLS.items():
                for stream in (False, True):
                    asked = {"model": f"the-{dialect}/{MODEL}", "stream": stream, **body}
                    self._ask(f"{dialect} {failure} {path} {stream}", "POST", path, json=asked)
            self._ask(f"{dialect} {failure} models", "GET", "/v1/models")
            headers = self._headers | {"anthropic-version": "2026-10-21"}
            self._ask(f"{dialect} {failure} files", "GET", "/v1/files", headers=headers)

    def _knock(self) -> None:
        """Requests that are refused here, with keys where they do not belong."""
        for name in ("client key in the environment", "client key in a file", *UNKNOWN[:1]):
            key = PLANTED[name]
            self._ask(f"path {name}", "GET", f"/api/{key}")
            self._ask(f"model {name}", "POST", "/v1/chat/completions", json={"model": key, "messages": MESSAGES})
            self._ask(f"member {name}", "POST", "/api/chat", json={"model": MODEL, "messages": [{"role": key}]})
            self._ask(f"bad key {name}", "GET", "/api/tags", headers={"authorization": f"Bearer x{key}"})
            self._ask(f"origin {name}", "POST", "/api/chat", headers={"origin": f"https://me:{key}@evil.example"})

    def _ask(self, what: str, method: str, path: str, **request: Any) -> None:
        try:
            answer = self._http.request(method, path, **{"headers": self._headers, **request})
        except httpx.HTTPError as error:
            self.outputs[what] = str(error)
        else:
            heads = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
            self.outputs[what] = f"{answer.status_code}\n{heads}\n{answer.text}"


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_nothing_of_a_secret_comes_out(tmp_path: Path, log_format: str) -> None:
    hunt = Hunt(tmp_path, log_format)
    # What stands in a good answer is the client's, whatever it is: this one came from a server of his own dialect.
    outputs = {
        where: text for where, text in hunt.outputs.items() if not (" garbage " in where and text.startswith("200"))
    }
    assert len(hunt.outputs) - len(outputs) < 30
    assert found(outputs) == {}
    # What the failures are for was reached: the servers' words came out, without the secrets in them.
    said = [where for where, text in hunt.outputs.items() if "anthropic key is …" in text]
    assert "log" in said
    for dialect in DIALECTS:
        assert sum(where.startswith(dialect) for where in said) > 20, f"{dialect} was not heard"
    assert any("in-mid-stream" in where for where in said)


def test_without_redaction_they_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Redactor, "hide", lambda _, text: text)
    leaks = found(Hunt(tmp_path, "console").outputs)
    assert len(leaks) > 100
    assert set(leaks["log"]) > {"client key in a file", "anthropic key", "ollama key", *UNKNOWN}


def test_every_form_is_looked_for() -> None:
    key = PLANTED["anthropic key"]
    assert {key, key[: len(key) // 2], key[len(key) // 2 :]} <= set(forms(key))
    assert found({"x": f"..{key[: len(key) // 2]}.."}) == {"x": ["anthropic key"]}
    assert len(set(PLANTED.values())) == len(PLANTED)


# --- the process -------------------------------------------------------------------------------------

WRONG = """\
port = "{anthropic key}"
default_model = "claude-haiku"
[anthropic]
base_url = "https://me:{somebody else's password}@host"
api_key = "has spaces {ollama key}"
"""


def environment(place: Path, **more: str) -> dict[str, str]:
    keys = place / "client-keys"
    keys.write_text(f"ann: {PLANTED['client key in a file']}\n")
    keys.chmod(0o644)  # worth a warning, which names the file
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "TMPDIR")}
    return kept | {
        "HOME": str(place),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "ANTHROPIC_API_KEY": PLANTED["anthropic key"],
        "OLLAMA_API_KEY": PLANTED["ollama key"],
        "OPENAI_API_KEY": PLANTED["openai key"],
        "DRAGOMAN_API_KEYS": PLANTED["client key in the environment"],
        "DRAGOMAN_API_KEYS_FILE": str(keys),
        "DRAGOMAN_STORE": f"redis://me:{PLANTED['password of the store']}@127.0.0.1:1/0",
        "HTTPS_PROXY": f"http://me:{PLANTED['password of a proxy']}@127.0.0.1:1",
        "DEBUG": "true",
        **more,
    }


def command(place: Path, *words: str, **more: str) -> str:
    """What a command says, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", *words],
        cwd=place,
        env=environment(place, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.fixture
def careless() -> Iterator[Scripted]:
    """A server that answers every question with all that it knows."""
    with scripted() as server:
        body = json.dumps({"type": "error", "error": {"type": "x", "message": told("server", OUTSIDE)}}).encode()
        server.listing = [response(body, status="401 Unauthorized")]
        server.play(server.listing)
        yield server


def test_the_commands_say_nothing_of_them(tmp_path: Path, careless: Scripted) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(WRONG.format(**PLANTED))
    reached = {"ANTHROPIC_BASE_URL": careless.url, "OPENAI_BASE_URL": careless.url, "OLLAMA_BASE_URL": careless.url}
    outputs = {
        "check": command(tmp_path, "check", **reached),
        "models": command(tmp_path, "models", **reached),
        "help": command(tmp_path, "serve", "--help"),
        "wrong": command(tmp_path, "serve", "--config", str(wrong)),
        "wrong variable": command(tmp_path, "check", PORT=PLANTED["anthropic key"]),
        "proxy": command(tmp_path, "check"),
        "crash": command(tmp_path, "serve", DRAGOMAN_TLS_CERT=f"/nowhere/{PLANTED['openai key']}"),
    }
    assert found(outputs) == {}
    assert "refused" in outputs["check"] or "401" in outputs["check"]
    assert "must be" in outputs["wrong"]


def test_a_crash_tells_of_none(tmp_path: Path) -> None:
    script = (
        "import os, sys; from dragoman.cli import settings as s, app\n"
        "def burst(*_, **__): raise RuntimeError(os.environ['TOLD'])\n"
        "import dragoman.cli.check as c; c.probe = burst\n"
        "sys.argv = ['dragoman', 'check']; app(prog_name='dragoman')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(tmp_path, TOLD=told("crash", CRASHED)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "RuntimeError: crash says" in done.stderr
    assert found({"stderr": done.stdout + done.stderr}) == {}


# A key of which there is only a digest is found as a word, and not within one.
CRASHED = tuple(name for name in OUTSIDE if name != "client key in a file")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_running_process_shows_none(tmp_path: Path, careless: Scripted) -> None:
    env = environment(tmp_path, ANTHROPIC_BASE_URL=careless.url, DRAGOMAN_REFRESH="0")
    del env["OPENAI_API_KEY"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dragoman", "serve"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    try:
        said = ""
        while "http://127.0.0.1:" not in said and (line := process.stdout.readline()):
            said += line
        url = next(word for word in said.split() if word.startswith("http://127.0.0.1:"))
        command_line = Path(f"/proc/{process.pid}/cmdline").read_text().replace("\0", " ")
        headers = {"authorization": f"Bearer {PLANTED['client key in a file']}"}
        body = {"model": MODEL, "messages": MESSAGES, "stream": False}
        answer = httpx.post(f"{url}/api/chat", json=body, headers=headers, timeout=20, trust_env=False)
        assert answer.status_code == 401
        (tmp_path / "client-keys").write_text(f"two words {PLANTED['client key in a file']}\n")
        process.send_signal(signal.SIGHUP)  # what is wrong with it now is logged
        while "not read again" not in said and (line := process.stdout.readline()):
            said += line
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    outputs = {"log": said + rest, "ps": command_line, "answer": answer.text + str(answer.headers)}
    assert found(outputs) == {}
    assert "anthropic refused the key" in said + rest


def test_the_password_of_a_database() -> None:
    url = f"postgresql://me:{PLANTED['password of the database']}@127.0.0.1:1/name"
    hidden = redactor_of(Settings(database=Secret(url))).hide(f"cannot reach {url}, password {url[16:40]}")
    assert found({"x": hidden}) == {}
