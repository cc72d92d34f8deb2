"""The simulator's Responses API: judged by the SDK's types, refusing what OpenAI refuses, and read by our reader."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from dragoman.conversation import (
    Fault,
    Foreign,
    Media,
    Message,
    Object,
    Part,
    Reasoning,
    Reply,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
)
from dragoman.dialects import openai_responses
from dragoman.dialects.openai_responses import decode_error, decode_reply, encode_request
from dragoman.framing import SSE
from dragoman.losses import Losses
from dragoman.simulator import OpenAISimulator
from dragoman.simulator.openai_responses_quirks import FRAMES, RESPONSES_QUIRKS
from dragoman.simulator.server import run_in_thread
from fuzz.order import check_order
from tests.dialects.openai_responses.test_upstream_request import PNG
from tests.dialects.openai_responses.upstream import decode, fold
from tests.simulator.judge import extras

MODELS = {"openai": "gpt-5.6", "vllm": "Qwen/Qwen3-8B", "llamacpp": "any", "openrouter": "openai/gpt-5.6"}
Urls = dict[str, str]
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
# The server sends these, the SDK's types do not have them.
_ADDED = {"item_id", "output_index", "name", "store", "status", "bytes"}
WEATHER = Tool(
    name="get_weather",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.fixture(scope="module")
def urls() -> Iterator[Urls]:
    with (
        run_in_thread(OpenAISimulator(flavor="openai")) as first,
        run_in_thread(OpenAISimulator(flavor="vllm")) as second,
        run_in_thread(OpenAISimulator(flavor="llamacpp")) as third,
        run_in_thread(OpenAISimulator(flavor="openrouter")) as fourth,
    ):
        yield dict(zip(MODELS, (first.url, second.url, third.url, fourth.url), strict=True))


def asked(words: str = "hello", flavor: str = "openai", **members: Any) -> Request:
    said = [Message(role="user", content=[Text(text=words)])]
    return Request(origin="anthropic", model=MODELS[flavor], messages=said, **members)


def post(url: str, body: Object) -> httpx.Response:
    no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading them takes longer than a test
    headers = {"authorization": "Bearer k"}
    return httpx.post(f"{url}/v1/responses", json=body, headers=headers, timeout=20, verify=no_certificates)


def streamed(urls: Urls, flavor: str, request: Request) -> Reply:
    body = encode_request(msgspec.structs.replace(request, stream=True), Losses())
    found = post(urls[flavor], body)
    assert found.status_code == 200, found.text
    events = decode(found.content)
    check_order(events)
    return fold(events)


def whole(urls: Urls, flavor: str, request: Request) -> Reply:
    found = post(urls[flavor], encode_request(request, Losses()))
    assert found.status_code == 200, found.text
    return decode_reply(found.json())


REQUESTS: dict[str, Request] = {
    "text": asked(),
    "reasoning": asked(reasoning=Reasoning(enabled=True, effort="low", visible=True)),
    "calls": asked("The weather in Paris and London?", tools=[WEATHER]),
    "a custom tool": asked("go", tools=[Tool(name="sql", freeform=True)], tool_choice=ToolChoice(mode="any")),
    "a search": asked("news", web_search=WebSearch(at="tools.web_search")),
    "refusal": asked("[[simulate: refusal]]"),
    "a filter": asked("[[simulate: content_filter after=4]]"),
    "logprobs": asked(logprobs=True, top_logprobs=2),
    "length": asked("[[simulate: text tokens=100]]", max_tokens=16),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_sdk_s_types_know_what_it_sends(name: str, urls: Urls) -> None:
    body = encode_request(REQUESTS[name], Losses())
    answer = Response.model_validate_json(post(urls["openai"], body).content, strict=True)
    assert _strange(answer) == []
    raw = post(urls["openai"], body | {"stream": True}).content
    frames = SSE().feed(raw)
    for number, frame in enumerate(frames):
        event = _EVENT.validate_json(frame, strict=True)
        assert _strange(event) == []
        assert event.sequence_number == number


def _strange(value: Any) -> list[str]:
    return [path for path in extras(value) if path.rsplit(".", 1)[-1] not in _ADDED]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_sdk_s_helper_adds_it_up(name: str, urls: Urls) -> None:
    body = encode_request(REQUESTS[name], Losses())
    http = openai.DefaultHttpxClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    client = openai.OpenAI(base_url=f"{urls['openai']}/v1", api_key="k", max_retries=0, http_client=http)
    with client, client.responses.stream(**body) as stream:
        seen = list(stream)
    last = seen[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert [e.item.id for e in seen if e.type == "response.output_item.done"] == [i.id for i in last.response.output]


@pytest.mark.parametrize("flavor", MODELS)
@pytest.mark.parametrize("name", REQUESTS)
def test_streamed_and_whole_answers_read_the_same(name: str, flavor: str, urls: Urls) -> None:
    if name == "a custom tool" and flavor != "openai":
        pytest.skip("its models take functions only")
    request = msgspec.structs.replace(REQUESTS[name], model=MODELS[flavor])
    first, second = streamed(urls, flavor, request), whole(urls, flavor, request)
    assert _plain(first.content) == _plain(second.content) and first.content
    assert (first.reason, first.usage, first.skipped) == (second.reason, second.usage, second.skipped)


def _plain(content: list[Part]) -> list[Any]:
    """Without the ids that are made for each answer."""
    out: list[Any] = []
    for part in content:
        match part:
            case Thinking(text=text, redacted=redacted, seal=seal):
                out.append((text, redacted, seal is not None))
            case ToolCall(name=name, arguments=arguments, freeform=freeform):
                out.append((name, arguments, freeform))
            case Foreign(extra=extra):
                out.append({key: value for key, value in extra.items() if key != "id"})
            case _:
                out.append(part)
    return out


@pytest.mark.parametrize("quirk", [*RESPONSES_QUIRKS, *FRAMES])
def test_a_quirk_changes_nothing_of_what_is_read(quirk: str, urls: Urls) -> None:
    request = asked(
        f"The weather in Paris and London? [[simulate: auto quirk={quirk}]]",
        tools=[WEATHER],
        reasoning=Reasoning(enabled=True, effort="low", visible=True),
    )
    plain = whole(urls, "openai", request)
    assert [type(part) for part in plain.content] == [Thinking, ToolCall, ToolCall]
    found = streamed(urls, "openai", request)
    if quirk == "no_item_done":  # the proof comes at the very end
        *content, sealed = found.content
        assert _plain(content[1:]) == _plain(plain.content[1:]) and _plain([sealed]) == [("", True, True)]
    else:
        assert _plain(found.content) == _plain(plain.content)
    assert found.skipped == (["response.future.delta", "event.future_member"] if quirk == "unknown_events" else [])


@pytest.mark.parametrize("flavor", MODELS)
def test_a_tool_loop_with_its_reasoning(flavor: str, urls: Urls) -> None:
    """OpenAI's server refuses reasoning without the very proof that it gave out."""
    request = asked("The weather in Paris and London?", flavor, tools=[WEATHER], reasoning=Reasoning(effort="high"))
    for _ in range(2):
        reply = streamed(urls, flavor, request)
        request.messages.append(Message(role="assistant", content=reply.content))
        calls = [part for part in reply.content if isinstance(part, ToolCall)]
        if not calls:
            break
        results: list[Part] = [ToolResult(id=call.id, content=[Text(text="snow")]) for call in calls]
        request.messages.append(Message(role="user", content=results))
    assert [type(part) for part in request.messages[1].content][:2] == [Thinking, ToolCall]
    said = "".join(part.text for part in reply.content if isinstance(part, Text))
    assert said.count("snow") == 2


