"""The gateways that are measured: how each is started in front of the upstream, and stopped without a trace."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from bench.processes import stop
from bench.wire import MODELS

PEERS = Path(__file__).parent.parent / ".venv-peers"
_PATIENCE = 90.0


class Pair(Struct, frozen=True):
    """The dialects of a call: of whoever asks, and of the server that answers."""

    client: str
    upstream: str

    @property
    def passed(self) -> bool:
        """Whether there is nothing to translate."""
        return self.client == self.upstream


class Gateway(Struct, kw_only=True, frozen=True):
    """`command(port, upstream, scratch)` gives the arguments and the environment.  `pairs` are what it is asked, in a
    quick run only the first `quick` of them."""

    name: str
    pairs: tuple[Pair, ...]
    quick: int = 1
    health: str
    command: Callable[[int, int, Path], tuple[list[str], dict[str, str]]]
    missing: Callable[[], str]
    """Why it cannot be measured here, or empty."""


class Running(Struct, kw_only=True, frozen=True):
    """A gateway that answers on `port` of the loopback interface."""

    gateway: Gateway
    pid: int
    port: int
    startup: float
    """Seconds from the start of the process to its first 200 on the health path."""


@contextlib.contextmanager
def running(gateway: Gateway, upstream: int, **settings: str) -> Iterator[Running]:
    """Start it in a temporary directory on a free port, with more `settings` in its environment.

    Raises `RuntimeError` when it does not come up.  What it printed goes with every exception, as a note.
    """
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-bench-") as scratch,
        (Path(scratch) / "output").open("wb+") as out,
    ):
        port = free_port()
        arguments, environment = gateway.command(port, upstream, Path(scratch))
        env = {"PATH": os.environ["PATH"], "HOME": scratch, "TMPDIR": scratch, **environment, **settings}
        begun = time.perf_counter()
        process = subprocess.Popen(
            arguments, cwd=scratch, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            if not _healthy(process, port, gateway.health):
                raise RuntimeError(f"{gateway.name} did not start")
            yield Running(gateway=gateway, pid=process.pid, port=port, startup=time.perf_counter() - begun)
        except Exception as error:
            out.seek(0)
            error.add_note(out.read()[-2000:].decode(errors="replace"))
            raise
        finally:
            stop(process)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _healthy(process: subprocess.Popen[bytes], port: int, path: str) -> bool:
    deadline = time.perf_counter() + _PATIENCE
    while time.perf_counter() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return True
        time.sleep(0.005)
    return False


# --- nginx, which passes bytes through ------------------------------------------------------------


def _nginx(port: int, upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """Plain pass-through: `proxy_pass`, as anybody would write it."""
    return start_nginx(port, scratch, "", f"proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;")


def _nginx_kept(port: int, upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """The same, tuned: connections to the upstream are kept."""
    pool = f"upstream kept {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000; }}"
    there = 'proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection "";'
    return start_nginx(port, scratch, pool, there)


def start_nginx(port: int, scratch: Path, pool: str, there: str) -> tuple[list[str], dict[str, str]]:
    """How to start nginx in `scratch` with `there` as what it does, and `pool` for what that needs beside it."""
    config = scratch / "nginx.conf"
    config.write_text(_NGINX.format(port=port, scratch=scratch, pool=pool, there=there))
    return [shutil.which("nginx") or "nginx", "-p", str(scratch), "-c", str(config), "-e", "stderr"], {}


def _nginx_missing() -> str:
    return "" if shutil.which("nginx") else "nginx is not installed (for example: apt-get install nginx-light)"


_NGINX = """
daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; client_max_body_size 32m; client_body_buffer_size 64k;
  client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
  {pool}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = /health {{ return 200; }}
    location / {{
      {there}
      proxy_buffering off; proxy_read_timeout 60s;
    }}
  }}
}}
"""

# --- dragoman -------------------------------------------------------------------------------------


def _dragoman(port: int, upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """One gateway with three servers behind it; the name of a model says which one is meant."""
    there = f"http://127.0.0.1:{upstream}"
    environment = {
        "ANTHROPIC_API_KEY": "bench",
        "ANTHROPIC_BASE_URL": there,
        "OLLAMA_BASE_URL": there,
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"{there}/v1",
        "HOST": "127.0.0.1",
    }
    if path := os.environ.get("PYTHONPATH"):  # another checkout's source is to be measured, and not what is installed
        environment["PYTHONPATH"] = path
    return [sys.executable, "-m", "dragoman", "serve", "--port", str(port)], environment


# --- LiteLLM's proxy ------------------------------------------------------------------------------


def _litellm(port: int, upstream: int, scratch: Path) -> tuple[list[str], dict[str, str]]:
    config = scratch / "litellm.yaml"
    config.write_text(_LITELLM.format(upstream=upstream, model=MODELS["anthropic"]))
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download of prices
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_DONT_SHOW_FEEDBACK_BOX": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no login, as the others here
        "NO_DOCS": "True",
        "NO_PROXY": "127.0.0.1",
    }
    return [str(PEERS / "bin" / "litellm"), *arguments, "--telemetry", "False"], environment


def _litellm_missing() -> str:
    return "" if (PEERS / "bin" / "litellm").exists() else "LiteLLM is not installed (make bench-peers)"


_LITELLM = """
model_list:
  - model_name: {model}
    litellm_params:
      model: anthropic/{model}
      api_base: http://127.0.0.1:{upstream}
      api_key: bench
litellm_settings:
  telemetry: false
  drop_params: true
  turn_off_message_logging: true
  set_verbose: false
  num_retries: 0
general_settings:
  disable_spend_logs: true
"""

_UNTOUCHED = Pair("anthropic", "anthropic")

NGINX = Gateway(name="nginx", pairs=(_UNTOUCHED,), health="/health", command=_nginx, missing=_nginx_missing)
NGINX_KEPT = Gateway(name="tuned", pairs=(_UNTOUCHED,), health="/health", command=_nginx_kept, missing=_nginx_missing)
DRAGOMAN = Gateway(
    name="dragoman",
    pairs=(
        Pair("openai", "anthropic"),
        _UNTOUCHED,
        Pair("ollama", "anthropic"),
        Pair("anthropic", "ollama"),
        Pair("openai", "openai"),
        Pair("ollama", "ollama"),
    ),
    quick=2,
    health="/health",
    command=_dragoman,
    missing=lambda: "",
)
LITELLM = Gateway(
    name="LiteLLM",
    pairs=(Pair("openai", "anthropic"),),
    health="/health/liveliness",
    command=_litellm,
    missing=_litellm_missing,
)
