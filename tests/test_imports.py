"""Imports run one way and in no circle: surfaces → relay → {dialects, models} → the core; and purity where it is owed.

Every import of every file counts, those inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import dragoman

ROOT = Path(dragoman.__file__).parent
CORE = frozenset(
    {"arguments", "conversation", "errors", "folding", "framing", "ids", "losses", "media", "pointers", "redaction"}
)

# What each part of the house may import of the others, besides itself and the core.  The core imports the core.
ALLOWED: Mapping[str, frozenset[str]] = {
    "surfaces": frozenset({"relay", "dialects", "models", "config", "simulator", "store", "telemetry"}),
    "relay": frozenset({"dialects", "models", "config", "translation", "store", "telemetry"}),
    "telemetry": frozenset({"config"}),
    "store": frozenset(),
    "translation": frozenset({"dialects", "models"}),
    "dialects": frozenset(),
    "models": frozenset(),
    "config": frozenset(),
    "simulator": frozenset({"models"}),
    "cli": frozenset({"surfaces", "relay", "translation", "dialects", "models", "config", "simulator"}),
    "__main__": frozenset({"cli"}),
    "": frozenset({"translation"}),
}
# Narrower than a whole part: the simulator must not be judged by the code it judges.
ONLY: Mapping[tuple[str, str], frozenset[str]] = {
    ("simulator", "models"): frozenset({"dragoman.models.cards"}),
    ("surfaces", "simulator"): frozenset({"dragoman.simulator", "dragoman.simulator.server"}),
}
# No I/O, no clock, no environment, no chance: what is allowed of the world outside is named here.
PURE = ("dialects", "models", *sorted(CORE))
_OUTSIDE = """__future__ base64 binascii bisect collections copy dataclasses datetime decimal enum fnmatch functools
hashlib importlib.resources itertools json math msgspec operator re string struct sys textwrap tomllib types typing
unicodedata urllib.parse zlib"""
OUTSIDE = frozenset(_OUTSIDE.split())
# `ids.fresh` makes up an id; who must be pure uses `ids.mint`.
# A schema's validator takes text and gives text.
EXCEPTIONS = {"ids": frozenset({"secrets"}), "models": frozenset({"jsonschema_rs"})}


class Import:
    """One import: the module that imports, the module that is imported, and where."""

    def __init__(self, importer: str, imported: str, line: int) -> None:
        self.importer, self.imported, self.line = importer, imported, line

    def __repr__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules() -> dict[str, Path]:
    """Every module of the package, by its full name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["dragoman", *path.relative_to(ROOT).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def part(module: str) -> str:
    """The part of the house a module of ours lives in; "" is the package's own `__init__`."""
    return module.split(".")[1] if "." in module else ""


def imports_of(source: str, importer: str) -> Iterator[Import]:
    """The modules a source imports; `from package import module` names the module."""
    package = importer if MODULES.get(importer, Path()).name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(importer, alias.name, node.lineno)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = module or ""
                if level:
                    above = package.split(".")[: len(package.split(".")) - level + 1]
                    base = ".".join([*above, *filter(None, [module])])
                for alias in names:
                    inner = f"{base}.{alias.name}"
                    yield Import(importer, inner if inner in MODULES or inner in OUTSIDE else base, node.lineno)
            case ast.Call(func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module")):
                yield Import(importer, "a module whose name is made up at run time", node.lineno)


IMPORTS = [found for name, path in MODULES.items() for found in imports_of(path.read_text("utf-8"), name)]
OURS = [found for found in IMPORTS if found.imported.split(".")[0] == "dragoman"]


def test_the_reader_of_imports_sees_every_kind() -> None:
    source = (
        "import os, dragoman.errors\nfrom dragoman import ids, translate\nfrom dragoman.relay import http1 as h\n"
        "def f():\n    from . import reply\n    from ..contract import Stamp\nif TYPE_CHECKING:\n    import time\n"
        "import_module('x')\n"
    )
    found = [found.imported for found in imports_of(source, "dragoman.dialects.ollama.stream")]
    assert sorted(found) == sorted(
        [
            "os",
            "dragoman.errors",
            "dragoman.ids",
            "dragoman",
            "dragoman.relay.http1",
            "dragoman.dialects.ollama.reply",
            "dragoman.dialects.contract",
            "time",
            "a module whose name is made up at run time",
        ]
    )


def test_every_part_has_its_rule() -> None:
    assert {part(name) for name in MODULES} == set(ALLOWED) | CORE


@pytest.mark.parametrize("name", sorted(set(ALLOWED) | CORE))
def test_imports_run_one_way(name: str) -> None:
    allowed = CORE if name in CORE else ALLOWED[name] | CORE | {name}
    wrong = [found for found in OURS if part(found.importer) == name and part(found.imported) not in allowed]
    assert not wrong


@pytest.mark.parametrize(("name", "other"), ONLY)
def test_imports_that_are_narrower(name: str, other: str) -> None:
    found = [found for found in OURS if (part(found.importer), part(found.imported)) == (name, other)]
    assert found, "the rule is about nothing any more"
    assert not [each for each in found if each.imported not in ONLY[name, other]]


def test_dialects_do_not_know_each_other() -> None:
    """Only what two wires of one vendor share is shared: the two other wires of OpenAI lean on the chat dialect."""

    def wire(module: str) -> str:
        return module.split(".")[2] if module.startswith("dragoman.dialects.") else ""

    wires = {wire(name) for name, path in MODULES.items() if path.name == "__init__.py"} - {""}
    pairs = {(wire(found.importer), wire(found.imported)) for found in OURS if wire(found.imported) in wires}
    shared = {("openai_completions", "openai_chat"), ("openai_responses", "openai_chat")}
    assert {pair for pair in pairs if pair[0] != pair[1] and pair[0]} == shared


@pytest.mark.parametrize("name", PURE)
def test_what_must_be_pure_imports_nothing_of_the_world(name: str) -> None:
    allowed = OUTSIDE | EXCEPTIONS.get(name, frozenset())
    outside = [found for found in IMPORTS if part(found.importer) == name and not found.imported.startswith("dragoman")]
    assert not [each for each in outside if not {each.imported, each.imported.split(".")[0]} & allowed]


@pytest.mark.parametrize("name", ["dialects", "models"])
def test_what_must_be_pure_makes_up_no_ids(name: str) -> None:
    names = {module: path.read_text("utf-8") for module, path in MODULES.items() if part(module) == name}
    assert not [module for module, source in names.items() if re.search(r"\bids import .*\bfresh\b|ids\.fresh", source)]


CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


@pytest.mark.parametrize("name", PURE)
def test_what_must_be_pure_asks_no_clock_and_waits_for_nobody(name: str) -> None:
    wrong = []
    for module, path in MODULES.items():
        if part(module) != name:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                    wrong.append(f"{module}:{node.lineno} is asynchronous")
                case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if (owner, attribute) in CLOCKS:
                    wrong.append(f"{module}:{node.lineno} asks the clock")
                case ast.Attribute(value=ast.Name(id="sys"), attr=attribute) if attribute != "float_info":
                    wrong.append(f"{module}:{node.lineno} reads sys.{attribute}")
                case ast.Call(func=ast.Name(id="open" | "print" | "input" as called)):
                    wrong.append(f"{module}:{node.lineno} calls {called}")
    assert not wrong


def test_no_circles() -> None:
    """Between modules, imports inside functions counted too."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, path in MODULES.items():
        for found in imports_of(path.read_text("utf-8"), name):
            if found.imported in MODULES and found.imported != name:
                graph[name].add(found.imported)
    assert not [" → ".join(circle) for circle in circles(graph)]


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """A circle for every edge that closes one, by walking down."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                walk(other, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        walk(name, [])
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]


def test_what_a_start_imports() -> None:
    """pydantic and the SDKs are for tests: nothing of ours imports them, nor anything that is not a dependency."""
    dependencies = {"PIL", "click", "httptools", "jsonschema_rs", "msgspec", "pypdfium2", "rich", "starlette"}
    dependencies |= {"uvicorn", "uvloop"}
    names = {found.imported.split(".")[0] for found in IMPORTS} - set(sys.stdlib_module_names) - {"dragoman"}
    dependencies |= {"backports", "compression"}  # zstd, where it is
    assert names <= dependencies | {"opentelemetry", "prometheus_client", "redis", "sqlalchemy"}
    assert {found.importer for found in IMPORTS if found.imported.split(".")[0] == "redis"} == {"dragoman.store.redis"}
    optional = [found for found in IMPORTS if found.imported == "dragoman.store.redis"]
    assert [found.importer for found in optional] == ["dragoman.store"], "it is imported where it is configured only"


def test_what_only_an_operator_wants_is_imported_when_he_asks_for_it() -> None:
    """Metrics are put into words at the first scrape, and spans are an extra."""
    for package, module in (("prometheus_client", "exposition"), ("opentelemetry", "tracing")):
        users = {found.importer for found in IMPORTS if found.imported.split(".")[0] == package}
        assert users == {f"dragoman.telemetry.{module}"}
    code = """
import sys
import dragoman.cli, dragoman.surfaces.server, dragoman.telemetry.tracing as tracing
assert tracing.make_tracer("") is None
print(sorted({"prometheus_client", "opentelemetry"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_durable_store_is_imported_when_it_is_used() -> None:
    """SQLAlchemy takes a while and 20 MB: who never stores anything does not load it."""
    sql = {found.importer for found in IMPORTS if found.imported.split(".")[0] == "sqlalchemy"}
    assert sql and {part(name) for name in sql} == {"store"}
    code = """
import sys
import dragoman.cli, dragoman.surfaces.server, dragoman.store.durable as d
assert d.Durable("memory", float, ttl=1.0).empty
print("sqlalchemy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
