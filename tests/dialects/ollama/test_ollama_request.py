"""The members of a chat request besides its messages, in tables that run both ways, and Ollama's own refusals."""

from __future__ import annotations

import copy
import math
from typing import Any

import msgspec
import pytest

from dragoman.conversation import Format, Message, Reasoning, Request, Text, Tool, ToolChoice
from dragoman.dialects import ollama
from dragoman.dialects.contract import Dialect
from dragoman.errors import GatewayError
from dragoman.losses import Losses

DIALECT: Dialect = ollama

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"]}
OPENAPI = {"type": "object", "properties": {"on": {"type": "boolean", "nullable": True}}}
WEATHER = Tool(name="get_weather", description="Weather", schema=SCHEMA)
WIRE_WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA},
}

EMPTY_TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}},
}


def request(**members: Any) -> Request:
    hello = Message(role="user", content=[Text(text="Hi")])
    defaults: dict[str, Any] = {"origin": "ollama", "model": "m", "stream": True, "messages": [hello]}
    return Request(**defaults | members)


def wire(**members: Any) -> dict[str, Any]:
    return {"model": "m", "stream": True, **members, "messages": [{"role": "user", "content": "Hi"}]}


BOTH_WAYS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"stream": False}, {"stream": False}),
    ({"reasoning": Reasoning(enabled=True, visible=True)}, {"think": True}),
    ({"reasoning": Reasoning(enabled=False)}, {"think": False}),
    ({"reasoning": Reasoning(enabled=True, effort="low", visible=True)}, {"think": "low"}),
    ({"reasoning": Reasoning(enabled=True, effort="medium", visible=True)}, {"think": "medium"}),
    ({"reasoning": Reasoning(enabled=True, effort="high", visible=True)}, {"think": "high"}),
    ({"reasoning": Reasoning(enabled=True, effort="max", visible=True)}, {"think": "max"}),
    ({"format": Format(kind="json")}, {"format": "json"}),
    ({"format": Format(kind="schema", schema=OPENAPI)}, {"format": OPENAPI}),
    ({"max_tokens": 5}, {"options": {"num_predict": 5}}),
    ({"temperature": 0.0}, {"options": {"temperature": 0.0}}),
    ({"top_p": 0.9, "top_k": 40, "min_p": 0.1}, {"options": {"top_p": 0.9, "top_k": 40, "min_p": 0.1}}),
    ({"seed": 0, "stop": ["a", "b"]}, {"options": {"seed": 0, "stop": ["a", "b"]}}),
    (
        {"frequency_penalty": 0.5, "presence_penalty": -0.5},
        {"options": {"frequency_penalty": 0.5, "presence_penalty": -0.5}},
    ),
    (
        {"extra": {"options": {"num_ctx": 2048, "mirostat": 0, "use_mmap": True}}},
        {"options": {"num_ctx": 2048, "mirostat": 0, "use_mmap": True}},
    ),
    ({"logprobs": True, "top_logprobs": 20}, {"logprobs": True, "top_logprobs": 20}),
    (
        {"extra": {"keep_alive": "5m", "truncate": False, "shift": False, "x": 1}},
        {"keep_alive": "5m", "truncate": False, "shift": False, "x": 1},
    ),
    ({"tools": [WEATHER]}, {"tools": [WIRE_WEATHER]}),
]


