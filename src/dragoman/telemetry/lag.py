"""How late the event loop is: whoever waits for a token waits that much longer."""

from __future__ import annotations

import asyncio

from dragoman.telemetry.metrics import Metrics

_EVERY = 0.5


async def measure_lag(metrics: Metrics, every: float = _EVERY) -> None:
    """Look every so many seconds how late a timer fires, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        metrics.lag.observe(max(int((loop.time() - due) * 1e9), 0))
