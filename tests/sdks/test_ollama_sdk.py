"""The official Ollama SDK, synchronous and not, streamed and not, against the running gateway: what people ask for."""

from __future__ import annotations

import json
from typing import Any, Literal

import ollama
import pytest
from pydantic import BaseModel

from tests.conftest import GatewayMaker
from tests.running import Gateway, simulate
from tests.sdks.asking_ollama import HAIKU, MODES, SONNET, Asking
from tests.sdks.media import JPEG, JPEG_BYTES, PNG, PNG_BYTES


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def sent(gateway: Gateway) -> dict[str, Any]:
    """The last body that went upstream."""
    body: dict[str, Any] = gateway.simulator.requests[-1].body
    return body


# --- chat -----------------------------------------------------------------------------------------


def test_plain_chat(chat: Asking) -> None:
    answer = chat("What is a dragoman?")
    assert "You said: What is a dragoman?" in answer.text
    assert (answer.done_reason, answer.model, answer.calls, answer.thinking) == ("stop", HAIKU, [], "")
    assert answer.prompt_tokens > 3 and answer.tokens > 5
    assert answer.lines == 1 or answer.lines > 5


def test_the_name_is_the_one_that_was_asked_for(chat: Asking, gateway: Gateway) -> None:
    for name in ("claude-haiku", "claude-haiku:latest", "Claude-Haiku"):
        assert chat("Hello", model=name).model == name
        assert sent(gateway)["model"] == HAIKU


def test_a_system_prompt(chat: Asking, gateway: Gateway) -> None:
    chat([{"role": "system", "content": "Be brief."}, user("Hello")])
    assert sent(gateway)["system"] == [{"type": "text", "text": "Be brief."}]
    assert [message["role"] for message in sent(gateway)["messages"]] == ["user"]


def test_several_turns(chat: Asking, gateway: Gateway) -> None:
    first = chat("One")
    answer = chat([user("One"), first.message(), user("Two")])
    assert [(m["role"], m["content"][0]["text"]) for m in sent(gateway)["messages"]] == [
        ("user", "One"),
        ("assistant", first.text),
        ("user", "Two"),
    ]
    assert "You said: Two" in answer.text


def test_a_prefilled_answer_is_gone_on_from(chat: Asking, gateway: Gateway) -> None:
    answer = chat([user("Tell me"), {"role": "assistant", "content": "Well, "}])
    assert sent(gateway)["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Well,"}]}
    assert "goes on" in answer.text


# --- options ---------------------------------------------------------------------------------------


def test_an_output_limit_ends_the_answer(chat: Asking) -> None:
    answer = chat("Hello", options={"num_predict": 4})
    assert (answer.done_reason, answer.tokens) == ("length", 4)
    assert answer.text


@pytest.mark.parametrize("limit", [-1, -2, 0])
def test_no_limit_is_all_the_model_can_write(chat: Asking, gateway: Gateway, limit: int) -> None:
    assert chat("Hello", options={"num_predict": limit}).done_reason == "stop"
    assert sent(gateway)["max_tokens"] == 64_000


def test_stop_sequences(chat: Asking) -> None:
    answer = chat("Hello", options={"stop": ["never said", "real"]})
    assert answer.done_reason == "stop" and answer.text.endswith("no ")


def test_options_are_carried_or_ignored(chat: Asking, gateway: Gateway) -> None:
    """What n8n, Open WebUI and Continue send by default; nothing of it may fail."""
    options = {
        "temperature": 0.7,
        "top_k": -1,
        "top_p": 1,
        "num_predict": -1,
        "num_ctx": 2048,
        "repeat_penalty": 1,
        "mirostat": 0,
        "num_thread": 8,
        "use_mmap": True,
        "seed": -1,
        "num_keep": 24,
        "an_unknown_one": "x",
    }
    assert chat("Hello", options=options, keep_alive="5m").done_reason == "stop"
    body = sent(gateway)
    assert body["temperature"] == 0.7 and not {"top_k", "top_p", "seed"} & body.keys()


# --- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "media_type", "size"),
    [
        (PNG, "image/png", "3 × 2"),
        (PNG_BYTES, "image/png", "3 × 2"),
        (JPEG_BYTES, "image/jpeg", "1 × 1"),
    ],
    ids=["base64", "bytes", "jpeg bytes"],
)
def test_a_picture_has_the_type_of_its_bytes(
    chat: Asking, gateway: Gateway, image: str | bytes, media_type: str, size: str
) -> None:
    answer = chat([user("What is this?", images=[image])])
    assert f"I see 1 image: {media_type}, {size} pixels." in answer.text
    (source,) = [block["source"] for block in sent(gateway)["messages"][0]["content"] if block["type"] == "image"]
    assert source["media_type"] == media_type


def test_pictures_of_a_generate(chat: Asking) -> None:
    answer = chat.generate("What are these?", images=[PNG, JPEG])
    assert "I see 2 images: image/png, 3 × 2 pixels; image/jpeg, 1 × 1 pixels." in answer.text


# --- thinking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("think", [True, "low", "high", "max"])
@pytest.mark.parametrize("model", [HAIKU, SONNET])
def test_thinking(chat: Asking, gateway: Gateway, model: str, think: bool | Literal["low", "high"]) -> None:
    answer = chat("Hello", model=model, think=think)
    assert answer.thinking.startswith(("Let me look", "The request is short"))
    assert "You said: Hello" in answer.text and answer.thinking not in answer.text
    thinking = sent(gateway)["thinking"]
    assert thinking["type"] == ("enabled" if model == HAIKU else "adaptive")
    if model == SONNET:
        assert thinking["display"] == "summarized"
        assert sent(gateway).get("output_config", {}).get("effort") == (None if think is True else think)


