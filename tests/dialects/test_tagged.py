"""Reasoning between tags at the beginning of a text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Part, Text, Thinking, ToolCall
from dragoman.dialects.tagged import Tagged, untagged

ROWS = [
    ("Hello", "", "Hello"),
    ("<think>\nHm.\n</think>\n\nHello", "Hm.", "Hello"),
    ("\n <think>Hm. So it is.</think>Hello\n", "Hm. So it is.", "Hello\n"),
    ("<think>\n\n</think>\n\nHello", "", "Hello"),  # a model that was told not to think
    ("<think>a < b </ c\n\nd</think>Hello", "a < b </ c\n\nd", "Hello"),
    ("<think>cut off", "cut off", ""),
    ("<think>cut off </thi", "cut off </thi", ""),
    ("<think>Hm.</think>\n\n", "Hm.", ""),
    ("<thinking about it>", "", "<thinking about it>"),
    ("<thi", "", "<thi"),
    ("\n\n", "", "\n\n"),
    ("Say <think>this</think>", "", "Say <think>this</think>"),
    ("<think>Hm.</think>A <think>word</think>", "Hm.", "A <think>word</think>"),
    ("", "", ""),
]


def read(pieces: list[str]) -> tuple[str, str]:
    tags = Tagged()
    parts = [part for piece in pieces for part in tags.feed(piece)] + tags.close()
    assert all(part.text for part in parts)
    assert [type(part) for part in parts] == sorted((type(part) for part in parts), key=lambda kind: kind is Text)
    thought = "".join(part.text for part in parts if isinstance(part, Thinking))
    return thought, "".join(part.text for part in parts if isinstance(part, Text))


@pytest.mark.parametrize(("text", "thought", "said"), ROWS)
def test_a_thought_and_what_is_said(text: str, thought: str, said: str) -> None:
    assert read([text]) == (thought, said)
    assert read(list(text)) == (thought, said)


words = st.lists(st.sampled_from(["<think>", "</think>", "</", "think>", "\n", " ", "a", "<", ">"]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(words, st.data())
def test_splitting_the_text_anywhere_changes_nothing(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    split = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(split) == read([text])


def test_what_was_said_before_the_text_leaves_no_place_for_a_thought() -> None:
    tags = Tagged()
    assert tags.feed("<think>Hm.</think>", first=False) == [Text(text="<think>Hm.</think>")]
    assert tags.done


def test_a_whole_answer() -> None:
    call = ToolCall(id="1", name="f", arguments="{}")
    content: list[Part] = [Text(text="<think>Hm.</think>Hello"), call]
    assert untagged(content) == [Thinking(text="Hm."), Text(text="Hello"), call]
    thought: list[Part] = [Thinking(text="So."), Text(text="<think>Hm.</think>Hello")]
    assert untagged(thought) == thought
    assert untagged([call]) == [call]
