"""`dragoman key`: what it prints lets a client in, and what it writes lets nobody."""

from __future__ import annotations

import stat
from pathlib import Path

from dragoman.config import load
from tests.cli.loopback import Run
from tests.surfaces.knocking import knock


def test_the_key_and_its_line(run: Run, tmp_path: Path) -> None:
    key, line = run("key", "alice").stdout.splitlines()
    assert key.startswith("dg-")
    assert len(key) > 40
    assert key not in line
    file = tmp_path / "keys"
    file.write_text(line)
    file.chmod(0o600)
    chosen = load({"DRAGOMAN_API_KEYS_FILE": str(file)})
    scope = knock(chosen, "/api/chat", ("x-api-key", key)).scope
    assert scope is not None
    assert scope["dragoman.key"] == "alice"
    assert run("key", "alice").stdout.splitlines()[0] != key


def test_it_is_added_to_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    first = run("key", "alice", "--file", "keys").stdout.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(file.read_text().rstrip("\n"))  # as some editors leave it
    second = run("key", "bob", "--file", "keys").stdout.strip()
    assert first not in file.read_text() and second not in file.read_text()
    chosen = load({"DRAGOMAN_API_KEYS_FILE": str(file)})
    assert [knock(chosen, "/", ("x-api-key", key)).inside for key in (first, second)] == [True, True]


def test_what_cannot_be(run: Run) -> None:
    assert run("key", "two words").exit_code == 2
    result = run("key", "alice", "--file", "nowhere/keys")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No such file" in result.stderr


def test_smoke_takes_a_key_from_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert "must be a key" in run("smoke", "http://127.0.0.1:1", "--key-file", "empty").stderr
