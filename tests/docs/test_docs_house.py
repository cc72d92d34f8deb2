"""ARCHITECTURE.md is true of what is built, links lead somewhere, and imports go the way that is drawn."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, pages

SOURCE = ROOT / "src" / "dragoman"
_NAME = re.compile(r"src/dragoman/|[\w.]+\.(?:py|toml|md|lock)\b|[\w.]+/")


def tree() -> str:
    """The block below "The tree"."""
    return next(b.text for b in blocks() if b.page == "ARCHITECTURE.md" and "├── __init__.py" in b.text)


def named() -> Iterator[Path]:
    """Every path the tree names.  The files of a folder stand to its right, or below it."""
    folders = [ROOT]
    for line in tree().splitlines():
        if (branch := re.search(r"[├└]──", line)) is not None:
            del folders[branch.start() // 4 + 2 :]
        elif line[0] not in "│ ":
            del folders[1:]
        for name in _NAME.findall(line):
            path = folders[-1] / name
            if name.endswith("/"):
                folders.append(path)
            yield path


def test_every_path_of_the_tree_exists() -> None:
    paths = list(named())
    assert len(paths) > 80
    assert [str(path) for path in paths if not path.exists()] == []


def test_every_module_is_in_the_tree() -> None:
    modules = {path for path in SOURCE.rglob("*") if path.suffix in (".py", ".toml")}
    packages = {path for path in modules if path.name == "__init__.py" and path.parent != SOURCE}
    known = set(named())
    assert {str(path.relative_to(SOURCE)) for path in modules - packages - known} == set()
    assert {str(path.parent.relative_to(SOURCE)) for path in packages if path.parent not in known} == set()


def test_every_file_that_is_named_exists() -> None:
    """Files named in prose: `turns.py`, `config/table.py`, `docs/benchmarks.md`."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    names = set(re.findall(r"`((?:[\w.]+/)*[\w]+\.(?:py|toml|md))`", text))
    everything = [str(p.relative_to(ROOT)) for p in [*SOURCE.rglob("*"), *(ROOT / "docs").glob("*"), *pages()]]
    assert [n for n in names if not any(f"/{path}".endswith(f"/{n}") for path in everything)] == []


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    """The anchors of its headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [p.name for p in pages() if p.name != "README.md" and str(p.relative_to(ROOT)) not in text] == []


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_plain_words(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"[\U0001F000-\U0001FAFF☀-➿]", text) == []
    boasts = r"\b(blazing|seamless\w*|powerful|simply|effortless\w*|cutting[- ]edge|robust|leverag\w+|world[- ]class)\b"
    assert re.findall(boasts, text, re.IGNORECASE) == []


def test_make_help_lists_what_contributing_names() -> None:
    wanted = set(re.findall(r"`?make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    assert wanted <= {line.split()[0] for line in done.stdout.splitlines()}


# --- imports -------------------------------------------------------------------------------------

_LEAVES = (
    "conversation",
    "framing",
    "folding",
    "errors",
    "losses",
    "ids",
    "media",
    "arguments",
    "pointers",
    "redaction",
)
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_LEAVES, _LEAVES),
    "dialects": _LEAVES,
    "models": _LEAVES,
    "translation": ("dialects", "models", *_LEAVES),
    "config": _LEAVES,
    "store": _LEAVES,
    "telemetry": ("config", *_LEAVES),
    "relay": ("translation", "dialects", "models", "config", "store", "telemetry", *_LEAVES),
    "simulator": ("models", *_LEAVES),
    "surfaces": ("relay", "translation", "dialects", "models", "store", "config", "simulator", "telemetry", *_LEAVES),
    "cli": ("surfaces", "relay", "translation", "dialects", "models", "config", "simulator", *_LEAVES),
    "__init__": ("translation", "errors"),
    "__main__": ("cli",),
}
"""As ARCHITECTURE.md draws it: a package may import these, and itself."""

_IMPURE = ("asyncio", "time", "os", "socket", "threading", "subprocess", "random", "http", "urllib.request", "ssl")


def imports(file: Path) -> set[str]:
    """The modules a file imports, those inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {f"{module}.{name.name}" for name in names}
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_go_one_way(file: Path) -> None:
    own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    wanted = {name.split(".")[1] for name in imports(file) if name.startswith("dragoman.")}
    assert wanted - {own, *MAY_IMPORT[own]} == set()


@pytest.mark.parametrize("package", ["dialects", "models"])
def test_pure_packages_know_no_world(package: str) -> None:
    for file in (SOURCE / package).rglob("*.py"):
        impure = {n for n in imports(file) for bad in _IMPURE if n == bad or n.startswith(f"{bad}.")}
        assert impure == set(), file
        kinds = {type(node) for node in ast.walk(ast.parse(file.read_text("utf-8")))}
        assert not kinds & {ast.AsyncFunctionDef, ast.Await}, file
