"""The pages of the documentation, and what is in them: fenced blocks, tables, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block.  `before` is the block it follows with nothing but blank lines between, if there is one.

    A block without a language is "sh" when it begins with a command of ours, else "text".
    """

    page: str
    line: int
    language: str
    text: str
    before: Block | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page: those at the top, and those in docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks() -> Iterator[Block]:
    """Every fenced block of every page, in order."""
    for page in pages():
        text = page.read_text("utf-8")
        last: Block | None = None
        end = -1
        for found in _FENCE.finditer(text):
            near = last if not text[end : found.start()].strip() else None
            line = text.count("\n", 0, found.start()) + 1
            last = Block(str(page.relative_to(ROOT)), line, found[1] or _guess(found[2]), found[2], near)
            end = found.end()
            yield last


def _guess(text: str) -> str:
    return "sh" if re.match(r"\s*(make|dragoman|curl|python) ", text) else "text"


def rows(name: str, after: str) -> list[list[str]]:
    """The cells of the first table after the text `after` in the page `name`, without heading and rule."""
    text = (ROOT / name).read_text("utf-8")
    start = text.index(after) + len(after)
    table: list[list[str]] = []
    for line in text[start:].splitlines():
        if found := _ROW.match(line):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", found[1])])
        elif table:
            break
    return table[2:]


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)
