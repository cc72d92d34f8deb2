"""/api/generate: prompts, gaps to fill, and conversations that continue without a memory.  Loading and unloading."""

from __future__ import annotations

import math
import zlib
from typing import Any

import pytest
from ollama import ChatResponse, GenerateResponse

from dragoman.conversation import (
    Event,
    Finish,
    Media,
    Message,
    PartEnd,
    PartStart,
    Reasoning,
    Reply,
    Request,
    Start,
    Text,
    TextDelta,
    Thinking,
    Usage,
)
from dragoman.dialects import ollama
from dragoman.dialects.contract import ClientDialect, Stamp
from dragoman.dialects.ollama import context, generate
from dragoman.errors import GatewayError
from dragoman.folding import unfold
from dragoman.losses import Losses

DIALECT: ClientDialect = generate

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="


def said(role: Any, text: str, at: str = "context") -> Message:
    return Message(role=role, content=[Text(text=text)], at=at)


def answer(text: str, request: Request, stamp: Stamp) -> dict[str, Any]:
    reply = Reply(origin="anthropic", id="", model="", content=[Text(text=text)], usage=Usage(input=1, output=2))
    body: dict[str, Any] = generate.encode_reply(reply, request, stamp)
    GenerateResponse.model_validate(body)
    return body


def decode(**body: Any) -> Request:
    return generate.decode_request({"model": "m", **body})


def test_a_prompt_is_a_conversation_of_one() -> None:
    options = {"num_predict": 256, "num_ctx": 1}
    request = decode(prompt="Why?", system="Be brief.", images=[PNG], think="high", format="json", options=options)
    image = Media(kind="image", data=PNG, media_type="image/png")
    assert request.messages == [
        said("system", "Be brief.", "system"),
        Message(role="user", content=[image, Text(text="Why?")], at="prompt"),
    ]
    assert (request.stream, request.max_tokens) == (True, 256)
    assert request.reasoning == Reasoning(enabled=True, effort="high", visible=True)
    assert request.extra == {"options": {"num_ctx": 1}}


def test_what_says_nothing_is_not_kept() -> None:
    request = decode(prompt="x", raw=False, template="", system="", suffix="", context=[], images=None, keep_alive=None)
    assert request == Request(origin="ollama", model="m", messages=[said("user", "x", "prompt")], stream=True)


def test_a_raw_prompt_is_reported() -> None:
    request = decode(prompt="<s>x", raw=True)
    assert request.messages == [said("user", "<s>x", "prompt")]
    assert request.extra == {"raw": True}


def test_a_template_is_reported() -> None:
    assert decode(prompt="x", template="{{ .Prompt }}").extra == {"template": "{{ .Prompt }}"}


