"""What servers with a Responses API leave out or do otherwise, as changes to a stream that is right."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.conversation import Object
from dragoman.framing import sse
from dragoman.ids import mint

Events = list[Object]


def _without(*names: str) -> Callable[[Events], Events]:
    return lambda events: [{name: value for name, value in event.items() if name not in names} for event in events]


def _only(*ends: str) -> Callable[[Events], Events]:
    return lambda events: [event for event in events if event["type"].endswith(ends)]


def _never(*ends: str) -> Callable[[Events], Events]:
    return lambda events: [event for event in events if not event["type"].endswith(ends)]


def _empty_output(events: Events) -> Events:
    last = events[-1]
    return [*events[:-1], {**last, "response": {**last["response"], "output": []}}]


def _changing_ids(events: Events) -> Events:
    """An id an event."""
    out = []
    for number, event in enumerate(events):
        if "item_id" in event:
            event = {**event, "item_id": mint("item_", number)}
        elif "item" in event:
            event = {**event, "item": {**event["item"], "id": mint("item_", number)}}
        out.append(event)
    return out


def _unknown(events: Events) -> Events:
    """As a later version may stream."""
    strange = {"type": "response.future.delta", "glow": 0.5, "sequence_number": 0}
    return [events[0], strange, *({**event, "future_member": 1} for event in events[1:])]


RESPONSES_QUIRKS: dict[str, Callable[[Events], Events]] = {
    "no_numbers": _without("sequence_number"),
    "no_output_index": _without("output_index"),
    "no_places": _without("content_index", "summary_index"),
    "no_item_id": _without("item_id"),
    "no_deltas": _never(".delta"),
    "no_added": _never("output_item.added", "part.added"),
    "no_parts": _never("part.added", "part.done", "text.done"),
    "no_item_done": _never("output_item.done", "part.done", "text.done"),
    "no_start": _never("response.created", "response.in_progress"),
    "only_done": _only("output_item.done", "response.completed", "response.incomplete"),
    "only_end": _only("response.completed", "response.incomplete"),
    "empty_output": _empty_output,
    "new_ids": _changing_ids,
    "unknown_events": _unknown,
}


def apply(names: frozenset[str], events: Events) -> Events:
    """The stream with these quirks, in the order of the table."""
    for name, change in RESPONSES_QUIRKS.items():
        if name in names:
            events = change(events)
    return events


def frames(names: frozenset[str], told: list[tuple[str, bytes]]) -> list[bytes]:
    """The events as bytes, each with its name and its JSON.  Only some servers end with `[DONE]`."""
    out = [sse(data, "" if "no_names" in names else name) for name, data in told]
    return [*out, b"data: [DONE]\n\n"] if "done" in names else out


FRAMES = ("no_names", "done")
