"""What stands before several gateways: nginx, and a balancer of our own that knows nothing but TCP."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import which

PATIENCE = 20.0

NGINX = which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

# `max_fails=0`: one that refuses a connection is tried again with the next call, not left alone for ten seconds, in
# which the other may be gone.
_CONFIG = """
daemon off;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream gateways {{
    {servers}
    keepalive 16;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateways;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 60s;
    }}
  }}
}}
"""


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def nginx(ports: Sequence[int], directory: Path) -> Iterator[str]:
    """nginx before the gateways on these ports, with kept connections; its address."""
    assert NGINX is not None
    port = free_port()
    servers = "\n    ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in ports)
    config = directory / "nginx.conf"
    config.write_text(_CONFIG.format(dir=directory, port=port, servers=servers))
    process = subprocess.Popen([NGINX, "-p", str(directory), "-c", str(config), "-e", str(directory / "error.log")])
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None and time.monotonic() < end, (directory / "error.log").read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def balancer(ports: Sequence[int], _: Path) -> Iterator[str]:
    """Gives each connection to the next gateway in turn, or to another where nobody listens; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(64) as pool:
        listener.settimeout(0.1)
        over = threading.Event()

        def accept() -> None:
            turn = 0
            while not over.is_set():
                with suppress(TimeoutError):
                    client, _ = listener.accept()
                    turn += 1
                    pool.submit(_served, client, [*ports[turn % len(ports) :], *ports], pool)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            accepting.join(PATIENCE)


def _served(client: socket.socket, ports: Sequence[int], pool: ThreadPoolExecutor) -> None:
    with client:
        for port in ports:
            try:
                server = socket.create_connection(("127.0.0.1", port), PATIENCE)
            except OSError:
                continue
            with server:
                asked = pool.submit(_piped, client, server)
                _piped(server, client)
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                asked.result(PATIENCE)
            return


def _piped(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while data := here.recv(65536):
            there.sendall(data)
        there.shutdown(socket.SHUT_WR)
