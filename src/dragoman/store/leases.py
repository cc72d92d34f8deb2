"""Who is believed to be alive: whoever has said so not long ago, by a clock that may jump."""

from __future__ import annotations

LEASE = 90.0
"""How long (seconds) after its last sign of life a response that runs is given up."""

# Seconds by which two clocks may part without one of them having been set.
_JUMP = 5.0


class Leases:
    """Leases end at a time of the clock on the wall, which several gateways share: `now`, seconds since 1970.  `steady`
    is monotonic seconds of this process, at the same moment.

    A clock that is set, or a machine that wakes up, makes all leases look as if they were over.  Then none is, until
    all who are alive had the time to renew theirs.
    """

    def __init__(self, now: float, steady: float) -> None:
        self._apart = now - steady
        self._quiet = steady

    def is_over(self, lease: float, now: float, steady: float) -> bool:
        """Whether a lease that ends then has ended."""
        if abs(now - steady - self._apart) > _JUMP:
            self._quiet = steady + LEASE
        self._apart = now - steady
        return lease < now and steady >= self._quiet
