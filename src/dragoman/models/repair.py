"""Answers held to the format that was asked for: which are checked, how one is mended, and how a stream ends."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from dragoman.conversation import (
    Event,
    Fault,
    Finish,
    Format,
    Message,
    PartStart,
    Refusal,
    Reply,
    Request,
    Text,
    TextDelta,
    ToolCall,
)
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.checking import complaint, unchecked

_MEND = (
    "This answer does not fit the format that was asked for: {why}. "
    "Answer again with the corrected JSON only: no other text before or after it, and no code fence."
)
_UNMET = "the answer does not fit the format that was asked for: {why}"
_TRIED = "{unmet} (one repair was tried)"


def is_checked(request: Request, target: str) -> bool:
    """Whether answers to `request`, the client's own, by a server of the dialect `target` are checked.

    `fit` leaves alone what was written for an open server's own dialect, and so do we: its client gets what that
    server gives.  A prefill is the beginning of the answer, and the client's to put before it.
    """
    if request.format is None or (request.origin == target and target != "anthropic"):
        return False
    return not request.messages or request.messages[-1].role != "assistant"


def needs_check(request: Request, reply: Reply) -> bool:
    """Whether `reply` claims to be what the format of `request` wants.

    A call, a refusal, and an answer that was cut (its reason says so) do not.
    """
    if reply.reason != "stop" or not is_checked(request, reply.origin):
        return False
    return not any(isinstance(part, ToolCall | Refusal) for part in reply.content)


def is_excused(request: Request) -> bool:
    """Whether the client said that the answer need not fit: OpenAI's `strict: false`.  Such an answer goes out, and
    that it does not fit is reported."""
    return request.format is not None and request.format.strict is False


def report_unchecked(request: Request, target: str, losses: Losses) -> None:
    """Say so where answers cannot be checked against the client's schema."""
    if request.format is not None and is_checked(request, target) and (why := unchecked(request.format)):
        losses.emulate("format.schema", f"answers are not checked against it: {why}")


def report_unmet(why: str, losses: Losses) -> None:
    """Say that the answer goes out though it does not fit."""
    losses.drop("format", f"the answer does not fit: {why}")


def check_stream(request: Request, target: str) -> CheckStream | None:
    """What checks a streamed answer to `request` by a server of the dialect `target`; None when nothing is to be."""
    if request.format is None or is_excused(request) or not is_checked(request, target):
        return None
    return CheckStream(request.format)


def text_of(reply: Reply) -> str:
    """What the answer says, without its thinking."""
    return "".join(part.text for part in reply.content if isinstance(part, Text))


def reply_complaint(request: Request, reply: Reply) -> str | None:
    """What is wrong with `reply`, which `needs_check`; None when it fits, or nobody can tell."""
    return None if request.format is None else complaint(text_of(reply), request.format)


def repair_request(wanted: Request, reply: Reply, why: str) -> Request:
    """`wanted` once more, with the answer that does not fit and what is wrong with it (`why`).

    All that was there before stays as it was: caches and seals depend on it.
    """
    turn = Message(role="user", content=[Text(text=_MEND.format(why=why))])
    said = [Message(role="assistant", content=list(reply.content))] if reply.content else []
    return replace(wanted, messages=[*wanted.messages, *said, turn])


def unmet(why: str, *, repaired: bool) -> GatewayError:
    """The error for an answer that does not fit.  `repaired`: the model was asked once more already."""
    told = _UNMET.format(why=why)
    return GatewayError("format_unmet", _TRIED.format(unmet=told) if repaired else told)


class CheckStream:
    """Passes events on; where the text of a complete answer does not fit `wanted`, a Fault takes the Finish's place."""

    def __init__(self, wanted: Format) -> None:
        self._wanted = wanted
        self._text: list[str] = []
        self._index = -1  # of the text that is under way
        self._other = False

    def feed(self, events: Iterable[Event]) -> list[Event]:
        return [self._event(event) for event in events]

    def _event(self, event: Event) -> Event:
        match event:
            case TextDelta(index, text) if index == self._index:
                self._text.append(text)
            case PartStart(index, Text(text=text)):
                self._index = index
                self._text.append(text)
            case PartStart(part=part):
                self._index = -1
                self._other |= isinstance(part, ToolCall | Refusal)
            case Finish(reason="stop") if not self._other:
                if (why := complaint("".join(self._text), self._wanted)) is not None:
                    error = unmet(why, repaired=False)
                    return Fault(error.kind, error.message)
        return event
