"""Legacy completions: prompts, filling in the middle, echo, and streams that the official SDK reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion

from dragoman.conversation import (
    Event,
    Fault,
    Finish,
    Message,
    Object,
    Part,
    PartEnd,
    PartStart,
    Reason,
    Refusal,
    Reply,
    Request,
    Start,
    Text,
    TextDelta,
    Thinking,
    Usage,
)
from dragoman.dialects import openai_completions as dialect
from dragoman.dialects.contract import ClientDialect, Stamp
from dragoman.dialects.openai_chat import FanOut
from dragoman.errors import GatewayError
from dragoman.folding import unfold

STAMP = Stamp(id="cmpl-1", model="claude", created=1_795_327_200_500_000_000, started=0, clock=lambda: 0)
USAGE = Usage(input=10, output=7)
WITH_USAGE: Object = {"stream": True, "stream_options": {"include_usage": True}}


def ask(prompt: Any = "Once", **members: Any) -> Request:
    return dialect.decode_request({"model": "m", "prompt": prompt, **members})


def reply(*content: Part, reason: Reason = "stop", **members: Any) -> Reply:
    return Reply(origin="anthropic", id="a", model="b", content=list(content), reason=reason, usage=USAGE, **members)


def strict(body: Object) -> Object:
    """`body`, after the SDK's strict look at it; a chunk that goes on has no finish reason."""
    finished = [choice | {"finish_reason": choice["finish_reason"] or "stop"} for choice in body["choices"]]
    Completion.model_validate_json(msgspec.json.encode(body | {"choices": finished}), strict=True)
    return body


def chunks(data: bytes) -> list[Any]:
    events = data.split(b"\n\n")[:-1]
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    return ["[DONE]" if event == b"data: [DONE]" else msgspec.json.decode(event[6:]) for event in events]


def test_the_module_is_a_client_dialect() -> None:
    half: ClientDialect = dialect
    assert (half.NAME, half.STREAM_TYPE) == ("openai_completions", "text/event-stream")


# --- request ------------------------------------------------------------------------------------


def test_a_prompt_is_a_user_message() -> None:
    request = ask(max_tokens=5, temperature=0.5, stop="\n", logprobs=3, user="u", seed=1, presence_penalty=0)
    assert request.messages == [Message(role="user", content=[Text(text="Once")], at="prompt")]
    assert (request.max_tokens, request.temperature, request.stop) == (5, 0.5, ["\n"])
    assert (request.logprobs, request.top_logprobs, request.user, request.seed) == (True, 3, "u", 1)
    assert request.extra == {} and not request.stream


def test_no_limit_is_no_limit() -> None:
    assert ask().max_tokens is None


def test_filling_in_the_middle_is_an_instruction() -> None:
    request = ask("def f(", suffix="):\n    pass")
    instruction, gap = request.messages
    assert (instruction.role, gap.role) == ("system", "user")
    assert gap.content == [Text(text="<before>def f(</before>\n<after>):\n    pass</after>")]
    assert set(request.extra) == {"suffix"} == set(dialect.EMULATED)


@pytest.mark.parametrize("suffix", [None, ""])
def test_no_suffix_is_no_instruction(suffix: str | None) -> None:
    request = ask(suffix=suffix)
    assert len(request.messages) == 1 and not request.extra


@pytest.mark.parametrize(
    ("members", "extra"),
    [
        ({"n": 1, "best_of": 1, "echo": False, "logit_bias": {}}, {}),
        ({"n": 2, "best_of": 2}, {"n": 2}),
        ({"best_of": 3}, {"best_of": 3}),
        ({"logit_bias": {"1": 2}}, {"logit_bias": {"1": 2}}),
        (WITH_USAGE, {"stream_options": {"include_usage": True}}),
    ],
)
def test_extra(members: Object, extra: Object) -> None:
    assert ask(**members).extra == extra


@pytest.mark.parametrize(("prompt", "found"), [("a", ["a"]), (["a"], ["a"]), (["a", "b"], ["a", "b"]), ("", [""])])
def test_prompts(prompt: Any, found: list[str]) -> None:
    body = {"model": "m", "prompt": prompt}
    assert dialect.prompts(body) == found
    assert body["prompt"] == prompt


