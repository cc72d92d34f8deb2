"""The packages of the lock files: what may not be shipped or is known to be broken is found, and ours are well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy.packages import REQUIREMENTS, SBOM, Pin, bill, judged, may_ship, pins, problems, weaknesses

LOCK = f"""\
click==8.5.1 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
uvloop==0.23.0 ; sys_platform != 'win32' \\
    --hash=sha256:{"c" * 64}
"""
ADVISORIES: list[dict[str, Any]] = [
    {"package": "click", "below": "8.5.2", "id": "X-1", "why": "it is broken"},
    {"package": "uvloop", "only": ["0.23.0"], "id": "X-2", "why": "it is stolen"},
]


def test_a_lock_is_read() -> None:
    assert pins(LOCK) == [
        Pin("click", "8.5.1", "", ("a" * 64, "b" * 64)),
        Pin("uvloop", "0.23.0", "sys_platform != 'win32'", ("c" * 64,)),
    ]


@pytest.mark.parametrize("name", ["run.lock", "image.lock", "dev.lock"])
def test_every_package_of_our_locks_is_read(name: str) -> None:
    text = (REQUIREMENTS / name).read_text("utf-8")
    assert len(pins(text)) == text.count("==") - text.count("python_full_version ==") - text.count("platform ==")
    assert sum(len(pin.hashes) for pin in pins(text)) == text.count("--hash=sha256:")


def test_what_is_known_to_be_broken_is_found() -> None:
    assert list(problems("x.lock", LOCK, ADVISORIES, shipped=False)) == [
        "x.lock: click 8.5.1: X-1, it is broken; 8.5.2 is well",
        "x.lock: uvloop 0.23.0: X-2, it is stolen",
    ]
    assert list(weaknesses(Pin("click", "8.5.2", "", ()), ADVISORIES)) == []
    assert list(weaknesses(Pin("click", "8.5.10", "", ()), ADVISORIES)) == []


def test_what_has_no_hash_is_found() -> None:
    assert list(problems("x.lock", "click==8.5.1\n", [], shipped=False)) == ["x.lock: click has no hash"]


def test_what_may_not_be_shipped_is_found() -> None:
    lock = LOCK.replace("click==8.5.1", "hypothesis==6.150.0").replace("uvloop", "nobody-has-this")
    assert list(problems("x.lock", lock, [], shipped=True)) == [
        "x.lock: nobody-has-this is under no licence that it names: not one that may be shipped"
    ]
    assert list(problems("x.lock", lock, [], shipped=False)) == []


@pytest.mark.parametrize(
    ("expression", "may"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("BSD-3-Clause AND Apache-2.0", True),
        ("BSD-3-Clause AND AGPL-3.0-only", False),
        ("GPL-3.0-or-later", False),
        ("", False),
    ],
)
def test_licences(expression: str, may: bool) -> None:
    assert may_ship(expression) is may


def test_ours_are_well() -> None:
    assert judged() == []


def test_the_bill_names_every_package_that_is_shipped() -> None:
    found = json.loads(SBOM.read_text("utf-8"))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    shipped = pins((REQUIREMENTS / "image.lock").read_text("utf-8"))
    assert [(c["name"], c["version"]) for c in found["components"]] == [(p.name, p.version) for p in shipped]
    assert all(c["licenses"] for c in found["components"])


def test_a_bill_that_is_old_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    old = tmp_path / "sbom.cdx.json"
    old.write_text(json.dumps(bill(LOCK)))
    monkeypatch.setattr("deploy.packages.SBOM", old)
    assert judged() == ["sbom.cdx.json is not what image.lock says; run `make sbom`"]
