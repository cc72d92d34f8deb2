"""Streams: what a client reads, line by line, and what a real Ollama sends, against reviewed golden files."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ollama import ChatResponse

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Foreign,
    Part,
    PartEnd,
    PartStart,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Seal,
    SealDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects import ollama, openai_chat
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama.reply import REFUSED
from dragoman.dialects.untold import Untold
from dragoman.folding import Fold, unfold

GOLDEN = Path(__file__).parent / "golden"
REQUEST = Request(origin="ollama", model="m", messages=[])


def judged(data: bytes) -> list[dict[str, Any]]:
    """The lines, each valid for the official client and for the strictest program we know of (Zed)."""
    assert data.endswith(b"\n")
    assert b"\n\n" not in data
    lines: list[dict[str, Any]] = [json.loads(line) for line in data.splitlines()]
    for line in lines:
        if set(line) == {"error"}:
            assert line is lines[-1]
            continue
        ChatResponse.model_validate(line)
        assert isinstance(line["model"], str)
        assert isinstance(line["created_at"], str)
        assert line["message"]["role"] == "assistant"
        assert isinstance(line["message"]["content"], str)
        assert line["done"] is (line is lines[-1])
        assert ("done_reason" in line) is line["done"]
    return lines


def encode(stamp: Stamp, *events: Event, request: Request = REQUEST) -> list[dict[str, Any]]:
    return judged(ollama.Encoder(request, stamp).feed([Start("id", "u"), *events]))


def part(index: int, start: Part, *deltas: str) -> list[Event]:
    kind = ArgumentsDelta if isinstance(start, ToolCall) else TextDelta
    return [PartStart(index, start), *(kind(index, text) for text in deltas), PartEnd(index)]


# --- out ------------------------------------------------------------------------------------------------


def events_of_a_thinking_claude() -> list[Event]:
    """Signed reasoning, words, and two parallel calls, the second without arguments."""
    return [
        Start("msg_01", "claude-sonnet-4-5-20250929", Usage(input=512, output=1)),
        PartStart(0, Thinking(text="")),
        TextDelta(0, "The user wants "),
        TextDelta(0, "the weather."),
        SealDelta(0, Seal("anthropic", "EqQBCgIYAhIM")),
        PartEnd(0),
        PartStart(1, Text(text="")),
        TextDelta(1, 'I\'ll look <b>it</b> up & "quote" it: '),
        TextDelta(1, "18 °C\n😀"),
        CitationDelta(1, Citation(url="https://example.org")),
        PartEnd(1),
        PartStart(2, ToolCall(id="toolu_01A", name="get_weather", arguments="")),
        ArgumentsDelta(2, ""),
        ArgumentsDelta(2, '{"city": "Par'),
        ArgumentsDelta(2, 'is", "days": 2}'),
        PartEnd(2),
        PartStart(3, ToolCall(id="toolu_01B", name="now", arguments="")),
        PartEnd(3),
        Finish("tool_calls", Usage(input=512, output=96, thinking=20)),
    ]


def test_golden_claude_to_ollama(stamp: Stamp) -> None:
    """One event a network read, a millisecond each."""
    encoder = ollama.Encoder(REQUEST, stamp)
    data = b"".join(encoder.feed([event]) for event in events_of_a_thinking_claude())
    judged(data)
    assert data == (GOLDEN / "claude_thinking_tools.ndjson").read_bytes()


def test_time_goes_on_and_crosses_a_second() -> None:
    ticks = count(0, 400_000_000)
    stamp = Stamp(id="x", model='a"b', created=1_795_327_200_999_999_999, started=0, clock=lambda: next(ticks))
    encoder = ollama.Encoder(REQUEST, stamp)
    encoder.feed([Start("", ""), PartStart(0, Text(text=""))])
    times = [json.loads(encoder.feed([TextDelta(0, "x")]))["created_at"] for _ in range(4)]
    assert times == [
        "2026-11-22T06:00:01.399999999Z",
        "2026-11-22T06:00:01.799999999Z",
        "2026-11-22T06:00:02.199999999Z",
        "2026-11-22T06:00:02.599999999Z",
    ]


def test_durations_are_what_was_measured() -> None:
    moments = iter([100, 250, 1250, 9250])
    stamp = Stamp(id="x", model="m", created=0, started=0, clock=lambda: next(moments))
    encoder = ollama.Encoder(REQUEST, stamp)
    encoder.feed([Start("", "")])
    encoder.feed([PartStart(0, Text(text=""))])
    encoder.feed([TextDelta(0, "Hi"), PartEnd(0)])
    (last,) = judged(encoder.feed([Finish("stop", Usage(input=3, output=4))]))
    assert {k: v for k, v in last.items() if k.endswith(("_duration", "_count"))} == {
        "load_duration": 100,
        "prompt_eval_duration": 150,
        "eval_duration": 9000,
        "total_duration": 9250,
        "prompt_eval_count": 3,
        "eval_count": 4,
    }


def test_a_first_word_that_came_with_the_beginning_was_read_for_so_long() -> None:
    """As Claude's do: a prompt read in no time would be billions of tokens a second."""
    moments = iter([800, 9800])
    stamp = Stamp(id="x", model="m", created=0, started=0, clock=lambda: next(moments))
    encoder = ollama.Encoder(REQUEST, stamp)
    encoder.feed([Start("", ""), PartStart(0, Text(text="")), TextDelta(0, "Hi")])
    (last,) = judged(encoder.feed([PartEnd(0), Finish("stop", Usage(input=3, output=4))]))
    times = {name: value for name, value in last.items() if name.endswith("_duration")}
    assert times == {"load_duration": 1, "prompt_eval_duration": 800, "eval_duration": 9000, "total_duration": 9801}
    answer = Reply(origin="anthropic", id="", model="", content=[Text(text="Hi")], began=800, spoke=800)
    whole = ollama.encode_reply(answer, REQUEST, Stamp(id="", model="m", created=0, started=0, clock=lambda: 9800))
    assert (whole["prompt_eval_duration"], whole["eval_duration"], whole["total_duration"]) == (800, 8999, 9800)


