"""The way back of `fit`: what it changed for the model's sake is undone before the client sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from dragoman.arguments import parse_arguments
from dragoman.conversation import (
    ArgumentsDelta,
    Event,
    Finish,
    OfPart,
    PartEnd,
    PartStart,
    Request,
    Text,
    TextDelta,
    ToolCall,
)
from dragoman.models.jsontext import OneValue, Unwrapped
from dragoman.models.open.forced import Forced


class Restore(Struct, frozen=True):
    """A recipe; `stream()` makes the small machine that follows it through one reply.

    `names` maps the target's tool names to the client's; `freeform` are the target's names of tools whose arguments
    are `{"input": text}`; `shape` says how the answer's text is read (see `formats.Shape`).  With `forced` the text is
    a tool call; with `single` only the first call of an answer is passed on.
    """

    names: Mapping[str, str]
    freeform: frozenset[str]
    shape: str
    forced: Forced | None = None
    single: bool = False

    def stream(self) -> RestoreStream:
        """The same for one streamed answer."""
        return RestoreStream(self)


class Fitted(Struct, frozen=True):
    """What `fit` makes of a request.  `restore` is None when the reply needs no undoing."""

    request: Request
    restore: Restore | None


class RestoreStream:
    """What `Restore` undoes, undone in the events of a stream as they come."""

    def __init__(self, recipe: Restore) -> None:
        self._recipe = recipe
        self._json: OneValue | Unwrapped | None = None
        self._arguments: list[str] | None = None
        self._held: list[Event] | None = None  # of a text that may be a call
        self._called = False
        self._skipping = False
        self._skipped = 0

    def feed(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        for event in self._fewer(events) if self._recipe.single else events:
            if self._recipe.forced is None:
                self._event(event, out)
            else:
                self._hold(event, self._recipe.forced, out)
        return out

    # --- one call of several ---------------------------------------------------------------------

    def _fewer(self, events: Iterable[Event]) -> Iterable[Event]:
        """The events without those of all calls but the first; what follows them moves up."""
        for event in events:
            if isinstance(event, PartStart) and isinstance(event.part, ToolCall):
                self._skipping, self._called = self._called, True
                self._skipped += self._skipping
            if not self._skipping:
                yield self._moved(event)
            elif isinstance(event, PartEnd):
                self._skipping = False

    def _moved(self, event: Event) -> Event:
        if self._skipped and isinstance(event, OfPart):
            return replace(event, index=event.index - self._skipped)
        return event

    # --- a call that came as text ----------------------------------------------------------------

    def _hold(self, event: Event, forced: Forced, out: list[Event]) -> None:
        match event:
            case PartStart(part=ToolCall()):
                self._called = True  # the server can do it after all
                self._event(event, out)
            case PartStart(part=Text()) if not self._called:
                self._held = [event]
            case PartEnd() if self._held is not None:
                held, self._held = [*self._held, event], None
                for known in _as_call(held, forced):
                    self._called |= isinstance(known, PartStart) and isinstance(known.part, ToolCall)
                    self._event(known, out)
            case Finish(reason="stop" | "stop_sequence" | "other") if self._called:
                out.append(replace(event, reason="tool_calls", stop_sequence=None))
            case _ if self._held is not None and isinstance(event, OfPart):
                self._held.append(event)
            case _:
                self._release(out)
                self._event(event, out)

    def _release(self, out: list[Event]) -> None:
        """What was held when the stream broke is the client's to see."""
        held, self._held = self._held or [], None
        for event in held:
            self._event(event, out)

    # --- names, freeform arguments, wrapped values -----------------------------------------------

    def _event(self, event: Event, out: list[Event]) -> None:
        match event:
            case TextDelta(index, text, logprobs) if self._json is not None:
                if (kept := self._json.feed(text)) or logprobs:
                    out.append(TextDelta(index, kept, logprobs))
            case PartStart(index, ToolCall() as call):
                out.append(PartStart(index, self._call(call)))
            case PartStart(index, Text()):
                self._json = _reader(self._recipe.shape)
                out.append(event)
            case ArgumentsDelta(text=text) if self._arguments is not None:
                self._arguments.append(text)
            case PartEnd(index):
                self._end(index, out)
                out.append(event)
            case _:
                out.append(event)

    def _call(self, call: ToolCall) -> ToolCall:
        if call.name in self._recipe.freeform:
            self._arguments = [call.arguments]
            call = replace(call, freeform=True, arguments="")
        return replace(call, name=self._recipe.names.get(call.name, call.name))

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


def _as_call(held: list[Event], forced: Forced) -> list[Event]:
    """The events of a whole text part, as those of the call it is, if it is one."""
    text = "".join(map(_text_of, held))
    call = forced.call(text)
    if call is None or not isinstance(start := held[0], PartStart):
        return held
    index = start.index
    return [PartStart(index, replace(call, arguments="")), ArgumentsDelta(index, call.arguments), PartEnd(index)]


def _text_of(event: Event) -> str:
    match event:
        case TextDelta(text=text) | PartStart(part=Text(text=text)):
            return text
        case _:
            return ""


def _reader(shape: str) -> OneValue | Unwrapped | None:
    match shape:
        case "json" | "object" | "array":
            return OneValue(shape)
        case "wrapped":
            return Unwrapped()
        case _:
            return None