def test_pictures_arrive(urls: Urls) -> None:
    request = asked("look")
    request.messages[0].content.append(Media(kind="image", data=PNG, media_type="image/png"))
    reply = whole(urls, "openai", request)
    assert any(isinstance(part, Text) and "I see 1 image" in part.text for part in reply.content)


@pytest.mark.parametrize("shape", ["failed", "flat", "nested"])
def test_errors_in_a_stream(shape: str, urls: Urls) -> None:
    request = asked(f"[[simulate: error_event after=4 status=429 shape={shape} message=busy]]", stream=True)
    fault = decode(post(urls["openai"], encode_request(request, Losses())).content)[-1]
    assert fault == Fault("rate_limit", "busy")


def test_a_stream_that_breaks_is_a_fault(urls: Urls) -> None:
    request = asked("[[simulate: truncation after=5]]", stream=True)
    events = decode(post(urls["openai"], encode_request(request, Losses())).content)
    assert isinstance(events[-1], Fault) and "before the answer was complete" in events[-1].message


@pytest.mark.parametrize(
    ("members", "status", "kind", "words"),
    [
        ({"previous_response_id": "resp_0"}, 400, "invalid_request", "not found"),
        ({"max_output_tokens": 5}, 400, "invalid_request", "max_output_tokens"),
        ({"stop": ["x"]}, 400, "invalid_request", "Unknown parameter: 'stop'"),
        ({"model": "gpt-4.1-mini", "include": ["reasoning.encrypted_content"]}, 400, "invalid_request", "Encrypted"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
            400,
            "invalid_request",
            "No tool call found",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]},
            400,
            "invalid_request",
            "No tool output found",
        ),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, 404, "not_found", "not found"),
        (
            {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}]},
            400,
            "invalid_request",
            "could not be verified",
        ),
        ({"input": "[[simulate: rate_limit]]"}, 429, "rate_limit", "try again"),
        ({"input": "[[simulate: context_length]]"}, 400, "context_length", "maximum context length"),
        ({"model": "gone"}, 404, "model_not_found", "gone"),
    ],
)
def test_refusals(members: Object, status: int, kind: str, words: str, urls: Urls) -> None:
    found = post(urls["openai"], {"model": "gpt-5.6", "input": "hi"} | members)
    assert found.status_code == status
    error = decode_error(status, found.content, None)
    assert error.kind == kind and words in error.message


def test_a_server_without_the_api_has_no_such_path() -> None:
    with run_in_thread(OpenAISimulator(flavor="groq")) as running:
        assert post(running.url, {"model": "m", "input": "hi"}).status_code == 404


def test_the_client_half_and_the_server_understand_each_other(urls: Urls) -> None:
    """What a client of this wire writes, with namespaces and custom tools, is a request the server takes."""
    space = {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "look"}]}
    body = {"model": "gpt-5.6", "input": "look", "tools": [space, {"type": "custom", "name": "sql"}]}
    sent = encode_request(openai_responses.decode_request(msgspec.json.decode(msgspec.json.encode(body))), Losses())
    reply = decode_reply(post(urls["openai"], sent).json())
    assert [part.name for part in reply.content if isinstance(part, ToolCall)] == ["ns__look"]
