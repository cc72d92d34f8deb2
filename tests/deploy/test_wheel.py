"""The wheel: it holds all that is needed, and runs where there is nothing but what the lock file names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from deploy.packages import pins
from tests.docs.pages import ROOT

# Needed to build and install, not to run.
BUILD = {"hatchling", "editables", "pluggy", "pathspec", "tomlkit", "trove-classifiers", "packaging"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network."""
    where = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*build, "-w", where, ROOT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(where.glob("*.whl"))


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    files = [p for p in (source / "dragoman").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {str(p.relative_to(source)) for p in files} - names == set()
    assert not [name for name in names if name.startswith(("tests", "bench", "deploy"))]


def test_it_holds_the_licence_and_the_bill_of_materials(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if n.endswith(".dist-info/licenses/LICENSE")]
    assert [n for n in names if n.endswith(".dist-info/sboms/sbom.cdx.json")]


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the packages of run.lock, and nothing else."""
    where = tmp_path_factory.mktemp("empty")
    zipfile.ZipFile(wheel).extractall(where)
    for pin in pins((ROOT / "requirements" / "run.lock").read_text("utf-8")):
        if pin.name in BUILD:
            continue
        for file in metadata.files(pin.name) or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (where / top).exists():
                (where / top).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    return where


def run(place: Path, code: str) -> subprocess.Popen[str]:
    """Python without site packages, which finds what is in `place`."""
    start = f"import sys; sys.path.insert(0, {str(place)!r}); {code}"
    environ = {"PATH": os.environ["PATH"], "HOME": str(place)}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", start],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )


def test_every_module_is_imported_without_anything_else(place: Path) -> None:
    modules = sorted(
        ".".join(p.relative_to(place).with_suffix("").parts).removesuffix(".__init__")
        for p in (place / "dragoman").rglob("*.py")
        if p.name != "__main__.py" and p.stem not in ("redis", "picture_worker")
    )
    assert len(modules) > 200
    code = (
        f"import importlib; [importlib.import_module(m) for m in {modules!r}]; print(sys.modules['dragoman'].__file__)"
    )
    out, err = run(place, code).communicate(timeout=60)
    assert out.strip() == str(place / "dragoman" / "__init__.py"), err


def test_it_serves(place: Path) -> None:
    main = "from dragoman.cli import app; app({!r}, prog_name='dragoman')"
    serving = run(place, main.format(["serve", "--demo", "--host", "127.0.0.1", "--port", "0"]))
    try:
        assert serving.stdout is not None
        url = next(found[0] for line in serving.stdout if (found := re.search(r"http://[\w.]+:\d+", line)))
        out, err = run(place, main.format(["health", url])).communicate(timeout=60)
        assert '"status"' in out, err
        smoked = run(place, main.format(["smoke", url]))
        out, err = smoked.communicate(timeout=60)
        assert smoked.returncode == 0, out + err
    finally:
        serving.terminate()
        serving.communicate(timeout=30)
