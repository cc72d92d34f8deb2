"""How an answer leaves a simulator: paced, cut or broken as a scenario wants, whatever wire it is written in."""

from __future__ import annotations

import asyncio

from dragoman.simulator import connection
from dragoman.simulator.connection import Headers, Send
from dragoman.simulator.scenario import BREAKS, Scenario

_SLOW = 2.0


def delay(scenario: Scenario) -> float:
    """Seconds before anything is said."""
    return scenario.number("delay", _SLOW if scenario.name == "slow_start" else 0.0)


async def stream(
    send: Send, frames: list[bytes], scenario: Scenario, *, headers: Headers, pace: float, error: bytes
) -> None:
    """`frames` one by one, `pace` seconds apart unless the scenario says otherwise; `error` is the frame that
    `error_event` ends in."""
    if scenario.name in BREAKS:
        frames = frames[: scenario.count("after", 0 if scenario.name == "reset" else 3)]
    if scenario.name == "reset" and not frames:
        connection.reset(send)
        return
    if scenario.name == "error_event":
        frames = [*frames, error]
    pace = scenario.number("pace") / 1000 if "pace" in scenario.params else pace
    await connection.start(send, 200, headers)
    await connection.write_paced(send, frames, pace, scenario.count("chunk"))
    if scenario.name == "reset":
        await asyncio.sleep(0.01)  # a reset overtakes what the client has not read yet
        connection.reset(send)
    elif scenario.name == "stall":
        await connection.forever()
    else:
        await connection.write(send, b"", more=False)


async def whole(send: Send, data: bytes, scenario: Scenario, *, headers: Headers) -> None:
    """An unstreamed answer, broken in the same spirit."""
    match scenario.name:
        case "reset":
            connection.reset(send)
        case "stall":
            await connection.forever()
        case "truncation":
            await connection.start(send, 200, [*headers, (b"content-length", b"%d" % len(data))])
            await connection.write(send, data[: len(data) // 2], more=True)
            connection.reset(send)
        case _:
            await connection.start(send, 200, [*headers, (b"content-length", b"%d" % len(data))])
            await connection.write(send, data, more=False)
