"""`dragoman health` ends well for a gateway that is, and otherwise says why not."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import app
from tests.cli.loopback import Answer, Call, Serve, as_json


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


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_nobody_there(url: str) -> None:
    done = health(url)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{url}: ")
