"""`dragoman simulate`: the simulator as a server of its own."""

from __future__ import annotations

import asyncio

from dragoman.cli.output import complain, paint, say
from dragoman.cli.settings import not_listening
from dragoman.simulator import Simulator
from dragoman.simulator.server import serve


def run(host: str, port: int, *, pace: float, scenario: str) -> int:
    """Serve until stopped; `pace` is in seconds an event.  2 for a scenario that does not exist, 1 for a port that is
    taken."""
    try:
        simulator = Simulator(pace=pace, scenario=scenario)
    except ValueError as error:
        complain(str(error))
        return 2
    try:
        asyncio.run(serve(simulator, host, port, listening=_announce))
    except OSError as error:
        complain(not_listening(host, port, error))
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _announce(url: str) -> None:
    say(paint(f"the simulator speaks the Anthropic API on {url}", "strong"))
    say(f"  ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any dragoman serve")
