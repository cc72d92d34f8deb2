"""Gateways before a scripted upstream, one for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.relay.scripted import (
    IMPATIENT,
)
from tests.relay.setting import Setting, setting


@pytest.fixture(scope="module")
def patient() -> Iterator[Setting]:
    """Long timeouts, no second attempts."""
    with setting() as it:
        yield it


@pytest.fixture(scope="module")
def impatient() -> Iterator[Setting]:
    """Timeouts of 0.3 seconds, no second attempts."""
    with setting(timeouts=IMPATIENT) as it:
        yield it


@pytest.fixture(scope="module")
def persistent() -> Iterator[Setting]:
    """Two further attempts."""
    with setting(retries=2) as it:
        yield it
