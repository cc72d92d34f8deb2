"""The table of settings says what is true of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import fields

from dragoman.config import PRESETS, Override, Settings, Target, Upstream, kinds, load, settings_table
from dragoman.config.table import OVERRIDES, ROWS, TARGET, UPSTREAM, Row, default_of


def test_every_member_of_settings_can_be_set() -> None:
    rows = {row.key.partition(".")[0] for row in ROWS}
    elsewhere = {"demo", "upstreams", "aliases", "overrides", "routes"}
    assert {member.name for member in fields(Settings)} - elsewhere <= rows
    assert set(OVERRIDES) == {member.name for member in fields(Override)}
    assert set(TARGET) == {member.name for member in fields(Target)}
    ours = {"key_file", "key_variable", "ca_file", "timeouts"}
    assert {key.partition(".")[0] for key in UPSTREAM} == {member.name for member in fields(Upstream)} - {
        "headers"
    } | ours


@pytest.mark.parametrize("row", [row for row in ROWS if row.variables and default_of(row)], ids=lambda row: row.key)
def test_a_default_written_out_is_the_default(row: Row) -> None:
    nowhere = Path("/nowhere")
    environ = {"ANTHROPIC_API_KEY": "k"}
    assert load(environ | {row.variables[0]: default_of(row)}, run_secrets=nowhere) == load(
        environ, run_secrets=nowhere
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_only_what_a_file_could(name: str) -> None:
    rows = {row.key: row for row in ROWS}
    for key, value in PRESETS[name].items():
        assert kinds.read_value(rows[key].kind, value, key) == (value, "")


def test_rows_of_the_readme() -> None:
    table = {row.variable: row for row in settings_table()}
    assert table["`PORT`"][1:3] == ("`port`", "`11434`")
    assert table["`DRAGOMAN_MAX_BODY`"].default == "`64MiB`"
    assert table["`DRAGOMAN_ORIGINS`, `OLLAMA_ORIGINS`"].default == "–"
    assert all(row.purpose and "|" not in row.purpose for row in settings_table())
    assert len(table) == len(ROWS)
