"""Messages and their parts, in tables that run both ways."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dragoman.conversation import Foreign, Media, Message, Part, Refusal, Seal, Text, Thinking, ToolCall, ToolResult
from dragoman.dialects.ollama.messages import decode_messages, encode_messages
from dragoman.errors import GatewayError
from dragoman.losses import Losses

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
JPEG = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD"
PDF = "JVBERi0xLjQK"
WAV = "UklGRiQAAABXQVZFZm10IBAAAAA="

IMAGE = Media(kind="image", data=PNG, media_type="image/png")
CALL = ToolCall(id="call_1", name="get_weather", arguments='{"city":"Paris"}')
WIRE_CALL = {"id": "call_1", "function": {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}}

# One message, and the same on the wire; every row goes both ways.
ROWS: list[tuple[str, list[Message], list[dict[str, Any]]]] = [
    (
        "system",
        [Message(role="system", content=[Text(text="Be brief.")])],
        [{"role": "system", "content": "Be brief."}],
    ),
    ("user", [Message(role="user", content=[Text(text="Hi")])], [{"role": "user", "content": "Hi"}]),
    ("empty", [Message(role="user", content=[])], [{"role": "user", "content": ""}]),
    (
        "image before its question",
        [Message(role="user", content=[IMAGE, Text(text="What is it?")])],
        [{"role": "user", "content": "What is it?", "images": [PNG]}],
    ),
    (
        "assistant that thought, spoke and called",
        [Message(role="assistant", content=[Thinking(text="Hm"), Text(text="Let me look."), CALL])],
        [{"role": "assistant", "content": "Let me look.", "thinking": "Hm", "tool_calls": [WIRE_CALL]}],
    ),
    (
        "call and result",
        [
            Message(role="assistant", content=[CALL]),
            Message(role="user", content=[ToolResult(id="call_1", name="get_weather", content=[Text(text="18")])]),
        ],
        [
            {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL]},
            {"role": "tool", "content": "18", "tool_name": "get_weather", "tool_call_id": "call_1"},
        ],
    ),
    (
        "image in a result",
        [
            Message(role="assistant", content=[CALL]),
            Message(
                role="user", content=[ToolResult(id="call_1", name="get_weather", content=[Text(text="x"), IMAGE])]
            ),
        ],
        [
            {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL]},
            {"role": "tool", "content": "x", "images": [PNG], "tool_name": "get_weather", "tool_call_id": "call_1"},
        ],
    ),
    (
        "members of nobody's",
        [Message(role="user", content=[Text(text="Hi")], name="ann", extra={"mood": "fine"})],
        [{"role": "user", "content": "Hi", "name": "ann", "mood": "fine"}],
    ),
    (
        "members of nobody's in a call",
        [Message(role="assistant", content=[ToolCall(id="a", name="f", arguments="{}", extra={"function": {"x": 1}})])],
        [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "a", "function": {"index": 0, "name": "f", "arguments": {}, "x": 1}}],
            }
        ],
    ),
]


@pytest.mark.parametrize(("ours", "wire"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_both_ways(ours: list[Message], wire: list[dict[str, Any]]) -> None:
    losses = Losses()
    assert decode_messages(copy.deepcopy(wire)) == ours
    assert encode_messages(ours, "ollama", losses) == wire
    assert not losses.dropped


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        ({"role": "USER", "content": None, "images": None}, []),
        ({"role": "User", "images": []}, []),
        ({"role": "user", "images": [f"data:image/jpeg;base64,{PNG}"]}, [IMAGE]),
        ({"role": "user", "images": [PNG[:40] + "\n" + PNG[40:]]}, [IMAGE]),
        ({"role": "user", "images": PNG}, [IMAGE]),
        ({"role": "user", "images": [JPEG]}, [Media(kind="image", data=JPEG, media_type="image/jpeg")]),
        ({"role": "user", "images": [PDF]}, [Media(kind="document", data=PDF, media_type="application/pdf")]),
        ({"role": "user", "images": [WAV]}, [Media(kind="audio", data=WAV, media_type="audio/wav")]),
        (
            {"role": "user", "images": ["https://example.org/cat.png"]},
            [Media(kind="image", data="https://example.org/cat.png", source="url")],
        ),
        ({"role": "assistant", "content": "", "thinking": "", "tool_calls": None}, []),
        ({"role": "assistant", "tool_calls": []}, []),
    ],
)
def test_sloppy_messages(wire: dict[str, Any], content: list[Part]) -> None:
    (message,) = decode_messages([wire])
    assert message.content == content
    assert message.role in ("user", "assistant")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"b": 1, "a": "ü"}, '{"b":1,"a":"ü"}'),
        ('{"city": "Paris"}', '{"city": "Paris"}'),
        ("", "{}"),
        (None, "{}"),
        ("not json", "not json"),
    ],
)
def test_arguments(arguments: object, text: str) -> None:
    (message,) = decode_messages(
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}]
    )
    assert isinstance(call := message.content[0], ToolCall)
    assert call.arguments == text


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        ("hello", "messages", "messages must be an array, not a string"),
        (["hello"], "messages[0]", "must be an object"),
        ([{"content": "x"}], "messages[0].role", "is required"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role", "'wizard'"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content", "must be a string"),
        ([{"role": "user", "images": ["#"]}], "messages[0].images[0]", "is not base64 data"),
        ([{"role": "user", "images": [""]}], "messages[0].images[0]", "is empty"),
        ([{"role": "user", "images": [7]}], "messages[0].images[0]", "must be a string"),
        (
            [{"role": "assistant", "tool_calls": {}}, {"role": "assistant", "tool_calls": 1}],
            "messages[1].tool_calls",
            "array",
        ),
        ([{"role": "assistant", "tool_calls": [{}]}], "messages[0].tool_calls[0].function", "is required"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}],
            "messages[0].tool_calls[0].function.arguments",
            "must be an object",
        ),
        ([{"role": "tool", "content": 3}], "messages[0].content", "must be a string"),
    ],
)
def test_errors_name_the_place(messages: object, param: str, words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_messages(messages)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)
    assert words in caught.value.message


# What another dialect can say and Ollama cannot: the wire, what is dropped, what is emulated.
FOREIGN: list[tuple[Part, dict[str, Any], set[str], set[str]]] = [
    (Refusal(text="I will not."), {"content": "I will not."}, set(), set()),
    (Thinking(text="Hm", seal=Seal("anthropic", "s")), {"content": "", "thinking": "Hm"}, set(), set()),
    (Thinking(text="", redacted=True, seal=Seal("anthropic", "s")), {"content": ""}, {"messages[0].content[0]"}, set()),
    (
        Media(kind="image", data="https://example.org/a.png", source="url"),
        {"content": ""},
        {"messages[0].content[0]"},
        set(),
    ),
    (Media(kind="document", data=PDF), {"content": ""}, {"messages[0].content[0]"}, set()),
    (Media(kind="audio", data=WAV), {"content": "", "images": [WAV]}, set(), set()),
    (
        Media(kind="document", data="A report", source="text", name="a.txt"),
        {"content": "a.txt\n\nA report"},
        set(),
        {"messages[0].content[0]"},
    ),
    (Foreign(origin="anthropic", extra={"type": "search_result"}), {"content": ""}, {"messages[0].content[0]"}, set()),
    (
        ToolCall(id="a", name="patch", arguments="*** Begin", freeform=True),
        {
            "content": "",
            "tool_calls": [{"id": "a", "function": {"index": 0, "name": "patch", "arguments": {"input": "*** Begin"}}}],
        },
        set(),
        set(),
    ),
]


@pytest.mark.parametrize(("part", "wire", "dropped", "emulated"), FOREIGN)
def test_parts_of_other_dialects(part: Part, wire: dict[str, Any], dropped: set[str], emulated: set[str]) -> None:
    losses = Losses()
    assert encode_messages([Message(role="assistant", content=[part])], "anthropic", losses) == [
        {"role": "assistant", **wire}
    ]
    assert (set(losses.dropped), set(losses.emulated)) == (dropped, emulated)


def test_a_message_of_another_dialect() -> None:
    losses = Losses()
    messages = [
        Message(role="developer", content=[Text(text="a"), Text(text="b")], name="ann", extra={"x": 1}),
        Message(role="assistant", content=[ToolCall(id="c1", name="f", arguments="{}", extra={"y": 1})]),
        Message(
            role="user",
            content=[
                ToolResult(id="c1", content=[Text(text="boom"), IMAGE], is_error=True, extra={"z": 1}),
                Text(text="And now?"),
            ],
        ),
    ]
    assert encode_messages(messages, "anthropic", losses) == [
        {"role": "system", "content": "a\nb"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {}}}],
        },
        {"role": "tool", "content": "[tool error] boom", "images": [PNG], "tool_name": "f", "tool_call_id": "c1"},
        {"role": "user", "content": "And now?"},
    ]
    assert set(losses.dropped) == {"messages[0].name"}
    assert set(losses.emulated) == {"messages[2].content[0].is_error"}
