"""Events of servers to ours: what each server does otherwise, by itself, and transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from dragoman.conversation import (
    ArgumentsDelta,
    Citation,
    Fault,
    Finish,
    Foreign,
    Object,
    Part,
    PartEnd,
    PartStart,
    Refusal,
    Reply,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.openai_responses import Decoder, decode_reply
from dragoman.dialects.openai_responses.sealed import kept_members, kept_seal
from dragoman.dialects.openai_responses.vocabulary import ITEM
from dragoman.framing import SSE
from fuzz.order import check_order
from tests.dialects.openai_responses.conftest import Golden
from tests.dialects.openai_responses.upstream import (
    added,
    arguments,
    call,
    completed,
    decode,
    done,
    fold,
    message,
    reasoning,
    response,
    stream,
    summary,
    text,
    thought,
)

SEALED = kept_seal("rs_1", "gAAAA")
PLAIN = kept_seal("rs_1", "")
A = ToolCall(id="call_1", name="f", arguments='{"a":1}')
B = ToolCall(id="call_2", name="g", arguments='{"b":2}')
WHOLE_A, WHOLE_B = call("f", '{"a":1}'), call("g", '{"b":2}', "fc_2", "call_2")
URL = {"type": "url_citation", "url": "https://u", "title": "t", "start_index": 0, "end_index": 1}
CITED = Citation(url="https://u", title="t", extra=URL)
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
TOKEN = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}


def said(words: str, *annotations: Object, **members: Any) -> Object:
    return {"type": "output_text", "text": words, "annotations": list(annotations), "logprobs": [], **members}


def part_added(index: int | None = None, id: str = "msg_1") -> Object:
    at = {} if index is None else {"content_index": index}
    return {"type": "response.content_part.added", "item_id": id, "part": said(""), **at}


STREAMS: dict[str, tuple[list[Object], list[Part]]] = {
    "deltas": ([added(message("ab")), text("a"), text("b"), done(message("ab"))], [Text(text="ab")]),
    "only the end of the items": ([done(message("ab")), done(WHOLE_A)], [Text(text="ab"), A]),
    "only the end of the answer": (
        [completed(reasoning("hm"), message("ab"), WHOLE_A)],
        [Thinking(text="hm", seal=SEALED), Text(text="ab"), A],
    ),
    "deltas of nothing that was announced": ([text("a"), text("b")], [Text(text="ab")]),
    "ids that change": (
        [added(message("ab")), text("a", "x"), text("b", "y"), done(message("ab", id="z")), completed(message("ab"))],
        [Text(text="ab")],
    ),
    "an end that says more": ([added(message("abc")), text("a"), done(message("abc"))], [Text(text="abc")]),
    "a text that is told whole": (
        [text("a"), {"type": "response.output_text.done", "item_id": "msg_1", "text": "ab"}, done(message("ab"))],
        [Text(text="ab")],
    ),
    "two parts": (
        [part_added(0), text("a", content_index=0), part_added(1), text("b", content_index=1), done(message("a", "b"))],
        [Text(text="a"), Text(text="b")],
    ),
    "two parts that nobody counts": (
        [part_added(), text("a"), part_added(), text("b"), done(message("a", "b"))],
        [Text(text="a"), Text(text="b")],
    ),
    "a refusal": (
        [
            {"type": "response.refusal.delta", "item_id": "msg_1", "delta": "no"},
            done(message({"type": "refusal", "refusal": "no"})),
        ],
        [Refusal(text="no")],
    ),
    "the phase of a message": (
        [added(message("a", phase="commentary")), text("a"), done(message("a", phase="commentary"))],
        [Text(text="a", extra={ITEM: {"phase": "commentary"}})],
    ),
    "an annotation, told twice": (
        [
            text("a"),
            {"type": "response.output_text.annotation.added", "item_id": "msg_1", "annotation": URL},
            done(message(said("a", URL))),
        ],
        [Text(text="a", citations=[CITED])],
    ),
    "an annotation at the end": ([text("a"), done(message(said("a", URL)))], [Text(text="a", citations=[CITED])]),
    "logprobs of deltas": (
        [text("a", logprobs=[TOKEN]), done(message(said("a", logprobs=[TOKEN])))],
        [Text(text="a", logprobs=[TOKEN])],
    ),
    "logprobs at the end": (
        [text("a"), done(message(said("a", logprobs=[TOKEN])))],
        [Text(text="a", logprobs=[TOKEN])],
    ),
    # --- reasoning
    "a summary": (
        [added(reasoning("hm")), summary("h", summary_index=0), summary("m", summary_index=0), done(reasoning("hm"))],
        [Thinking(text="hm", seal=SEALED)],
    ),
    "a summary of two parts": (
        [summary("a", summary_index=0), summary("b", summary_index=1), done(reasoning("a", "b"))],
        [Thinking(text="a\n\nb", seal=SEALED)],
    ),
    "a summary of two parts that nobody counts": (
        [
            {"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "part": {}},
            summary("a"),
            {"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "part": {}},
            summary("b"),
            done(reasoning("a", "b")),
        ],
        [Thinking(text="a\n\nb", seal=SEALED)],
    ),
    "nothing but a proof": (
        [added(reasoning()), done(reasoning()), text("a")],
        [Thinking(text="", seal=SEALED, redacted=True), Text(text="a")],
    ),
    "thoughts without a proof": (
        [
            added(reasoning(sealed=None)),
            thought("hm"),
            done(reasoning(sealed="", content=[{"type": "reasoning_text", "text": "hm"}])),
        ],
        [Thinking(text="hm", seal=PLAIN)],
    ),
    "thoughts in two ways": (
        [thought("hm"), summary("in short"), done(reasoning("in short"))],
        [Thinking(text="hm", seal=SEALED)],
    ),
    # --- calls
    "a call": (
        [added(WHOLE_A), arguments('{"a":'), arguments("1}"), done(WHOLE_A)],
        [A],
    ),
    "a call without arguments": (
        [added(call("f")), done(call("f", ""))],
        [ToolCall(id="call_1", name="f", arguments="{}")],
    ),
    "arguments as an object": ([done(WHOLE_A | {"arguments": {"a": 1}})], [A]),
    "a name that comes at the end": ([added(WHOLE_A | {"name": ""}), arguments('{"a":1}'), done(WHOLE_A)], [A]),
    "a call in a namespace": (
        [added(call("f", namespace="ns")), done(call("f", namespace="ns"))],
        [ToolCall(id="call_1", name="ns__f", arguments="{}")],
    ),
    "free text": (
        [
            added({"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_1", "name": "sql", "input": ""}),
            {"type": "response.custom_tool_call_input.delta", "item_id": "ctc_1", "delta": "select"},
            done({"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_1", "name": "sql", "input": "select 1"}),
        ],
        [ToolCall(id="call_1", name="sql", arguments="select 1", freeform=True)],
    ),
    "calls side by side": (
        [
            added(WHOLE_A, 0),
            added(WHOLE_B, 1),
            arguments('{"a":', output_index=0),
            arguments('{"b":', "fc_2", output_index=1),
            arguments("1}", output_index=0),
            arguments("2}", "fc_2", output_index=1),
            done(WHOLE_A, 0),
            done(WHOLE_B, 1),
        ],
        [A, B],
    ),
    "the second is over first": (
        [
            added(WHOLE_A, 0),
            added(WHOLE_B, 1),
            arguments('{"a":', output_index=0),
            arguments('{"b":2}', "fc_2", output_index=1),
            done(WHOLE_B, 1),
            done(WHOLE_A, 0),
        ],
        [A, B],
    ),
    "calls that are known by their index": (
        [
            added(WHOLE_A, 0),
            added(WHOLE_B, 1),
            arguments('{"b":2}', "?", output_index=1),
            arguments('{"a":1}', "?", output_index=0),
            done(WHOLE_A | {"id": "x", "call_id": ""}, 0),
            done(WHOLE_B | {"id": "y", "call_id": ""}, 1),
        ],
        [A, B],
    ),
    "a text in the middle of a call has to wait": (
        [added(WHOLE_A), arguments('{"a":'), text("x"), arguments("1}"), done(WHOLE_A), done(message("x"))],
        [A, Text(text="x")],
    ),
    "everything ends at the end": (
        [
            added(reasoning(sealed=None)),
            thought("hm"),
            added(message("x")),
            text("x"),
            added(WHOLE_A | {"id": None}),
            arguments('{"a":1}', "fc_?"),
            added(WHOLE_B | {"id": None}),
            arguments('{"b":2}', "fc_??"),
            done(reasoning(sealed="", content=[{"type": "reasoning_text", "text": "hm"}])),
            done(message("x")),
            done(WHOLE_A | {"id": None}),
            done(WHOLE_B | {"id": None}),
        ],
        [Thinking(text="hm", seal=PLAIN), Text(text="x"), A, B],
    ),
    # --- items of this wire's own
    "a search": (
        [
            added(SEARCH),
            {"type": "response.web_search_call.searching", "item_id": "ws_1"},
            done(SEARCH),
            text("a"),
        ],
        [Foreign(origin="openai_responses", extra=SEARCH), Text(text="a")],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    events, content = STREAMS[name]
    if events[-1]["type"] != "response.completed":
        events = [*events, completed()]
    data = stream({"type": "response.created", "response": response(status="in_progress")}, *events)
    decoder = Decoder()
    found = decoder.feed(data) + decoder.close()
    check_order(found)
    assert fold(found).content == content
    assert decoder.skipped == []
    assert decode(*(data[at : at + 1] for at in range(len(data)))) == decode(data)  # whichever way the bytes come


@pytest.mark.parametrize("name", [name for name in STREAMS if STREAMS[name][0][-1]["type"] != "response.completed"])
def test_the_whole_output_at_the_end_says_nothing_twice(name: str) -> None:
    """The finished items again, under ids of their own."""
    events, content = STREAMS[name]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    if "over first" in name:
        items.reverse()
    items = [item | {"id": f"{item['id']}_again"} if item.get("id") else item for item in items]
    found = fold(decode(stream(*events, completed(*items))))
    assert found.content == content


def test_the_end_of_the_answer() -> None:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 17,
        "cost": 0.5,
        "is_byok": True,
    }
    first = {"type": "response.created", "response": response(status="in_progress", service_tier="auto")}
    more: Object = {"service_tier": "flex", "tool_usage": {"web_search": {"num_requests": 1}}, "temperature": 1.0}
    [start, *_, finish] = decode(stream(first, text("a"), completed(message("a"), usage=usage, **more)))
    assert start == Start("resp_1", "m", origin="openai_responses")
    assert finish == Finish(
        "stop",
        Usage(input=10, output=7, cache_read=4, cache_write=1, thinking=3, cost=0.5),
        extra={"service_tier": "flex", "tool_usage": more["tool_usage"], "usage": {"is_byok": True}},
    )


@pytest.mark.parametrize(
    ("ending", "reason", "skipped"),
    [
        (completed(), "stop", []),
        (completed(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length", []),
        (completed(status="incomplete", incomplete_details={"reason": "content_filter"}), "refusal", []),
        (completed(status="incomplete"), "other", ["incomplete_details.reason"]),
        ({"type": "response.incomplete", "response": {"output": []}}, "other", ["incomplete_details.reason"]),
        (
            completed(status="incomplete", incomplete_details={"reason": "steered"}),
            "other",
            ["incomplete_details.reason"],
        ),
        ({"type": "response.done", "response": response()}, "stop", []),
        ({"response": response()}, "stop", []),
        (completed(WHOLE_A), "tool_calls", []),
    ],
)
def test_reasons(ending: Object, reason: str, skipped: list[str]) -> None:
    finish = decode(stream(text("a"), ending))[-1]
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.skipped or []) == (reason, skipped)


def failed(code: str | None, words: str) -> Object:
    return completed(status="failed", error={"code": code, "message": words})


@pytest.mark.parametrize(
    ("data", "kind", "words", "wait"),
    [
        (b"", "upstream", "without an answer", None),
        (b"data: [DONE]\n\n", "upstream", "without an answer", None),
        (b"<html>Bad Gateway</html>", "upstream", "without an answer", None),
        (stream(text("a")), "upstream", "before the answer was complete", None),
        (stream(text("a")) + b"data: [DONE]\n\n", "upstream", "before the answer was complete", None),
        (stream(failed("server_error", "m")), "upstream", "m", None),
        (stream(failed("rate_limit_exceeded", "Please try again in 1.5s.")), "rate_limit", "1.5s", 1.5),
        (stream(failed("rate_limit_exceeded", "Please try again in 20ms.")), "rate_limit", "20ms", 0.02),
        (stream(failed("insufficient_quota", "m")), "billing", "m", None),
        (stream(failed("context_length_exceeded", "m")), "context_length", "m", None),
        (stream(failed("server_is_overloaded", "m")), "overloaded", "m", None),
        (stream(failed("invalid_prompt", "m")), "invalid_request", "m", None),
        (stream(failed("image_too_large", "m")), "invalid_request", "m", None),
        (stream({"type": "response.failed", "response": {}}), "upstream", "failed", None),
        (
            stream({"type": "response.cancelled", "response": response(status="cancelled")}),
            "upstream",
            "cancelled",
            None,
        ),
        (
            stream({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None}),
            "rate_limit",
            "m",
            None,
        ),
        (stream({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}), "overloaded", "m", None),
        (stream({"type": "error"}), "upstream", "error", None),
        (stream({"error": {"code": 429, "message": "m"}}), "rate_limit", "m", None),
        (stream({"error": "text"}), "upstream", "text", None),
        (stream({"error": {"message": "This model's maximum context length is 9"}}), "context_length", "maximum", None),
    ],
)
def test_failures_are_faults(data: bytes, kind: str, words: str, wait: float | None) -> None:
    fault = decode(data)[-1]
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.retry_after) == (kind, wait) and words in fault.message


def test_what_waits_when_the_stream_breaks_is_not_half_told() -> None:
    events = decode(stream(added(WHOLE_A, 0), arguments('{"a":'), added(WHOLE_B, 1), arguments("{}", "fc_2")))
    assert [type(event) for event in events] == [Start, PartStart, ArgumentsDelta, Fault]


def test_nothing_follows_the_end() -> None:
    decoder = Decoder()
    assert isinstance(decoder.feed(stream(text("a"), completed()))[-1], Finish)
    assert decoder.feed(stream(text("b"))) == [] == decoder.close()


def test_a_frame_over_the_bound_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder()
    monkeypatch.setattr(decoder._frames._lines, "_limit", 10)
    assert isinstance(decoder.feed(b"data: " + b"x" * 20)[-1], Fault)
    assert decoder.feed(b"x" * 20) == []


@pytest.mark.parametrize(
    ("event", "skipped"),
    [
        ({"type": "response.future.delta", "delta": "x"}, "response.future.delta"),
        ({"type": "response.audio.delta", "delta": "x"}, "response.audio.delta"),
        ({"type": "response.image_generation_call.partial_image"}, "response.image_generation_call.partial_image"),
        ({"glow": 1}, "an event without a type"),
        ([1], "a frame that is no JSON object"),
        (text("") | {"delta": 5}, "response.output_text.delta"),
        (done(message({"type": "mystery"})), "message.content (mystery)"),
        (
            {"type": "response.output_text.annotation.added", "item_id": "x", "content_index": 1, "annotation": "no"},
            "annotations",
        ),
        (done({"id": "x"}), "an item without a type"),
        (added({"id": "x", "type": "program"}), "program without an end"),
        (done({"type": "function_call", "arguments": "{}"}), "function_call without a name"),
        (done(message("xyz")), "an end that differs from what was said"),
        (
            completed(input_transformations=[{"type": "reasoning", "action": "removed", "id": "r"}]),
            "input_transformations",
        ),
    ],
)
def test_what_was_not_understood_is_named(event: Any, skipped: str) -> None:
    decoder = Decoder()
    found = decoder.feed(stream(text("a"), event, completed()))
    assert decoder.skipped == [skipped]
    assert isinstance(finish := found[-1], Finish) and finish.skipped == [skipped]


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "response.output_text.annotation.added", "item_id": "msg_1", "annotation": URL}],  # of nothing
        [
            added(message("x")),
            text("x"),
            added(WHOLE_A),
            {"type": "response.output_text.annotation.added", "item_id": "msg_1", "annotation": URL},
        ],
    ],
)
def test_an_annotation_without_its_text_is_named(events: list[Object]) -> None:
    finish = decode(stream(*events, completed()))[-1]
    assert isinstance(finish, Finish) and finish.skipped == ["an annotation of a text that is not there"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "keepalive"},
        {"type": "response.mcp_call_arguments.delta", "item_id": "mcp_1", "delta": "{}"},
        {"type": "response.code_interpreter_call_code.delta", "delta": "1"},
        {"type": "response.in_progress", "response": response(status="in_progress")},
        {"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": "{}", "name": "f"},
    ],
)
def test_what_is_said_elsewhere_is_not(event: Object) -> None:
    finish = decode(stream(text("a"), event, completed()))[-1]
    assert isinstance(finish, Finish) and finish.skipped is None


def test_what_the_server_left_out_of_the_request_is_told() -> None:
    removed = [{"type": "reasoning", "id": "rs_0", "action": "removed", "reason": "model_mismatch"}]
    first = {"type": "response.created", "response": response(status="in_progress", input_transformations=removed)}
    start = decode(stream(first, text("a"), completed()))[0]
    assert isinstance(start, Start) and start.dropped == {"thinking": "model_mismatch"}


def test_deltas_are_told_as_they_come() -> None:
    decoder = Decoder()
    assert decoder.feed(stream(added(message("")), text("a")))[-1] == TextDelta(0, "a")
    assert decoder.feed(stream(text("b"))) == [TextDelta(0, "b")]
    assert decoder.feed(stream(added(WHOLE_A))) == [
        PartEnd(0),
        PartStart(1, ToolCall(id="call_1", name="f", arguments="")),
    ]
    assert decoder.feed(stream(arguments('{"a"'))) == [ArgumentsDelta(1, '{"a"')]


# --- transcripts ----------------------------------------------------------------------------------

_HERE = Path(__file__).parent / "golden" / "upstream"


@pytest.mark.parametrize("name", sorted(file.stem for file in _HERE.glob("*.sse")))
def test_transcripts(name: str, golden: Golden) -> None:
    data = (_HERE / f"{name}.sse").read_bytes()
    events = decode(data)
    check_order(events)
    golden(f"upstream/{name}.events", "".join(msgspec.json.encode(event).decode() + "\n" for event in events))
    last = msgspec.json.decode(SSE().feed(data.removesuffix(b"data: [DONE]\n\n"))[-1])
    if last["type"] in ("response.completed", "response.incomplete"):
        whole, streamed = decode_reply(last["response"]), fold(events)
        assert _unsealed(streamed) == _unsealed(whole)
        assert (streamed.reason, streamed.usage) == (whole.reason, whole.usage)


def _unsealed(reply: Reply) -> list[Part]:
    """Without the ids of what is sealed, which some servers change on the way."""
    return [
        replace(part, seal=kept_seal("", kept_members(part.seal).get("encrypted_content", "")))
        if isinstance(part, Thinking) and part.seal
        else part
        for part in reply.content
    ]
