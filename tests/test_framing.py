"""Bytes to frames, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.framing import NDJSON, SSE, FrameTooLargeError, sse

EVENTS: list[tuple[bytes, list[bytes]]] = [
    (b"data: a\n\n", [b"a"]),
    (b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    (b"data: a\ndata: b\n\n", [b"a\nb"]),
    (b": comment\n\nid: 1\nretry: 5\ndata:a\n\n", [b"a"]),
    (b"\n\n\ndata: a\n\n", [b"a"]),
    (b"data: a\n", []),
    (b"data: a", []),
]


@pytest.mark.parametrize(("wire", "frames"), EVENTS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_events(wire: bytes, frames: list[bytes], data: st.DataObject) -> None:
    parser = SSE()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=4)))
    found = [frame for i, j in pairwise([0, *cuts, len(wire)]) for frame in parser.feed(wire[i:j])]
    assert found == frames


def test_lines() -> None:
    parser = NDJSON()
    assert parser.feed(b'{"a":1}\n\n{"b"') == [b'{"a":1}']
    assert parser.feed(b":2}") == []
    assert parser.close() == [b'{"b":2}']


def test_what_is_written_is_read() -> None:
    assert sse(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert SSE().feed(sse(b"{}", "ping") + sse(b"[1]")) == [b"{}", b"[1]"]


@pytest.mark.parametrize("flood", [b"data: " + b"x" * 50, b"x" * 50, b"data: xxxxxxxx\n" * 9])
def test_a_flood_is_bounded(flood: bytes) -> None:
    with pytest.raises(FrameTooLargeError):
        SSE(limit=40).feed(flood)


def test_the_bound_is_for_each_event() -> None:
    parser = SSE(limit=40)
    for _ in range(9):
        assert parser.feed(b"data: xxxxxxxx\ndata: yyyyyyyy\n\n") == [b"xxxxxxxx\nyyyyyyyy"]
