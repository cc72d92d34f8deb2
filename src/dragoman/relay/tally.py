"""What each model of each server did: calls, failures, tokens, money.  In memory and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from dragoman.conversation import Usage
from dragoman.telemetry.families import OTHER

_REST = ("", "")


class Count(Struct, gc=False):
    """Sums since the start.  `input` to `thinking` are tokens of the calls that reported any, `cost` is in US
    dollars, of the calls whose price is known."""

    calls: int = 0
    failures: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float = 0.0
    thinking: int = 0


class Tally:
    """A `Count` for each pair of server and model: the first `limit` pairs that were seen, and ("", "") for all others.

    `listed` says whether a server is known to have a model; of one that is not the name may be what a client made up,
    and there is no end to those: they are counted together, as "other".
    """

    def __init__(self, limit: int = 1000, listed: Callable[[str, str], bool] = lambda upstream, model: True) -> None:
        self._limit = limit
        self._listed = listed
        self._counts: dict[tuple[str, str], Count] = {}
        self._known: set[tuple[str, str]] = set()
        self.failures: dict[tuple[str, ...], int] = {}
        """Attempts that failed, by server and kind of failure."""
        self.retries: dict[str, int] = {}
        """Calls that were tried again, by the kind of failure before."""
        self.moves: dict[tuple[str, ...], int] = {}
        """Calls that another model took over, by the server that lost them, and why."""

    def add(
        self,
        upstream: str,
        model: str,
        usage: Usage | None = None,
        *,
        failed: str = "",
        cost: float | None = None,
    ) -> None:
        """One call that ended; `failed` is the kind of its failure."""
        count = self._count(upstream, model)
        count.calls += 1
        if failed:
            count.failures += 1
            self.failures[upstream, failed] = self.failures.get((upstream, failed), 0) + 1
        if usage is not None:
            count.input += usage.input
            count.output += usage.output
            count.cache_read += usage.cache_read
            count.cache_write += usage.cache_write
            count.thinking += usage.thinking
        count.cost += cost or 0.0

    def retried(self, kind: str) -> None:
        """A call is sent once more after a failure of this kind."""
        self.retries[kind] = self.retries.get(kind, 0) + 1

    def moved(self, upstream: str, why: str) -> None:
        """A call leaves this server for another model."""
        self.moves[upstream, why] = self.moves.get((upstream, why), 0) + 1

    def counts(self) -> Mapping[tuple[str, str], Count]:
        """What was counted so far; it goes on counting."""
        return self._counts

    def named(self, upstream: str, model: str) -> tuple[str, str]:
        """The pair, with "other" for a model that the server is not known to have."""
        pair = (upstream, model)
        if pair in self._known:
            return pair
        if len(self._known) >= self._limit or not self._listed(upstream, model):
            return upstream, OTHER
        self._known.add(pair)
        return pair

    def _count(self, upstream: str, model: str) -> Count:
        pair = self.named(upstream, model)
        if (count := self._counts.get(pair)) is not None:
            return count
        if len(self._counts) >= self._limit:
            pair = _REST
        return self._counts.setdefault(pair, Count())
