"""A question, an answer and a failure in words that belong to no dialect.

What a program asks and what it reads is told with the parts of `dragoman.conversation`; the adapters (`by_*`, `behind`)
turn that into each SDK's own arguments, and read each wire, by themselves: none of the gateway's own code is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dragoman.conversation import Media, Message, Part, Text, Tool

Object = dict[str, Any]
Finish = Literal["stop", "length", "tools", "stop_sequence", "refusal", "context"]


@dataclass
class Call:
    """A tool call the client read.  `id` is "" for the SDK that has none."""

    name: str
    arguments: Object
    id: str = ""


@dataclass
class Result:
    """What the program answers a call with."""

    call: Call
    content: list[Part]
    failed: bool = False


@dataclass
class Answer:
    """An answer as the client's SDK put it together.

    `turn` is what this program sends back as the assistant's message, in its SDK's own form.  `prompt` and `output` are
    tokens, None when the client was not told; `started` is what a stream said of the prompt when it began.
    """

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    stop: str | None = None
    prompt: int | None = None
    output: int | None = None
    started: int | None = None
    turn: Any = None
    parsed: Any = None
    seals: list[str] = field(default_factory=list)
    pieces: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Results:
    """The turn with the results of an answer's calls."""

    items: list[Result]


Turn = Message | Answer | Results


@dataclass(kw_only=True)
class Ask:
    """What a program asks.  `choice` is "auto", "none", "any" or a tool's name; `think` a switch or a level."""

    turns: Sequence[Turn]
    tools: Sequence[Tool] = ()
    choice: str = ""
    single: bool = False
    limit: int = 2000
    stop: Sequence[str] = ()
    think: bool | str | None = None
    schema: Object | None = None
    parse: type[Any] | None = None
    json: bool = False


@dataclass
class Sent:
    """What a server received, read from its own wire.  `results` are (name of the tool, text, is it an error)."""

    body: Object
    system: str = ""
    turns: list[tuple[str, str]] = field(default_factory=list)
    tools: dict[str, Object] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    paired: bool = True
    images: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    choice: str = ""
    limit: int | None = None
    stop: list[str] = field(default_factory=list)
    schema: Object | None = None
    json: bool = False
    think: Any = None

    @property
    def words(self) -> str:
        """All that anybody said."""
        return "\n".join([self.system, *(text for _, text in self.turns)])


@dataclass
class Failure:
    """An exception of the client's SDK: its class, its HTTP status if it had one, and what it said."""

    kind: str
    status: int | None
    words: str
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Client(Protocol):
    """A program that uses one official SDK.  `can` are the features of `rows` that it has words for."""

    name: str
    can: frozenset[str]
    errors: tuple[type[Exception], ...]
    finishes: Mapping[str, str]

    def ask(self, model: str, ask: Ask, *, streamed: bool) -> Answer:
        """One call.  What an SDK raises is raised."""

    def leave(self, model: str, ask: Ask, *, streamed: bool, seconds: float) -> None:
        """One call that is given up: after the first piece of a stream, else after so many seconds."""

    def knows(self, name: str) -> bool:
        """Whether the SDK has an exception of that name."""

    def failure(self, error: Exception) -> Failure:
        """What the SDK's exception says."""

    def close(self) -> None:
        """No more calls."""


# --- what is said ---------------------------------------------------------------------------------


def user(*parts: Part | str) -> Message:
    return Message(role="user", content=[Text(text=part) if isinstance(part, str) else part for part in parts])


def system(text: str) -> Message:
    return Message(role="system", content=[Text(text=text)])


def developer(text: str) -> Message:
    return Message(role="developer", content=[Text(text=text)])


def assistant(text: str) -> Message:
    return Message(role="assistant", content=[Text(text=text)])


def words(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def pictures(parts: Sequence[Part]) -> list[Media]:
    return [part for part in parts if isinstance(part, Media)]


def decoded(arguments: str) -> Object:
    """The arguments of a call, which are an object."""
    value = json.loads(arguments)
    assert isinstance(value, dict)
    return value
