"""The request as a whole: every member, what says nothing, what is wrong, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from dragoman.conversation import Format, Message, Object, Reasoning, Request, Text, ToolChoice
from dragoman.dialects import openai_chat
from dragoman.dialects.contract import Dialect
from dragoman.dialects.openai_chat import decode_request, encode_request
from dragoman.errors import GatewayError
from dragoman.losses import Losses

Ask = Callable[..., Request]
SCHEMA = {"type": "object"}


def minimal(**members: Any) -> Object:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}


def test_the_module_is_a_whole_dialect() -> None:
    whole: Dialect = openai_chat
    assert (whole.NAME, whole.STREAM_TYPE) == ("openai_chat", "text/event-stream")
    assert dict(whole.SPELLING)["reasoning"] == "reasoning_effort"


# --- members ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "name", "value"),
    [
        ({"stream": True}, "stream", True),
        ({"stream": None}, "stream", False),
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_tokens", 5),
        ({"max_tokens": -1}, "max_tokens", None),
        ({"max_tokens": 8.0}, "max_tokens", 8),
        ({"temperature": 0}, "temperature", 0.0),
        ({"top_p": 1}, "top_p", 1.0),
        ({"top_k": 40}, "top_k", 40),
        ({"min_p": 0.1}, "min_p", 0.1),
        ({"seed": 0}, "seed", 0),
        ({"frequency_penalty": 0}, "frequency_penalty", None),
        ({"frequency_penalty": -0.5}, "frequency_penalty", -0.5),
        ({"presence_penalty": 0.0}, "presence_penalty", None),
        ({"presence_penalty": 2}, "presence_penalty", 2.0),
        ({"logprobs": False}, "logprobs", None),
        ({"logprobs": True}, "logprobs", True),
        ({"top_logprobs": 3}, "top_logprobs", 3),
        ({"top_logprobs": 0}, "top_logprobs", None),
        ({"stop": "END"}, "stop", ["END"]),
        ({"stop": ["a", "", "b"]}, "stop", ["a", "b"]),
        ({"stop": None}, "stop", []),
        ({"user": "u"}, "user", "u"),
        ({"safety_identifier": "s"}, "user", "s"),
        ({"user": "s", "safety_identifier": "s"}, "user", "s"),
        ({"response_format": {"type": "text"}}, "format", None),
        ({"response_format": {"type": "json_object"}}, "format", Format(kind="json")),
        (
            {"response_format": {"type": "json_object", "schema": SCHEMA}},
            "format",
            Format(kind="schema", schema=SCHEMA),
        ),
        (
            {"response_format": {"type": "json_schema", "schema": SCHEMA}},
            "format",
            Format(kind="schema", schema=SCHEMA),
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "format", Format(kind="json")),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True},
                }
            },
            "format",
            Format(kind="schema", schema=SCHEMA, name="n", description="d", strict=True),
        ),
    ],
)
def test_members(ask: Ask, members: Object, name: str, value: Any) -> None:
    request = ask(**members)
    assert getattr(request, name) == value
    assert not request.extra


ON: dict[str, Any] = {"enabled": True, "visible": True}


def test_two_names_for_two_limits_are_not_one(ask: Ask) -> None:
    request = ask(max_completion_tokens=7, max_tokens=5)
    assert (request.max_tokens, request.extra) == (7, {"max_tokens": 5})


def test_what_is_said_of_a_form_without_a_schema_is_kept(ask: Ask) -> None:
    said = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "strict": True}}
    request = ask(response_format=said)
    assert request.format == Format(kind="json")
    assert request.extra == {"response_format": {"json_schema": said["json_schema"]}}
    assert openai_chat.encode_request(request, Losses())["response_format"] == said


def test_what_a_thought_says_besides_comes_home(ask: Ask) -> None:
    details = [
        {"type": "reasoning.summary", "summary": "Hm.", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.text", "text": "So.", "index": 1, "of_tomorrow": 1},
    ]
    request = ask(messages=[{"role": "assistant", "content": "Yes.", "reasoning_details": details}])
    assert openai_chat.encode_request(request, Losses())["messages"][0]["reasoning_details"] == details


def test_a_tools_other_name_stays_beside_its_result(ask: Ask) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "name": "g", "content": "done"},
    ]
    assert openai_chat.encode_request(ask(messages=messages), Losses())["messages"] == messages


@pytest.mark.parametrize(
    ("members", "reasoning"),
    [
        ({}, None),
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": "none"}, Reasoning(enabled=False)),
        *[
            ({"reasoning_effort": e}, Reasoning(effort=e, **ON))
            for e in ("minimal", "low", "medium", "high", "xhigh", "max")
        ],
        ({"reasoning": {"effort": "high"}}, Reasoning(effort="high", **ON)),
        ({"reasoning": {"effort": "none"}}, Reasoning(enabled=False)),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(budget=2000, **ON)),
        ({"reasoning": {"enabled": True}}, Reasoning(**ON)),
        ({"reasoning": {"enabled": False}}, Reasoning(enabled=False)),
        ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning(enabled=True, effort="low", visible=False)),
        ({"reasoning": {"exclude": True}}, Reasoning(visible=False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, Reasoning(budget=4096, **ON)),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False)),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(enabled=True, visible=False)),
        (
            {"reasoning_effort": "high", "thinking": {"type": "enabled", "budget_tokens": 4096}},
            Reasoning(effort="high", budget=4096, **ON),
        ),
        ({"think": True}, Reasoning(enabled=True, visible=True)),
        ({"think": False}, Reasoning(enabled=False)),
        ({"include_reasoning": False, "reasoning_effort": "low"}, Reasoning(enabled=True, effort="low", visible=False)),
    ],
)
def test_every_spelling_of_the_wish_to_think(ask: Ask, members: Object, reasoning: Reasoning | None) -> None:
    request = ask(**members)
    assert request.reasoning == reasoning
    assert not request.extra


def test_a_top_level_system_leads() -> None:
    request = decode_request(minimal(system="be brief"))
    assert request.messages[0] == Message(role="system", content=[Text(text="be brief")], at="system")
    assert len(request.messages) == 2


@pytest.mark.parametrize(
    "members",
    [
        {"n": 1},
        {"store": False},
        {"service_tier": "auto"},
        {"modalities": ["text"]},
        {"verbosity": "medium"},
        {"metadata": {}, "logit_bias": {}, "prediction": None, "audio": None},
        {"stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"tool_choice": "auto", "tools": [], "parallel_tool_calls": True},
    ],
)
def test_what_says_nothing_does_not_linger(ask: Ask, members: Object) -> None:
    assert ask(**members).extra == {}


@pytest.mark.parametrize(
    "extra",
    [
        {"n": 3},
        {"store": True},
        {"service_tier": "flex"},
        {"verbosity": "low"},
        {"logit_bias": {"50256": -100}},
        {"metadata": {"a": "b"}},
        {"prompt_cache_key": "k"},
        {"x_vendor": [1]},
    ],
)
def test_what_only_openai_can_honour_stays(ask: Ask, extra: Object) -> None:
    assert ask(**extra).extra == extra


def test_stream_options_stay_for_the_encoder(ask: Ask) -> None:
    request = ask(stream=True, stream_options={"include_usage": True, "include_obfuscation": True})
    assert request.extra == {"stream_options": {"include_usage": True}}
    assert openai_chat.include_usage(request)
    assert set(request.extra) <= openai_chat.HANDLED


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"system": 7}, "system"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": 5}, "logprobs"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", 7]}, "stop[1]"),
        ({"seed": "s"}, "seed"),
        ({"user": 7}, "user"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": "2"}, "n"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"stream_options": True}, "stream_options"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": "s"}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_the_client_is_told_where_it_is_wrong(members: Object, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_request(minimal() | members)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)
    assert param in caught.value.message


# --- the way back -------------------------------------------------------------------------------

FULL = {
    "model": "m",
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "logprobs": True,
    "top_logprobs": 2,
    "user": "u",
    "stop": ["END"],
    "reasoning_effort": "high",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    "prompt_cache_key": "k",
    "stream_options": {"include_usage": True},
    "stream": True,
    "parallel_tool_calls": False,
    "tool_choice": "required",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
}


def test_a_full_request_survives_both_ways() -> None:
    losses = Losses()
    wire = encode_request(decode_request(deepcopy(FULL)), losses)
    assert wire == FULL
    assert list(wire)[-1] == "messages"
    assert not losses.dropped and not losses.emulated


def test_extra_of_another_origin_stays_at_home() -> None:
    request = Request(
        origin="anthropic", model="m", messages=[], stream=True, extra={"container": "c"}, tool_choice=ToolChoice()
    )
    assert encode_request(request, Losses()) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [],
    }


def test_one_call_asks_for_one_reply(ask: Ask) -> None:
    wire = encode_request(ask(n=3, store=True), Losses())
    assert "n" not in wire and wire["store"] is True


@pytest.mark.parametrize(
    ("reasoning", "effort", "emulated", "dropped"),
    [
        (Reasoning(enabled=False), "none", [], []),
        (Reasoning(enabled=True), "medium", [], []),
        (Reasoning(visible=True), None, [], []),
        (Reasoning(effort="max"), "max", [], []),
        (Reasoning(budget=1024), "low", ["reasoning.budget"], []),
        (Reasoning(budget=4096), "medium", ["reasoning.budget"], []),
        (Reasoning(budget=32000), "high", ["reasoning.budget"], []),
        (Reasoning(effort="low", budget=32000), "low", [], ["reasoning.budget"]),
    ],
)
def test_reasoning_is_an_effort(
    reasoning: Reasoning, effort: str | None, emulated: list[str], dropped: list[str]
) -> None:
    losses = Losses()
    wire = encode_request(Request(origin="anthropic", model="m", messages=[], reasoning=reasoning), losses)
    assert wire.get("reasoning_effort") == effort
    assert (list(losses.emulated), list(losses.dropped)) == (emulated, dropped)


def test_a_nameless_schema_gets_the_name_the_wire_demands() -> None:
    asked = Format(kind="schema", schema=SCHEMA)
    wire = encode_request(Request(origin="ollama", model="m", messages=[], format=asked), Losses())
    assert wire["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA}


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "description": "d", "strict": False}},
    ],
)
def test_formats_both_ways(wire: Object) -> None:
    request = decode_request(minimal(response_format=deepcopy(wire)))
    assert encode_request(request, Losses())["response_format"] == wire
