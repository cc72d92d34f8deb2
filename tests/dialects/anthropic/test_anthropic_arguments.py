"""Arguments in pieces: valid JSON leaves as it came, anything else never breaks the program that parses it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jiter import from_json

from dragoman.dialects.anthropic.partial import ObjectText

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
texts = st.dictionaries(words, values, max_size=3).flatmap(
    lambda value: st.sampled_from([msgspec.json.encode(value).decode(), json.dumps(value), json.dumps(value, indent=1)])
)


def pass_on(text: str, cuts: list[int]) -> str:
    """What leaves, parsed at every step as the SDK does."""
    machine = ObjectText()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    told = ""
    for start, end in pairwise(edges):
        told += machine.feed(text[start:end])
        if told:
            from_json(told.encode(), partial_mode=True)
    return told + machine.close()


cuts = st.lists(st.integers(0, 60), max_size=8)


@settings(max_examples=150, deadline=None)
@given(texts, cuts)
def test_an_object_leaves_as_it_came(text: str, cuts: list[int]) -> None:
    assert pass_on(text, cuts) == text
    assert pass_on(text, list(range(len(text)))) == text


@settings(max_examples=150, deadline=None)
@given(texts, cuts, st.integers(0, 60), st.sampled_from(["", ",", "x", '"', "}", "]", "'", "\n", "\\", ":", "0", "{}"]))
def test_a_text_that_stops_being_json_still_adds_up_to_an_object(
    text: str, cuts: list[int], place: int, wrong: str
) -> None:
    place = min(place, len(text))
    broken = text[:place] + wrong + text[place + len(wrong) :]
    told = pass_on(broken, cuts)
    value = from_json(told.encode(), partial_mode=True)
    assert isinstance(value, dict)
    assert told.startswith(broken.rstrip()) or broken.startswith(told) or value["_invalid_json"] == broken


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='{}[]":,\\ u1e-.tfnd8a\n', max_size=20), cuts)
def test_noise_adds_up_to_an_object(text: str, cuts: list[int]) -> None:
    for noise in (text, "{" + text, '{"a":' + text):
        value = from_json(pass_on(noise, cuts).encode(), partial_mode=True)
        assert isinstance(value, dict)


BROKEN: list[tuple[str, str]] = [
    ("", "{}"),
    (" \n", "{}"),
    ("null", '{"value":null}'),
    ("[1]", '{"value":[1]}'),
    ("ls -l", '{"_invalid_json":"ls -l"}'),
    ("{cmd:1}", '{"_invalid_json":"{cmd:1}"}'),
    ('{"a":1,}', '{"a":1,"_invalid_json":"{\\"a\\":1,}"}'),
    ('{"a":None}', '{"a":null,"_invalid_json":"{\\"a\\":None}"}'),
    ('{"a":[1,{"b":"x\ny"}]}', '{"a":[1,{"b":"x"}],"_invalid_json":"{\\"a\\":[1,{\\"b\\":\\"x\\ny\\"}]}"}'),
    ('{"a" 1}', '{"a" :null,"_invalid_json":"{\\"a\\" 1}"}'),
    ('{"a":"\\ud83d"}', '{"a":"","_invalid_json":"{\\"a\\":\\"\\\\ud83d\\"}"}'),
    ('{"a":1} and so on', '{"a":1}'),
    ('{"a":1}{"b":2}', '{"a":1}'),
    ('{"a":"cut o', '{"a":"cut o'),
]


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_what_leaves(text: str, told: str) -> None:
    assert pass_on(text, []) == told
    assert pass_on(text, list(range(len(text)))) == told


def test_a_long_text_takes_linear_time() -> None:
    """Every delta is a step, whatever came before it, and nothing is waited for without end."""
    for endless in ("1", "\n", "x"):
        stuck = ObjectText()
        told = stuck.feed('{"a":') + "".join(stuck.feed(endless) for _ in range(50_000)) + stuck.close()
        assert isinstance(from_json(told.encode(), partial_mode=True), dict)
    machine = ObjectText()
    told = machine.feed('{"a":"') + "".join(machine.feed("word ") for _ in range(50_000)) + machine.feed('"}')
    assert len(from_json((told + machine.close()).encode())["a"]) == 250_000
