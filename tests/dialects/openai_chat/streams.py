"""What tests do with a stream: decode it, fold it, and look at the order of its events."""

from __future__ import annotations

from dragoman.conversation import ArgumentsDelta, Event, Fault, Finish, PartEnd, PartStart, Reply, Start, TextDelta
from dragoman.dialects.openai_chat import Decoder
from dragoman.folding import Fold


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def fold(events: list[Event]) -> Reply:
    folded = Fold("openai_chat")
    folded.feed(events)
    return folded.reply


def check_order(events: list[Event]) -> None:
    """Start first, parts one after the other with rising indices, and one end."""
    assert sum(isinstance(event, Finish | Fault) for event in events) == 1
    assert isinstance(events[-1], Finish | Fault)
    assert all(isinstance(event, Start) == (i == 0) for i, event in enumerate(events[:-1]))
    opened: int | None = None
    count = 0
    for event in events[1:-1]:
        match event:
            case PartStart(index=index):
                assert opened is None and index == count
                opened, count = index, count + 1
            case PartEnd(index=index):
                assert opened == index
                opened = None
            case TextDelta(index=index) | ArgumentsDelta(index=index):
                assert opened == index
    assert opened is None or isinstance(events[-1], Fault)
