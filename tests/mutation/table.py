"""All rows."""

from __future__ import annotations

from dataclasses import replace

from tests.mutation import (
    rows_anthropic,
    rows_claude,
    rows_codecs,
    rows_home,
    rows_local,
    rows_relay,
    rows_responses,
    rows_servers,
)
from tests.mutation.rows import Row

_TABLES = {
    "to Claude": rows_claude.ROWS,
    "of Anthropic's": rows_anthropic.ROWS,
    "to local models": rows_local.ROWS,
    "to kinds of servers": rows_servers.ROWS,
    "in the relay": rows_relay.ROWS,
    "at home": rows_home.ROWS,
    "as it is": rows_codecs.ROWS,
    "to a Responses server": rows_responses.ROWS,
}
ROWS: list[Row] = [replace(row, name=f"{of}: {row.name}") for of, rows in _TABLES.items() for row in rows]
