"""The address of the shared store: what it may be, and that nobody sees it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dragoman.config import Secret
from tests.config.loading import complaints, loaded, written

WRONG = (
    "DRAGOMAN_STORE must be a redis://, rediss://, valkey:// or valkeys:// address such as "
    "redis://user:password@host:6379/0"
)


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache",
        "redis://cache:6379",
        "redis://cache:6379/",
        "redis://:hush@cache:6379/3",
        "rediss://user:hush@cache",
        "valkey://[::1]:6379/0",
        "valkeys://cache",
    ],
)
def test_addresses(url: str, tmp_path: Path) -> None:
    store = loaded({"DRAGOMAN_STORE": url}).store
    assert store == Secret(url)
    assert "hush" not in repr(store) + str(loaded({"DRAGOMAN_STORE": url}))
    assert loaded({}, written(tmp_path, f'store = "{url}"')).store == Secret(url)


@pytest.mark.parametrize(
    "url",
    [
        "hush",
        "http://hush",
        "redis://",
        "redis:///1",
        "redis://hush:x",
        "redis://hush:0",
        "redis://hush:99999",
        "redis://hush/one",
        "redis://hush/1/2",
        "redis://hush?db=1",
        "redis://hush#1",
        "redis://hu sh",
        "unix:///run/hush.sock",
    ],
)
def test_other_addresses_are_refused_and_not_shown(url: str) -> None:
    assert complaints({"DRAGOMAN_STORE": url}) == [WRONG]


def test_a_missing_package_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.config.kinds.find_spec", lambda _: None)
    found = complaints({"DRAGOMAN_STORE": "redis://:hush@cache"})
    needs = f"needs the package redis, which is not installed: {sys.executable} -m pip install 'dragoman[redis]'"
    assert found == [f"DRAGOMAN_STORE {needs}"]
