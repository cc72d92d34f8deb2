"""A stamp whose clock goes on by a millisecond at every look."""

from __future__ import annotations

from itertools import count

import pytest

from dragoman.dialects.contract import Stamp

# 2026-11-22T06:00:00.5Z
CREATED = 1_795_327_200_500_000_000


@pytest.fixture
def stamp() -> Stamp:
    ticks = count(1_000_000, 1_000_000)
    return Stamp(id="id_1", model="claude-sonnet-4.5", created=CREATED, started=0, clock=lambda: next(ticks))
