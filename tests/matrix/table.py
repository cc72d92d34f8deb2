"""What the rows of the matrix are made of, and which cells a row has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from _pytest.mark import ParameterSet

from tests.matrix.behind import SERVERS, Behind, Server, shown
from tests.matrix.neutral import Answer, Ask, Client, Sent

MANNERS = (False, True)
"""Whole, and streamed."""


@dataclass
class Meeting:
    """A client and a server, and whether they stream."""

    client: Client
    server: Server
    streamed: bool

    @property
    def behind(self) -> Behind:
        return self.server.behind

    def both_can(self, feature: str) -> bool:
        return feature in self.client.can and feature in self.behind.can


@dataclass
class Step:
    """One call: what is asked (after the answer before it, if there is one), received and answered.

    `end` is how the answer ends, in neutral words, for this client and this server.
    """

    ask: Ask | Callable[[Answer], Ask]
    seen: Callable[[Answer, Meeting], None]
    sent: Callable[[Sent, Meeting], None] = lambda sent, meeting: None
    end: str | Callable[[Meeting], str] = "stop"


@dataclass
class Row:
    """One scenario.  `client` and `server` are features that either must have words for; `model` is the kind of model.

    `own`: features that a server must have to be asked by a client of its own dialect, whose words it is given as they
    are; with `translated` it never is.
    """

    name: str
    steps: Sequence[Step]
    model: str = ""
    client: frozenset[str] = field(default_factory=frozenset)
    server: frozenset[str] = field(default_factory=frozenset)
    own: frozenset[str] = field(default_factory=frozenset)
    translated: bool = False

    def concerns(self, client: type[Client], behind: Behind) -> bool:
        own = is_own(client, behind)
        return (
            self.client <= client.can
            and self.server <= behind.can
            and self.model in behind.models
            and not (own and (self.translated or not self.own <= behind.can))
        )


_SPOKEN = {
    "anthropic": ("anthropic",),
    "ollama chat": ("ollama",),
    "ollama generate": ("ollama",),
    "openai chat": ("openai_chat",),
    "openai responses": ("openai_responses",),
}


def is_own(client: type[Client], behind: Behind) -> bool:
    """Whether the server speaks the client's own dialect: OpenAI's own has both of OpenAI's."""
    both = client.name == "openai responses" and behind.name == "openai"
    return both or behind.dialect in _SPOKEN[client.name]


def cells(client: type[Client], rows: Iterable[Row]) -> list[ParameterSet]:
    """(row, server, streamed) for every row that this client and that server have words for."""
    return [
        pytest.param(row, behind.name, streamed, id=f"{row.name}-{behind.name}-{'streamed' if streamed else 'whole'}")
        for row in rows
        for behind in SERVERS
        if row.concerns(client, behind)
        for streamed in MANNERS
    ]


def hold(row: Row, meeting: Meeting) -> None:
    """Play a row in one of its cells: every call is checked on both sides, and its tokens are the server's own."""
    answer = Answer()
    server, client = meeting.server, meeting.client
    model = f"{meeting.behind.name}/{meeting.behind.models[row.model]}"
    for step in row.steps:
        ask = step.ask if isinstance(step.ask, Ask) else step.ask(answer)
        server.forget()
        answer = client.ask(model, ask, streamed=meeting.streamed)
        sent = server.sent()
        try:
            assert answer.headers["x-dragoman-upstream"] == meeting.behind.name
            end = step.end if isinstance(step.end, str) else step.end(meeting)
            assert answer.finish == client.finishes[end]
            step.sent(sent, meeting)
            step.seen(answer, meeting)
            assert (answer.prompt, answer.output) == server.spends()
            assert answer.started is None or answer.started > 0
        except AssertionError as error:
            error.add_note(f"{answer}\nsent: {shown(sent.body)}")
            raise
