"""Which kind of server it is, and a request in its words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from msgspec import json

from dragoman.conversation import Object
from dragoman.dialects import anthropic, openai_chat
from dragoman.losses import Losses
from dragoman.models import dress as dressing
from dragoman.models.dress import dress
from dragoman.models.servers import flavor_of, server_of, servers
from dragoman.simulator.openai_flavors import flavors
from dragoman.simulator.openai_rules import check_chat

SERVERS = servers()
NAMES = sorted(SERVERS)


# --- flavors ------------------------------------------------------------------------------------

ADDRESSES = [
    ("https://api.openai.com", "openai"),
    ("https://mine.openai.azure.com/openai", "openai"),
    ("https://openrouter.ai/api", "openrouter"),
    ("https://api.groq.com/openai", "groq"),
    ("https://API.DeepSeek.com", "deepseek"),
    ("https://api.mistral.ai", "mistral"),
    ("https://notopenrouter.ai", "generic"),
    ("http://127.0.0.1:8000", "generic"),
    ("http://[::1", "generic"),
    ("", "generic"),
]


@pytest.mark.parametrize(("address", "flavor"), ADDRESSES)
def test_a_server_is_known_by_its_address(address: str, flavor: str) -> None:
    assert flavor_of(address, None) == flavor


LISTINGS: list[tuple[Any, str]] = [
    ([{"id": "m", "owned_by": "vllm", "max_model_len": 8192}], "vllm"),
    ([{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 32768}}], "llamacpp"),
    ([{"id": "m", "owned_by": "sglang"}], "sglang"),
    ([{"id": "m", "owned_by": "organization_owner"}], "lmstudio"),
    ([{"id": "qwen3:8b", "owned_by": "library"}], "ollama"),
    ([{"id": "m"}, {"id": "n", "supported_parameters": ["tools"]}], "openrouter"),
    ([{"id": "m", "owned_by": "someone"}], "generic"),
    ([{"id": "m", "owned_by": 7}, "nonsense", None], "generic"),
    ([], "generic"),
]


@pytest.mark.parametrize(("listing", "flavor"), LISTINGS)
def test_a_server_is_known_by_its_list(listing: Any, flavor: str) -> None:
    assert flavor_of("http://127.0.0.1:8000", listing) == flavor


def test_the_address_of_a_hosted_service_wins() -> None:
    assert flavor_of("https://api.groq.com/openai", [{"owned_by": "vllm"}]) == "groq"


@pytest.mark.parametrize(("flavor", "name"), [("vllm", "vllm"), ("", "generic"), ("nobody knows", "generic")])
def test_a_flavor_nobody_knows_is_generic(flavor: str, name: str) -> None:
    assert server_of(flavor).name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_table_makes_sense(name: str) -> None:
    server = SERVERS[name]
    optional = {key for key, _ in dressing._OPTIONAL}
    assert server.takes <= optional
    assert not server.takes & server.refuses
    assert set(server.formats) <= {"json_object", "json_schema"}
    assert set(server.efforts) <= {"minimal", "low", "medium", "high", "xhigh", "max"}
    assert set(server.efforts.values()).isdisjoint(server.efforts), "a word that has to be mapped again"


# --- members ------------------------------------------------------------------------------------


def chat(**members: Any) -> Object:
    return {"model": "m", **members, "messages": [{"role": "user", "content": "hi"}]}


def tool(name: str, **members: Any) -> Object:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}, **members}}


def named(name: str) -> Object:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> Object:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


A, B = tool("a"), tool("b")
CLOSED = {"type": "object", "properties": {"x": {}}, "required": ["x"], "additionalProperties": False}
OPEN = CLOSED | {"properties": {"x": {"type": "object"}}}

# Server, what was encoded, what is sent (None: not there), what is dropped, what is emulated.
CASES: list[tuple[str, Object, Object, set[str], set[str]]] = [
    ("openai", {"max_tokens": 9}, {"max_completion_tokens": 9, "max_tokens": None}, set(), set()),
    ("groq", {"max_tokens": 9}, {"max_completion_tokens": 9, "max_tokens": None}, set(), set()),
    ("vllm", {"max_completion_tokens": 9}, {"max_tokens": 9, "max_completion_tokens": None}, set(), set()),
    ("openai", {"top_k": 40, "min_p": 0.1}, {"top_k": None, "min_p": None}, {"top_k", "min_p"}, set()),
    ("vllm", {"top_k": 40, "min_p": 0.1}, {"top_k": 40, "min_p": 0.1}, set(), set()),
    ("groq", {"logprobs": True, "top_logprobs": 2}, {"logprobs": None}, {"logprobs", "top_logprobs"}, set()),
    ("ollama", {"user": "u", "seed": 1}, {"user": None, "seed": 1}, set(), set()),
    ("lmstudio", {"logprobs": True}, {"logprobs": None}, {"logprobs"}, set()),
    ("mistral", {"seed": 7}, {"random_seed": 7, "seed": None}, set(), set()),
    ("mistral", {"stream_options": {"include_usage": True}}, {"stream_options": None}, set(), set()),
    ("openai", {"user": "u"}, {"safety_identifier": "u", "user": None}, set(), set()),
    ("openai", {"stop": list("abcdef")}, {"stop": list("abcd")}, {"stop"}, set()),
    ("ollama", {"stop": list("abcdef")}, {"stop": list("abcdef")}, set(), set()),
    ("deepseek", {"parallel_tool_calls": False}, {"parallel_tool_calls": None}, {"tool_choice.parallel"}, set()),
    # thinking
    ("openai", {"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}, set(), set()),
    ("openrouter", {"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}, set(), set()),
    ("openrouter", {"reasoning_effort": "max"}, {"reasoning": {"effort": "xhigh"}}, set(), {"reasoning.effort"}),
    (
        "vllm",
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}, "reasoning_effort": None},
        set(),
        set(),
    ),
    (
        "llamacpp",
        {"reasoning_effort": "xhigh"},
        {"chat_template_kwargs": {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"}},
        set(),
        {"reasoning.effort"},
    ),
    (
        "deepseek",
        {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}, "reasoning_effort": None},
        set(),
        set(),
    ),
    (
        "deepseek",
        {"reasoning_effort": "medium"},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        set(),
        {"reasoning.effort"},
    ),
    ("mistral", {"reasoning_effort": "high"}, {"reasoning_effort": None}, {"reasoning"}, set()),
    # formats
    (
        "deepseek",
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_object"}},
        {"format.schema"},
        set(),
    ),
    (
        "lmstudio",
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}},
        set(),
        {"format"},
    ),
    # tools
    ("vllm", {"tool_choice": named("a"), "tools": [A, B]}, {"tool_choice": named("a"), "tools": [A, B]}, set(), set()),
    (
        "llamacpp",
        {"tool_choice": named("a"), "tools": [A, B]},
        {"tool_choice": "required", "tools": [A]},
        set(),
        {"tool_choice"},
    ),
    ("mistral", {"tool_choice": "required", "tools": [A]}, {"tool_choice": "any", "tools": [A]}, set(), set()),
    ("ollama", {"tool_choice": "required", "tools": [A]}, {"tool_choice": None, "tools": [A]}, {"tool_choice"}, set()),
    ("ollama", {"tool_choice": "none", "tools": [A]}, {"tool_choice": None, "tools": None}, set(), {"tool_choice"}),
    (
        "openai",
        {"tool_choice": allowed("auto", "b"), "tools": [A, B]},
        {"tool_choice": allowed("auto", "b"), "tools": [A, B]},
        set(),
        set(),
    ),
    (
        "vllm",
        {"tool_choice": allowed("auto", "b"), "tools": [A, B]},
        {"tool_choice": "auto", "tools": [B]},
        set(),
        {"tool_choice"},
    ),
    (
        "vllm",
        {"tool_choice": allowed("required", "b"), "tools": [A, B]},
        {"tool_choice": "required", "tools": [B]},
        set(),
        {"tool_choice"},
    ),
    ("llamacpp", {"tools": [tool("a", strict=True)]}, {"tools": [A]}, {"tools.a.strict"}, set()),
    ("vllm", {"tools": [tool("a", strict=False)]}, {"tools": [tool("a", strict=False)]}, set(), set()),
    (
        "openai",
        {"tools": [tool("a", strict=True, parameters=CLOSED)]},
        {"tools": [tool("a", strict=True, parameters=CLOSED)]},
        set(),
        set(),
    ),
    (
        "openai",
        {"tools": [tool("a", strict=True, parameters=OPEN)]},
        {"tools": [tool("a", parameters=OPEN)]},
        {"tools.a.strict"},
        set(),
    ),
    ("vllm", {"tools": [{"type": "custom", "custom": {"name": "c"}}]}, {"tools": None}, {"tools.c"}, set()),
]


@pytest.mark.parametrize(("name", "members", "sent", "dropped", "emulated"), CASES)
def test_a_request_in_the_words_of_a_server(
    name: str, members: Object, sent: Object, dropped: set[str], emulated: set[str]
) -> None:
    body, losses = chat(**members), Losses()
    before = copy.deepcopy(body)
    dressed = dress(body, SERVERS[name], losses)
    assert {key: dressed.get(key) for key in sent} == sent
    assert (set(losses.dropped), set(losses.emulated)) == (dropped, emulated)
    assert body == before
    assert list(dressed)[-1] == "messages"


OWN: list[tuple[str, Object, Object]] = [
    ("ollama", {"user": "u", "min_p": 0.1}, {"user": "u", "min_p": 0.1}),  # ignored there: the client's business
    ("openai", {"top_k": 40, "seed": 1}, {"top_k": None, "seed": 1}),  # refused there
    ("llamacpp", {"tools": [tool("a", strict=True)]}, {"tools": [tool("a", strict=True)]}),
    (
        "vllm",
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ),
    ("openrouter", {"verbosity": "low"}, {"verbosity": "low"}),
]


@pytest.mark.parametrize(("name", "members", "sent"), OWN)
def test_what_a_chat_client_wrote_itself_passes_unless_it_is_refused(name: str, members: Object, sent: Object) -> None:
    dressed = dress(chat(**members), SERVERS[name], Losses(), own=True)
    assert {key: dressed.get(key) for key in sent} == sent


def test_a_long_id_of_a_user_becomes_a_short_one_that_stays_the_same() -> None:
    losses = Losses()
    ids = {dress(chat(user="u" * 200), SERVERS["openai"], losses)["safety_identifier"] for _ in range(2)}
    assert len(ids) == 1
    assert len(ids.pop()) <= 64
    assert "user" in losses.emulated


# --- messages -----------------------------------------------------------------------------------


def assistant(**members: Any) -> Object:
    return {"role": "assistant", "content": "so", **members}


DETAILS = [{"type": "reasoning.text", "text": "hm", "format": "unknown", "index": 0}]
SEALED = [{"type": "reasoning.text", "text": "hm", "format": "dragoman-ollama", "index": 0}]

MESSAGES: list[tuple[str, Object, Object]] = [
    ("generic", {"role": "developer", "content": "x"}, {"role": "system", "content": "x"}),
    ("openai", {"role": "developer", "content": "x"}, {"role": "developer", "content": "x"}),
    ("groq", {"role": "user", "name": "Ann", "content": "x"}, {"role": "user", "content": "Ann: x"}),
    ("vllm", {"role": "user", "name": "Ann", "content": "x"}, {"role": "user", "name": "Ann", "content": "x"}),
    ("openai", assistant(reasoning_content="hm"), assistant()),
    ("vllm", assistant(reasoning_content="hm"), assistant(reasoning="hm")),
    ("llamacpp", assistant(reasoning_content="hm"), assistant(reasoning_content="hm")),
    ("deepseek", assistant(reasoning="hm"), assistant(reasoning_content="hm")),
    ("deepseek", assistant(tool_calls=[{"id": "1"}]), assistant(tool_calls=[{"id": "1"}], reasoning_content="")),
    ("vllm", assistant(tool_calls=[{"id": "1"}]), assistant(tool_calls=[{"id": "1"}])),
    ("openrouter", assistant(reasoning_details=DETAILS), assistant(reasoning_details=DETAILS)),
    ("openrouter", assistant(reasoning_details=SEALED), assistant()),
    ("vllm", assistant(reasoning_details=DETAILS), assistant()),
    (
        "mistral",
        assistant(tool_calls=[{"id": "a1B2c3D4e", "type": "function"}]),
        assistant(tool_calls=[{"id": "a1B2c3D4e", "type": "function"}]),
    ),
]


@pytest.mark.parametrize(("name", "message", "sent"), MESSAGES)
def test_a_message_in_the_words_of_a_server(name: str, message: Object, sent: Object) -> None:
    assert dress({"messages": [message]}, SERVERS[name], Losses())["messages"] == [sent]


def test_a_call_and_its_result_keep_the_same_short_id() -> None:
    call = assistant(tool_calls=[{"id": "toolu_0123456789", "type": "function", "function": {"name": "f"}}])
    result = {"role": "tool", "tool_call_id": "toolu_0123456789", "content": "done"}
    first, second = dress({"messages": [call, result]}, SERVERS["mistral"], Losses())["messages"]
    short = first["tool_calls"][0]["id"]
    assert short == second["tool_call_id"]
    assert len(short) == 9
    assert short.isalnum()


def test_cache_marks_stay_where_they_are_understood() -> None:
    part = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    body: Object = {"messages": [{"role": "user", "content": [part]}]}
    assert dress(body, SERVERS["openai"], Losses())["messages"][0]["content"] == [part]
    losses = Losses()
    assert dress(body, SERVERS["vllm"], losses)["messages"][0]["content"] == [{"type": "text", "text": "x"}]
    assert "cache" in losses.dropped


# --- the whole way ------------------------------------------------------------------------------

FULL: Object = {
    "model": "m",
    "max_tokens": 1000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Look it up."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I should.", "signature": "c2ln"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"for": "it"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}]},
    ],
    "tools": [{"name": "look", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "top_k": 5,
    "stop_sequences": list("abcdef"),
    "metadata": {"user_id": "u" * 100},
    "stream": True,
}


@pytest.mark.parametrize("name", NAMES)
def test_an_anthropic_request_reaches_every_kind_of_server(name: str) -> None:
    server, losses = SERVERS[name], Losses()
    request = anthropic.decode_request(copy.deepcopy(FULL))
    encoded = openai_chat.encode_request(request, losses)
    dressed = dress(encoded, server, losses)
    optional = {key for key, _ in dressing._OPTIONAL}
    assert not server.refuses & dressed.keys()
    assert (optional & dressed.keys()) <= server.takes | set(server.renames.values())
    assert dressed[server.limit] == 1000
    texts = json.encode(dressed["messages"]).decode()
    assert "found" in texts
    assert "Be brief." in texts
    assert json.encode(dressed) == json.encode(dress(encoded, server, Losses())), "the same every time"


@pytest.mark.parametrize("name", sorted(set(NAMES) & set(flavors())))
def test_the_simulated_server_of_this_kind_takes_it(name: str) -> None:
    flavor, losses = flavors()[name], Losses()
    model = next(model for model in flavor.models if "chat" in model.does)
    request = anthropic.decode_request(copy.deepcopy(FULL) | {"model": model.id, "stop_sequences": list("abcd")})
    check_chat(dress(openai_chat.encode_request(request, losses), SERVERS[name], losses), flavor, model)