@pytest.mark.parametrize(("ours", "theirs"), BOTH_WAYS)
def test_both_ways(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    losses = Losses()
    assert ollama.decode_request(copy.deepcopy(wire(**theirs))) == request(**ours)
    encoded = ollama.encode_request(request(**ours), losses)
    assert encoded == wire(**theirs)
    assert list(encoded)[-1] == "messages"
    assert not losses.dropped
    assert not losses.emulated


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"stream": None}, {}),
        ({"format": ""}, {}),
        ({"format": None, "think": None, "tools": None, "options": None, "keep_alive": None}, {}),
        ({"format": {}}, {"format": Format(kind="json")}),
        ({"tools": []}, {}),
        ({"truncate": True, "shift": True, "logprobs": False, "top_logprobs": 0}, {}),
        ({"options": {"num_predict": -1, "top_k": -1, "seed": -1, "min_p": 0}}, {}),
        ({"options": {"num_predict": 0, "frequency_penalty": 0, "presence_penalty": 0.0, "num_ctx": None}}, {}),
        ({"options": {"num_predict": -2, "num_gpu": 4.0}}, {"extra": {"options": {"num_gpu": 4}}}),
        ({"options": {"stop": "END"}}, {"stop": ["END"]}),
        ({"options": {"stop": ["", "END"]}}, {"stop": ["END"]}),
        ({"options": {"stop": ""}}, {}),
        ({"options": {"temperature": 1}}, {"temperature": 1.0}),
        ({"options": {"no_such_option": [1]}}, {"extra": {"options": {"no_such_option": [1]}}}),
        ({"tools": [{"function": {"name": "f", "parameters": None}}]}, {"tools": [Tool(name="f")]}),
        ({"tool_choice": "auto"}, {"tool_choice": ToolChoice(mode="auto")}),
        ({"tool_choice": "required"}, {"tool_choice": ToolChoice(mode="any")}),
        ({"tool_choice": "none"}, {"tool_choice": ToolChoice(mode="none")}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": ToolChoice(mode="tool", name="f")},
        ),
        ({"tool_choice": {"odd": 1}}, {"extra": {"tool_choice": {"odd": 1}}}),
    ],
)
def test_sloppy_requests(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    read = ollama.decode_request(wire(**theirs))
    assert msgspec.structs.replace(read, off=frozenset()) == request(**ours)


def test_stream_is_the_default() -> None:
    body = wire()
    del body["stream"]
    assert ollama.decode_request(body).stream is True


_CHOICES = '"high", "medium", "low", "max", true, or false'


@pytest.mark.parametrize(
    ("members", "param", "text"),
    [
        ({"model": ""}, "model", "model is required"),
        ({"model": None}, "model", "model is required"),
        ({"top_logprobs": 21, "model": ""}, "top_logprobs", "top_logprobs must be between 0 and 20"),
        ({"top_logprobs": -1}, "top_logprobs", "top_logprobs must be between 0 and 20"),
        ({"think": "loud"}, "think", f'invalid think value: "loud" (must be {_CHOICES})'),
        ({"think": ""}, "think", f'invalid think value: "" (must be {_CHOICES})'),
        ({"think": 1}, "think", f"think must be a boolean or string ({_CHOICES})"),
        ({"format": "xml"}, "format", 'invalid format: "xml"; expected "json" or a valid JSON Schema object'),
        ({"format": [1]}, "format", 'invalid format: "[1]"; expected "json" or a valid JSON Schema object'),
        ({"options": {"num_ctx": "4096"}}, "options.num_ctx", 'option "num_ctx" must be of type integer'),
        ({"options": {"num_predict": True}}, "options.num_predict", 'option "num_predict" must be of type integer'),
        ({"options": {"seed": math.inf}}, "options.seed", 'option "seed" must be of type integer'),
        ({"options": {"temperature": "0"}}, "options.temperature", 'option "temperature" must be of type float32'),
        ({"options": {"use_mmap": 1}}, "options.use_mmap", 'option "use_mmap" must be of type boolean'),
        ({"options": {"stop": 1}}, "options.stop", 'option "stop" must be of type array'),
        ({"options": {"stop": [1]}}, "options.stop", 'option "stop" must be of an array of strings'),
        ({"options": []}, "options", "options must be an object, not an array"),
        ({"stream": "yes"}, "stream", "stream must be true or false, not a string"),
        ({"tools": {"function": {}}}, "tools", "tools must be an array, not an object"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "tools[0].function is required"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name", "tools[0].function.name is empty"),
        (
            {"tools": [{"function": {"name": "f", "parameters": "x"}}]},
            "tools[0].function.parameters",
            "tools[0].function.parameters must be an object, not a string",
        ),
    ],
)
def test_refusals_in_their_own_words(members: dict[str, Any], param: str, text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        ollama.decode_request(wire() | members)
    assert (caught.value.kind, caught.value.message, caught.value.param) == ("invalid_request", text, param)
    assert ollama.encode_error(caught.value) == {"error": text}


def test_tool_members_of_nobodys_come_back() -> None:
    tool = {"type": "function", "x": 1, "function": {"name": "f", "description": "", "parameters": {}, "y": 2}}
    decoded = ollama.decode_request(wire(tools=[copy.deepcopy(tool)]))
    assert decoded.tools[0].schema == {}
    assert ollama.encode_request(decoded, Losses())["tools"] == [tool]


# What other dialects can ask and Ollama cannot: the wire's members, what is dropped, what is emulated.
OTHERS: list[tuple[dict[str, Any], dict[str, Any], set[str], set[str]]] = [
    ({"user": "ann"}, {}, {"user"}, set()),
    ({"extra": {"metadata": {}, "options": {"num_ctx": 1}}}, {}, set(), set()),
    ({"reasoning": Reasoning(enabled=True, budget=1024)}, {"think": True}, {"think"}, set()),
    ({"reasoning": Reasoning(effort="minimal")}, {"think": "low"}, set(), {"think"}),
    ({"reasoning": Reasoning(effort="xhigh")}, {"think": "max"}, set(), {"think"}),
    ({"reasoning": Reasoning(visible=True)}, {}, set(), set()),
    ({"format": Format(kind="schema", schema=SCHEMA, name="n", strict=True)}, {"format": SCHEMA}, set(), set()),
    ({"tools": [WEATHER], "tool_choice": ToolChoice(mode="none")}, {}, set(), {"tool_choice"}),
    (
        {"tools": [WEATHER], "tool_choice": ToolChoice(mode="auto", parallel=False)},
        {"tools": [WIRE_WEATHER]},
        {"tool_choice.parallel"},
        set(),
    ),
    (
        {"tools": [WEATHER, Tool(name="g")], "tool_choice": ToolChoice(allowed=["get_weather"])},
        {"tools": [WIRE_WEATHER]},
        set(),
        {"tool_choice"},
    ),
    ({"tools": [Tool(name="web_search", hosted=True)]}, {}, {"tools.web_search"}, set()),
    (
        {"tools": [Tool(name="f", strict=True)]},
        {"tools": [EMPTY_TOOL]},
        {"tools.f.strict"},
        set(),
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "dropped", "emulated"), OTHERS)
def test_requests_of_other_dialects(
    ours: dict[str, Any], theirs: dict[str, Any], dropped: set[str], emulated: set[str]
) -> None:
    losses = Losses(ollama.SPELLING)
    assert ollama.encode_request(request(origin="openai", **ours), losses) == wire(**theirs)
    assert (set(losses.dropped), set(losses.emulated)) == (dropped, emulated)


@pytest.mark.parametrize(
    ("choice", "names", "instruction"),
    [
        (ToolChoice(mode="any"), ["get_weather", "g"], "You must answer with a call of one of your tools."),
        (ToolChoice(mode="tool", name="g"), ["g"], "You must answer with a call of the tool g."),
    ],
)
def test_a_forced_tool_is_asked_for(choice: ToolChoice, names: list[str], instruction: str) -> None:
    losses = Losses()
    body = ollama.encode_request(request(tools=[WEATHER, Tool(name="g")], tool_choice=choice), losses)
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert body["messages"][-1] == {"role": "system", "content": instruction}
    assert set(losses.emulated) == {"tool_choice"}


def test_a_freeform_tool_takes_its_text_as_an_argument() -> None:
    losses = Losses()
    body = ollama.encode_request(request(origin="openai", tools=[Tool(name="patch", freeform=True)]), losses)
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert set(losses.emulated) == {"tools.patch"}


def test_what_only_generate_knows_is_reported() -> None:
    losses = Losses()
    extra = {"raw": True, "template": "{{ .Prompt }}", "context": [1], "suffix": "}", "keep_alive": 5}
    assert ollama.encode_request(request(extra=extra), losses) == wire(keep_alive=5)
    assert set(losses.dropped) == {"raw", "template", "context"}
    assert set(losses.emulated) == {"suffix"}


def test_spelling_is_the_clients() -> None:
    losses = Losses(ollama.SPELLING)
    losses.drop("max_tokens", "x")
    losses.drop("reasoning", "x")
    losses.drop("temperature", "x")
    assert list(losses.dropped) == ["num_predict", "think", "temperature"]
