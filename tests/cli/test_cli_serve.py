"""`dragoman serve`: what it refuses, what it says, and that what it says is true."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.request import Request, urlopen

import pytest
from msgspec.structs import replace

from dragoman import surfaces
from dragoman.cli.absent import away, look
from dragoman.cli.banner import banner
from dragoman.config import ConfigError, Secret, Settings, Upstream
from tests.cli.loopback import KEY, Run

REAL = Upstream(name="anthropic", key=Secret(KEY))
OLLAMA = Upstream(name="ollama", dialect="ollama", base_url="http://localhost:11434")
CLOUD = Upstream(name="cloud", dialect="openai_chat", base_url="https://llm.example.org", key=Secret(KEY))


class Server(ModuleType):
    """Stands for `dragoman.surfaces.server`.  `settings` are without the directory of data, which is in some home."""

    def __init__(self) -> None:
        super().__init__("dragoman.surfaces.server")
        self.settings: Settings | None = None
        self.data_dir = ""
        self.reload: Callable[[], Settings] | None = None
        self.error: OSError | None = None

    def run(
        self, settings: Settings, *, started: Callable[[str], None] | None, reload: Callable[[], Settings] | None
    ) -> None:
        self.data_dir, self.settings = settings.data_dir, replace(settings, data_dir="")
        self.reload = reload and (lambda: replace(reload(), data_dir=""))
        if self.error:
            raise self.error
        assert started
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        started(f"http://{host}:{settings.port or 4711}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(surfaces, "server", fake, raising=False)
    return fake


def test_nothing_configured_is_refused_and_each_way_out_is_named(run: Run, server: Server) -> None:
    result = run("serve")
    assert (result.exit_code, result.stdout, server.settings) == (2, "", None)
    assert result.stderr.startswith("ANTHROPIC_API_KEY environment variable is required, or ")
    for way in (
        "ANTHROPIC_API_KEY_FILE",
        "/run/secrets/anthropic_api_key",
        "$CREDENTIALS_DIRECTORY/anthropic_api_key",
        "OLLAMA_BASE_URL",
        "--preset local",
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "dragoman.toml",
        "--demo",
    ):
        assert way in result.stderr


def test_a_wrong_configuration_is_refused(run: Run, server: Server, tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_text("\n\nport = 1e3\n")
    result = run("serve", "--demo")
    assert (result.exit_code, result.stdout, server.settings) == (2, "", None)
    assert result.stderr == "dragoman.toml:3: port is 1000.0, but must be a whole number from 0 to 65535\n"


def test_demo(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert run("serve", "--demo").exit_code == 0
    assert server.settings == Settings(demo=True)


def test_demo_without_key(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("serve", "--demo-without-key").exit_code == 0
    assert server.settings == Settings(demo=True)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert run("serve", "--demo-without-key").exit_code == 0
    assert server.settings == Settings(upstreams=(REAL,))


def test_flags_win(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("DRAGOMAN_STRICT", "off")
    flags = ["--host", "::1", "--port", "2", "--debug", "--default-model", "error", "--strict"]
    assert run("serve", "--demo", *flags).exit_code == 0
    assert server.settings == Settings(demo=True, host="::1", port=2, debug=True, default_model=None, strict=True)


def test_a_file_that_is_named(run: Run, server: Server, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("retries = 5\n")
    assert run("serve", "--demo", "--config", "other.toml").exit_code == 0
    assert server.settings == Settings(demo=True, retries=5)


def test_the_preset_for_local_models(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[Upstream, ...]] = []
    monkeypatch.setattr("dragoman.cli.absent.look", lambda upstreams, _: looked.append(upstreams))
    local = Settings(
        port=8000, upstreams=(OLLAMA,), default_model="phi4:latest", stream_default=True, model_optional=True
    )
    result = run("serve", "--preset", "local")
    assert (result.exit_code, server.settings, looked) == (0, local, [(OLLAMA,)])
    assert '"model":"phi4:latest"' in result.stdout.splitlines()[-1]
    monkeypatch.setenv("OLLAMA_HOST", "gpu:1")
    gpu = Upstream(name="ollama", dialect="ollama", base_url="http://gpu:1")
    assert run("serve", "--preset", "local", "--port", "9", "--default-model", "error").exit_code == 0
    assert server.settings == Settings(
        port=9, upstreams=(gpu,), default_model=None, stream_default=True, model_optional=True
    )


def test_a_preset_that_there_is_not(run: Run, server: Server) -> None:
    result = run("serve", "--preset", "lokal")
    assert (result.exit_code, result.stdout, server.settings) == (2, "", None)
    assert result.stderr == '--preset is "lokal", but must be "local"\n'


def test_a_gateway_that_would_call_itself_is_refused(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "localhost")
    result = run("serve")
    assert (result.exit_code, server.settings) == (2, None)
    assert "http://localhost:11434, which is this gateway itself; give the gateway another port" in result.stderr


def test_ollama_host_for_other_programs_does_not_stop_a_demo(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://localhost:11434")
    result = run("serve", "--demo-without-key")
    assert (result.exit_code, server.settings) == (0, Settings(demo=True))
    assert result.stderr.startswith("warning: OLLAMA_HOST is http://localhost:11434, this gateway itself; ")


def test_the_configuration_is_read_again_with_the_same_flags(run: Run, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "dragoman.toml"
    file.write_text("retries = 5\n")
    assert run("serve", "--demo-without-key", "--port", "9").exit_code == 0
    assert server.reload
    file.write_text('retries = 6\nport = 7\n[ollama]\nbase_url = "gpu"\n')
    ollama = Upstream(name="ollama", dialect="ollama", base_url="http://gpu:11434")
    assert server.reload() == Settings(retries=6, port=9, upstreams=(ollama,), default_model=None)
    file.write_text("retries = 60\n")
    with pytest.raises(ConfigError, match="retries is 60"):
        server.reload()


def test_a_configuration_that_lost_its_upstreams_is_not_read_again(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert run("serve").exit_code == 0
    assert server.reload
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ConfigError, match=r"^ANTHROPIC_API_KEY environment variable is required, or "):
        server.reload()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.EADDRINUSE, "Address already in use"),
            "port 11434 is already in use (an Ollama server? another dragoman?); --port or PORT chooses another",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "cannot listen on 0.0.0.0 port 11434: ports below 1024 are reserved; --port or PORT chooses another",
        ),
        (
            OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
            "cannot listen on 0.0.0.0 port 11434: 0.0.0.0 is not an address of this machine",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "cannot listen on 0.0.0.0 port 11434: 0.0.0.0 is not an address of this machine",
        ),
        (OSError(errno.ENFILE, "Too many open files"), "cannot listen on 0.0.0.0 port 11434: Too many open files"),
    ],
)
def test_an_address_that_is_not_to_be_had(run: Run, server: Server, error: OSError, expected: str) -> None:
    server.error = error
    result = run("serve", "--demo")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{expected}\n"


def test_what_it_says(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    lines = run("serve", "--port", "0").stdout.splitlines()
    assert lines[0].startswith("dragoman ")
    assert lines[0].endswith(" listens on 0.0.0.0:4711")
    assert "  Ollama     http://localhost:4711" in lines
    assert "  OpenAI     http://localhost:4711/v1" in lines
    assert "  behind it  anthropic (https://api.anthropic.com), spoken to as Anthropic" in lines
    assert any(line.startswith("  models     ") and line.endswith("default claude-sonnet-4.5") for line in lines)
    [note] = [line for line in lines if line.startswith("  note: ")]
    assert note == (
        "  note: no keys are set, so only this machine and private networks are served, and whoever is there uses your"
        " key; set DRAGOMAN_API_KEYS, or HOST=127.0.0.1"
    )
    assert not any("\x1b" in line for line in lines)
    [call] = [line for line in lines if line.strip().startswith("curl ")]
    assert call == lines[-1]


@pytest.mark.parametrize(
    ("chosen", "inside", "outside"),
    [
        (Settings(demo=True), ["the built-in simulator: no key, no cost"], ["note:", "Authorization"]),
        (Settings(upstreams=(REAL,), host="127.0.0.1"), ["curl -s http://127.0.0.1:9/api/chat"], ["note:"]),
        (Settings(demo=True, host="::1"), ["curl -s http://[::1]:9/api/chat"], []),
        (
            Settings(upstreams=(REAL,), api_keys=(Secret(KEY),)),
            ['-H "Authorization: Bearer $KEY"'],
            ["note:"],
        ),
        (
            Settings(upstreams=(REAL,), allow_public=True),
            ["WARNING: EVERYBODY who reaches this port uses your key, from the internet too"],
            ["note:"],
        ),
        (Settings(upstreams=(REAL,), allow_public=True, api_keys=(Secret(KEY),)), [], ["note:", "WARNING"]),
        (Settings(demo=True, host="127.0.0.1", tls_cert="x.pem"), ["https://127.0.0.1:9/v1"], ["http://"]),
        (Settings(demo=True, default_model="claude-haiku"), ['"model":"claude-haiku"'], ["nobody has"]),
        (
            Settings(demo=True, default_model="gpt-9"),
            ["default gpt-9, which nobody has: unknown names are an error", '"model":"claude-'],
            ['"model":"gpt-9"'],
        ),
        (Settings(upstreams=(OLLAMA,), default_model="gpt-9"), ["default gpt-9\n"], ["nobody has"]),
        (
            Settings(demo=True, default_model=None),
            ["default none; unknown names are an error", '"model":"claude-'],
            ["claude-sonnet-4.5"],
        ),
        (Settings(demo=True, default_model="claude-3.5-haiku", retired="refuse"), [], ['"model":"claude-3.5-haiku"']),
        (
            Settings(upstreams=(REAL, OLLAMA, CLOUD)),
            [
                "  behind it  anthropic (https://api.anthropic.com), spoken to as Anthropic\n"
                "             ollama (http://localhost:11434), spoken to as Ollama\n"
                "             cloud (https://llm.example.org), spoken to as OpenAI\n",
                " names, and what ollama, cloud list; default claude-sonnet-4.5",
                "uses your key",
                '"model":"claude-sonnet-4.5"',
            ],
            ["Choose a model"],
        ),
        (
            Settings(upstreams=(OLLAMA,), default_model="phi4:latest"),
            [
                "  models     what ollama lists; default phi4:latest",
                "uses your models",
                '"model":"phi4:latest"',
            ],
            ["Choose a model", "claude"],
        ),
        (
            Settings(upstreams=(OLLAMA,), default_model=None),
            [
                "default none; unknown names are an error",
                "Choose a model: http://localhost:9/v1/models lists them.  --default-model NAME",
            ],
            ["claude", "Try it", "curl"],
        ),
    ],
)
def test_the_banner_follows_the_settings(chosen: Settings, inside: list[str], outside: list[str]) -> None:
    text = banner(chosen, f"http://{'[::1]' if ':' in chosen.host else chosen.host}:9")
    assert all(part in text for part in inside)
    assert not any(part in text for part in [*outside, KEY])


def test_a_local_server_that_is_away_is_told_of_and_how_it_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        here = Upstream(name="ollama", dialect="ollama", base_url=f"http://127.0.0.1:{port}")
        assert away(here) == ""
    assert away(here) == (
        f"  note: ollama (http://127.0.0.1:{port}) is not there yet: nothing listens there.  Its models appear by"
        " themselves when it is; `ollama serve` starts it, `ollama pull MODEL` gets a model"
    )
    cloud = Upstream(name="cloud", dialect="openai_chat", base_url=here.base_url)
    told: list[str] = []
    look([Upstream(name="far", base_url=here.base_url), here, cloud], told.append).join(20)
    assert [line.split()[1] for line in told] == ["ollama", "cloud"]
    assert told[1].endswith("Its models appear by themselves when it is")


def test_nothing_is_said_of_a_server_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert away(Upstream(name="gpu", dialect="ollama", base_url="http://gpu.invalid:1")) == ""


def test_without_ollama_the_preset_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
    process = _start("serve", "--preset", "local", "--host", "127.0.0.1", "--port", "0")
    try:
        assert process.stdout
        line = next(line for line in process.stdout if "is not there yet" in line)
        assert f"ollama (http://127.0.0.1:{port})" in line
        assert process.poll() is None
    finally:
        _end(process)
    assert process.returncode == 0


def test_nobody_pays_for_what_is_not_used() -> None:
    """What `serve` imports before it has settings is small; tables and colours are not in it."""
    code = (
        "import sys; from dragoman.cli import app\n"
        "try: app(['serve'])\n"
        "except SystemExit as end: assert end.code == 2\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "dragoman.config.sources" in loaded
    assert not loaded & {
        "rich",
        "pygments",
        "pydantic",
        "typer",
        "aiohttp",
        "uvicorn",
        "starlette",
        "dragoman.simulator",
        "dragoman.relay",
        "urllib.request",
    }


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dragoman", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


def _end(process: subprocess.Popen[str]) -> str:
    """Stop it as a person does; gives what it said on stderr."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=20)[1]


