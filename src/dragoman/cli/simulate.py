"""`dragoman simulate`: a simulator as a server of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dragoman.cli.output import complain, paint, say
from dragoman.cli.settings import not_listening
from dragoman.simulator.books import Served
from dragoman.simulator.server import serve


class Asked(NamedTuple):
    """What a simulator is to be: `pace` is in milliseconds an event, `keys` are those it accepts (none: any)."""

    pace: float
    scenario: str
    flavor: str
    keys: Sequence[str]


def run(dialect: str, host: str, port: int, asked: Asked) -> int:
    """Serve until stopped.  2 for a scenario or flavor that does not exist, 1 for a port that is taken."""
    called, variables, make = _KINDS[dialect]
    if dialect == "ollama" and asked.keys:
        variables += " OLLAMA_API_KEY={key}"
    if asked.flavor and dialect != "openai":
        complain("--flavor is a kind of OpenAI-compatible server; it goes with --dialect openai")
        return 2
    try:
        simulator = make(asked)
    except ValueError as error:
        complain(str(error))
        return 2

    def announce(url: str) -> None:
        flavor = f", as {asked.flavor} does," if asked.flavor else ""
        say(paint(f"the simulator speaks the {called} API{flavor} on {url}", "strong"))
        say(f"  {variables.format(url=url, key=asked.keys[0] if asked.keys else 'any')} dragoman serve", given=True)

    try:
        asyncio.run(serve(simulator, host, port, listening=announce))
    except OSError as error:
        complain(not_listening(host, port, error))
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _anthropic(asked: Asked) -> Served:
    from dragoman.simulator import Simulator  # noqa: PLC0415  one of them is enough

    return Simulator(pace=asked.pace / 1000, scenario=asked.scenario, keys=frozenset(asked.keys) or None)


def _ollama(asked: Asked) -> Served:
    from dragoman.simulator import OllamaSimulator  # noqa: PLC0415

    return OllamaSimulator(pace=asked.pace / 1000, scenario=asked.scenario or None, keys=asked.keys)


def _openai(asked: Asked) -> Served:
    from dragoman.simulator import OpenAISimulator  # noqa: PLC0415

    flavor = asked.flavor or "openai"
    return OpenAISimulator(flavor=flavor, pace=asked.pace / 1000, scenario=asked.scenario or None, keys=asked.keys)


# Name of the API, the variables that lead a gateway to it, and what makes it.
_KINDS: Mapping[str, tuple[str, str, Callable[[Asked], Served]]] = {
    "anthropic": ("Anthropic", "ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key}", _anthropic),
    "ollama": ("Ollama", "OLLAMA_BASE_URL={url}", _ollama),
    "openai": ("OpenAI", "OPENAI_BASE_URL={url} OPENAI_API_KEY={key}", _openai),
}
