"""A request for a Responses server: what this wire's own clients wrote comes back as it was, others' words are put."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from dragoman.conversation import (
    Foreign,
    Format,
    Media,
    Message,
    Object,
    Part,
    Reasoning,
    Refusal,
    Request,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
)
from dragoman.dialects.openai_responses import decode_request, encode_request
from dragoman.dialects.openai_responses.sealed import kept_seal
from dragoman.ids import mint
from dragoman.losses import Losses

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
CUSTOM = {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /./"}}
SPACE = {
    "type": "namespace",
    "name": "ns",
    "description": "Many.",
    "tools": [FUNCTION, {"type": "custom", "name": "h"}],
}
USER = {"type": "message", "role": "user", "content": "hi"}
CALLED = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}

# --- what this wire's own clients wrote -------------------------------------------------------------

OWN: dict[str, Object] = {
    "text": {"input": [USER]},
    "instructions": {"instructions": "Be kind.", "input": [USER]},
    "roles": {
        "input": [{"type": "message", "role": role, "content": role} for role in ("system", "developer", "user")]
    },
    "parts": {
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
                    {"type": "input_image", "file_id": "file_1", "detail": "auto"},
                    {"type": "input_file", "file_url": "https://x/y.pdf", "filename": "y.pdf"},
                    {"type": "input_file", "file_id": "file_2"},
                    {"type": "input_file", "filename": "z.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"},
                    {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
                    {"type": "input_hologram", "glow": 1},
                ],
            }
        ]
    },
    "a turn": {
        "input": [
            USER,
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "gAAAA",
            },
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBBB"},
            {"type": "message", "role": "assistant", "content": "a", "phase": "commentary"},
            {"type": "message", "role": "assistant", "content": "b", "phase": "final_answer"},
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "c", "annotations": [{"type": "file_path", "file_id": "f"}]},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            CALLED,
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "select 1"},
            {"type": "function_call", "call_id": "c3", "namespace": "ns", "name": "f", "arguments": '{"a":1}'},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
            RESULT,
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "o"},
                    {"type": "input_image", "image_url": "https://x/z.png", "detail": "auto"},
                ],
            },
            {"type": "function_call_output", "call_id": "c3", "output": "[tool error] no"},
            USER,
        ],
        "tools": [FUNCTION, CUSTOM, SPACE],
    },
    "messages of the assistant side by side": {
        "input": [
            USER,
            {"type": "message", "role": "assistant", "content": "a"},
            {"type": "message", "role": "assistant", "content": "b"},
            USER,
        ]
    },
    "tools": {
        "input": [USER],
        "tools": [
            FUNCTION,
            {"type": "function", "name": "bare", "parameters": None},
            CUSTOM,
            SPACE,
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {
                "type": "web_search",
                "search_context_size": "low",
                "user_location": {"type": "approximate", "city": "Oslo"},
                "filters": {"allowed_domains": ["a.b"]},
            },
        ],
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "name": "bare"},
    },
    "allowed tools": {
        "input": [USER],
        "tools": [FUNCTION, CUSTOM, {"type": "code_interpreter", "container": "c"}],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}, {"type": "code_interpreter"}],
        },
    },
    "a server's tool": {"input": [USER], "tools": [FUNCTION, SPACE], "tool_choice": {"type": "shell"}},
    "must call": {"input": [USER], "tools": [FUNCTION], "tool_choice": "required"},
    "may not call": {"input": [USER], "tools": [FUNCTION], "tool_choice": "none"},
    "settings": {
        "input": [USER],
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 100,
        "max_tool_calls": 3,
        "reasoning": {"effort": "high", "summary": "detailed", "context": "all_turns"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "include": ["message.output_text.logprobs", "web_search_call.results"],
        "top_logprobs": 3,
        "metadata": {"a": "b"},
        "user": "u",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "truncation": "auto",
        "client_metadata": {"x": "y"},
        "future_member": {"x": 1},
        "seed": 7,
    },
    "a schema": {
        "input": [USER],
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "description": "d",
                "schema": {"type": "object"},
                "strict": True,
            }
        },
    },
    "no thinking": {"input": [USER], "reasoning": {"effort": "none"}},
}


def decoded(body: Object) -> Request:
    return decode_request(msgspec.json.decode(msgspec.json.encode({"model": "m"} | body)))


@pytest.mark.parametrize("name", OWN)
def test_what_our_own_clients_wrote_is_not_touched(name: str) -> None:
    body, losses = {"model": "m"} | OWN[name], Losses()
    sent = encode_request(decoded(body), losses)
    assert sent.pop("store") is False
    include = sent.pop("include")
    assert include[: len(body.get("include", ()))] == body.get("include", [])
    assert "reasoning.encrypted_content" in include
    assert sent == {key: value for key, value in body.items() if key != "include"}
    assert not losses.dropped and not losses.emulated


@pytest.mark.parametrize("name", OWN)
def test_what_is_sent_reads_the_same(name: str) -> None:
    first = decoded(OWN[name])
    second = decode_request(encode_request(decoded(OWN[name]), Losses()))
    first.extra.pop("include", None), second.extra.pop("include", None), second.extra.pop("store")
    assert second == first


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        ({"previous_response_id": "resp_0", "store": True}, ("previous_response_id",)),
        ({"conversation": "conv_1"}, ("conversation",)),
        ({"background": True}, ("background",)),
    ],
)
def test_no_server_keeps_anything(body: Object, gone: tuple[str, ...]) -> None:
    sent = encode_request(decoded({"input": "hi"} | body), Losses())
    assert sent["store"] is False and not set(gone) & sent.keys()


def test_two_names_for_the_user_are_both_sent() -> None:
    sent = encode_request(decoded({"input": "hi", "user": "u", "safety_identifier": "s"}), Losses())
    assert (sent["user"], sent["safety_identifier"]) == ("u", "s")


def test_tools_whose_flat_name_is_taken_are_sent_flat() -> None:
    taken = {"type": "function", "name": "ns__f", "parameters": None}
    sent = encode_request(decoded({"input": "hi", "tools": [taken, SPACE]}), Losses())
    first, flat, space = sent["tools"]
    assert first["name"] == "ns__f" and flat["name"].startswith("ns__f_") and len(space["tools"]) == 1


# --- what other clients wrote -----------------------------------------------------------------------


def other(*messages: Message, **members: Any) -> Request:
    said = list(messages) or [Message(role="user", content=[Text(text="hi")])]
    return Request(origin="anthropic", model="m", messages=said, **members)


def user(*parts: Part) -> Message:
    return Message(role="user", content=list(parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", content=list(parts))


HI = {"type": "message", "role": "user", "content": "hi"}
ANY = {"type": "object", "properties": {}}

SENT: dict[str, tuple[Request, Object]] = {
    "text": (other(), {"input": [HI]}),
    "system": (
        other(Message(role="system", content=[Text(text="Be kind.")], at="system"), user(Text(text="hi"))),
        {"instructions": "Be kind.", "input": [HI]},
    ),
    "a system message that is to be cached": (
        other(Message(role="system", content=[Text(text="s", cache="1h")], at="system")),
        {
            "input": [
                {
                    "type": "message",
                    "role": "system",
                    "content": [
                        {
                            "type": "input_text",
                            "text": "s",
                            "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
                        }
                    ],
                }
            ]
        },
    ),
    "a system message later on": (
        other(user(Text(text="hi")), Message(role="system", content=[Text(text="s")])),
        {"input": [HI, {"type": "message", "role": "system", "content": "s"}]},
    ),
    "media": (
        other(
            user(
                Media(kind="image", data=PNG, media_type="image/webp"),
                Media(kind="document", data="JVBERi0x", media_type="application/pdf"),
                Media(kind="document", data="https://x/y.pdf", source="url", name="y.pdf"),
            )
        ),
        {
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
                        {
                            "type": "input_file",
                            "filename": "document.pdf",
                            "file_data": "data:application/pdf;base64,JVBERi0x",
                        },
                        {"type": "input_file", "file_url": "https://x/y.pdf", "filename": "y.pdf"},
                    ],
                }
            ]
        },
    ),
    "a turn": (
        other(
            assistant(
                Thinking(text="hm", seal=kept_seal("rs_1", "gAAAA")),
                Thinking(text="plain", seal=kept_seal("rs_2", "")),
                Text(text="a"),
                Refusal(text="no"),
                ToolCall(id="c" * 65, name="f", arguments=" "),
                ToolCall(id="c2", name="g", arguments="x", freeform=True),
            ),
            user(
                ToolResult(id="c2", content=[], is_error=True, freeform=True),
                ToolResult(id="c3", content=[Media(kind="image", data="https://x/y", source="url")], is_error=True),
                Text(text="hi"),
            ),
        ),
        {
            "input": [
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "gAAAA",
                },
                {
                    "type": "reasoning",
                    "id": "rs_2",
                    "summary": [],
                    "content": [{"type": "reasoning_text", "text": "plain"}],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "a", "annotations": []},
                        {"type": "refusal", "refusal": "no"},
                    ],
                },
                {"type": "function_call", "call_id": mint("call_", "c" * 65), "name": "f", "arguments": "{}"},
                {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
                {"type": "custom_tool_call_output", "call_id": "c2", "output": "[tool error] "},
                {
                    "type": "function_call_output",
                    "call_id": "c3",
                    "output": [
                        {"type": "input_text", "text": "[tool error] "},
                        {"type": "input_image", "image_url": "https://x/y", "detail": "auto"},
                    ],
                },
                HI,
            ]
        },
    ),
    "tools": (
        other(
            tools=[
                Tool(name="f", description="d"),
                Tool(name="g", schema={"type": "object"}, strict=True, cache="5m", extra={"input_examples": []}),
                Tool(name="h", freeform=True),
            ],
            tool_choice=ToolChoice(mode="tool", name="h", parallel=False),
        ),
        {
            "input": [HI],
            "parallel_tool_calls": False,
            "tool_choice": {"type": "custom", "name": "h"},
            "tools": [
                {"type": "function", "name": "f", "description": "d", "parameters": ANY, "strict": False},
                {
                    "type": "function",
                    "name": "g",
                    "parameters": {"type": "object"},
                    "strict": True,
                    "prompt_cache_breakpoint": {"mode": "explicit"},
                },
                {"type": "custom", "name": "h"},
            ],
        },
    ),
    "a grammar of chat completions": (
        replace(
            other(
                tools=[
                    Tool(
                        name="g",
                        freeform=True,
                        extra={
                            "custom": {"format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a"}}}
                        },
                    )
                ]
            ),
            origin="openai_chat",
        ),
        {
            "input": [HI],
            "tools": [
                {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "regex", "definition": "a"}}
            ],
        },
    ),
    "settings": (
        other(
            stream=True,
            max_tokens=16,
            temperature=0.5,
            top_p=0.5,
            user="u",
            logprobs=True,
            top_logprobs=2,
            format=Format(kind="schema", schema={"type": "object"}),
            reasoning=Reasoning(enabled=True, effort="low", visible=True),
            web_search=WebSearch(at="tools.web_search", size="low", location={"city": "Oslo"}),
        ),
        {
            "stream": True,
            "max_output_tokens": 16,
            "temperature": 0.5,
            "top_p": 0.5,
            "user": "u",
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            "top_logprobs": 2,
            "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}},
            "reasoning": {"effort": "low", "summary": "auto"},
            "tools": [
                {
                    "type": "web_search",
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "city": "Oslo"},
                }
            ],
            "input": [HI],
        },
    ),
    "json": (other(format=Format(kind="json")), {"text": {"format": {"type": "json_object"}}, "input": [HI]}),
    "thinking that nobody wants to read": (
        other(reasoning=Reasoning(enabled=True, visible=False)),
        {"reasoning": {"effort": "medium"}, "input": [HI]},
    ),
    "no thinking": (other(reasoning=Reasoning(enabled=False)), {"reasoning": {"effort": "none"}, "input": [HI]}),
}
_SDK: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)


@pytest.mark.parametrize("name", SENT)
def test_what_other_clients_wrote(name: str) -> None:
    request, body = SENT[name]
    losses = Losses()
    sent = encode_request(request, losses)
    plain = {"model": "m", "store": False, "include": ["reasoning.encrypted_content"]}
    assert sent == plain | body
    assert list(sent)[-1] == "input"
    assert not losses.dropped and not losses.emulated


@pytest.mark.parametrize("name", [name for name in SENT if name not in ("a turn",)])
def test_the_sdk_knows_every_member(name: str) -> None:
    sent = encode_request(SENT[name][0], Losses())
    sent.pop("stream", None)
    _SDK.validate_python(sent)


LOST: list[tuple[Request, dict[str, str], dict[str, str]]] = [
    (other(top_k=1), {"top_k": "no such member"}, {}),
    (other(min_p=0.1), {"min_p": "no such member"}, {}),
    (other(seed=1), {"seed": "no such member"}, {}),
    (other(stop=["x"]), {"stop": "no such member"}, {}),
    (other(frequency_penalty=1.0), {"frequency_penalty": "no such member"}, {}),
    (other(presence_penalty=1.0), {"presence_penalty": "no such member"}, {}),
    (other(cache="1h"), {}, {"cache": "rules of its own"}),
    (other(max_tokens=1), {}, {"max_tokens": "16 tokens"}),
    (other(reasoning=Reasoning(enabled=True, budget=2000)), {}, {"reasoning.budget": "nearest"}),
    (other(reasoning=Reasoning(effort="low", budget=1)), {"reasoning.budget": "no budget"}, {}),
    (other(Message(role="user", content=[Text(text="a")], name="n")), {"messages[0].name": "no names"}, {}),
    (
        other(assistant(Thinking(text="a", seal=Seal("anthropic", "s")), Text(text="b"))),
        {"messages[0].content[0]": "servers that made it"},
        {},
    ),
    (
        other(assistant(Thinking(text="", redacted=True), Text(text="b"))),
        {"messages[0].content[0]": "servers that made it"},
        {},
    ),
    (
        other(user(Foreign(origin="anthropic", extra={"type": "x"}), Text(text="a"))),
        {"messages[0].content[0]": "only the dialect"},
        {},
    ),
    (
        other(user(ToolResult(id="c", content=[Text(text="a"), Foreign(origin="anthropic", extra={})]))),
        {"messages[0].content[0].content[1]": "only the dialect"},
        {},
    ),
    (
        other(user(Text(text="a"), Media(kind="document", data="file_1", source="file"))),
        {"messages[0].content[1]": "cannot be sent"},
        {},
    ),
    (
        other(user(Media(kind="document", data="text", source="text", name="a.txt"))),
        {},
        {"messages[0].content[0]": "as text"},
    ),
    (
        other(user(ToolResult(id="c", content=[Thinking(text="a")]))),
        {"messages[0].content[0].content[0]": "no place"},
        {},
    ),
    (
        other(tools=[Tool(name="bash", hosted=True, extra={"type": "bash_20250124"})]),
        {"tools[0]": "run by the upstream"},
        {},
    ),
    (
        other(web_search=WebSearch(at="tools.web_search", extra={"max_uses": 1})),
        {"tools.web_search.max_uses": "without it"},
        {},
    ),
]


@pytest.mark.parametrize(("request_", "dropped", "emulated"), LOST)
def test_losses_are_named(request_: Request, dropped: dict[str, str], emulated: dict[str, str]) -> None:
    losses = Losses()
    encode_request(request_, losses)
    for told, wanted in ((losses.dropped, dropped), (losses.emulated, emulated)):
        assert told.keys() == wanted.keys()
        assert all(words in told[name] for name, words in wanted.items())


def test_our_own_clients_are_told_where_they_wrote_it() -> None:
    unsealed = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
    losses = Losses()
    sent = encode_request(decoded({"input": [USER, unsealed, CALLED, RESULT]}), losses)
    assert list(losses.dropped) == ["input[1]"]
    assert [item["type"] for item in sent["input"]] == ["message", "function_call", "function_call_output"]
