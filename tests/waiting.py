"""Waiting for what happens soon: until it has happened, and never for a time that ought to be enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 30.0
"""Seconds: what takes longer on a busy machine is broken."""

_Found = TypeVar("_Found")


def until(look: Callable[[], _Found], told: Callable[[], object] | str = "") -> _Found:
    """What `look` returns when that is true for the first time.  If it never is, a failure with what `told` says."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, told if isinstance(told, str) else told()
        time.sleep(0.005)
    return found
