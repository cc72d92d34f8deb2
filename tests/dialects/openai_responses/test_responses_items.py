"""Items and parts as the conversation has them, with the place each came from."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from dragoman.conversation import (
    Foreign,
    Media,
    Message,
    Object,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects import anthropic, openai_responses
from dragoman.dialects.openai_responses import decode_request, enclose_summary
from dragoman.dialects.openai_responses.sealed import kept_seal
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models import catalogue
from dragoman.models.open.places import part_places
from dragoman.translation import carry, report_leftovers


def messages(*items: Any, **members: Any) -> list[Message]:
    body = {"model": "m", "input": list(items), **members}
    return decode_request(msgspec.json.decode(msgspec.json.encode(body))).messages


CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# --- parts --------------------------------------------------------------------------------------

PARTS: list[tuple[Any, Part]] = [
    ("hi", Text(text="hi")),
    ({"type": "input_text", "text": "hi"}, Text(text="hi")),
    ({"type": "text", "text": "hi"}, Text(text="hi")),
    ({"text": "hi"}, Text(text="hi")),
    ({"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}, Text(text="hi")),
    (
        {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation", "url": "https://a.b"}]},
        Text(text="hi", extra={"annotations": [{"type": "url_citation", "url": "https://a.b"}]}),
    ),
    (
        {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        Text(text="hi", cache="1h"),
    ),
    ({"type": "refusal", "refusal": "no"}, Refusal(text="no")),
    (
        {"type": "input_image", "image_url": "https://a.b/c.png", "detail": "auto", "file_id": None},
        Media(kind="image", data="https://a.b/c.png", source="url"),
    ),
    (
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "high"},
        Media(kind="image", data=PIXEL, media_type="image/png", extra={"detail": "high"}),
    ),
    (
        {"type": "input_image", "image_url": {"url": "https://a.b/c.png", "detail": "auto"}},
        Media(kind="image", data="https://a.b/c.png", source="url"),
    ),
    ({"type": "input_image", "file_id": "file_1"}, Media(kind="image", data="file_1", source="file")),
    (
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0xLjcK", "filename": "a.pdf"},
        Media(kind="document", data="JVBERi0xLjcK", media_type="application/pdf", name="a.pdf"),
    ),
    (
        {"type": "input_file", "file_url": "https://a.b/c.pdf"},
        Media(kind="document", data="https://a.b/c.pdf", source="url"),
    ),
    (
        {"type": "input_file", "file_id": "file_1", "filename": "a"},
        Media(kind="document", data="file_1", source="file", name="a"),
    ),
    (
        {"type": "input_file", "file_data": "data:text/plain;base64,aGk="},
        Media(kind="document", data="hi", source="text", media_type="text/plain"),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "UklGRgAAAABXQVZF", "format": "wav"}},
        Media(kind="audio", data="UklGRgAAAABXQVZF", media_type="audio/wav"),
    ),
    ({"type": "mystery", "x": 1}, Foreign(origin="openai_responses", extra={"type": "mystery", "x": 1})),
]


@pytest.mark.parametrize(("wire", "part"), PARTS)
def test_parts(wire: Any, part: Part) -> None:
    (message,) = messages({"role": "user", "content": [wire]})
    assert message.content == [part]
    assert message.places == ["input[0].content[0]"]


# --- items --------------------------------------------------------------------------------------


def test_a_string_is_the_users_message() -> None:
    (message,) = decode_request({"model": "m", "input": "hi", "instructions": None}).messages
    assert message == Message(role="user", content=[Text(text="hi")], places=["input"])


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
@pytest.mark.parametrize("kind", [{}, {"type": "message"}, {"type": None, "id": "msg_1", "status": "completed"}])
def test_messages_of_every_role(role: str, kind: Object) -> None:
    (message,) = messages({**kind, "role": role, "content": "hi"})
    assert message == Message(role=role, content=[Text(text="hi")], places=["input[0].content"])  # type: ignore[arg-type]


def test_instructions_stand_in_front() -> None:
    first, second, third = messages(
        {"role": "system", "content": "b"}, {"role": "user", "content": "c"}, instructions="a"
    )
    assert first == Message(role="system", content=[Text(text="a")], at="instructions")
    assert (second.role, third.role) == ("system", "user")


def test_what_the_assistant_did_in_one_go_is_one_message() -> None:
    user, turn, results, last = messages(
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "content": None},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Well."}]},
        CALL,
        {"type": "custom_tool_call", "call_id": "call_2", "name": "sql", "input": "select 1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "two"}]},
        {"role": "user", "content": "and?"},
    )
    assert [message.role for message in (user, turn, results, last)] == ["user", "assistant", "user", "user"]
    assert turn.content == [
        Thinking(text="Hm."),
        Text(text="Well."),
        ToolCall(id="call_1", name="f", arguments='{"a": 1}'),
        ToolCall(id="call_2", name="sql", arguments="select 1", freeform=True),
    ]
    assert turn.places == ["input[1]", "input[2].content[0]", "input[3]", "input[4]"]
    assert results.content == [
        ToolResult(id="call_1", name="f", content=[Text(text="one")]),
        ToolResult(id="call_2", name="sql", content=[Text(text="two")], freeform=True),
    ]


REASONING: list[tuple[Object, Thinking | None]] = [
    ({"id": "rs_1", "summary": []}, None),
    ({"id": "rs_1", "summary": [], "encrypted_content": ""}, None),
    (
        {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        Thinking(text="a\n\nb"),
    ),
    ({"summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}, Thinking(text="raw")),
    (
        {"summary": [{"text": "short"}], "content": [{"type": "reasoning_text", "text": "raw"}]},
        Thinking(text="raw", extra={"summary": [{"text": "short"}]}),
    ),
    (
        {"id": "rs_1", "summary": [{"text": "a"}], "encrypted_content": "gAAAA-theirs"},
        Thinking(text="a", seal=kept_seal("rs_1", "gAAAA-theirs")),
    ),
    (
        {"id": "rs_1", "summary": [], "encrypted_content": "gAAAA-theirs"},
        Thinking(text="", seal=kept_seal("rs_1", "gAAAA-theirs"), redacted=True),
    ),
    (
        {"summary": [{"text": "a"}], "encrypted_content": "dragoman.1.eyJvIjoiYW50aHJvcGljIiwidiI6InMifQ"},
        Thinking(text="a", seal=Seal("anthropic", "s")),
    ),
    (
        {"summary": [], "encrypted_content": "dragoman.9.what"},
        Thinking(text="", seal=Seal("dragoman", "dragoman.9.what")),
    ),
]


@pytest.mark.parametrize(("item", "thought"), REASONING)
def test_reasoning(item: Object, thought: Thinking | None) -> None:
    user, *turns = messages({"role": "user", "content": "go"}, {"type": "reasoning", **item})
    assert [part for turn in turns for part in turn.content] == ([thought] if thought else [])
    assert user.content == [Text(text="go")]


@pytest.mark.parametrize(
    ("call", "arguments", "id"),
    [
        ({"arguments": ""}, "{}", "call_9"),
        ({"arguments": None}, "{}", "call_9"),
        ({"arguments": {"a": 1}}, '{"a":1}', "call_9"),
        ({"arguments": "not json"}, "not json", "call_9"),
        ({"arguments": "{}", "call_id": None, "id": "fc_1"}, "{}", "fc_1"),
    ],
)
def test_sloppy_calls(call: Object, arguments: str, id: str) -> None:
    (turn,) = messages({"type": "function_call", "call_id": "call_9", "name": "f", **call})
    assert turn.content == [ToolCall(id=id, name="f", arguments=arguments)]


@pytest.mark.parametrize(
    ("output", "content", "failed"),
    [
        ("", [], False),
        (None, [], False),
        ({"a": 1}, [Text(text='{"a":1}')], False),
        (7, [Text(text="7")], False),
        ("[tool error] no such city", [Text(text="no such city")], True),
        (
            [{"type": "input_image", "image_url": "https://a.b/c.png"}],
            [Media(kind="image", data="https://a.b/c.png", source="url")],
            False,
        ),
    ],
)
def test_results(output: Any, content: list[Part], failed: bool) -> None:
    _, message = messages(CALL, {"type": "function_call_output", "call_id": "call_1", "output": output})
    assert message.content == [ToolResult(id="call_1", name="f", content=content, is_error=failed)]


def test_a_result_without_an_id_is_found_by_the_name() -> None:
    _, message = messages(CALL, {"type": "function_call_output", "name": "f", "output": "x"})
    assert message.content == [ToolResult(id="call_1", name="f", content=[Text(text="x")])]


def test_what_only_openai_understands_stands_where_it_stood() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    agent = {"type": "agent_message", "text": "psst"}
    (turn,) = messages(agent, CALL, search, {"role": "assistant", "content": "so"})
    assert turn.content[0] == Foreign(origin="openai_responses", extra=agent)
    assert turn.content[2] == Foreign(origin="openai_responses", extra=search)
    assert turn.places == ["input[0]", "input[1]", "input[2]", "input[3].content"]
    (alone,) = messages(agent)
    assert (alone.role, alone.content) == ("user", [Foreign(origin="openai_responses", extra=agent)])


def test_a_result_of_a_tool_that_openai_runs_is_no_error() -> None:
    shell = {"type": "local_shell_call", "call_id": "call_s", "action": {"type": "exec", "command": ["ls"]}}
    _, message = messages(
        {"role": "user", "content": "go"}, shell, {"type": "function_call_output", "call_id": "call_s", "output": "a"}
    )[0:2]
    assert message.content == [ToolResult(id="call_s", content=[Text(text="a")])]


def test_a_summary_of_ours_is_read_and_another_ones_is_kept_whole() -> None:
    ours, *_ = messages({"type": "compaction", "encrypted_content": enclose_summary("We met.")})
    assert ours.role == "user"
    assert ours.content[0].text.endswith("We met.")  # type: ignore[union-attr]
    theirs, *_ = messages({"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"})
    assert isinstance(theirs.content[0], Foreign)


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"x": 1}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        ({"input": [{"type": "function_call", "call_id": "a", "arguments": "{}"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "call_x", "output": ""}]}, "input[0].call_id"),
        ({"input": [{"type": "reasoning", "summary": 7}]}, "input[0].summary"),
        ({"instructions": 7}, "instructions"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}, "tools[0].tools[0].name"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"schema": {}}}}, "text.format.type"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"include": 7}, "include"),
        ({"max_output_tokens": "x"}, "max_output_tokens"),
        ({"tool_choice": {"type": "function", "name": "g"}}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"store": "yes"}, "store"),
    ],
)
def test_what_is_wrong_is_named(body: Object, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_request({"model": "m", "input": "hi", **body})
    assert caught.value.kind == "invalid_request"
    assert caught.value.param == param


# --- what is told of the loss --------------------------------------------------------------------


def lost(body: Object) -> Losses:
    asked = msgspec.json.encode({"model": "claude-sonnet-4-5", **body})
    request = decode_request(msgspec.json.decode(asked))
    card = catalogue.build().resolve(request.model, date(2026, 1, 1)).card
    losses = Losses(openai_responses.SPELLING)
    carry(request, openai_responses, anthropic, card, losses)
    return losses


def test_every_loss_is_told_in_the_clients_own_words() -> None:
    told = lost(
        {
            "input": [
                {"type": "agent_message", "text": "psst"},
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "https://a.b/c.png", "detail": "low"}],
                },
                {"type": "message", "role": "assistant", "phase": "commentary", "content": "Well."},
                {**CALL, "caller": {"type": "program", "caller_id": "p"}},
                {"type": "function_call_output", "call_id": "call_1", "output": "x", "caller": {"type": "direct"}},
            ],
            "tools": [
                {
                    "type": "function",
                    "name": "f",
                    "parameters": {"type": "object"},
                    "output_schema": {"type": "string"},
                },
                {"type": "custom", "name": "sql", "format": {"type": "grammar", "syntax": "lark", "definition": "a"}},
                {"type": "file_search", "vector_store_ids": ["v"]},
            ],
            "text": {"verbosity": "low"},
            "truncation": "auto",
            "max_tool_calls": 3,
            "metadata": {"a": "b"},
            "prompt_cache_key": "k",
            "include": ["file_search_call.results"],
            "client_metadata": {"x": "y"},
            "top_logprobs": 2,
        }
    )
    assert set(told.dropped) == {
        "input[0]",
        "input[1].content[0].detail",
        "input[2].phase",
        "input[3].caller",
        "input[4].caller",
        "tools[0].output_schema",
        "tools.file_search",
        "text.verbosity",
        "truncation",
        "max_tool_calls",
        "include",
        "top_logprobs",
    }
    assert "prompt_cache_key" in told.emulated


def test_what_is_in_a_result_has_its_place() -> None:
    result = {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "mystery"}, "x"]}
    assert "input[1].output[0]" in lost({"input": [CALL, result]}).dropped


def test_citations_that_come_back_are_told_as_a_list() -> None:
    cited = {"type": "url_citation", "url": "https://a.b/c", "title": "C", "start_index": 0, "end_index": 2}
    told = lost(
        {
            "input": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": [cited]}]},
                {"role": "user", "content": "and?"},
            ]
        }
    )
    assert told.dropped == {}
    assert list(told.emulated) == ["input[1].content[0].annotations"]


def test_places_of_a_turn_that_was_remembered_are_its_item() -> None:
    request = decode_request({"model": "m", "input": [dict(CALL)]})
    request.messages[0].content.insert(0, Thinking(text="remembered"))
    assert part_places(request.messages, "openai_responses", 0) == ["input[0]", "input[0]"]


def test_nothing_is_lost_on_a_server_of_this_wire() -> None:
    class Same:
        NAME = "openai_responses"

    losses = Losses()
    request = decode_request({"model": "m", "input": "x", "truncation": "auto"})
    report_leftovers(request, openai_responses, Same, losses)  # type: ignore[arg-type]
    assert losses.dropped == {}
