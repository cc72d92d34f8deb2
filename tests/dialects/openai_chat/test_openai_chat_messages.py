"""Messages: wire ↔ message, both ways; sloppy histories; images out of tool results; reasoning in history."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from dragoman.conversation import (
    Foreign,
    Media,
    Message,
    Object,
    Refusal,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.openai_chat.messages import decode_messages, encode_messages
from dragoman.errors import GatewayError
from dragoman.losses import Losses

PNG = "iVBORw0KGgoAAAAAAAAAAA=="


def call(call_id: str = "call_1", name: str = "f", arguments: str = '{"a":1}') -> Object:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def custom(call_id: str = "call_1", name: str = "sql", text: str = "select 1") -> Object:
    return {"id": call_id, "type": "custom", "custom": {"name": name, "input": text}}


def tool(content: Any = "ok", call_id: str = "call_1") -> Object:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def assistant(*calls: Object, **members: Any) -> Object:
    return {"role": "assistant", "content": None, **members} | ({"tool_calls": list(calls)} if calls else {})


def user(*parts: Any) -> Message:
    return Message(role="user", content=list(parts))


CALL = ToolCall(id="call_1", name="f", arguments='{"a":1}')

TWO_WAYS: list[tuple[list[Object], list[Message]]] = [
    (
        [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": "d"},
            {"role": "user", "name": "Ann", "content": "u"},
            {"role": "user", "content": "again"},
            {"role": "assistant", "content": "a"},
        ],
        [
            Message(role="system", content=[Text(text="s")]),
            Message(role="developer", content=[Text(text="d")]),
            Message(role="user", name="Ann", content=[Text(text="u")]),
            user(Text(text="again")),
            Message(role="assistant", content=[Text(text="a")]),
        ],
    ),
    (
        [assistant(call(), content="Let me see."), tool()],
        [
            Message(role="assistant", content=[Text(text="Let me see."), CALL]),
            user(ToolResult(id="call_1", name="f", content=[Text(text="ok")])),
        ],
    ),
    (
        [assistant(custom()), tool()],
        [
            Message(role="assistant", content=[ToolCall(id="call_1", name="sql", arguments="select 1", freeform=True)]),
            user(ToolResult(id="call_1", name="sql", content=[Text(text="ok")], freeform=True)),
        ],
    ),
    (
        [assistant(call()), tool("[tool error] disk full")],
        [
            Message(role="assistant", content=[CALL]),
            user(ToolResult(id="call_1", name="f", content=[Text(text="disk full")], is_error=True)),
        ],
    ),
    (
        [
            assistant(
                call(),
                reasoning_content="hm",
                reasoning_details=[
                    {
                        "type": "reasoning.text",
                        "text": "hm",
                        "signature": "S",
                        "format": "anthropic-claude-v1",
                        "id": "dragoman-g8i9xrif2vfz",
                        "index": 0,
                    },
                    {
                        "type": "reasoning.encrypted",
                        "data": "R",
                        "format": "anthropic-claude-v1",
                        "id": "dragoman-0ikbrqk9ki4c",
                        "index": 1,
                    },
                ],
            )
        ],
        [
            Message(
                role="assistant",
                content=[
                    Thinking(text="hm", seal=Seal("anthropic", "S")),
                    Thinking(text="", seal=Seal("anthropic", "R"), redacted=True),
                    CALL,
                ],
            )
        ],
    ),
    (
        [{"role": "assistant", "content": None, "refusal": "no", "audio": {"id": "a"}}],
        [Message(role="assistant", content=[Refusal(text="no")], extra={"audio": {"id": "a"}})],
    ),
]


def encode(messages: list[Message], losses: Losses | None = None, origin: str = "openai_chat") -> list[Object]:
    return encode_messages(Request(origin=origin, model="m", messages=messages), losses or Losses())


@pytest.mark.parametrize(("wire", "messages"), TWO_WAYS)
def test_messages_both_ways(wire: list[Object], messages: list[Message]) -> None:
    assert decode_messages(deepcopy(wire)) == messages
    assert encode(messages) == wire


# --- histories as they come ---------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, [], ""])
def test_empty_content_of_every_kind(content: Any) -> None:
    history = [{"role": "user", "content": content}, assistant(content=content), tool(content)]
    assert [m.content for m in decode_messages(history)] == [[], [], [ToolResult(id="call_1", content=[])]]


def test_what_sdks_send_back_empty_says_nothing() -> None:
    dumped = assistant(content="a", refusal=None, annotations=[], audio=None, function_call=None, tool_calls=None)
    assert decode_messages([dumped]) == [Message(role="assistant", content=[Text(text="a")])]


@pytest.mark.parametrize("arguments", ["", None, " ", {}])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    wire = [assistant({"id": "1", "function": {"name": "f", "arguments": arguments}})]
    assert decode_messages(wire)[0].content == [ToolCall(id="1", name="f", arguments="{}")]


def test_arguments_may_be_an_object_and_need_not_be_json() -> None:
    wire = [
        assistant(
            {"id": "1", "type": "function", "index": 0, "function": {"name": "f", "arguments": {"a": [1]}}},
            call("2", arguments="{broken"),
        )
    ]
    parts = decode_messages(wire)[0].content
    assert [part.arguments for part in parts if isinstance(part, ToolCall)] == ['{"a":[1]}', "{broken"]
    assert all(not part.extra for part in parts)


def test_results_without_ids_are_paired_by_name_then_order() -> None:
    history = [
        assistant(call("call_a", "first"), call("call_b", "second"), call("call_c", "third")),
        {"role": "tool", "name": "second", "content": "2"},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "3"},
    ]
    results = [part for m in decode_messages(history)[1:] for part in m.content if isinstance(part, ToolResult)]
    assert [(r.id, r.name) for r in results] == [("call_b", "second"), ("call_a", "first"), ("call_c", "third")]


def test_the_deprecated_function_call_pairs_with_its_result() -> None:
    history = [
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "ok"},
    ]
    asked, answered = decode_messages(deepcopy(history))
    [made] = asked.content
    [result] = answered.content
    assert isinstance(made, ToolCall) and isinstance(result, ToolResult)
    assert made.id == result.id != ""
    assert (made.name, made.arguments, result.name) == ("f", '{"a":1}', "f")
    assert decode_messages(history) == [asked, answered], "minted ids are the same every time"


def test_calls_without_ids_get_different_ones() -> None:
    bare = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    history = [assistant(deepcopy(bare), deepcopy(bare)), {"role": "tool", "content": "1"}, assistant(deepcopy(bare))]
    found = [p.id for m in decode_messages(history) for p in m.content if isinstance(p, ToolCall)]
    assert len(set(found)) == 3


def test_a_result_nobody_asked_for_keeps_its_id() -> None:
    assert decode_messages([tool("x", "call_9")]) == [user(ToolResult(id="call_9", content=[Text(text="x")]))]


def test_images_in_tool_messages() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    [message] = decode_messages([tool([{"type": "text", "text": "a"}, image])])
    [result] = message.content
    assert isinstance(result, ToolResult)
    assert result.content == [Text(text="a"), Media(kind="image", data=PNG, media_type="image/png")]


def test_a_cache_mark_on_a_message_is_on_its_last_part() -> None:
    [message] = decode_messages([{"role": "user", "content": "a", "cache_control": {"type": "ephemeral"}}])
    assert message.content == [Text(text="a", cache="5m")]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ("hi", "messages"),
        (["hi"], "messages[0]"),
        ([{}], "messages[0].role"),
        ([{"role": "narrator", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([assistant({"id": "1", "type": "function"})], "messages[0].tool_calls[0].function"),
        ([assistant(call(name=""))], "messages[0].tool_calls[0].function.name"),
        (
            [assistant({"id": "1", "function": {"name": "f", "arguments": 7}})],
            "messages[0].tool_calls[0].function.arguments",
        ),
        ([assistant(call() | {"type": "mcp"})], "messages[0].tool_calls[0].type"),
        ([assistant(tool_calls="x")], "messages[0].tool_calls"),
        ([assistant(reasoning_details="x")], "messages[0].reasoning_details"),
        ([tool() | {"tool_call_id": 7}], "messages[0].tool_call_id"),
    ],
)
def test_the_client_is_told_where_it_is_wrong(messages: Any, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_messages(messages)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)


# --- reasoning in history -----------------------------------------------------------------------

SIGNED = {"type": "reasoning.text", "text": "D", "signature": "S", "format": "anthropic-claude-v1", "index": 0}


@pytest.mark.parametrize(
    ("members", "thoughts"),
    [
        ({"reasoning_content": "hm"}, [Thinking(text="hm")]),
        ({"reasoning": "hm"}, [Thinking(text="hm")]),
        ({"reasoning": "hm", "reasoning_content": "hm"}, [Thinking(text="hm")]),
        ({"reasoning_content": "D", "reasoning_details": [SIGNED]}, [Thinking(text="D", seal=Seal("anthropic", "S"))]),
        (
            {
                "reasoning_content": "B",
                "reasoning_details": [SIGNED],
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "B", "signature": "T"},
                    {"type": "redacted_thinking", "data": "R"},
                ],
            },
            [
                Thinking(text="B", seal=Seal("anthropic", "T")),
                Thinking(text="", seal=Seal("anthropic", "R"), redacted=True),
            ],
        ),
        ({"thinking_blocks": [], "reasoning_details": [], "reasoning_content": "hm"}, [Thinking(text="hm")]),
        ({"thinking_blocks": [{"type": "thinking", "thinking": ""}], "reasoning_content": "hm"}, [Thinking(text="hm")]),
        (
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "T"}]},
            [Thinking(text="", seal=Seal("anthropic", "T"))],
        ),
        (
            {"reasoning_details": [{"type": "reasoning.text", "text": "D", "signature": "S"}]},
            [Thinking(text="D", seal=Seal("anthropic", "S"))],
        ),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "D"}]}, [Thinking(text="D")]),
        ({"reasoning_content": ""}, []),
    ],
)
def test_the_richest_reasoning_counts_once(members: Object, thoughts: list[Thinking]) -> None:
    [message] = decode_messages([assistant(content="a", **members)])
    assert message.content == [*thoughts, Text(text="a")]


@pytest.mark.parametrize(
    "detail",
    [
        {"type": "reasoning.encrypted", "id": "rs_1", "data": "gAAA", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.text", "text": "t", "signature": "g", "format": "google-gemini-v1", "index": 0},
    ],
)
def test_details_of_other_formats_go_back_whole(detail: Object) -> None:
    messages = decode_messages([assistant(content="a", reasoning_details=[dict(detail)])])
    [thought, _] = messages[0].content
    assert isinstance(thought, Thinking) and thought.seal and thought.seal.origin == "openai_chat"
    assert encode(messages)[0]["reasoning_details"] == [detail]


def test_a_seal_of_a_dialect_without_a_format_survives() -> None:
    messages = [Message(role="assistant", content=[Thinking(text="t", seal=Seal("elsewhere", "v"))])]
    assert decode_messages(encode(messages)) == messages


# --- out of tool results ------------------------------------------------------------------------


def test_images_of_tool_results_follow_behind_the_run_of_tool_messages() -> None:
    image = Media(kind="image", data=PNG, media_type="image/png")
    messages = [
        Message(role="assistant", content=[CALL, ToolCall(id="call_2", name="g", arguments="{}")]),
        user(ToolResult(id="call_1", content=[Text(text="shot"), image])),
        user(ToolResult(id="call_2", content=[Text(text="no")], is_error=True), Text(text="go on")),
    ]
    losses = Losses()
    wire = encode(messages, losses, "anthropic")
    assert [m["role"] for m in wire] == ["assistant", "tool", "tool", "user"]
    assert [m["content"] for m in wire[1:3]] == ["shot", "[tool error] no"]
    label, picture, words = wire[3]["content"]
    assert "call_1" in label["text"]
    assert picture == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    assert words == {"type": "text", "text": "go on"}
    assert not losses.dropped


def test_a_pdf_in_a_tool_result_is_a_file() -> None:
    pdf = Media(kind="document", data="JVBERi0xLjcgCg==", media_type="application/pdf", name="a.pdf")
    wire = encode([user(ToolResult(id="1", content=[pdf]))], origin="anthropic")
    assert wire[0] == {"role": "tool", "tool_call_id": "1", "content": ""}
    assert wire[1]["content"][1]["file"]["file_data"] == f"data:application/pdf;base64,{pdf.data}"


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        ([], "[tool error] "),
        (
            [Foreign(origin="openai_chat", extra={"type": "x"})],
            [{"type": "text", "text": "[tool error] "}, {"type": "x"}],
        ),
        ([Text(text="a"), Text(text="b")], [{"type": "text", "text": "[tool error] a"}, {"type": "text", "text": "b"}]),
    ],
)
def test_failure_is_marked_whatever_the_content(content: list[Any], wire: Any) -> None:
    result = ToolResult(id="1", content=content, is_error=True)
    assert encode([user(result)])[0]["content"] == wire


def test_an_empty_assistant_message_has_content() -> None:
    assert encode([Message(role="assistant", content=[])]) == [{"role": "assistant", "content": ""}]


def test_words_end_the_wait_for_results() -> None:
    """A result without an id answers the last assistant turn, not one before it."""
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    wire: list[Object] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "content": "never mind"},
        {"role": "tool", "content": "late"},
    ]
    *_, last = decode_messages(wire)
    assert [part.id for part in last.content if isinstance(part, ToolResult)] != ["call_1"]
