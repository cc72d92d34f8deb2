"""Hypothesis strategies: any JSON at all, and something valid that was spoiled in a few places."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SEEDS = Path(__file__).parent / "seeds"
_DEEP = 400


def seeds(name: str) -> list[Any]:
    """The JSON values of `seeds/<name>.jsonl`, each of them valid."""
    return [json.loads(line) for line in (SEEDS / f"{name}.jsonl").read_text().splitlines()]


def _nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"type": value}
    return value


WORDS = (
    "",
    "x",
    "text",
    "user",
    "assistant",
    "tool",
    "function",
    "auto",
    "json_schema",
    "object",
    "f",
    "c1",
    "toolu_1",
)
ODD: tuple[Any, ...] = (
    *(10**400, -(10**30), 2**63, 2**53 + 1, 1e308, -0.0, 1.5, 0, -1),
    *(
        "\x00",
        "\x00a\x1b[2J",
        "\u2028",
        "￿",
        "é" * 300,
        "a" * 70_000,
        "💥",
        "data:image/png;base64,%%%",
        "http://[",
        "NaN",
    ),
    *([], {}, [[]], [None], {"": None}, {"type": []}, {"type": "text"}, {"$ref": "#"}, True, False, None),
)
ANY = st.recursive(
    st.sampled_from(ODD) | st.sampled_from(WORDS) | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (owner, key) in a JSON value."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        owner = todo.pop()
        inner = owner.items() if isinstance(owner, dict) else enumerate(owner) if isinstance(owner, list) else ()
        for key, member in inner:
            found.append((owner, key))
            todo.append(member)
    return found


def _replaced(draw: st.DrawFn, owner: Any, key: Any, _: Any) -> None:
    owner[key] = copy.deepcopy(draw(ANY))  # what is drawn may be spoiled in its turn


def _deleted(draw: st.DrawFn, owner: Any, key: Any, _: Any) -> None:
    del owner[key]


def _doubled(draw: st.DrawFn, owner: Any, key: Any, _: Any) -> None:
    """A list has it twice; an object has it under another name, too."""
    if isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
    else:
        owner[draw(st.sampled_from(WORDS) | st.text(max_size=5))] = copy.deepcopy(owner[key])


def _elsewhere(draw: st.DrawFn, owner: Any, key: Any, whole: Any) -> None:
    """Something else of the same value stands there."""
    other, name = draw(st.sampled_from(_places(whole)))
    owner[key] = copy.deepcopy(other[name])


def _wrapped(draw: st.DrawFn, owner: Any, key: Any, _: Any) -> None:
    owner[key] = draw(st.sampled_from([[owner[key]], {"type": owner[key]}, {"x": owner[key]}, json.dumps(owner[key])]))


def _sunk(draw: st.DrawFn, owner: Any, key: Any, _: Any) -> None:
    owner[key] = _nested(draw(st.integers(10, _DEEP)))


_SPOIL: tuple[Callable[[st.DrawFn, Any, Any, Any], None], ...] = (
    *(_replaced, _replaced, _replaced, _deleted, _doubled, _elsewhere, _wrapped, _sunk),
)


@st.composite
def spoiled(draw: st.DrawFn, valid: list[Any]) -> Any:
    """One of `valid`, with up to three things in it that are not as they should be."""
    value = copy.deepcopy(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            break
        owner, key = draw(st.sampled_from(places))
        draw(st.sampled_from(_SPOIL))(draw, owner, key, value)
    return value


def written(value: Any) -> bytes:
    """The value as JSON.  Text of half a character is written as its escape, which some decoders take."""
    return json.dumps(value).encode()


@st.composite
def broken_bytes(draw: st.DrawFn, valid: list[bytes]) -> bytes:
    """One of `valid`, cut, with other bytes in it, with a piece twice, or with one taken out; or any bytes."""
    data = draw(st.sampled_from([*valid, b""]))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 200)))
        piece = draw(st.binary(max_size=12) | st.sampled_from(_PIECES) | st.just(data[start:end] * 2))
        data = data[:start] + piece + data[end:]
    return data


_PIECES = (
    *(
        b"\n",
        b"\r\n\r\n",
        b"\n\n",
        b"data: ",
        b"data:",
        b"data: {}\n\n",
        b"data: [DONE]\n\n",
        b"event: error\n",
        b":",
        b"null",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b'"',
        b"\\ud800",
        b"\x00",
        b"\xff\xfe",
        b"1e999",
        b"-",
        b"[" * 2000,
        b'{"a":' * 1500,
        b"9" * 400,
    ),
)


def frames(data: bytes) -> list[Any]:
    """The JSON values of a recorded stream, of events or of lines."""
    payloads = (line.removeprefix(b"data:").strip() for line in data.splitlines() if line.startswith((b"data:", b"{")))
    return [json.loads(payload) for payload in payloads if payload.startswith(b"{")]


def streamed(values: list[Any], *, lines: bool) -> bytes:
    """The same as a stream, events unless `lines`."""
    written = [json.dumps(value).encode() for value in values]
    return b"".join(b"%b\n" % each if lines else b"data: %b\n\n" % each for each in written)
