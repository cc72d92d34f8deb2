"""Every place in the source where a loss is told: each call of `drop` or `emulate`, found by its syntax."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dragoman

SOURCE = Path(dragoman.__file__).parent
_TELLS = ("drop", "emulate")


class Site(NamedTuple):
    """One call.  `name` says where it is without a line: `models/tools.py _fit_each drop 2` is the second one there."""

    name: str
    file: Path
    first: int
    last: int
    span: tuple[int, int]
    """Where it begins and ends in the file, in bytes."""

    @property
    def source(self) -> str:
        """The call as it is written."""
        return self.file.read_bytes()[slice(*self.span)].decode()

    def __str__(self) -> str:
        return f"{self.name} ({self.file.name}:{self.first}): {' '.join(self.source.split())}"


def find_sites(root: Path = SOURCE) -> list[Site]:
    """All of them below `root`, in order."""
    return [site for file in sorted(root.rglob("*.py")) for site in _sites(file, root)]


def _sites(file: Path, root: Path) -> Iterator[Site]:
    text = file.read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    counts: Counter[str] = Counter()
    for function, node in _walk(ast.parse(text), "module"):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TELLS):
            continue
        where = f"{file.relative_to(root).as_posix()} {function} {node.func.attr}"
        counts[where] += 1
        last, ends = node.end_lineno or node.lineno, node.end_col_offset or 0
        span = (starts[node.lineno - 1] + node.col_offset, starts[last - 1] + ends)
        yield Site(f"{where} {counts[where]}", file, node.lineno, last, span)


def _walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node, with the function it stands in."""
    for child in ast.iter_child_nodes(node):
        yield function, child
        inner = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = child.name if function == "module" else f"{function}.{child.name}"
        yield from _walk(child, inner)


def uncalled(root: Path = SOURCE) -> list[str]:
    """Places that hand `losses.drop` itself around, where no call of it could be found."""
    found = []
    for file in sorted(root.rglob("*.py")):
        tree = ast.parse(file.read_bytes())
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        found += [
            f"{file.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in _TELLS and id(node) not in called
        ]
    return found
