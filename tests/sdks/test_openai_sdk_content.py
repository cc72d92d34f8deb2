"""What the official OpenAI SDK sends and gets besides words: pictures, files, thinking, JSON."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from tests.conftest import GatewayMaker
from tests.running import Gateway, simulate
from tests.sdks.asking_openai import HAIKU, MODES, OPUS, SONNET, Asking, Object
from tests.sdks.media import JPEG, PDF, PNG


def content(gateway: Gateway) -> list[Object]:
    """The first message's content, as it went upstream."""
    sent: list[Object] = gateway.simulator.requests[-1].body["messages"][0]["content"]
    return sent


def picture(url: str, **more: str) -> Object:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def asked(*parts: Object) -> list[Object]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


# --- pictures and files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "media_type", "size"),
    [
        (f"data:image/png;base64,{PNG}", "image/png", "3 × 2"),
        (f"data:image/jpeg;base64,{JPEG}", "image/jpeg", "1 × 1"),
        (f"data:image/png;base64,{JPEG}", "image/jpeg", "1 × 1"),
        (f"data:image/jpg;base64,{PNG}", "image/png", "3 × 2"),
    ],
    ids=["png", "jpeg", "jpeg called png", "png called jpg"],
)
def test_a_picture(ask: Asking, gateway: Gateway, url: str, media_type: str, size: str) -> None:
    answer = ask(asked(picture(url, detail="high")))
    assert f"I see 1 image: {media_type}, {size} pixels." in answer.text
    source = content(gateway)[1]["source"]
    assert (source["type"], source["media_type"]) == ("base64", media_type)


def test_a_picture_at_an_address(ask: Asking, gateway: Gateway) -> None:
    answer = ask(asked(picture("https://example.com/cat.png")))
    assert "at https://example.com/cat.png" in answer.text
    assert content(gateway)[1] == {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}


def test_several_pictures(ask: Asking) -> None:
    answer = ask(asked(picture(f"data:image/png;base64,{PNG}"), picture(f"data:image/jpeg;base64,{JPEG}")))
    assert "I see 2 images: image/png, 3 × 2 pixels; image/jpeg, 1 × 1 pixels." in answer.text


def test_a_picture_that_is_none(ask: Asking) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(asked(picture("data:image/png;base64,bm90IGEgcGljdHVyZQ==")))
    assert "image" in caught.value.message.lower()


