"""`dragoman.toml`, read with the line of every key, so that a complaint names the place.

`tomllib` reads the values and knows no lines.  `key_lines` walks the same text once more for the keys only; it runs on
text that tomllib has accepted, so it need not judge, only find.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Step = str | int
Lines = dict[tuple[Step, ...], int]

_TOKEN = re.compile(
    r"""  (?P<comment>\#[^\n]*)
    | (?P<text>\"{3}(?:\\.|[^\\])*?\"{3,5}(?!\") | '{3}.*?'{3,5}(?!') | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<open>[\[{]) | (?P<close>[\]}]) | (?P<newline>\n) | (?P<other>[^\#"'\[\]{}\n]+)""",
    re.VERBOSE | re.DOTALL,
)
_KEY = re.compile(r"""\s*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)\s*(\.)?""")


class TomlError(Exception):
    """The file cannot be read as TOML; the message names the file and the line."""


class Document:
    """The values of a file, and where each stands.  `name` is the file as the person wrote it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TomlError(_syntax(name, text, str(error))) from None
        self._lines = key_lines(text)

    def where(self, path: tuple[Step, ...]) -> str:
        """`dragoman.toml:12`: the line of `path`, or of the nearest thing around it that has one."""
        for length in range(len(path), 0, -1):
            if line := self._lines.get(path[:length]):
                return f"{self.name}:{line}"
        return self.name


def read(path: Path) -> Document:
    """The file at `path`.  Raises TomlError with a message for people."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TomlError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise TomlError(f"{path}:{line}: the file is not UTF-8 text") from None
    return Document(str(path), text)


def _syntax(name: str, text: str, message: str) -> str:
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    line = int(found[1]) if found else text.count("\n") + 1
    what = message[: found.start()] if found else message.removesuffix(" (at end of document)")
    return f"{name}:{line}: this is not TOML: {what}"


def key_lines(text: str) -> Lines:
    """The line of every key and table header of valid TOML; the n-th `[[table]]` is at ("table", n)."""
    lines: Lines = {}
    counts: dict[tuple[Step, ...], int] = {}
    table: tuple[Step, ...] = ()
    for line, statement in _statements(text):
        if statement.startswith("[["):
            base = _inside(_keys(statement[2:]), counts)
            counts[base] = counts.get(base, -1) + 1
            table = (*base, counts[base])
            lines.setdefault(base, line)
            lines[table] = line
        elif statement.startswith("["):
            table = _inside(_keys(statement[1:]), counts)
            lines.setdefault(table, line)
        else:
            keys = _keys(statement)
            for length in range(1, len(keys) + 1):
                lines.setdefault((*table, *keys[:length]), line)
    return lines


def _inside(keys: list[str], counts: dict[tuple[Step, ...], int]) -> tuple[Step, ...]:
    """The path of a header: below an array of tables it means the latest of them."""
    path: tuple[Step, ...] = ()
    for i, key in enumerate(keys):
        path = (*path, key)
        if path in counts and i < len(keys) - 1:
            path = (*path, counts[path])
    return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each `key = value` with the line it starts on; comments left out, brackets kept whole."""
    line, depth, start = 1, 0, 1
    pieces: list[str] = []
    for token in _TOKEN.finditer(text.replace("\r\n", "\n")):
        if not pieces:
            start = line
        match token.lastgroup:
            case "newline" if depth == 0:
                if statement := "".join(pieces).strip():
                    yield start, statement
                pieces.clear()
            case "comment" | "newline":
                pass
            case kind:
                depth += (kind == "open") - (kind == "close")
                pieces.append(token[0])
        line += token[0].count("\n")
    if statement := "".join(pieces).strip():
        yield start, statement


def _keys(text: str) -> list[str]:
    """`a."b.c".d = 1` → ["a", "b.c", "d"]."""
    keys: list[str] = []
    at = 0
    while found := _KEY.match(text, at):
        keys.append(_unquote(found[1]))
        at = found.end()
        if not found[2]:
            break
    return keys


def _unquote(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] == '"':
        return next(iter(tomllib.loads(f"{key} = 0")))
    return key
