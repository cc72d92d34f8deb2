"""A table of `dragoman.toml`: members are taken by kind, and what nobody took is a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dragoman.config import kinds
from dragoman.config.kinds import Kind
from dragoman.config.toml_file import Document, Step


class Section:
    """The table at `path` of `document`.  What is wrong is added to `problems`, with file and line."""

    def __init__(self, document: Document, problems: list[str], data: Any, path: tuple[Step, ...] = ()) -> None:
        self._document = document
        self._problems = problems
        self._path = path
        self._taken: set[str] = set()
        self._inner: dict[str, Section] = {}
        if not isinstance(data, dict):
            problems.append(f"{self.where()} must be a table")
            data = {}
        self.data: dict[str, Any] = data

    def where(self, *keys: Step) -> str:
        """`dragoman.toml:7: timeouts.idle`"""
        path = (*self._path, *keys)
        return f"{self._document.where(path)}: {spell(path)}"

    def beside(self, name: str) -> Path:
        """The file called `name` in `dragoman.toml`: relative names are relative to it."""
        return Path(self._document.name).parent / name

    def complain(self, key: str, what: str) -> None:
        """Note that the member at `key` is wrong: all that is wrong with a file is told at once."""
        self._problems.append(f"{self.where(key)} {what}")

    def take(self, key: str, kind: Kind) -> Any:
        """The member at `key`, or None when it is absent or wrong.  A dotted `key` looks into tables inside."""
        outer, dot, rest = key.partition(".")
        self._taken.add(outer)
        if dot:
            if outer not in self._inner:
                self._inner[outer] = self._section(outer, self.data.get(outer, {}))
            return self._inner[outer].take(rest, kind)
        if key not in self.data:
            return None
        value, problem = kinds.read_value(kind, self.data[key], self.where(key))
        self._problems += [problem] if problem else []
        return value

    def need(self, key: str, kind: Kind) -> Any:
        """Like `take`, for what must be there."""
        if key not in self.data:
            self.complain(key, f"is required: {kind.allowed}")
        return self.take(key, kind)

    def named(self, key: str, kind: Kind) -> dict[str, Any]:
        """The members of the table at `key`, whose names are the person's own; wrong ones are left out."""
        self._taken.add(key)
        inner = self._section(key, self.data.get(key, {}))
        return {name: value for name in inner.data if (value := inner.take(name, kind)) is not None}

    def tables(self, key: str) -> dict[str, Section]:
        """The tables in the table at `key`, by name."""
        self._taken.add(key)
        inner = self._section(key, self.data.get(key, {}))
        return {name: inner._section(name, data) for name, data in inner.data.items()}

    def array(self, key: str, short: str = "") -> list[Section]:
        """The `[[key]]` tables, in order.  With `short`, a text stands for a table with that member only."""
        self._taken.add(key)
        items = self.data.get(key, [])
        if not isinstance(items, list):
            short_form = f"a list of names, or of tables such as {{ {short} = … }}"
            self.complain(key, f"must be {short_form if short else f'an array of tables, each headed [[{key}]]'}")
            return []
        whole = [{short: item} if short and isinstance(item, str) else item for item in items]
        return [self._section(key, data, i) for i, data in enumerate(whole)]

    def _section(self, key: str, data: Any, *index: int) -> Section:
        return Section(self._document, self._problems, data, (*self._path, key, *index))

    def close(self) -> None:
        """Complain of every member that nobody took."""
        for key in self.data:
            if key not in self._taken:
                self.complain(key, f"is not a known key; {suggest(key, self._taken)}")
        for inner in self._inner.values():
            inner.close()


def suggest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """What the person may have meant, or all that is known; the `prefix` that all have in common is not compared."""
    from difflib import get_close_matches  # noqa: PLC0415  only who mistypes pays for it

    rest = {name.removeprefix(prefix): name for name in sorted(known)}
    close = get_close_matches(word.removeprefix(prefix), rest, 1, 0.7)
    return f"did you mean {rest[close[0]]}?" if close else f"allowed here: {', '.join(rest.values())}"


def spell(path: Iterable[Step]) -> str:
    """A path as a person would write it: `models."claude-3.5-haiku".think`, `upstream[1].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        bare = re.fullmatch(r"[A-Za-z0-9_-]+", step)
        text += ("." if text else "") + (step if bare else f'"{step}"')
    return text