def test_thinking_of_a_generate(chat: Asking) -> None:
    answer = chat.generate("Hello", think=True)
    assert answer.thinking.startswith("Let me look") and "You said: Hello" in answer.text


def test_no_thinking(chat: Asking, gateway: Gateway) -> None:
    assert chat("Hello").thinking == "" == chat("Hello", think=False).thinking
    assert sent(gateway).get("thinking", {"type": "disabled"}) == {"type": "disabled"}


def test_thinking_comes_before_the_text(gateway: Gateway) -> None:
    chat = Asking(gateway.url, "streamed")
    chat("Hello", think=True)
    messages = [part.message for part in chat.parts if isinstance(part, ollama.ChatResponse)]
    order = ["thinking" if message.thinking else "text" for message in messages if message.thinking or message.content]
    assert order == sorted(order, reverse=True) and set(order) == {"thinking", "text"}


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


@pytest.mark.parametrize("model", [HAIKU, SONNET])
def test_a_pydantic_model(chat: Asking, gateway: Gateway, model: str) -> None:
    schema = Person.model_json_schema()
    person = Person.model_validate_json(chat('Who is "Anna"?', model=model, format=schema).text)
    assert (person.name, person.home.street) == ("Anna", "Anna")
    assert sent(gateway)["output_config"]["format"]["type"] == "json_schema"
    generated = Person.model_validate_json(chat.generate('Who is "Bert"?', model=model, format=schema).text)
    assert generated.name == "Bert"


def test_thinking_and_a_schema_together(chat: Asking) -> None:
    answer = chat('Who is "Anna"?', format=Person.model_json_schema(), think=True)
    assert answer.thinking and Person.model_validate_json(answer.text).name == "Anna"


@pytest.mark.parametrize("mode", MODES)
def test_json_mode_gives_one_value_and_nothing_around_it(other_gateway: GatewayMaker, mode: str) -> None:
    gateway = other_gateway("prose", simulator=simulate(scenario="json form=prose"))
    chat = Asking(gateway.url, mode)
    assert isinstance(json.loads(chat("Numbers, please", format="json").text), dict)
    assert isinstance(json.loads(chat.generate("Numbers, please", format="json").text), dict)
    assert chat("Numbers, please").text.startswith("As in [1] and {this}")


def test_json_mode_is_readable(chat: Asking) -> None:
    assert json.loads(chat("Hello", format="json").text)["you_said"] == "Hello"


# --- generate ----------------------------------------------------------------------------------------


def test_a_generate(chat: Asking) -> None:
    answer = chat.generate("Once upon a time")
    assert "You said: Once upon a time" in answer.text
    assert (answer.done_reason, answer.model) == ("stop", HAIKU)
    assert answer.context and all(isinstance(number, int) for number in answer.context)


def test_context_continues_a_conversation(chat: Asking, gateway: Gateway) -> None:
    """The conversation is in the numbers: nothing of it is kept in the gateway."""
    first = chat.generate("My name is Anna.", system="Be brief.")
    second = chat.generate("What is my name?", context=first.context)
    body = sent(gateway)
    assert [(m["role"], m["content"][0]["text"]) for m in body["messages"]] == [
        ("user", "My name is Anna."),
        ("assistant", first.text),
        ("user", "What is my name?"),
    ]
    assert body["system"][0]["text"] == "Be brief."
    chat.generate("And now?", context=second.context)
    assert [message["role"] for message in sent(gateway)["messages"]] == ["user", "assistant"] * 2 + ["user"]


def test_a_system_prompt_of_a_generate(chat: Asking, gateway: Gateway) -> None:
    chat.generate("Hello", system="Be brief.")
    assert sent(gateway)["system"] == [{"type": "text", "text": "Be brief."}]


def test_a_gap_is_filled(chat: Asking, gateway: Gateway) -> None:
    answer = chat.generate("def f(", suffix="    return 1")
    body = sent(gateway)
    assert body["messages"][0]["content"][0]["text"] == "<prefix>def f(</prefix><suffix>    return 1</suffix>"
    assert "cursor" in body["system"][0]["text"]
    assert answer.context is None


def test_a_raw_prompt(chat: Asking, gateway: Gateway) -> None:
    answer = chat.generate("[INST] Hello [/INST]", raw=True)
    assert sent(gateway)["messages"][0]["content"] == [{"type": "text", "text": "[INST] Hello [/INST]"}]
    assert answer.done_reason == "stop" and answer.context is None


def test_a_limit_and_stops_of_a_generate(chat: Asking) -> None:
    assert chat.generate("Hello", options={"num_predict": 2}).done_reason == "length"
    assert chat.generate("Hello", options={"stop": "real"}).text.endswith("no ")


def test_what_paperless_ai_asks_for_setup(chat: Asking) -> None:
    answer = chat.generate(
        "Test", system="You tag documents.", options={"temperature": 0.7, "top_p": 0.9, "top_k": 7, "num_predict": 256}
    )
    assert answer.text


# --- usage -------------------------------------------------------------------------------------------


def test_the_prompt_counts_whole_also_where_it_is_cached(chat: Asking) -> None:
    turns: list[Any] = [{"role": "system", "content": f"{chat.mode}: " + "Remember this well. " * 1200}]
    counts = []
    for question in ("One", "Two", "Three"):
        turns.append(user(question))
        answer = chat(turns)
        counts.append(answer.prompt_tokens)
        turns.append(answer.message())
    assert 5000 < counts[0] < counts[1] < counts[2]
