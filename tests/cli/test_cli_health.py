"""`dragoman health` ends well for a gateway that is, and otherwise says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import app
from tests.cli.loopback import Answer, Call, Serve, as_json
from tests.running import run_with_simulator


def health(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, ["health", *arguments], env=environ)


def gateway(call: Call) -> Answer:
    """Alive, and not ready."""
    if call.path == "/health":
        return as_json({"status": "ok"})
    return as_json({"status": "draining"}, 503)


def test_alive(serve: Serve) -> None:
    done = health(serve(gateway))
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"status": "ok"})


def test_alive_is_not_ready(serve: Serve) -> None:
    done = health(serve(gateway), "--ready")
    assert done.exit_code == 1
    assert "status 503" in done.stderr
    assert "draining" in done.stderr


def test_without_a_url_it_is_this_machine_at_its_port(serve: Serve) -> None:
    url = serve(gateway)
    assert health(PORT=url.rsplit(":", 1)[1]).exit_code == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9: nothing listens there\n"),
        ("127.0.0.1:9", "http://127.0.0.1:9: nothing listens there\n"),
        ("ftp://nowhere", "ftp://nowhere: "),
    ],
)
def test_nobody_there(url: str, expected: str) -> None:
    done = health(url)
    assert done.exit_code == 1
    assert done.stderr.startswith(expected)


def test_a_gateway_with_a_certificate_is_found_where_nothing_was_said() -> None:
    both = Path(__file__).parents[1] / "relay" / "localhost.pem"
    with run_with_simulator(tls_cert=str(both), refresh=0) as gateway:
        port = gateway.url.rsplit(":", 1)[1]
        assert health(PORT=port).exit_code == 0
        assert health(f"localhost:{port}", "--ready").exit_code == 0
        assert health(f"http://localhost:{port}").exit_code == 1


def test_nobody_there_where_nothing_was_said() -> None:
    assert health(PORT="9").stderr == "http://127.0.0.1:9: nothing listens there; a URL, or PORT, says where else\n"
