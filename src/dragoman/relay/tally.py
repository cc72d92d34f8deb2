"""What each model of each server did: calls, failures, tokens, money.  In memory and bounded."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dragoman.conversation import Usage

_OTHER = ("", "")


class Count(Struct, gc=False):
    """Sums since the start.  `input` to `cache_write` are tokens of the calls that reported any, `cost` is in US
    dollars, of the calls whose price is known."""

    calls: int = 0
    failures: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float = 0.0


class Tally:
    """A `Count` for each pair of server and model: the first `limit` pairs that were seen, and ("", "") for all others.

    Names may be what clients made up, so that there is no end to them.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._counts: dict[tuple[str, str], Count] = {}

    def add(
        self,
        upstream: str,
        model: str,
        usage: Usage | None = None,
        *,
        failed: bool = False,
        cost: float | None = None,
    ) -> None:
        """One call that ended."""
        count = self._count(upstream, model)
        count.calls += 1
        count.failures += failed
        if usage is not None:
            count.input += usage.input
            count.output += usage.output
            count.cache_read += usage.cache_read
            count.cache_write += usage.cache_write
        count.cost += cost or 0.0

    def counts(self) -> Mapping[tuple[str, str], Count]:
        """What was counted so far; it goes on counting."""
        return self._counts

    def _count(self, upstream: str, model: str) -> Count:
        pair = (upstream, model)
        if (count := self._counts.get(pair)) is not None:
            return count
        if len(self._counts) >= self._limit:
            pair = _OTHER
        return self._counts.setdefault(pair, Count())
