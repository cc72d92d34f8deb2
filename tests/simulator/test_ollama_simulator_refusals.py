"""What a real Ollama server refuses, in its own words; and what it takes without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import Serving, run_in_thread
from tests.simulator.ollama_judge import CODER, LLAMA, MISTRAL, NOMIC, PHI, QWEN, WEATHER, asked, lines, post, told

Server = Serving[OllamaSimulator]
FULL = "registry.ollama.ai/library/"
GIF = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
THINK = '(must be "high", "medium", "low", "max", true, or false)'


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running


def chat(**members: Any) -> dict[str, Any]:
    return asked(**members)


def pictured(data: str, model: str = MISTRAL) -> dict[str, Any]:
    return chat(model=model, messages=[{"role": "user", "content": "x", "images": [data]}])


def called(arguments: Any) -> dict[str, Any]:
    call = {"function": {"name": "f", "arguments": arguments}}
    return chat(messages=[{"role": "assistant", "content": "", "tool_calls": [call]}])


BIND = "json: cannot unmarshal"
FIELD = "Go struct field ChatRequest"
ARGUMENTS = "messages.tool_calls.function.arguments of type api.ToolCallFunctionArguments"
PARTS = [{"role": "user", "content": [{"type": "text"}]}]
RAW = {"model": QWEN, "prompt": "x", "raw": True, "system": "y"}
C, G, E, L, S, P = "/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show", "/api/pull"
ROWS: list[tuple[str, Any, int, str]] = [
    # the body
    (C, b"", 400, "missing request body"),
    (C, b"{", 400, "unexpected EOF"),
    (C, b'{"model": x}', 400, "invalid character 'x' looking for beginning of value"),
    (C, b"[" * 100_000, 400, "exceeded max depth"),
    (C, [1], 400, "json: cannot unmarshal array into Go value of type api.ChatRequest"),
    (C, chat(messages="x"), 400, f"{BIND} string into {FIELD}.messages of type []api.Message"),
    (C, chat(messages=PARTS), 400, f"{BIND} array into {FIELD}.messages.content of type string"),
    (C, chat(stream="yes"), 400, f"{BIND} string into {FIELD}.stream of type bool"),
    (C, chat(logprobs=1), 400, f"{BIND} number into {FIELD}.logprobs of type bool"),
    (C, called('{"a":1}'), 400, f"{BIND} string into {FIELD}.{ARGUMENTS}"),
    (C, chat(top_logprobs=21), 400, "top_logprobs must be between 0 and 20"),
    # names
    (C, chat(model=""), 400, "model is required"),
    (C, chat(model="a b"), 400, "invalid model name"),
    (C, chat(model="nobody"), 404, "model 'nobody' not found"),
    (C, {"model": "nobody", "messages": [], "keep_alive": 0}, 404, "model 'nobody' not found"),
    (G, {"prompt": "x"}, 404, "model '' not found"),
    (G, {"model": "nobody", "prompt": "x"}, 404, "model 'nobody' not found"),
    (E, {"input": "x"}, 404, "model '' not found"),
    (E, {"model": "nobody", "input": "x"}, 404, 'model "nobody" not found, try pulling it first'),
    (L, {"prompt": "x"}, 400, "model is required"),
    (L, {"model": "nobody", "prompt": "x"}, 404, 'model "nobody" not found, try pulling it first'),
    (S, {}, 400, "model is required"),
    (S, {"model": "nobody"}, 404, "model 'nobody:latest' not found"),
    (P, {}, 400, "invalid model name"),
    (P, {"name": "a b"}, 400, "invalid model name"),
    # capabilities
    (C, chat(model=NOMIC), 400, f'"{NOMIC}" does not support chat'),
    (G, {"model": "nomic-embed-text", "prompt": "x"}, 400, '"nomic-embed-text" does not support generate'),
    (E, {"model": PHI, "input": "x"}, 400, f"{FULL}phi4:latest does not support embedding"),
    (C, chat(model="phi4", tools=[WEATHER]), 400, f"{FULL}phi4:latest does not support tools"),
    (C, chat(model="phi4", tools=[WEATHER], messages=[]), 400, f"{FULL}phi4:latest does not support tools"),
    (G, {"model": QWEN, "prompt": "x", "suffix": "y"}, 400, f"{FULL}qwen3:8b does not support insert"),
    (C, pictured(GIF, QWEN), 400, f"{FULL}qwen3:8b does not support vision"),
    (C, chat(model="phi4", think=True), 400, '"phi4" does not support thinking'),
    (C, chat(model="phi4", think="low", tools=[WEATHER]), 400, '"phi4" does not support thinking'),
    # thinking, format, options
    (C, chat(think="minimal"), 400, f'invalid think value: "minimal" {THINK}'),
    (C, chat(think=""), 400, f'invalid think value: "" {THINK}'),
    (C, chat(think=3), 400, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
    (C, chat(format="yaml"), 400, 'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object'),
    (C, chat(format=["x"]), 400, 'invalid format: "[\\"x\\"]"; expected "json" or a valid JSON Schema object'),
    (C, chat(format={"$ref": "#/$defs/gone"}), 400, "invalid JSON schema in format"),
    (C, chat(format={"type": "string", "pattern": "a+"}), 400, "invalid JSON schema in format"),
    (C, chat(options={"num_ctx": "4096"}), 400, 'option "num_ctx" must be of type integer'),
    (C, chat(options={"temperature": True}), 400, 'option "temperature" must be of type float32'),
    (C, chat(options={"use_mmap": 1}), 400, 'option "use_mmap" must be of type boolean'),
    (C, chat(options={"stop": "x"}), 400, 'option "stop" must be of type array'),
    (C, chat(options={"stop": [1]}), 400, 'option "stop" must be of an array of strings'),
    (C, chat(keep_alive="-1"), 400, 'time: missing unit in duration "-1"'),
    (C, chat(keep_alive="5 minutes"), 400, 'time: unknown unit " minutes" in duration "5 minutes"'),
    (C, chat(keep_alive="soon"), 400, 'time: invalid duration "soon"'),
    (G, RAW, 400, "raw mode does not support template, system, or context"),
    # pictures
    (C, pictured("https://example.com/a.png"), 400, "illegal base64 data at input byte 5"),
    (C, pictured(f"data:image/gif;base64,{GIF}"), 400, "illegal base64 data at input byte 4"),
    (C, pictured("AAAAA"), 400, "illegal base64 data at input byte 4"),
    (C, pictured(GIF), 500, "Failed to create new sequence: failed to process inputs: image: unknown format"),
    # embeddings
    (E, {"model": NOMIC, "input": 3}, 400, "invalid input type"),
    (E, {"model": NOMIC, "input": ["a", 3]}, 400, "invalid input type"),
    (E, {"model": NOMIC, "input": "a " * 3000, "truncate": False}, 400, "the input length exceeds the context length"),
    (C, chat(words="a " * 5000, truncate=False), 400, "the input length exceeds the context length"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{path[5:]}-{words[:40]}" for path, _, _, words in ROWS])
def test_refused(served: Server, row: tuple[str, Any, int, str]) -> None:
    path, body, status, words = row
    response = post(served.url, body, path)
    assert (response.status_code, response.json()) == (status, {"error": words})
    assert response.headers["content-type"] == "application/json; charset=utf-8"


TAKEN: list[tuple[str, dict[str, Any]]] = [
    (C, chat(tool_choice={"type": "function"}, nonsense=1)),
    (C, chat(options={"made_up": 1, "mirostat": 2, "num_ctx": 4096.0, "seed": None})),
    (C, chat(format="")),
    (C, chat(model="QWEN3:8B")),
    (C, chat(model="registry.ollama.ai/library/qwen3:8b", think="max")),
    (C, chat(model="phi4", think=False)),
    (C, chat(stream=None, think=None, tools=None, options=None, keep_alive=None, format=None)),
    (C, chat(messages=[{"role": "user", "content": "x", "images": None, "tool_calls": None}, None, {}])),
    (C, chat(tools=[None, {"type": "function", "function": {"name": "f"}}])),
    (C, chat(messages=[{"role": "tool", "content": "nobody asked"}])),
    (C, chat(messages=[{"role": "System", "content": "x"}, {"role": "critic", "content": "y"}])),
    (G, {"model": CODER, "prompt": "def f(", "suffix": "return 1"}),
    (G, {"model": LLAMA, "prompt": "x", "template": "{{ .Prompt }}", "context": [1, 2, 3]}),
]


@pytest.mark.parametrize("row", TAKEN, ids=[str(number) for number in range(len(TAKEN))])
def test_taken(served: Server, row: tuple[str, dict[str, Any]]) -> None:
    path, body = row
    response = post(served.url, body, path)
    assert response.status_code == 200
    assert lines(response, path)[-1]["done"] is True


def test_a_tool_choice_is_not_heard(served: Server) -> None:
    body = chat(words="hello", tools=[WEATHER])
    for choice in ("none", "required"):
        both = [post(served.url, {**body, **more}).content for more in ({}, {"tool_choice": choice})]
        assert [b"tool_calls" in content for content in both] == [True, True]


def test_only_listed_keys_are_admitted() -> None:
    with run_in_thread(OllamaSimulator(keys=["secret"])) as running:
        for headers, status in (
            ({}, 401),
            ({"authorization": "Bearer wrong"}, 401),
            ({"authorization": "Bearer secret"}, 200),
        ):
            response = post(running.url, chat(), **headers)
            assert response.status_code == status
        assert post(running.url, chat()).json() == {"error": "unauthorized"}


def test_any_key_or_none_is_admitted_elsewhere(served: Server) -> None:
    assert post(served.url, chat(), authorization="Bearer whatever").status_code == 200


def test_a_picture_is_seen(served: Server, png: Callable[[int, int], str]) -> None:
    for model in (MISTRAL, LLAMA):
        stream = lines(post(served.url, pictured(png(64, 48), model)))
        assert "I see 1 image: image/png, 64 × 48 pixels." in told(stream)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ("messages", "format", "options", "think", "tools", "keep_alive", "prompt", "input", "images", "top_logprobs")
MESSAGE = st.dictionaries(st.sampled_from(["role", "content", "images", "tool_calls", "tool_name"]), JSON, max_size=4)
TOOL = st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": JSON, "parameters": JSON})})


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([C, G, E, L, S, P]),
    st.sampled_from([PHI, QWEN, MISTRAL, NOMIC]),
    st.dictionaries(st.sampled_from(MEMBERS), JSON | st.lists(MESSAGE, max_size=2) | st.lists(TOOL, max_size=2)),
)
def test_garbage_is_refused_and_never_breaks_the_server(
    served: Server, path: str, model: str, body: dict[str, Any]
) -> None:
    response = post(served.url, {"model": model, **body}, path)
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert list(msgspec.json.decode(response.content)) == ["error"]
