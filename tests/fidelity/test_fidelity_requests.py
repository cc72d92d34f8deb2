"""Nothing a request can say is lost without a word: every member of the SDKs' types, to every kind of server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.fidelity.declared import ALIASES, EQUIVALENTS, NOTHING
from tests.fidelity.matrix import AT_HOME, DIALECTS, Row, matrix
from tests.fidelity.members import ROOTS, Leaf, Record, members, newcomers
from tests.fidelity.probing import Bench, columns, columns_of, fates


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


PAIRS = [*((dialect, False) for dialect in DIALECTS), *((dialect, True) for dialect in AT_HOME)]
_ROWS = [pytest.param(*pair, id=f"{pair[0]}{' at home' * pair[1]}") for pair in PAIRS]


@pytest.mark.parametrize(("dialect", "own"), _ROWS)
def test_every_member_is_carried_or_told_of(dialect: str, own: bool) -> None:
    lost = [
        f"{column}: {row.path}: {cell.why}"
        for row in matrix(dialect, own=own)
        for column, cell in row.cells.items()
        if cell.outcome == "silent"
    ]
    assert not lost, "\n".join(lost[:20])


# What is unknown to one server of a kind is unknown to the others.
_ONE_OF_EACH = {
    "anthropic": ("Ollama", "OpenAI"),
    "openai_chat": ("Claude Haiku 4.5", "Ollama"),
    "openai_completions": ("Claude Haiku 4.5", "Ollama", "vLLM"),
    "openai_responses": ("Claude Haiku 4.5", "Ollama"),
    "ollama": ("Claude Haiku 4.5", "vLLM"),
    "ollama_generate": ("Claude Haiku 4.5", "vLLM"),
}


@pytest.mark.parametrize(("dialect", "own"), _ROWS)
def test_a_member_nobody_knows_yet_is_told_of(dialect: str, own: bool, bench: Bench) -> None:
    """In every object of the request, so that a member an SDK learns tomorrow is not lost today."""
    columns = columns_of(dialect, own=True) if own else _ONE_OF_EACH[dialect]
    lost = [
        f"{column}: {member.path}: {cell.why}"
        for member in newcomers(dialect)
        for column, cell in fates(bench, dialect, member, columns).items()
        if cell.outcome == "silent"
    ]
    assert not lost, "\n".join(lost[:20])


def test_the_walk_is_a_walk() -> None:
    """The types are read to their ends: if a change of an SDK's style blinds the walker, few members are left."""
    assert {dialect: len(members(dialect)) > least for dialect, least in _LEAST.items()} == dict.fromkeys(ROOTS, True)
    assert {path for paths in _KNOWN.values() for path in paths} <= {
        member.path for dialect in ROOTS for member in members(dialect)
    }
    for dialect in ROOTS:
        assert all(isinstance(member.leaf, Leaf | Record) for member in members(dialect))


_LEAST = {
    "anthropic": 1500,
    "openai_chat": 120,
    "openai_completions": 15,
    "openai_responses": 900,
    "ollama": 45,
    "ollama_generate": 40,
}
_KNOWN = {
    "anthropic": ("output_config.format[json_schema].schema", "messages[user].content[document].context"),
    "openai_chat": ("messages[user].content[image_url].image_url.detail", "tools[function].function.strict"),
    "ollama": ("options.num_ctx", "messages[].images[]", "tools[].function.description"),
}


def test_a_lost_member_is_noticed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge itself: where the report is silenced, each reported member is found out."""
    monkeypatch.setattr("dragoman.losses.Losses.drop", lambda *_: None)
    for dialect, path in (("ollama", "options.seed"), ("openai_chat", "logit_bias"), ("anthropic", "inference_geo")):
        member = next(member for member in members(dialect) if member.path == path)
        (cell,) = fates(bench, dialect, member, columns_of(dialect)[:1]).values()
        assert cell.outcome == "silent"


def every() -> Iterator[Row]:
    """The rows of all tables."""
    for dialect, own in PAIRS:
        yield from matrix(dialect, own=own)


# --- declarations are not stale -------------------------------------------------------------------


@pytest.mark.parametrize("pattern", NOTHING)
def test_what_asks_nothing_is_still_there(pattern: str) -> None:
    places = (f"{column}: {row.path}" for row in every() for column in row.cells)
    cells = (cell for row in every() for cell in row.cells.values())
    assert any(
        re.search(pattern, place) and cell.outcome == "nothing" for place, cell in zip(places, cells, strict=True)
    )


@pytest.mark.parametrize("pattern", EQUIVALENTS)
def test_what_is_declared_to_stand_for_a_member_is_needed(
    pattern: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(EQUIVALENTS, pattern)
    cells = (
        cell
        for dialect in DIALECTS
        for member in members(dialect)
        if re.search(pattern, member.path)
        for cell in fates(bench, dialect, member, [*columns()]).values()
    )
    assert any(cell.outcome == "silent" for cell in cells)


@pytest.mark.parametrize("pattern", ALIASES.values())
def test_what_a_report_calls_by_another_name_is_still_there(pattern: str) -> None:
    assert any(re.search(pattern, row.path) for dialect in DIALECTS for row in matrix(dialect))
