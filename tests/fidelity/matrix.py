"""What becomes of every member of a request, as tables: client dialect, member, server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from tests.fidelity.members import ROOTS, Member, members
from tests.fidelity.probing import Bench, Told, columns_of, fates

_WORST = ("silent", "reported", "refused", "emulated", "carried", "nothing")
_CELLS = {"carried": "carried", "emulated": "emulated", "reported": "reported", "refused": "refused", "nothing": "–"}


class Row(NamedTuple):
    """One member, and what becomes of it in each column."""

    path: str
    cells: Mapping[str, Told]

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(cell.outcome for cell in self.cells.values())


@cache
def matrix(dialect: str, *, own: bool = False) -> tuple[Row, ...]:
    """Every member of a request of `dialect`, in every column; a member of several kinds is what its worst kind is.

    `own`: in the columns of servers of that very dialect, to which a call is translated when more is to be changed
    than the name of its model.
    """
    bench = Bench()
    try:
        return tuple(_rows(bench, dialect, columns_of(dialect, own=own)))
    finally:
        bench.close()


def _rows(bench: Bench, dialect: str, columns: list[str]) -> Iterable[Row]:
    kinds: dict[str, list[Member]] = {}
    for member in members(dialect):
        kinds.setdefault(member.path, []).append(member)
    for path, alike in kinds.items():
        each = [fates(bench, dialect, member, columns) for member in alike]
        worst = {
            name: min((cells[name] for cells in each), key=lambda cell: _WORST.index(cell.outcome)) for name in columns
        }
        yield Row(path, worst)


# --- for people ----------------------------------------------------------------------------------


def fidelity(dialect: str, *, own: bool = False) -> str:
    """The table of `dialect` in Markdown.  A row speaks for all that is inside its members, too, but for other rows.

    Among servers of its `own` dialect only what is not carried is worth a row.
    """
    columns = columns_of(dialect, own=own)
    members = _pruned(matrix(dialect, own=own))
    if own:
        members = [row for row in members if not {*row.outcomes} <= {"carried", "nothing"}]
    rows = _joined([_Line(*_split(row.path), row.outcomes, _whys(row)) for row in members])
    lines = [("where", "members", *columns, "why"), ("---",) * (len(columns) + 3)]
    for line in rows:
        cells = [_CELLS[outcome] for outcome in line.outcomes]
        lines.append((f"`{line.group}`" if line.group else "", _named(line.names), *cells, "; ".join(line.whys)))
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |").replace("| --- ", "|---") for line in lines)


class _Line(NamedTuple):
    group: str
    names: tuple[str, ...]
    outcomes: tuple[str, ...]
    whys: tuple[str, ...]


# A block, a tool, or else a member of the body and what is in it.
_GROUP = re.compile(r"(messages\[\w*\](?:\.content\[\w*\])?|tools\[\w*\]|[a-z_]+)(.*)")
_VERSION = re.compile(r"_20\d{6}(?=\])")


def _split(path: str) -> tuple[str, tuple[str, ...]]:
    found = _GROUP.fullmatch(path)
    assert found is not None, path
    group, name = found[1], found[2].lstrip(".")
    if not name and not group.endswith("]"):
        return "", (group,)
    group = re.sub(r"^messages\[\w+\](?=\.content)", "messages[]", group)
    return _VERSION.sub("_*", group), (name or "itself",)


def _pruned(rows: Sequence[Row]) -> list[Row]:
    """Without members that fare as what they are in."""
    known = {row.path: row.outcomes for row in rows}
    return [row for row in rows if _above(row.path, known) != row.outcomes]


def _above(path: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The outcomes of the nearest member that `path` is in."""
    while (cut := max(path.rfind("."), path.rfind("["))) > 0:
        path = path[:cut]
        if path in known:
            return known[path]
    return None


def _whys(row: Row) -> tuple[str, ...]:
    whys = [_short(cell.why) for cell in row.cells.values() if cell.outcome != "carried" and cell.why]
    return tuple(dict.fromkeys(whys))


def _short(why: str) -> str:
    """Without the words and places of the probe."""
    why = re.sub(r"^(messages|tools|system|images)\S*: ", "", why)
    why = re.sub(r"`[^`]*zq[^`]*`|\S*zq\d+z\S*", "…", why)
    why = re.sub(r"claude-[\d\w-]+", "the model", why)
    why = re.sub(r"the \w+ API has no such member", "no such member there", why)
    return why.replace("|", r"\|")


def _joined(lines: Sequence[_Line]) -> list[_Line]:
    """Lines of one place that fare alike as one, and places whose lines are all alike as one."""
    places: dict[str, dict[tuple[str, ...], tuple[dict[str, None], dict[str, None]]]] = {}
    for line in lines:
        names, whys = places.setdefault(line.group, {}).setdefault(line.outcomes, ({}, {}))
        names.update(dict.fromkeys(line.names))
        whys.update(dict.fromkeys(line.whys))
    return [
        _Line(group, tuple(names), outcomes, tuple(whys)[:3])
        for group, kinds in places.items()
        for outcomes, (names, whys) in kinds.items()
    ]


def _named(names: Sequence[str]) -> str:
    """The names, variants of one member together."""
    if list(names) == ["itself"]:
        return "all"
    variants: dict[str, list[str]] = {}
    for name in names:
        variants.setdefault(re.sub(r"\[\w+\]", "[…]", name), []).append(name)
    shown = [each for plain, alike in variants.items() for each in (alike if len(alike) <= _FEW else [plain])]
    return ", ".join("itself" if name == "itself" else f"`{name}`" for name in shown)


_FEW = 3


DIALECTS = tuple(ROOTS)
AT_HOME = tuple(dialect for dialect in DIALECTS if columns_of(dialect, own=True))
"""Dialects that a server speaks, too."""
