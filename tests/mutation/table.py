"""All rows."""

from __future__ import annotations

from tests.mutation import rows_anthropic, rows_claude, rows_codecs, rows_local, rows_relay, rows_servers
from tests.mutation.rows import Row

ROWS: list[Row] = [
    *rows_claude.ROWS,
    *rows_anthropic.ROWS,
    *rows_local.ROWS,
    *rows_servers.ROWS,
    *rows_relay.ROWS,
    *rows_codecs.ROWS,
]
