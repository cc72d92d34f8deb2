"""The way back of `fit`: what it changed for the model's sake is undone before the client sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from dragoman.arguments import parse_arguments
from dragoman.conversation import ArgumentsDelta, Event, PartEnd, PartStart, Text, TextDelta, ToolCall
from dragoman.models.jsontext import OneValue, Unwrapped


class Restore:
    """A recipe; `stream()` makes the small machine that follows it through one reply.

    `names` maps the target's tool names to the client's; `freeform` are the target's names of tools whose arguments
    are `{"input": text}`; `shape` says how the answer's text is read (see `formats.Shape`).
    """

    def __init__(self, names: Mapping[str, str], freeform: frozenset[str], shape: str) -> None:
        self._names = names
        self._freeform = freeform
        self._shape = shape

    def stream(self) -> RestoreStream:
        return RestoreStream(self._names, self._freeform, self._shape)


class RestoreStream:
    def __init__(self, names: Mapping[str, str], freeform: frozenset[str], shape: str) -> None:
        self._names = names
        self._freeform = freeform
        self._shape = shape
        self._json: OneValue | Unwrapped | None = None
        self._arguments: list[str] | None = None

    def feed(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            self._event(event, out)
        return out

    def _event(self, event: Event, out: list[Event]) -> None:
        match event:
            case TextDelta(index, text) if self._json is not None:
                if kept := self._json.feed(text):
                    out.append(TextDelta(index, kept))
            case PartStart(index, ToolCall() as call):
                out.append(PartStart(index, self._call(call)))
            case PartStart(index, Text()):
                self._json = _reader(self._shape)
                out.append(event)
            case ArgumentsDelta(text=text) if self._arguments is not None:
                self._arguments.append(text)
            case PartEnd(index):
                self._end(index, out)
                out.append(event)
            case _:
                out.append(event)

    def _call(self, call: ToolCall) -> ToolCall:
        if call.name in self._freeform:
            self._arguments = [call.arguments]
            call = replace(call, freeform=True, arguments="")
        return replace(call, name=self._names.get(call.name, call.name))

    def _end(self, index: int, out: list[Event]) -> None:
        if self._arguments is not None:
            text = "".join(self._arguments)
            self._arguments = None
            value = parse_arguments(text).get("input")
            out.append(ArgumentsDelta(index, value if isinstance(value, str) else text))
        if self._json is not None:
            if rest := self._json.close():
                out.append(TextDelta(index, rest))
            self._json = None


def _reader(shape: str) -> OneValue | Unwrapped | None:
    match shape:
        case "json":
            return OneValue()
        case "wrapped":
            return Unwrapped()
        case _:
            return None
