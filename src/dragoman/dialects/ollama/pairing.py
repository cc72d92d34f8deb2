"""Which tool result answers which tool call.

The wire does not have to say: the official Python client drops the ids of calls and of results, Home Assistant and
LangChain send neither id nor name.  So a result is paired with a pending call of the last assistant turn by its id,
else by its name, else by its place.  Among neighbouring results the surer evidence goes first, so that a result
without a name cannot take the call another one names.

An id that is missing, or was used before in the conversation, is minted from what stands before it.  System messages
do not count (some programs write the time into theirs), so the ids of a conversation stay while it grows.
"""

from __future__ import annotations

import hashlib

from dragoman.conversation import Media, Message, Part, Refusal, Text, ToolCall, ToolResult
from dragoman.dialects.waiting import Waiting
from dragoman.ids import mint


class Pairing:
    """Walks a conversation once, front to back, and gives every call and result its id."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._used: set[str] = set()
        self._pending = Waiting()
        self._known: dict[str, str] = {}
        self._digest = hashlib.blake2b(digest_size=16)
        self._digested = 0

    @property
    def messages(self) -> list[Message]:
        """The conversation so far."""
        return self._messages

    def add(self, message: Message) -> None:
        """A message that is not a run of results.  Calls of neighbouring assistant messages are pending together."""
        if message.role == "assistant":
            if not (self._messages and self._messages[-1].role == "assistant"):
                self._pending.clear()
            for position, call in enumerate(p for p in message.content if isinstance(p, ToolCall)):
                self._add_call(call, position)
        self._messages.append(message)

    def add_results(self, results: list[ToolResult]) -> None:
        """A run of tool results, which become one user message.  Their `id` and `name` are the client's, or empty."""
        paired: list[ToolCall | None] = [None] * len(results)
        for evidence in ("id", "name", "place"):
            for place, result in enumerate(results):
                # A second result for an answered call must not take the place of another call's result.
                if paired[place] is None and not self._pending.all_answered(result.id):
                    paired[place] = self._find(result, evidence)
        for place, (result, call) in enumerate(zip(results, paired, strict=True)):
            self._identify(result, call, place)
        self._messages.append(Message(role="user", content=list(results)))

    def _add_call(self, call: ToolCall, position: int) -> None:
        wire_id = call.id
        if not wire_id or wire_id in self._used:
            call.id = self._mint(position, call.name, call.arguments)
        self._used.add(call.id)
        self._pending.add(call, wire_id)
        if wire_id:
            self._known[wire_id] = call.id

    def _find(self, result: ToolResult, evidence: str) -> ToolCall | None:
        match evidence:
            case "id":
                return self._pending.with_id(result.id) if result.id else None
            case "name":
                return self._pending.with_name(result.name) if result.name else None
            case _:
                return self._pending.next()

    def _identify(self, result: ToolResult, call: ToolCall | None, place: int) -> None:
        if call is not None:
            result.id = call.id
            result.name = call.name
        elif result.id:
            result.id = self._known.setdefault(result.id, result.id)
        else:
            result.id = self._mint(place, "result", result.name)
        self._used.add(result.id)

    def _mint(self, *parts: str | int) -> str:
        for message in self._messages[self._digested :]:
            if message.role in ("user", "assistant"):
                self._digest.update(_words(message).encode("utf-8", "surrogatepass"))
        self._digested = len(self._messages)
        attempt = 0
        while (minted := mint("call_", self._digest.hexdigest(), *parts, attempt)) in self._used:
            attempt += 1
        return minted


def _words(message: Message) -> str:
    """What of a message goes into the ids after it: all but reasoning (clients leave it out) and the bytes of media."""
    return "\0".join([message.role, *filter(None, map(_word, message.content))])


def _word(part: Part) -> str:
    match part:
        case Text(text=text) | Refusal(text=text):
            return f"text {text}"
        case ToolCall(id=id, name=name, arguments=arguments):
            return f"call {id} {name} {arguments}"
        case ToolResult(id=id, content=content):
            return "\0".join([f"result {id}", *filter(None, map(_word, content))])
        case Media(kind=kind):
            return kind
        case _:
            return ""
