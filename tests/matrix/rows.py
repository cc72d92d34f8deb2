"""The scenario table: every row, once for all clients and servers."""

from __future__ import annotations

from collections.abc import Sequence

from tests.matrix.rows_more import JSON, MEDIA, THINKING
from tests.matrix.rows_tools import TOOLS
from tests.matrix.rows_words import ENDS, WORDS
from tests.matrix.table import Row

ROWS: Sequence[Row] = (*WORDS, *ENDS, *TOOLS, *MEDIA, *THINKING, *JSON)
