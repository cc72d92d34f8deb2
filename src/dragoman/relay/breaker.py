"""A circuit breaker: a server that fails again and again is left alone for a while, then tried with a single call.

Only failures of the server count (`patience.MEANING`): a client's mistake or departure says nothing about it, and "too
many requests" only that it is busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from dragoman.errors import GatewayError
from dragoman.relay.patience import MEANING

State = Literal["closed", "open", "half-open"]

# Seconds that a server is thought busy when it does not say for how long.
_BUSY = 1.0


class Breaker:
    """The health of one server, as its last calls showed it.  `clock` gives seconds that only grow.

    It opens after `in_a_row` failures without a success between them, or when at least `share` of the last `calls`
    outcomes are failures; failures further apart than `memory` seconds have nothing to do with each other.  It stays
    open for `first_wait` seconds, twice as long after each probe that fails, and never longer than `max_wait`.

    `admit` gives a ticket, which comes back with the outcome.  Outcomes of calls that were let in before the state last
    changed are old news, and ignored: only the probe itself closes what is open.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        in_a_row: int = 5,
        calls: int = 20,
        share: float = 0.5,
        memory: float = 60.0,
        first_wait: float = 1.0,
        max_wait: float = 60.0,
    ) -> None:
        self.state: State = "closed"
        self.until = 0.0
        """When it may be tried again, by the clock; of no meaning while it is closed."""
        self.busy_until = 0.0
        self._clock = clock
        self._in_a_row, self._memory = in_a_row, memory
        self._window, self._most = (1 << calls) - 1, share * calls
        self._first_wait, self._max_wait = first_wait, max_wait
        self._wait = first_wait
        self._ticket = 1
        self._last_failure = 0.0
        self._recent = 0  # the last outcomes as bits, a failure being 1
        self._row = 0

    # --- before a call ---------------------------------------------------------------------------

    def admit(self) -> int:
        """A ticket for one call, or 0: do not call.  With a ticket one of those below must follow, always."""
        if self.state == "closed":
            return self._ticket
        if self.refuses:
            return 0
        return self._turn("half-open")

    @property
    def refuses(self) -> bool:
        """What `admit` would say, without asking for a ticket: whoever would be refused need not wait in a queue."""
        if self.state == "closed":
            return False
        return self.state == "half-open" or self._clock() < self.until

    @property
    def busy(self) -> bool:
        """Whether the server asked us to come later, and it is not yet.  If nobody else can serve it may be called."""
        return self.busy_until > 0.0 and self._clock() < self.busy_until

    # --- after it --------------------------------------------------------------------------------

    def succeeded(self, ticket: int) -> None:
        """The server answered: its first byte is proof enough."""
        if ticket != self._ticket:
            return
        if self.state == "closed":
            self._recent = self._recent << 1 & self._window
            self._row = 0
        else:
            self._turn("closed")
            self._wait = self._first_wait
            self._forget()

    def failed(self, ticket: int, retry_after: float | None = None) -> None:
        """The server is broken.  `retry_after`: seconds it asked for; honoured when this opens the breaker."""
        if ticket != self._ticket:
            return
        now = self._clock()
        if self.state == "closed" and not self._enough(now):
            return
        if self.state == "half-open":
            self._wait = min(self._wait * 2, self._max_wait)
        self._turn("open")
        self.until = now + min(max(self._wait, retry_after or 0.0), self._max_wait)

    def told_to_wait(self, ticket: int, retry_after: float | None = None) -> None:
        """The server works, and is busy for `retry_after` seconds."""
        wait = _BUSY if retry_after is None else min(retry_after, self._max_wait)
        self.busy_until = max(self.busy_until, self._clock() + wait)
        self.succeeded(ticket)

    def released(self, ticket: int) -> None:
        """The call ended without a verdict: the client left, or was wrong.  Another may be the probe, at once."""
        if ticket == self._ticket and self.state == "half-open":
            self._turn("open")
            self.until = self._clock()

    def blame(self, ticket: int, error: GatewayError) -> None:
        """Whichever of the above this error means."""
        match "none" if error.ours else MEANING[error.kind].blame:
            case "broken":
                self.failed(ticket, error.retry_after)
            case "busy":
                self.told_to_wait(ticket, error.retry_after)
            case "none":
                self.released(ticket)

    # --- what it keeps ---------------------------------------------------------------------------

    def _forget(self) -> None:
        self._recent = self._row = 0

    def _enough(self, now: float) -> bool:
        """Count one failure of a closed breaker: whether it is now too many."""
        if now - self._last_failure > self._memory:
            self._forget()
        self._last_failure = now
        self._recent = (self._recent << 1 | 1) & self._window
        self._row += 1
        return self._row >= self._in_a_row or self._recent.bit_count() >= self._most

    def _turn(self, state: State) -> int:
        self.state = state
        self._ticket += 1
        return self._ticket