@pytest.mark.parametrize("other", [{"system": "x"}, {"template": "x"}, {"context": [1]}])
def test_raw_stands_alone(other: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        decode(prompt="x", raw=True, **other)
    assert caught.value.message == "raw mode does not support template, system, or context"


def test_no_model() -> None:
    with pytest.raises(GatewayError) as caught:
        generate.decode_request({"prompt": "x"})
    assert (caught.value.row.ollama, caught.value.message) == (404, "model '' not found")


def test_a_gap_is_described(stamp: Stamp) -> None:
    request = decode(prompt="def f(", suffix="):\n  pass")
    instruction, question = request.messages
    assert instruction.role == "system"
    assert question == said("user", "<prefix>def f(</prefix><suffix>):\n  pass</suffix>", "prompt")
    assert request.extra == {"suffix": "):\n  pass"}
    losses = Losses()
    ollama.encode_request(request, losses)
    assert set(losses.emulated) == {"suffix"}
    assert "context" not in answer("x", request, stamp)


# --- context ------------------------------------------------------------------------------------------


def test_context_continues_the_conversation(stamp: Stamp) -> None:
    first = answer("Blue.", decode(prompt="Sky?", system="Be brief.", images=[PNG]), stamp)
    second = decode(prompt="Why?", context=first["context"])
    history = [said("system", "Be brief."), said("user", "Sky?"), said("assistant", "Blue.")]
    assert second.messages == [*history, said("user", "Why?", "prompt")]
    assert not second.extra
    third = decode(prompt="Sure?", system="Ramble.", context=answer("Light.", second, stamp)["context"])
    assert third.messages == [
        said("system", "Ramble.", "system"),
        *history[1:],
        said("user", "Why?"),
        said("assistant", "Light."),
        said("user", "Sure?", "prompt"),
    ]


def test_context_looks_like_tokens(stamp: Stamp) -> None:
    """Some clients keep it as 32-bit numbers."""
    numbers = answer("Blue. " * 100, decode(prompt="Sky? " * 100), stamp)["context"]
    assert all(type(number) is int and 0 <= number < 2**31 for number in numbers)
    assert len(numbers) < 100


def good() -> list[int]:
    return context.encode_context([said("user", "Sky?")], "Blue.")


def bomb() -> list[int]:
    data = zlib.compress(b'[["user","' + b"x" * (64 * 1024 * 1024) + b'"]]')
    data += bytes(-len(data) % 3)
    return [good()[0], *(int.from_bytes(data[i : i + 3], "big") for i in range(0, len(data), 3))]


@pytest.mark.parametrize(
    "numbers",
    [
        [128006, 882, 128007, 271],
        good()[:-2],
        [*good()[:5], good()[5] ^ 1, *good()[6:]],
        [*good()[:-1], -1],
        [*good()[:-1], 2**60],
        [*good()[:-1], "x"],
        [*good(), 1, 2, 3],
        [good()[0] + 1, *good()[1:]],
        good()[:1],
        bomb(),
    ],
    ids=["tokens", "short", "flipped", "negative", "huge", "text", "long", "version", "mark", "bomb"],
)
def test_other_contexts_are_kept_to_be_reported(numbers: list[Any]) -> None:
    request = decode(prompt="x", context=numbers)
    assert request.messages == [said("user", "x", "prompt")]
    assert request.extra == {"context": numbers}


# --- answers -------------------------------------------------------------------------------------------


def test_thinking_is_not_promoted(stamp: Stamp) -> None:
    reply = Reply(origin="anthropic", id="", model="", content=[Thinking(text="Hm")], reason="length")
    body = generate.encode_reply(reply, decode(prompt="Test", stream=False), stamp)
    assert (body["response"], body["thinking"], body["done_reason"]) == ("", "Hm", "length")


def test_streamed_and_whole_are_the_same(stamp: Stamp) -> None:
    reply = Reply(
        origin="anthropic",
        id="",
        model="",
        content=[Thinking(text="Hm"), Text(text="Bl"), Text(text="ue.")],
        usage=Usage(input=1, output=2),
    )
    request = decode(prompt="Sky?")
    whole = generate.encode_reply(reply, request, stamp)
    streamed = generate.Encoder(request, stamp).feed(unfold(reply))
    lines = [GenerateResponse.model_validate_json(line) for line in streamed.splitlines()]
    assert "".join(line.response or "" for line in lines) == whole["response"] == "Blue."
    assert "".join(line.thinking or "" for line in lines) == whole["thinking"] == "Hm"
    assert list(lines[-1].context or []) == whole["context"]
    assert [line.done for line in lines] == [False, False, False, True]
    assert all(line.created_at and line.model == "claude-sonnet-4.5" for line in lines)


def test_a_raw_stream_has_no_context(stamp: Stamp) -> None:
    events: list[Event] = [Start("", ""), PartStart(0, Text(text="")), TextDelta(0, "x"), PartEnd(0), Finish("stop")]
    encoder = generate.Encoder(decode(prompt="x", raw=True), stamp)
    assert b'"context"' not in encoder.feed(events)
    assert b'"context"' in generate.Encoder(decode(prompt="x"), stamp).feed(events)


# --- load and unload -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "chat", "prompt"),
    [
        ({}, "load", "load"),
        ({"messages": [], "prompt": ""}, "load", "load"),
        ({"messages": None, "prompt": None}, "load", "load"),
        ({"keep_alive": 0}, "unload", "unload"),
        ({"keep_alive": "0"}, "unload", "unload"),
        ({"keep_alive": "0s"}, "unload", "unload"),
        ({"keep_alive": -1}, "load", "load"),
        ({"messages": [{}], "prompt": "x", "keep_alive": 0}, None, None),
        ({"suffix": "x", "messages": [{}]}, None, None),
        ({"images": ["x"], "messages": [{}]}, None, None),
    ],
)
def test_probes(body: dict[str, Any], chat: str | None, prompt: str | None) -> None:
    assert (ollama.probe(body), generate.probe(body)) == (chat, prompt)


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_probe_answers(reason: Any, stamp: Stamp) -> None:
    chat, prompt = ollama.encode_probe(reason, stamp), generate.encode_probe(reason, stamp)
    ChatResponse.model_validate(chat)
    GenerateResponse.model_validate(prompt)
    frame = {"model": "claude-sonnet-4.5", "done": True, "done_reason": reason}
    assert chat == frame | {"created_at": chat["created_at"], "message": {"role": "assistant", "content": ""}}
    assert prompt == frame | {"created_at": prompt["created_at"], "response": ""}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0),
        (300, 300),
        (1.5, 1.5),
        (-1, math.inf),
        ("-1", math.inf),
        ("-1m", math.inf),
        ("300", 300),
        ("300s", 300),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("0", 0),
        ("-0s", 0),
        ("1m0.5s", 60.5),
    ],
)
def test_keep_alive(value: Any, seconds: float | None) -> None:
    assert ollama.keep_alive_seconds(value) == seconds


@pytest.mark.parametrize("value", ["forever", "5 minutes", "m", "1d", True, [], {}, "--1", "1h-5m"])
def test_a_malformed_keep_alive(value: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        ollama.keep_alive_seconds(value)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "keep_alive")