@pytest.mark.parametrize("prompt", [[1, 2], [[1, 2], [3]], ["a", 1]])
def test_token_arrays_are_refused_in_words(prompt: Any) -> None:
    with pytest.raises(GatewayError, match="token ids") as caught:
        dialect.prompts({"prompt": prompt})
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "prompt")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": ["a", {}]}, "prompt[1]"),
        ({"suffix": 7}, "suffix"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": "yes"}, "echo"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"n": 0}, "n"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_the_client_is_told_where_it_is_wrong(members: Object, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        dialect.decode_request({"model": "m", "prompt": "p"} | members)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)


def test_one_body_serves_several_prompts() -> None:
    body: Object = {"model": "m", "prompt": ["a", "b"], **WITH_USAGE}
    requests = [dialect.decode_request({**body, "prompt": prompt}) for prompt in dialect.prompts(body)]
    assert [request.messages[0].content for request in requests] == [[Text(text="a")], [Text(text="b")]]
    assert all(dialect.include_usage(request) for request in requests)


# --- reply --------------------------------------------------------------------------------------


def test_an_answer() -> None:
    body = strict(
        dialect.encode_reply(reply(Thinking(text="hm"), Text(text=" upon"), Text(text=" a time")), ask(), STAMP)
    )
    assert body == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1_795_327_200,
        "model": "claude",
        "choices": [{"text": " upon a time", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": body["usage"],
    }
    assert body["usage"]["total_tokens"] == 17


ANSWERS: list[tuple[Reply, str, str]] = [
    (reply(Text(text="a")), "a", "stop"),
    (reply(Text(text="a"), reason="length"), "a", "length"),
    (reply(Text(text="a"), reason="context"), "a", "length"),
    (reply(Text(text="a"), reason="stop_sequence"), "a", "stop"),
    (reply(Text(text="a"), reason="tool_calls"), "a", "stop"),
    (reply(reason="refusal", explanation="why"), "why", "content_filter"),
    (reply(Refusal(text="no"), reason="refusal", explanation="why"), "no", "content_filter"),
    (reply(Text(text="a"), reason="refusal", explanation="why"), "a", "content_filter"),
    (reply(), "", "stop"),
]


@pytest.mark.parametrize(("answer", "text", "finish"), ANSWERS)
@pytest.mark.parametrize("echo", ["", "Once"])
def test_streamed_and_whole_answers_are_the_same(answer: Reply, text: str, finish: str, echo: str) -> None:
    request = ask(echo=bool(echo), **WITH_USAGE)
    whole = strict(dialect.encode_reply(answer, request, STAMP))
    [choice] = whole["choices"]
    assert (choice["text"], choice["finish_reason"]) == (echo + text, finish)
    *body, last, done = chunks(dialect.Encoder(request, STAMP).feed(unfold(answer)))
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert all(strict(chunk)["usage"] is None for chunk in body)
    assert "".join(chunk["choices"][0]["text"] for chunk in body) == choice["text"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in body] == [None] * (len(body) - 1) + [finish]


def test_a_fault_is_the_end() -> None:
    encoder = dialect.Encoder(ask(), STAMP)
    data = encoder.feed([Start("", ""), PartStart(0, Text(text="")), TextDelta(0, "a"), Fault("rate_limit", "slow")])
    assert chunks(data)[-1]["error"]["code"] == "rate_limit_exceeded"
    assert encoder.feed([TextDelta(0, "b"), Finish("stop")]) == b""
    assert b"[DONE]" not in data and b'"finish_reason":"' not in data


@settings(max_examples=30, deadline=None)
@given(order=st.permutations([0] * 5 + [1] * 5))
def test_several_prompts_in_one_stream(order: Sequence[int]) -> None:
    request = ask(echo=True, **WITH_USAGE)
    encoders = [dialect.Encoder(request, STAMP, index=i, tail=False) for i in range(2)]
    fan = FanOut(encoders, lambda usages: dialect.tail(request, STAMP, usages))
    events: list[list[Event]] = [
        [Start("", ""), PartStart(0, Text(text="")), TextDelta(0, text), PartEnd(0), Finish("stop", USAGE)]
        for text in "ab"
    ]
    streams = [iter(found) for found in events]
    *body, last, done = chunks(b"".join(fan.feed(i, [next(streams[i])]) for i in order))
    assert (done, last["usage"]["prompt_tokens"]) == ("[DONE]", 20)
    found: dict[int, str] = {0: "", 1: ""}
    for chunk in body:
        found[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert found == {0: "Oncea", 1: "Onceb"}


def test_merged_answers() -> None:
    bodies = [dialect.encode_reply(reply(Text(text=t)), ask(), STAMP) for t in "ab"]
    merged = dialect.merge_replies(bodies)
    strict(merged)
    assert [(c["index"], c["text"]) for c in merged["choices"]] == [(0, "a"), (1, "b")]
    assert merged["usage"]["total_tokens"] == 17 + 7, "one prompt, two answers"
    assert dialect.merge_replies(bodies, 1)["usage"]["total_tokens"] == 34, "two prompts"


def test_the_sdk_reads_the_stream() -> None:
    request = ask(**WITH_USAGE)
    data = dialect.Encoder(request, STAMP).feed(unfold(reply(Text(text="Grüße"), reason="length")))

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": dialect.STREAM_TYPE}, content=data)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client,
    ):
        found = list(client.completions.create(model="m", prompt="Once", stream=True))
    assert "".join(choice.text for chunk in found for choice in chunk.choices) == "Grüße"
    assert found[-2].choices[0].finish_reason == "length"
    assert found[-1].usage and found[-1].usage.total_tokens == 17


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
MEMBERS = st.sampled_from(
    ["model", "prompt", "suffix", "max_tokens", "n", "best_of", "echo", "logprobs", "stop", "stream", "stream_options"]
)


@settings(max_examples=100, deadline=None)
@given(body=st.dictionaries(MEMBERS, VALUES))
def test_garbage_raises_our_errors_only(body: Object) -> None:
    for candidate in (dict(body), {**body, "model": "m", "prompt": "p"}):
        try:
            dialect.decode_request(candidate)
        except GatewayError as error:
            assert error.kind == "invalid_request"
