"""Every key of a TOML file is found on its line."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config.toml_file import Document, TomlError, key_lines

TEXT = '''\
# a comment with = and [brackets]
host = "a # is no comment here"   # port = 1
"quoted key" = 1
'single' . "dotted.key" = 2

text = """
port = 3
[not.a.table]
\\""" still """
raw = \'\'\'
debug = 1 \'\'\'
list = [   # [
  "]",     # ]
  { inner = "[" },
]
after = 1
  indented.by.two = 1
[timeouts]
idle = 5
[ models . "claude-3.5-haiku" ]
think = true
[[upstream]]
name = "a"
[upstream.headers]
x = "1"
[[upstream]]

name = "b"
headers.y = "2"
inline = { p = 1, q = { r = 2 } }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("host",), 2),
        (("quoted key",), 3),
        (("single",), 4),
        (("single", "dotted.key"), 4),
        (("text",), 6),
        (("raw",), 10),
        (("list",), 12),
        (("after",), 16),
        (("indented", "by", "two"), 17),
        (("timeouts",), 18),
        (("timeouts", "idle"), 19),
        (("models", "claude-3.5-haiku"), 20),
        (("models", "claude-3.5-haiku", "think"), 21),
        (("upstream",), 22),
        (("upstream", 0), 22),
        (("upstream", 0, "name"), 23),
        (("upstream", 0, "headers"), 24),
        (("upstream", 0, "headers", "x"), 25),
        (("upstream", 1), 26),
        (("upstream", 1, "name"), 28),
        (("upstream", 1, "headers", "y"), 29),
        (("upstream", 1, "inline"), 30),
    ],
)
def test_line(path: tuple[str | int, ...], line: int) -> None:
    assert key_lines(TEXT)[path] == line
    assert key_lines(TEXT.replace("\n", "\r\n"))[path] == line


def test_nothing_is_found_that_is_not_there() -> None:
    tops = {path[0] for path in key_lines(TEXT)}
    assert tops == set(tomllib.loads(TEXT))


def test_where_falls_back_to_what_is_around() -> None:
    document = Document("f.toml", TEXT)
    assert document.where(("upstream", 1, "inline", "q", "r")) == "f.toml:30"
    assert document.where(("nowhere",)) == "f.toml"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a = 1\nb = \n", "f.toml:2: this is not TOML: "),
        ("a = 1\n\na = 2\n", "f.toml:3: this is not TOML: "),
        ('a = 1\nb = "never closed', "f.toml:2: this is not TOML: "),
        ("[a]\n[a]\n", "f.toml:2: this is not TOML: "),
    ],
)
def test_syntax_errors_have_their_line(text: str, start: str) -> None:
    with pytest.raises(TomlError) as caught:
        Document("f.toml", text)
    assert str(caught.value).startswith(start)
    assert "(at " not in str(caught.value)


_TEXTS = st.text(st.sampled_from("ab =#[]{}'\"\n.\\"), max_size=12)


def _basic(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _long(text: str) -> str:
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""'


def _value(value: Any, long: bool) -> str:
    if isinstance(value, list):
        return "[ # ]\n" + "".join(f"  {_value(item, False)}, # '\n" for item in value) + "]"
    return _long(value) if long else _basic(value)


@settings(max_examples=100)
@given(
    st.dictionaries(_TEXTS, st.tuples(st.one_of(_TEXTS, st.lists(_TEXTS, max_size=3)), st.booleans()), max_size=5),
)
def test_any_file_written_by_us(members: dict[str, tuple[Any, bool]]) -> None:
    text, expected = "", {}
    for key, (value, long) in members.items():
        expected[(key,)] = text.count("\n") + 1
        text += f"{_basic(key)} = {_value(value, long)} # = \n"
    assert tomllib.loads(text) == {key: value for key, (value, _) in members.items()}
    assert key_lines(text) == expected
