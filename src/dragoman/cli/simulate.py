"""`dragoman simulate`: the simulator as a server of its own."""

from __future__ import annotations

import asyncio

from dragoman.cli.output import complain, say


def run(host: str, port: int, *, pace: float, scenario: str) -> int:
    """Serve until stopped; `pace` is in seconds an event."""
    from dragoman.simulator import Simulator  # noqa: PLC0415
    from dragoman.simulator.server import serve  # noqa: PLC0415

    try:
        simulator = Simulator(pace=pace, scenario=scenario)
    except ValueError as error:
        complain(str(error))
        return 2
    say(f"simulator of the Anthropic API on http://{host}:{port}")
    say(f"  use it: ANTHROPIC_BASE_URL=http://{host}:{port} ANTHROPIC_API_KEY=any dragoman serve")
    try:
        asyncio.run(serve(simulator, host, port))
    except OSError as error:
        complain(f"cannot listen on {host} port {port}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        pass
    return 0