def test_an_answer_that_came_all_at_once_was_not_generated_in_no_time() -> None:
    stamp = Stamp(id="x", model="m", created=0, started=0, clock=lambda: 2000)
    encoder = ollama.Encoder(REQUEST, stamp)
    lines = judged(
        encoder.feed([Start("", ""), *part(0, Text(text=""), "Hi"), Finish("stop", Usage(input=3, output=4))])
    )
    times = {name: value for name, value in lines[-1].items() if name.endswith("_duration")}
    assert times == {"load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 2000, "total_duration": 2002}


TOOK = {"total_duration": 900, "load_duration": 50, "prompt_eval_duration": 70, "eval_duration": 700}


def metrics(line: dict[str, Any]) -> list[tuple[str, int]]:
    return [(name, value) for name, value in line.items() if name.endswith(("_duration", "_count"))]


@pytest.mark.parametrize("took", [TOOK, {"total_duration": 900}], ids=["all", "some"])
@pytest.mark.parametrize("form", ["stream", "fold", "reply"])
def test_what_the_server_measured_itself_is_told(form: str, took: dict[str, int], stamp: Stamp) -> None:
    """It knows what of the time was the loading of the model, and what the prompt; what it does not say took none."""
    end = line({"content": "!"}, done=True, done_reason="stop", prompt_eval_count=9, eval_count=3, **took)
    lines: list[dict[str, Any]]
    if form == "reply":
        lines = [ollama.encode_reply(ollama.decode_reply(json.loads(end)), REQUEST, stamp)]
    else:
        decoder, fold = ollama.Decoder(), Fold("ollama")
        events = decoder.feed(HI + end)
        fold.feed(events)
        lines = judged(ollama.Encoder(REQUEST, stamp).feed(unfold(fold.reply) if form == "fold" else events))
    told = metrics(lines[-1])
    order = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration")
    both = took | {"prompt_eval_count": 9, "eval_count": 3}
    assert told == [(name, both[name]) for name in (*order, "eval_count", "eval_duration") if name in both]
    assert not any(metrics(line) for line in lines[:-1])


@pytest.mark.parametrize("took", [{"total_duration": 0}, {"total_duration": "1s"}, {"eval_duration": 5}])
def test_a_server_that_measured_nothing_is_measured(took: dict[str, Any], stamp: Stamp) -> None:
    events = ollama.Decoder().feed(line({"content": "!"}, done=True, done_reason="stop", **took))
    last = judged(ollama.Encoder(REQUEST, stamp).feed(events))[-1]
    assert {name for name, _ in metrics(last)} == set(TOOK)
    assert all(type(value) is int and value > 0 and value != 5 for _, value in metrics(last))


def test_the_times_of_a_server_are_no_loss_elsewhere() -> None:
    untold = Untold(openai_chat.SAYS)
    for event in ollama.Decoder().feed(line({"content": "!"}, done=True, done_reason="stop", **TOOK)):
        match event:
            case Start():
                untold.start(event)
            case Finish():
                untold.finish(event)
            case _:
                pass
    assert not untold.names


def test_a_fault_is_the_last_line(stamp: Stamp) -> None:
    encoder = ollama.Encoder(REQUEST, stamp)
    lines = judged(encoder.feed([Start("", ""), *part(0, Text(text=""), "Hi")[:2], Fault("overloaded", 'Over"loaded')]))
    assert lines[-1] == {"error": 'Over"loaded'}
    assert len(lines) == 2
    assert encoder.feed([TextDelta(0, "x"), PartEnd(0), Finish("stop"), Fault("upstream", "again")]) == b""


def test_nothing_follows_a_finish(stamp: Stamp) -> None:
    encoder = ollama.Encoder(REQUEST, stamp)
    judged(encoder.feed([Start("", ""), PartStart(0, Text(text="")), TextDelta(0, "Hi"), Finish("stop")]))
    assert encoder.feed([TextDelta(0, "x"), Finish("stop")]) == b""


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        (part(0, Text(text="")), []),
        (part(0, Text(text=""), ""), []),
        (part(0, Text(text="whole")), [{"content": "whole"}]),
        (part(0, Text(text="a"), "b"), [{"content": "a"}, {"content": "b"}]),
        (part(0, Refusal(text=""), "no"), [{"content": "no"}]),
        (part(0, Thinking(text="all")), [{"content": "", "thinking": "all"}]),
        (part(0, Thinking(text="", redacted=True, seal=Seal("anthropic", "x"))), []),
        (
            part(0, Foreign(origin="anthropic", extra={"type": "server_tool_use", "name": "web_search"})),
            [{"content": "", "thinking": "Searching the web: \n"}],
        ),
        (part(0, Foreign(origin="anthropic", extra={"type": "odd", "text": "seen"})), [{"content": "seen"}]),
        (
            part(0, ToolCall(id="a", name="f", arguments='{"x":1}')),
            [
                {
                    "content": "",
                    "tool_calls": [{"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
                }
            ],
        ),
    ],
)
def test_parts(events: list[Event], lines: list[dict[str, Any]], stamp: Stamp) -> None:
    messages = [line["message"] for line in encode(stamp, *events, Finish("stop"))]
    assert messages == [{"role": "assistant", **line} for line in [*lines, {"content": ""}]]


def test_reasoning_nobody_wants_is_not_shown(stamp: Stamp) -> None:
    off = Request(origin="ollama", model="m", messages=[], reasoning=Reasoning(enabled=False))
    events = [*part(0, Thinking(text="a"), "b"), *part(1, Text(text=""), "Hi"), Finish("stop")]
    assert [line["message"]["content"] for line in encode(stamp, *events, request=off)] == ["Hi", ""]


@pytest.mark.parametrize(
    ("deltas", "reason", "names"),
    [
        (['{"city": "Par'], "length", ["f"]),
        (['{"city": "Par'], "context", ["f"]),
        ([], "length", ["f"]),
        (['{"a":1}'], "length", ["f", "g"]),
        (['{"city": "Par'], "tool_calls", ["f", "g"]),
    ],
)
def test_a_call_that_was_cut_off_is_not_a_call(deltas: list[str], reason: Any, names: list[str], stamp: Stamp) -> None:
    first = part(0, ToolCall(id="a", name="f", arguments=""), "{")
    events = [*first, *part(1, ToolCall(id="b", name="g", arguments=""), *deltas), Finish(reason)]
    calls = [call for line in encode(stamp, *events) for call in line["message"].get("tool_calls", [])]
    assert [call["function"]["name"] for call in calls] == names
    assert [call["function"]["index"] for call in calls] == list(range(len(names)))


@pytest.mark.parametrize(
    ("events", "explanation", "texts"),
    [
        ([], "A policy.", ["A policy.", ""]),
        ([], "", [REFUSED, ""]),
        (part(0, Thinking(text=""), "Hm"), "", ["", REFUSED, ""]),
        (part(0, Text(text=""), "Well"), "A policy.", ["Well", "\n\nA policy.", ""]),
        (part(0, Text(text=""), "Well"), "", ["Well", ""]),
        (part(0, Refusal(text=""), "No."), "A policy.", ["No.", ""]),
    ],
)
def test_a_refusal_is_readable(events: list[Event], explanation: str, texts: list[str], stamp: Stamp) -> None:
    lines = encode(stamp, *events, Finish("refusal", explanation=explanation))
    assert [line["message"]["content"] for line in lines] == texts
    assert lines[-1]["done_reason"] == "stop"


def test_a_line_is_one_line_to_every_reader(stamp: Stamp) -> None:
    """httpx, and Ollama's SDK with it, ends lines where Unicode does."""
    ends = "a\x85b\u2028c\u2029d – “e” \\\u2028 \x1c\x0b\x0c\r\n"
    call = ToolCall(id="c", name="f", arguments=json.dumps({ends: ends}, ensure_ascii=False))
    events = [Start("id", "u"), *part(0, Text(text=""), ends), *part(1, call), Finish("tool_calls")]
    lines = ollama.Encoder(REQUEST, stamp).feed(events).decode().splitlines()
    text, called, _ = map(json.loads, lines)
    assert text["message"]["content"] == ends
    assert called["message"]["tool_calls"][0]["function"]["arguments"] == {ends: ends}


def test_usage_may_come_at_the_start(stamp: Stamp) -> None:
    encoder = ollama.Encoder(REQUEST, stamp)
    (last,) = judged(encoder.feed([Start("", "", Usage(input=7)), Finish("stop")]))
    assert last["prompt_eval_count"] == 7
    assert "eval_count" not in last


# --- in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ollama_thinking_tools", "ollama_plain", "ollama_error"])
def test_golden_ollama_to_events(name: str) -> None:
    decoder = ollama.Decoder()
    events = decoder.feed((GOLDEN / f"{name}.upstream.ndjson").read_bytes()) + decoder.close()
    assert events == msgspec.json.decode((GOLDEN / f"{name}.events.json").read_bytes(), type=list[Event])
    assert decoder.skipped == []


def line(message: dict[str, Any] | None = None, **members: Any) -> bytes:
    body = {"model": "m", "created_at": "2026-11-22T06:00:00Z", "done": False, **members}
    if message is not None:
        body["message"] = {"role": "assistant", **message}
    return json.dumps(body).encode() + b"\n"


HI = line({"content": "Hi"})
END = line({"content": ""}, done=True, done_reason="stop", prompt_eval_count=1, eval_count=2)


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", "upstream", "before it was complete"),
        (HI, "upstream", "before it was complete"),
        (HI + END[:-20], "upstream", "not JSON"),
        (HI + b'{"error":"model runner has unexpectedly stopped"}\n' + END, "upstream", "unexpectedly stopped"),
        (HI + b'{"error":{"message":"inner"}}\n', "upstream", "inner"),
        (b'{"error":"the input length exceeds the context length"}\n', "context_length", "context length"),
        (line({"content": ""}, done=True, done_reason="load"), "upstream", "only loaded"),
        (HI + b"<html>\n" + END, "upstream", "not JSON"),
        (HI + b"[]\n" + END, "upstream", "not an object"),
        (HI + b'{"message":' + b"[" * 100_000 + b"\n" + END, "upstream", "not JSON"),
        (HI + line({"content": 7}) + END, "upstream", "message.content"),
        (HI + line({"tool_calls": [{"function": {}}]}) + END, "upstream", "name is required"),
    ],
)
def test_a_broken_upstream_is_a_fault(data: bytes, kind: str, words: str) -> None:
    decoder = ollama.Decoder()
    events = decoder.feed(data) + decoder.close()
    last = events[-1]
    assert isinstance(last, Fault)
    assert last.kind == kind
    assert words in last.message
    assert sum(isinstance(event, Fault | Finish) for event in events) == 1
    assert decoder.close() == []


