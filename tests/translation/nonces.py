"""Words that occur once: put into a client's request, and looked for in what a server is sent.

A generator writes `WORD` wherever a client can say something; `filled` makes each of them another word and notes where
it stands.  A word that is not sent must be told of, by its place, in the report of losses.
"""

from __future__ import annotations

import base64
import re
from copy import deepcopy
from typing import Any, NamedTuple

Path = tuple[str | int, ...]

WORD = "@w@"
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_NONCE = re.compile(r"zq\d+z")


class InBase64(NamedTuple):
    """Text that a client sends as base64; `head` stands before the base64."""

    text: str
    head: str = ""


class Picture(NamedTuple):
    """A picture unlike any other, as base64."""

    head: str = ""


class Nonce(NamedTuple):
    """`text` is what is looked for."""

    text: str
    path: Path


def filled(body: Any) -> tuple[Any, list[Nonce]]:
    """A copy of `body` with words instead of marks, and the words."""
    found: list[Nonce] = []
    return _filled(deepcopy(body), (), found), found


def _filled(value: Any, path: Path, found: list[Nonce]) -> Any:
    match value:
        case InBase64(text=text, head=head):
            return head + base64.b64encode(_words(text, path, found).encode()).decode()
        case Picture(head=head):
            # Bytes after the end of a picture are nobody's business, and base64 that begins at a multiple of three
            # is found again.
            data = base64.b64encode(_PNG + b"\0" * (-len(_PNG) % 3)).decode()
            mine = base64.b64encode(b"zq%07d" % len(found)).decode()
            found.append(Nonce(mine, path))
            return head + data + mine
        case str():
            return _words(value, path, found)
        case list():
            return [_filled(item, (*path, index), found) for index, item in enumerate(value)]
        case dict():
            return {_words(key, (*path, key), found): _filled(item, (*path, key), found) for key, item in value.items()}
        case _:
            return value


def _words(text: str, path: Path, found: list[Nonce]) -> str:
    while WORD in text:
        word = f"zq{len(found)}z"
        text = text.replace(WORD, word, 1)
        found.append(Nonce(word, path))
    return text


def words_in(text: str) -> list[str]:
    """The words in `text`, in order."""
    return _NONCE.findall(text)


def spelled(path: Path) -> str:
    """`messages[0].content`."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
    return out


def exists(body: Any, path: str) -> bool:
    """Whether `path`, as an error has it, leads anywhere in `body`."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if index:
            if not (isinstance(body, list) and int(index) < len(body)):
                return False
            body = body[int(index)]
        elif isinstance(body, dict) and name in body:
            body = body[name]
        else:
            return False
    return True
