"""The first `make` on a machine that is not ready says so, and the next one begins anew."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_OLD = """\
case "$1" in
  -c) exec python3 -c 'import sys; sys.version_info = (3, 9, 18); exec(sys.argv[1])' "$2" ;;
  *) touch used ;;
esac
"""
_WITHOUT_VENV = """\
case "$1" in
  -c) exec python3 "$@" ;;
  *) mkdir -p .venv/bin; touch .venv/bin/python; echo "ensurepip is not available"; exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("python", "told"), [(_OLD, "Python 3.11 or newer is needed"), (_WITHOUT_VENV, "ensurepip is not available")]
)
def test_an_environment_that_cannot_be_made_is_not_there_afterwards(tmp_path: Path, python: str, told: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shim = tmp_path / "python"
    shim.write_text(f"#!/bin/sh\n{python}")
    shim.chmod(0o755)
    command = ["make", ".venv/bin/python", f"PYTHON={shim}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
    assert not (tmp_path / "used").exists()
    assert not (tmp_path / ".venv").exists()
