"""Where things are stored, for how long, and that nobody sees a password."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dragoman.config import Secret, Settings
from tests.config.loading import complaints, loaded, written

WRONG = (
    'DRAGOMAN_DATABASE must be a postgresql:// address such as postgresql://user:password@host:5432/name, or "memory"'
)


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({}, ""),
        ({"HOME": "/home/ann"}, "/home/ann/.local/state/dragoman"),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "/state"}, "/state/dragoman"),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "relative"}, "/home/ann/.local/state/dragoman"),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "/state", "DRAGOMAN_DATA": "/data"}, "/data"),
        ({"HOME": "/home/ann", "DRAGOMAN_DATA": "~/data"}, "/home/ann/data"),
        ({"DRAGOMAN_DATA": "data"}, "data"),
    ],
)
def test_directories(environ: dict[str, str], directory: str) -> None:
    assert loaded(environ).data_dir == directory


def test_a_directory_of_the_file_is_beside_it(tmp_path: Path) -> None:
    file = written(tmp_path, 'data_dir = "state"')
    assert loaded({"HOME": "/home/ann"}, file).data_dir == str(tmp_path / "state")
    assert loaded({"DRAGOMAN_DATA": "/data"}, file).data_dir == "/data"
    assert loaded({"HOME": "/home/ann"}, written(tmp_path, 'data_dir = "~/state"')).data_dir == "/home/ann/state"


def test_settings_that_nobody_loads_store_nothing_in_a_home() -> None:
    assert Settings().data_dir == ""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.config.kinds.find_spec", lambda _: object())


@pytest.mark.parametrize(
    "url",
    [
        "memory",
        "postgresql://db/dragoman",
        "postgres://ann:hush@db:5432/dragoman",
        "postgresql://ann:hush@[::1]/dragoman?sslmode=require",
    ],
)
@pytest.mark.usefixtures("driver")
def test_databases(url: str) -> None:
    settings = loaded({"DRAGOMAN_DATABASE": url})
    assert settings.database == Secret(url)
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "hush",
        "sqlite:///hush",
        "mysql://hush/x",
        "postgresql://",
        "postgresql:///hush",
        "postgresql://hush",
        "postgresql://db/hu/sh",
        "postgresql://db:0/hush",
        "postgresql://db/hush#x",
        "postgresql://db/hu sh",
    ],
)
@pytest.mark.usefixtures("driver")
def test_other_addresses_are_refused_and_not_shown(url: str) -> None:
    assert complaints({"DRAGOMAN_DATABASE": url}) == [WRONG]


def test_a_missing_driver_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.config.kinds.find_spec", lambda _: None)
    needs = f"needs the package psycopg, which is not installed: {sys.executable} -m pip install 'dragoman[postgres]'"
    assert complaints({"DRAGOMAN_DATABASE": "postgresql://ann:hush@db/x"}) == [f"DRAGOMAN_DATABASE {needs}"]


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("0", 0)])
def test_how_long(text: str, seconds: float) -> None:
    assert loaded({"DRAGOMAN_RESPONSE_TTL": text}).response_ttl == seconds
    assert Settings().response_ttl == 30 * 86_400
