"""Transcripts of real servers against golden events, and the same bytes in other pieces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import (
    Fault,
    Finish,
)
from fuzz.order import check_order
from tests.dialects.openai_chat.streams import decode

UPSTREAM = Path(__file__).parent / "golden" / "upstream"
TRANSCRIPTS = sorted(file.stem for file in UPSTREAM.glob("*.sse"))


# --- transcripts --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcripts(name: str, golden: Callable[[str, str], None]) -> None:
    data = (UPSTREAM / f"{name}.sse").read_bytes()
    events = decode(data)
    check_order(events)
    golden(f"upstream/{name}.events", "".join(msgspec.json.encode(event).decode() + "\n" for event in events))
    assert decode(*(bytes([byte]) for byte in data)) == events
    assert decode(data.replace(b"\n", b"\r\n")) == events


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(TRANSCRIPTS), cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_bytes_may_be_split_anywhere(name: str, cuts: list[int]) -> None:
    data = (UPSTREAM / f"{name}.sse").read_bytes()
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert decode(*(data[a:b] for a, b in pairwise(bounds))) == decode(data)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(TRANSCRIPTS), cut=st.integers(0, 5000))
def test_a_stream_cut_anywhere_never_looks_complete_before_its_finish(name: str, cut: int) -> None:
    data = (UPSTREAM / f"{name}.sse").read_bytes()[:cut]
    events = decode(data)
    assert sum(isinstance(event, Finish | Fault) for event in events) == 1
    said = b'"finish_reason":"' in data.replace(b'"finish_reason":""', b"")
    assert said or isinstance(events[-1], Fault)