def test_a_line_without_its_end_counts() -> None:
    decoder = ollama.Decoder()
    assert decoder.feed(HI + END[:-1])[-1] == TextDelta(0, "Hi")
    assert decoder.close() == [PartEnd(0), Finish("stop", Usage(input=1, output=2))]


def test_a_line_without_bound_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = ollama.Decoder()
    monkeypatch.setattr(decoder._frames._lines, "_limit", 100)
    assert isinstance(decoder.feed(b"x" * 101)[0], Fault)
    assert decoder.feed(END) == []


def test_last_words_on_the_last_line() -> None:
    decoder = ollama.Decoder()
    fold = Fold("ollama")
    fold.feed(decoder.feed(HI + line({"content": " there"}, done=True, done_reason="length")) + decoder.close())
    assert fold.reply.content == [Text(text="Hi there")]
    assert fold.reply.reason == "length"


def test_words_and_a_call_in_one_line() -> None:
    """With and without a role: neither may hide the call."""
    call = {"function": {"name": "f", "arguments": {}}}
    bare = json.dumps({"model": "m", "message": {"content": "b", "tool_calls": [call]}, "done": False}).encode() + b"\n"
    fold = Fold("ollama")
    fold.feed(ollama.Decoder().feed(HI + bare + line({"content": "c", "tool_calls": [call]}) + END))
    assert [type(part) for part in fold.reply.content] == [Text, ToolCall, Text, ToolCall]


def test_calls_get_ids_of_their_own() -> None:
    """Old servers send none, and every index is 0."""
    call = {"function": {"index": 0, "name": "f", "arguments": {"a": 1}}}
    fold = Fold("ollama")
    fold.feed(
        ollama.Decoder().feed(line({"content": "", "tool_calls": [call, call]}) + line({"tool_calls": [call]}) + END)
    )
    calls = [part for part in fold.reply.content if isinstance(part, ToolCall)]
    assert len({call.id for call in calls}) == 3
    assert [call.arguments for call in calls] == ['{"a":1}'] * 3
    assert fold.reply.reason == "tool_calls"


def test_what_is_not_understood_is_named() -> None:
    decoder = ollama.Decoder()
    *_, finish = decoder.feed(line({"content": "Hi", "novel": 1}, later=2) * 2 + END)
    assert decoder.skipped == ["message.novel"]
    assert finish == Finish("stop", Usage(input=1, output=2), skipped=["message.novel"])
