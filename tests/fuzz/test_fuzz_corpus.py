"""What the fuzzer found worth keeping, and what once broke something: every file, with what must hold of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_holds(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files, "nothing was kept"
    for file in files:
        TARGETS[name].check(file.read_bytes())


def test_every_folder_is_of_a_target_and_small() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == TARGETS.keys()
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 1_000_000