def test_a_pdf(ask: Asking, gateway: Gateway) -> None:
    file = {"filename": "bill.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    answer = ask(asked({"type": "file", "file": file}))
    assert "I see 1 document: application/pdf, 1 page." in answer.text
    document = content(gateway)[1]
    assert (document["type"], document["title"]) == ("document", "bill.pdf")


def test_a_part_that_claude_cannot_hear_is_refused(client: openai.OpenAI) -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    messages: Any = asked(sound)
    with pytest.raises(openai.BadRequestError, match="does not take audio") as caught:
        client.chat.completions.create(model=HAIKU, messages=messages)
    assert caught.value.param == "messages[0].content[1]"


# --- thinking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [HAIKU, OPUS, SONNET])
def test_thinking(ask: Asking, gateway: Gateway, model: str) -> None:
    answer = ask("Hello", model=model, reasoning_effort="high")
    assert answer.reasoning.startswith("Let me look") and "You said: Hello" in answer.text
    (detail,) = answer.details
    assert detail["text"] == answer.reasoning
    assert (detail["format"], detail["index"]) == ("anthropic-claude-v1", 0)
    assert answer.spent.completion_tokens_details is not None
    assert 0 < (answer.spent.completion_tokens_details.reasoning_tokens or 0) < answer.spent.completion_tokens
    body = gateway.simulator.requests[-1].body
    assert body["thinking"]["type"] == ("enabled" if model == HAIKU else "adaptive")
    assert body.get("output_config", {}).get("effort") == (None if model == HAIKU else "high")


def test_no_thinking_unless_asked_for(ask: Asking) -> None:
    answer = ask("Hello")
    assert (answer.reasoning, answer.details) == ("", [])
    off = ask("Hello", model=OPUS, reasoning_effort="none")
    assert (off.reasoning, off.details) == ("", [])


def test_thinking_comes_before_the_text(gateway: Gateway) -> None:
    ask = Asking(gateway.url, "streamed")
    ask("Hello", reasoning_effort="low")
    order = [
        "text" if chunk.choices[0].delta.content else "thinking"
        for chunk in ask.chunks
        if chunk.choices
        and (chunk.choices[0].delta.content or (chunk.choices[0].delta.model_extra or {}).get("reasoning_content"))
    ]
    assert order == sorted(order, reverse=True) and set(order) == {"text", "thinking"}


def test_redacted_thinking_can_be_sent_back(ask: Asking, gateway: Gateway) -> None:
    question = {"role": "user", "content": "Hello [[simulate: redacted_thinking]]"}
    answer = ask([question], model=OPUS)
    (detail,) = answer.details
    assert detail["type"] == "reasoning.encrypted" and answer.reasoning == ""
    ask([question, answer.message(), {"role": "user", "content": "Go on"}], model=OPUS)
    turn = gateway.simulator.requests[-1].body["messages"][1]["content"]
    assert turn[0] == {"type": "redacted_thinking", "data": detail["data"]}


# --- JSON --------------------------------------------------------------------------------------------


class Place(BaseModel):
    street: str
    number: int | None


class Person(BaseModel):
    name: str
    age: int
    kind: Literal["friend", "foe"]
    home: Place
    tags: list[str]


def test_a_pydantic_model_parsed_by_the_sdk(client: openai.OpenAI, gateway: Gateway) -> None:
    wanted: Any = {"model": HAIKU, "messages": [{"role": "user", "content": 'Who is "Anna"?'}]}
    whole = client.chat.completions.parse(**wanted, response_format=Person).choices[0].message
    assert gateway.simulator.requests[-1].body["output_config"]["format"]["type"] == "json_schema"
    with client.chat.completions.stream(**wanted, response_format=Person) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert isinstance(whole.parsed, Person) and whole.parsed == streamed.parsed
    assert (whole.parsed.name, whole.parsed.home.street) == ("Anna", "Anna")


@pytest.mark.parametrize("model", [HAIKU, SONNET])
def test_a_schema_with_what_claude_does_not_enforce(ask: Asking, gateway: Gateway, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"count": {"type": "integer", "minimum": 3, "maximum": 9}, "word": {"type": "string"}},
        "required": ["count"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "counted", "schema": schema}}
    answer = ask("How many?", model=model, response_format=form)
    assert isinstance(json.loads(answer.text)["count"], int)
    sent = gateway.simulator.requests[-1].body["output_config"]["format"]["schema"]
    assert sent["additionalProperties"] is False
    assert "minimum" not in sent["properties"]["count"] and "3" in sent["properties"]["count"]["description"]


def test_a_schema_of_a_list(ask: Asking) -> None:
    """Claude wants an object at the root: the list travels in one, and comes out of it again."""
    schema = {"type": "array", "items": {"type": "string"}}
    form = {"type": "json_schema", "json_schema": {"name": "words", "schema": schema}}
    value = json.loads(ask('Say "dragoman"', response_format=form).text)
    assert value == ["dragoman"]


@pytest.mark.parametrize("mode", MODES)
def test_json_mode_gives_one_value_and_nothing_around_it(other_gateway: GatewayMaker, mode: str) -> None:
    gateway = other_gateway("prose", simulator=simulate(scenario="json form=prose"))
    chat = Asking(gateway.url, mode)
    answer = chat("Numbers, please", response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.text), dict)
    assert chat("Numbers, please").text.startswith("As in [1] and {this}")
    assert "JSON object only" in gateway.simulator.requests[0].body["system"][0]["text"]


def test_json_mode_is_readable(ask: Asking) -> None:
    value = json.loads(ask("Hello", response_format={"type": "json_object"}).text)
    assert value["you_said"] == "Hello"


def test_json_cut_short_is_said_to_be(client: openai.OpenAI) -> None:
    wanted: Any = {"model": HAIKU, "messages": [{"role": "user", "content": "Who?"}], "max_tokens": 3}
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**wanted, response_format=Person)
    with (
        pytest.raises(openai.LengthFinishReasonError),
        client.chat.completions.stream(**wanted, response_format=Person) as stream,
    ):
        stream.get_final_completion()
