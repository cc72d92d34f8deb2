"""Losses that leave out what one call tells them, as if that call were deleted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dragoman.losses import Losses
from tests.mutation.sites import Site

Place = tuple[str, int]


class Heard:
    """Which sites told something while it was listened to."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._at: dict[Place, Site] = {}
        for site in sites:
            for line in range(site.first, site.last + 1):
                assert (str(site.file), line) not in self._at, f"two calls in one line: {site}"
                self._at[str(site.file), line] = site
        self.sites: set[Site] = set()
        self.muted: Site | None = None

    def hears(self, place: Place) -> bool:
        """Whether what is told from there counts."""
        site = self._at.get(place)
        if site is None:
            return True
        self.sites.add(site)
        return site is not self.muted


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Every `Losses` tells `heard` who told it something, and forgets what the muted site said."""
    drop, emulate = Losses.drop, Losses.emulate

    def asked(tell: Callable[[Losses, str, str], None]) -> Callable[[Losses, str, str], None]:
        def told(self: Losses, name: str, why: str) -> None:
            frame = sys._getframe(1)
            if heard.hears((frame.f_code.co_filename, frame.f_lineno)):
                tell(self, name, why)

        return told

    Losses.drop, Losses.emulate = asked(drop), asked(emulate)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Losses.drop, Losses.emulate = drop, emulate  # type: ignore[method-assign]