def test_the_printed_curl_works() -> None:
    process = _start("serve", "--demo", "--host", "127.0.0.1", "--port", "0")
    try:
        assert process.stdout
        call = next(line for line in process.stdout if line.strip().startswith("curl "))
        # As the shell reads it and as curl sends it.
        _, silent, url, data, body = shlex.split(call)
        assert (silent, data) == ("-s", "-d")
        form = {"content-type": "application/x-www-form-urlencoded"}
        with urlopen(Request(url, body.encode(), form), timeout=20) as answer:  # noqa: S310
            status, text = answer.status, answer.read().decode()
    finally:
        stderr = _end(process)
    assert status == 200, text
    assert '"done":true' in text
    [line] = stderr.splitlines()
    assert (process.returncode, "path=/api/chat" in line, "outcome=ok" in line) == (0, True, True)


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = _start("serve", "--demo", "--host", "127.0.0.1", "--port", str(port))
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (1, "")
    assert stderr == (
        f"port {port} is already in use (an Ollama server? another dragoman?); --port or PORT chooses another\n"
    )


def test_refused_in_a_process_of_its_own() -> None:
    process = _start("serve")
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (2, "")
    assert stderr.startswith("ANTHROPIC_API_KEY environment variable is required, or ")


def test_the_version(run: Run) -> None:
    from importlib.metadata import version  # noqa: PLC0415

    assert run("--version").output == f"dragoman {version('dragoman')}\n"


def test_a_mistyped_command_or_flag(run: Run) -> None:
    assert run("serv").exit_code == 2
    assert run("serve", "--prot", "1").exit_code == 2
