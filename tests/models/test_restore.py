"""The way back: names, freeform arguments, wrapped values, JSON out of prose."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Part, Reply, Text, ToolCall
from dragoman.folding import Fold, unfold
from dragoman.models.jsontext import OneValue, Root, Unwrapped
from dragoman.models.restore import Restore


def restored(restore: Restore, *content: Part) -> list[Part]:
    reply = Reply(origin="anthropic", id="x", model="m", content=list(content))
    stream, fold = restore.stream(), Fold("anthropic")
    for event in unfold(reply):
        fold.feed(stream.feed([event]))
    return fold.reply.content


def test_names_come_back() -> None:
    restore = Restore({"fs_read_1": "fs.read"}, frozenset(), "")
    calls = [ToolCall(id="x", name="fs_read_1", arguments="{}"), ToolCall(id="y", name="plain", arguments="{}")]
    assert [part.name for part in restored(restore, *calls) if isinstance(part, ToolCall)] == ["fs.read", "plain"]


@pytest.mark.parametrize(
    ("written", "seen"), [('{"input":"ls \\"-l\\""}', 'ls "-l"'), ('{"other":1}', '{"other":1}'), ("", "")]
)
def test_a_freeform_call_is_unwrapped(written: str, seen: str) -> None:
    restore = Restore({"sh": "run.sh"}, frozenset({"sh"}), "")
    [part] = restored(restore, ToolCall(id="x", name="sh", arguments=written))
    assert part == ToolCall(id="x", name="run.sh", arguments=seen, freeform=True)


JSON_TEXTS: list[tuple[str, str]] = [
    ('{"a": 1}', '{"a": 1}'),
    ('```json\n{"a": "}"}\n```', '{"a": "}"}'),
    ('Here it is:\n[1, {"b": "\\"]"}]\nDone.', '[1, {"b": "\\"]"}]'),
    ("```\n42\n```", "42"),
    ("I cannot.", "I cannot."),
    ('{"a": 1', '{"a": 1'),
    ("", ""),
]


@pytest.mark.parametrize(("text", "value"), JSON_TEXTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_one_json_value_is_passed_on(text: str, value: str, data: st.DataObject) -> None:
    machine = OneValue()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(machine.feed, pieces)) + machine.close() == value


ROOTS: list[tuple[Root, str, str]] = [
    ("object", 'As in [1] and {name}, { x: {"a":[1,2]} or {"b":1}', '{"a":[1,2]}'),
    ("object", "[1]", "[1]"),
    ("object", '[{"a":1},{"b":"]"}]', '[{"a":1},{"b":"]"}]'),
    ("object", 'as in [{"a":[1]}]: {"b":"]"}.', '{"b":"]"}'),
    ("object", '{"cut": "off', '{"cut": "off'),
    ("object", "{}", "{}"),
    ("object", "{ not", "{ not"),
    ("array", '{x} in [the] list: [true, {"a":"]"}].', '[true, {"a":"]"}]'),
    ("array", "[nullx] [null]", "[null]"),
    ("array", '{"a":[]}', "[]"),
    ("json", '"a {b} \\" [c]" and so on', '"a {b} \\" [c]"'),
    ("json", ' \n"x"', '"x"'),
    ("json", 'He said "[1]"', "[1]"),
    ("json", '{"a":"\\\\"} }', '{"a":"\\\\"}'),
]


@pytest.mark.parametrize(("root", "text", "value"), ROOTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_brackets_in_prose_begin_nothing(root: Root, text: str, value: str, data: st.DataObject) -> None:
    machine = OneValue(root)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(machine.feed, pieces)) + machine.close() == value


WRAPPED: list[tuple[str, str]] = [
    ('{"value":[1,2]}', "[1,2]"),
    ('{ "value" : "a}" }\n', '"a}"'),
    ('{"value":{"a":{}}}', '{"a":{}}'),
    ("nonsense", "nonsense"),
]


@pytest.mark.parametrize(("text", "value"), WRAPPED)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_wrapper_is_taken_off(text: str, value: str, data: st.DataObject) -> None:
    machine = Unwrapped()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert ("".join(map(machine.feed, pieces)) + machine.close()).strip() == value


def test_each_text_part_has_a_reader_of_its_own() -> None:
    restore = Restore({}, frozenset(), "json")
    assert restored(restore, Text(text='x {"a":1} y'), Text(text="[2]")) == [Text(text='{"a":1}'), Text(text="[2]")]
