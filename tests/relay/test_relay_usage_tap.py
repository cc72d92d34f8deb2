"""The tap: counts of every wire, however the bytes are cut, and never much memory."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Finish, Usage
from dragoman.dialects import registry
from dragoman.framing import sse
from dragoman.relay.usage_tap import TAIL, WHOLE, tap_for

encode = msgspec.json.encode


def event(kind: str, **members: Any) -> bytes:
    return sse(encode({"type": kind, **members}), kind)


def chunk(**members: Any) -> bytes:
    return sse(encode({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **members}))


def line(**members: Any) -> bytes:
    return encode({"model": "m", "created_at": "2026-11-22T06:00:00Z", **members}) + b"\n"


DONE = b"data: [DONE]\n\n"
HELLO = {"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}
STOP = {"index": 0, "delta": {}, "finish_reason": "stop"}
COUNTS = {
    "prompt_tokens": 9,
    "completion_tokens": 12,
    "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 4},
}
COUNTED = Usage(input=26, output=298)
TOLD = Usage(input=9, output=12, cache_read=4)
# Words that look like counts, where they are none.
TRAP = {"usage": {"input_tokens": 666, "prompt_tokens": 666}, "eval_count": 666, "prompt_eval_count": 666}
TRAP_TEXT = encode({"x": '"usage":{"input_tokens":1}', **TRAP}).decode()

OPENING = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1},
    },
)
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": TRAP_TEXT})
USED = {"input_tokens": None, "output_tokens": 61, "output_tokens_details": {"thinking_tokens": 30}}
ENDING = event("content_block_stop", index=0) + event("message_delta", delta={"stop_reason": "end_turn"}, usage=USED)

ANTHROPIC = OPENING + event("ping") + BLOCK + TEXT + ENDING + event("message_stop")
OPENAI = chunk(choices=[HELLO], usage=None) + chunk(choices=[STOP], usage=None) + chunk(choices=[], usage=COUNTS) + DONE
EVERY = chunk(choices=[HELLO], usage={"prompt_tokens": 9, "completion_tokens": 1}) + chunk(choices=[STOP], usage=COUNTS)
SPACED = OPENAI.replace(b'"usage":{', b'"usage": {').replace(b"\n", b"\r\n")
OLLAMA = (
    line(message={"role": "assistant", "content": TRAP_TEXT}, done=False)
    + line(
        message={"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": TRAP}}]},
        done=False,
    )
    + line(message={"role": "assistant", "content": ""}, done=True, prompt_eval_count=26, eval_count=298)
)

STREAMS: dict[str, tuple[str, bytes, Usage | None]] = {
    "anthropic": ("anthropic", ANTHROPIC, Usage(input=30, output=61, cache_read=5, thinking=30)),
    "anthropic, broken early": ("anthropic", OPENING + TEXT, Usage(input=30, output=1, cache_read=5)),
    "openai": ("openai_chat", OPENAI, TOLD),
    "openai, in every chunk": ("openai_chat", EVERY + DONE, TOLD),
    "openai, spaced": ("openai_chat", SPACED, TOLD),
    "openai, not asked for": ("openai_chat", chunk(choices=[HELLO]) + chunk(choices=[STOP]) + DONE, None),
    "ollama": ("ollama", OLLAMA, COUNTED),
    "ollama, without a last line end": ("ollama", OLLAMA[:-1], COUNTED),
    "ollama, cut in the last line": ("ollama", OLLAMA[:-5], None),
    "ollama, a prompt that was cached": ("ollama", line(done=True, eval_count=3), Usage(output=3)),
    "nothing": ("anthropic", b"", None),
    "garbage": (
        "openai_chat",
        b'\xff\x00usage": {\n\ndata: {"usage": {"prompt_tokens": [\ndata: {"usage":{"a"\n',
        None,
    ),
    "counts of another kind": ("anthropic", event("message_delta", usage={"input_tokens": "many"}), None),
}

MESSAGE = {"type": "message", "content": [{"type": "tool_use", "input": TRAP}, {"type": "text", "text": TRAP_TEXT}]}
BODIES: dict[str, tuple[str, bytes, Usage | None]] = {
    "anthropic": (
        "anthropic",
        encode(MESSAGE | {"usage": {"input_tokens": 3, "output_tokens": 4}}),
        Usage(input=3, output=4),
    ),
    "anthropic, error": ("anthropic", encode({"type": "error", "error": {"usage": {"input_tokens": 1}}}), None),
    "anthropic, count of tokens": ("anthropic", b'{"input_tokens":14}', None),
    "openai": ("openai_chat", b"\n " + encode({"choices": [TRAP], "usage": COUNTS, "x": 1}), TOLD),
    "openai, none": ("openai_chat", encode({"choices": [TRAP]}), None),
    "ollama": (
        "ollama",
        line(message=TRAP, done=True, prompt_eval_count=26, eval_count=298),
        COUNTED,
    ),
    "embeddings": ("ollama", line(embeddings=[[1, 2]], prompt_eval_count=26), Usage(input=26)),
    "cut": ("openai_chat", encode({"choices": [], "usage": COUNTS})[:-1], None),
    "zero is no count": ("openai_chat", b'{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}', None),
    "nothing": ("ollama", b"", None),
}


def tapped(dialect: str, streamed: bool, pieces: list[bytes]) -> Usage | None:
    tap = tap_for(dialect, streamed)
    for piece in pieces:
        tap.feed(piece)
    assert tap.usage == tap.usage, "asking changes nothing"
    return tap.usage


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    dialect, data, expected = STREAMS[name]
    assert tapped(dialect, True, [data]) == expected
    assert tapped(dialect, True, [data[i : i + 1] for i in range(len(data))]) == expected
    assert tapped(dialect, True, data.splitlines(keepends=True)) == expected


@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str) -> None:
    dialect, data, expected = BODIES[name]
    assert tapped(dialect, False, [data]) == expected
    assert tapped(dialect, False, [data[i : i + 1] for i in range(len(data))]) == expected


@settings(max_examples=150)
@given(st.sampled_from([*STREAMS.values()]), st.lists(st.integers(0, 100_000), max_size=12))
def test_cuts_change_nothing(stream: tuple[str, bytes, Usage | None], cuts: list[int]) -> None:
    dialect, data, expected = stream
    assert tapped(dialect, True, pieces_of(data, cuts)) == expected


@pytest.mark.parametrize(
    "name", [n for n in STREAMS if n in ("anthropic", "openai", "openai, in every chunk", "ollama")]
)
def test_the_tap_reads_what_the_decoder_reads(name: str) -> None:
    dialect, data, expected = STREAMS[name]
    decoder = registry()[dialect].Decoder()
    events = decoder.feed(data) + decoder.close()
    assert [event.usage for event in events if isinstance(event, Finish)] == [expected]


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from(["anthropic", "openai_chat", "ollama"]), st.booleans())
def test_garbage_is_nothing(data: bytes, dialect: str, streamed: bool) -> None:
    assert tapped(dialect, streamed, [data, b'usage":{', data, b'eval_count":', data]) is None


# --- bounds --------------------------------------------------------------------------------------


LONG = "x" * (WHOLE // 2)
LONG_BODIES: dict[str, tuple[str, dict[str, Any], Usage | None]] = {
    "counts at the end": ("openai_chat", {"choices": [LONG, LONG, TRAP], "usage": COUNTS}, TOLD),
    "and more after them": ("openai_chat", {"choices": [LONG, LONG], "usage": COUNTS, "b": [TRAP]}, TOLD),
    "a trap at the end": ("anthropic", {"content": [LONG, LONG, TRAP]}, None),
    "a trap in the last member": ("anthropic", {"content": LONG * 2, "usage": {"usage": {"input_tokens": 6}}}, None),
    "a trap in a name": ("openai_chat", {"choices": LONG * 2, 'my "usage': COUNTS}, None),
    "ollama": (
        "ollama",
        {"embeddings": [LONG, LONG], "prompt_eval_count": 3, "eval_count": 4},
        Usage(input=3, output=4),
    ),
    "many traps": ("openai_chat", {"choices": [LONG, LONG, [TRAP] * 500], "usage": COUNTS}, TOLD),
    "too far from the end": ("openai_chat", {"usage": COUNTS, "choices": [LONG, LONG]}, None),
}


@pytest.mark.parametrize("size", [1, 1000, TAIL, WHOLE, 4 * WHOLE], ids=str)
@pytest.mark.parametrize("name", LONG_BODIES)
def test_of_a_long_body_the_end_is_enough(name: str, size: int) -> None:
    dialect, body, expected = LONG_BODIES[name]
    data = encode(body)
    assert len(data) > WHOLE
    if size == 1:
        start = len(data) - 2000
        pieces = [data[:start], *(data[i : i + 1] for i in range(start, len(data)))]
    else:
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert tapped(dialect, False, pieces) == expected


def test_of_a_long_line_the_end_is_enough() -> None:
    """Ollama's `context` is a number for each token, in the same line as the counts."""
    data = line(done=True, context=[123_456] * 200_000, prompt_eval_count=26, eval_count=298)
    assert len(data) > WHOLE
    for pieces in ([data], [data[i : i + 4096] for i in range(0, len(data), 4096)]):
        assert tapped("ollama", True, [*OLLAMA.splitlines(keepends=True)[:2], *pieces]) == COUNTED


@pytest.mark.parametrize("size", [10_000, 100_000])
@pytest.mark.parametrize("streamed", [False, True])
def test_memory_is_bounded(streamed: bool, size: int) -> None:
    rng, tap = random.Random(1), tap_for("anthropic", streamed)
    piece = rng.randbytes(size).replace(b"\n", b"")
    tracemalloc.start()
    try:
        for _ in range(1000):
            tap.feed(piece)
        assert tap.usage is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * WHOLE


def test_a_body_that_was_read_already_is_not_read_again() -> None:
    tap = tap_for("openai_chat", streamed=False)
    tap.knows({"choices": [], "usage": COUNTS})
    tap.feed(b"of no interest")
    assert tap.usage == TOLD


def test_nobody_taps_an_unknown_wire() -> None:
    with pytest.raises(KeyError):
        tap_for("gopher", True)
