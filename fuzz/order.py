"""The order of a stream's events, which every decoder keeps: `conversation.py` says it in words."""

from __future__ import annotations

from collections.abc import Iterable

from dragoman.conversation import Event, Fault, Finish, OfPart, PartEnd, PartStart, Start


def check_order(events: Iterable[Event]) -> None:
    """Start first, parts one after the other with rising indices, deltas inside of theirs, and one end, at the end.

    Raises `AssertionError`.  A stream that breaks off may leave its last part open, and may do so before it starts.
    """
    *told, last = events
    assert isinstance(last, Finish | Fault)
    opened: int | None = None
    count = 0
    for number, event in enumerate(told):
        assert not isinstance(event, Finish | Fault)
        assert isinstance(event, Start) == (number == 0), "one start, at the start"
        match event:
            case PartStart(index=index):
                assert opened is None and index == count
                opened, count = index, count + 1
            case PartEnd(index=index):
                assert opened == index
                opened = None
            case _ if isinstance(event, OfPart):
                assert opened == event.index
    assert opened is None or isinstance(last, Fault)
