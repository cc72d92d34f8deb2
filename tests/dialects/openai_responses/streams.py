"""What tests do with a stream: parse it, and hold every rule against it that programs rely on."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.conversation import Event, Object, Request
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import Encoder
from tests.dialects.openai_responses.strict import check_event

LAST = ("response.completed", "response.incomplete", "response.failed")


def encode(events: list[Event], request: Request, stamp: Stamp) -> bytes:
    return Encoder(request, stamp).feed(events)


def parse(data: bytes) -> list[Any]:
    """The JSON of every event; the framing is checked on the way."""
    assert not data or data.endswith(b"\n\n")
    found = []
    for frame in data.split(b"\n\n")[:-1]:
        head, body = frame.split(b"\n")
        assert body.startswith(b"data: ")
        event = msgspec.json.decode(body[6:])
        assert head == b"event: " + event["type"].encode()
        found.append(event)
    return found


def check_stream(events: list[Object]) -> Object:
    """The last response of a stream that breaks no rule."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert [event["type"] in LAST for event in events] == [False] * (len(events) - 1) + [True]
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    for event in events:
        check_event(event)
    ending: Object = events[-1]["response"]
    done = _check_items(events[2:-1])
    assert ending["output"] == done
    assert len({item["id"] for item in done}) == len(done)
    return ending


def _check_items(events: list[Object]) -> list[Object]:
    """The finished items: each announced, filled and finished before the next."""
    done: list[Object] = []
    item: Object | None = None
    opened: tuple[str, Any] | None = None
    text, annotations = "", 0
    for event in events:
        kind = event["type"].removeprefix("response.")
        assert event["output_index"] == len(done)
        if kind == "output_item.added":
            assert item is None
            item = event["item"]
            continue
        assert item is not None
        if kind == "output_item.done":
            assert opened is None
            assert event["item"]["id"] == item["id"]
            assert event["item"]["type"] == item["type"]
            assert event["item"].get("status") != "in_progress"
            done.append(event["item"])
            item, text = None, ""
            continue
        assert event["item_id"] == item["id"]
        index = event.get("content_index", event.get("summary_index"))
        if kind.endswith("part.added"):
            assert opened is None
            opened, text, annotations = (kind.removesuffix("part.added"), index), "", 0
        elif kind.endswith("part.done"):
            assert opened == (kind.removesuffix("part.done"), index)
            assert event["part"].get("text", event["part"].get("refusal")) == text
            assert len(event["part"].get("annotations", ())) == annotations
            opened = None
        elif kind.endswith("annotation.added"):
            assert event["annotation_index"] == annotations
            annotations += 1
        elif kind.endswith(".delta"):
            assert index is None or (opened is not None and opened[1] == index)
            assert event["delta"]
            text += event["delta"]
        else:
            said = ("text", "refusal", "arguments", "input")
            assert next(event[name] for name in said if name in event) == text
    return done
