"""Rows of the matrix that end in an exception: what each SDK must raise, and in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from _pytest.mark import ParameterSet

from tests.matrix.behind import SERVERS, Behind, Server
from tests.matrix.neutral import Ask, Client, Failure, user
from tests.matrix.table import MANNERS

PATIENCE = 20.0


@dataclass
class Failing:
    """A call that fails before it is answered.

    `scenario` is the simulators' own, or a name of `Behind.scenarios`.  `told` is (classes, status) of each client, the
    newest class first: older SDKs have fewer.  `words` are in what clients are told, `wait` in `retry-after`.
    """

    name: str
    scenario: str
    told: Mapping[str, tuple[Sequence[str], int]]
    words: Mapping[str, str]
    wait: str | None = None
    gateway: str = "plain"
    model: str = ""
    key: str = "any"
    arrives: bool = True


def _told(
    anthropic: Sequence[str], status: int, openai: str, theirs: int, ollama: int
) -> Mapping[str, tuple[Sequence[str], int]]:
    ours = (["ResponseError"], ollama)
    return {
        "anthropic": (anthropic, status),
        "openai chat": ([openai], theirs),
        "openai responses": ([openai], theirs),
        "ollama chat": ours,
        "ollama generate": ours,
    }


def _alike(kind: str, status: int) -> Mapping[str, tuple[Sequence[str], int]]:
    return _told([kind], status, kind, status, status)


_LATE = ("GatewayTimeoutError", "InternalServerError")
_BUSY = ("OverloadedError", "InternalServerError")

FAILING: Sequence[Failing] = (
    Failing("invalid request", "bad", _alike("BadRequestError", 400), {"": "temperature: must be a number"}),
    Failing("rate limit", "rate_limit retry_after=7", _alike("RateLimitError", 429), {}, wait="7"),
    Failing("overloaded", "overloaded", _told(_BUSY, 529, "InternalServerError", 503, 503), {}),
    Failing("error", "error", _alike("InternalServerError", 500), {}),
    Failing("too long", "too long", _alike("BadRequestError", 400), {"": "", "anthropic": "prompt is too long"}),
    Failing("timeout", "auto delay=30", _told(_LATE, 504, "InternalServerError", 504, 504), {}, gateway="hasty"),
    Failing("the server's key", "invalid_key", _alike("AuthenticationError", 401), {}),
    Failing(
        "our own key",
        "auto",
        _alike("AuthenticationError", 401),
        {"": "does not know the key"},
        gateway="locked",
        key="wrong",
        arrives=False,
    ),
    Failing("no such model", "auto", _alike("NotFoundError", 404), {"": "ghost"}, model="ghost", arrives=False),
)

# Answers that break when they have begun; "hasty" waits no longer than tests like.
BROKEN: Mapping[str, tuple[str, str]] = {
    "cut off": ("truncation after=5", "plain"),
    "reset": ("reset after=5", "plain"),
    "an error in the middle": ("error_event after=5", "plain"),
    "silence in the middle": ("stall after=5", "hasty"),
}


def failing_cells() -> list[ParameterSet]:
    """(row, server, streamed) for every call that fails before it is answered."""
    return [_cell(row.name, row, behind, streamed) for row in FAILING for behind in SERVERS for streamed in MANNERS]


def broken_cells(client: type[Client]) -> list[ParameterSet]:
    """(row, server, streamed) for every answer that breaks."""
    return [
        _cell(name, name, behind, streamed)
        for name in BROKEN
        for behind in SERVERS
        for streamed in MANNERS
        if _breaks(name, streamed)
    ]


def _breaks(name: str, streamed: bool) -> bool:
    """Silence from the start is a timeout."""
    match name:
        case "silence in the middle":
            return streamed
        case _:
            return True


def left_cells() -> list[ParameterSet]:
    """(server, streamed) for calls that are given up."""
    return [pytest.param(b.name, s, id=f"{b.name}-{_manner(s)}") for b in SERVERS for s in MANNERS]


def _cell(name: str, row: object, behind: Behind, streamed: bool) -> ParameterSet:
    return pytest.param(row, behind.name, streamed, id=f"{name}-{behind.name}-{_manner(streamed)}")


def _manner(streamed: bool) -> str:
    return "streamed" if streamed else "whole"


def _ask(server: Server, scenario: str, model: str = "") -> tuple[str, Ask]:
    behind = server.behind
    spelled = behind.scenarios.get(scenario, scenario)
    return f"{behind.name}/{model or behind.models['']}", Ask(turns=[user(f"Hello [[simulate: {spelled}]]")])


def _fails(client: Client, server: Server, model: str, ask: Ask, streamed: bool) -> Failure:
    server.forget()
    with pytest.raises(client.errors) as caught:
        client.ask(model, ask, streamed=streamed)
    assert server.simulator.idle.wait(PATIENCE)
    return client.failure(caught.value)


def fail(row: Failing, client: Client, server: Server, *, streamed: bool) -> None:
    """Play a row in one cell: the exception is the SDK's own for this, and says what was wrong."""
    model, ask = _ask(server, row.scenario, row.model)
    failure = _fails(client, server, model, ask, streamed)
    classes, status = row.told[client.name]
    known = next(name for name in classes if client.knows(name))
    assert (failure.kind, failure.status) == (known, status), failure
    words = row.words.get(client.name, row.words.get("", ""))
    assert words in failure.words, failure
    assert failure.words
    assert row.wait is None or failure.retry_after == row.wait
    if row.gateway != "hasty":
        assert len(server.bodies()) == row.arrives


def break_off(scenario: str, client: Client, server: Server, *, streamed: bool) -> None:
    """An answer that breaks is an exception in every SDK, and never an end."""
    model, ask = _ask(server, scenario)
    _fails(client, server, model, ask, streamed)
    if scenario.startswith("stall"):
        return
    # A connection that was kept and is reset before anything came is taken for an old one: there is a second try.
    assert len(server.bodies()) in (1, 2 if scenario.startswith("reset") and not streamed else 1)


def leave(client: Client, server: Server, *, streamed: bool) -> None:
    """A client that gives up takes the call upstream with it."""
    model, ask = _ask(server, "stall after=5")
    for seconds in (0.2, 1.0, 5.0):  # on a busy machine the call may not have got far
        server.forget()
        client.leave(model, ask, streamed=streamed, seconds=seconds)
        if server.bodies():
            break
    assert server.simulator.departed.wait(PATIENCE)
    assert server.simulator.idle.wait(PATIENCE)
