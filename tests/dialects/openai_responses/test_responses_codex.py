"""What Codex CLI sends, and what it reads: shapes of its requests as they were captured."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.conversation import Finish, Foreign, Object, Start, Text, Thinking, ToolCall, ToolResult, Usage
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import Encoder, decode_request
from tests.dialects.openai_responses.streams import check_stream, encode, parse
from tests.dialects.openai_responses.told import CUSTOM, SPACE, call, text, thought

SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}},
}
FIRST: Object = {
    "model": "claude-sonnet-4-5",
    "stream": True,
    "input": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>"}],
        },
        {"type": "message", "id": "msg_2", "role": "user", "content": [{"type": "input_text", "text": "List files."}]},
    ],
    "tools": [SHELL, SPACE],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "client_metadata": {"x-codex-installation-id": "0199"},
}


def fresh(body: Object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body))


def test_the_first_request() -> None:
    request = decode_request(fresh(FIRST))
    assert [message.role for message in request.messages] == ["developer", "user"]
    assert [tool.name for tool in request.tools] == ["shell", "multi_agent_v1__spawn_agent"]
    assert request.stream
    assert request.reasoning is not None
    assert request.reasoning.visible


def test_a_loop_of_tools_with_the_reasoning_sent_back(stamp: Stamp) -> None:
    answer = [
        Start("msg_1", "claude", origin="anthropic"),
        *thought(0, "I list them.", seal="c2VhbA=="),
        *text(1, "Looking."),
        *call(2, "toolu_1", "shell", '{"command": ["ls"]}'),
        *call(3, "toolu_2", "multi_agent_v1__spawn_agent", '{"message": "go"}'),
        Finish("tool_calls", Usage(input=5, output=6)),
    ]
    response = check_stream(parse(encode(answer, decode_request(fresh(FIRST)), stamp)))
    assert response["usage"]["total_tokens"] == 11
    assert [(item["type"], item.get("namespace"), item.get("name")) for item in response["output"]] == [
        ("reasoning", None, None),
        ("message", None, None),
        ("function_call", None, "shell"),
        ("function_call", "multi_agent_v1", "spawn_agent"),
    ]
    replayed = [item if item["type"] != "reasoning" else {**item, "content": None} for item in response["output"]]
    outputs = [
        {"type": "function_call_output", "call_id": "toolu_1", "output": "a.txt"},
        {"type": "function_call_output", "call_id": "toolu_2", "output": [{"type": "input_text", "text": "done"}]},
    ]
    second = {**FIRST, "input": [*FIRST["input"], *replayed, *outputs]}
    _, _, turn, results = decode_request(fresh(second)).messages
    assert [type(part) for part in turn.content] == [Thinking, Text, ToolCall, ToolCall]
    said = turn.content[0]
    assert isinstance(said, Thinking)
    assert said.text == "I list them."
    assert said.seal is not None
    assert (said.seal.origin, said.seal.value) == ("anthropic", "c2VhbA==")
    assert [part.name for part in turn.content if isinstance(part, ToolCall)] == [
        "shell",
        "multi_agent_v1__spawn_agent",
    ]
    assert [part.id for part in results.content if isinstance(part, ToolResult)] == ["toolu_1", "toolu_2"]


def test_tools_that_come_as_an_item_and_private_items(stamp: Stamp) -> None:
    body = {
        **{key: value for key, value in FIRST.items() if key != "tools"},
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [SHELL, CUSTOM, SPACE]},
            *FIRST["input"],
            {"type": "agent_message", "id": "am_1", "content": [{"type": "input_text", "text": "psst"}]},
            {"type": "item_reference", "id": "msg_9"},
            {"type": "compaction", "encrypted_content": "gAAAA"},
        ],
    }
    request = decode_request(fresh(body))
    assert [tool.name for tool in request.tools] == ["shell", "sql", "multi_agent_v1__spawn_agent"]
    assert [part.extra["type"] for part in request.messages[-1].content if isinstance(part, Foreign)] == [
        "agent_message",
        "item_reference",
        "compaction",
    ]
    answer = [
        Start("a", "b"),
        *call(0, "call_1", "sql", "select 1", freeform=True),
        Finish("tool_calls", Usage(input=1)),
    ]
    (item,) = parse(Encoder(request, stamp).feed(answer))[-1]["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "select 1")


def test_its_own_way_of_compacting_is_an_ordinary_request() -> None:
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "CONTEXT CHECKPOINT"}]}
    body = {**FIRST, "parallel_tool_calls": False, "tools": [], "input": [*FIRST["input"], asked]}
    request = decode_request(fresh(body))
    assert request.tool_choice is None
    assert len(request.messages) == 3
