"""Events to a stream: golden streams, the rules clients rely on, and the official SDK adding the events up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from dragoman.conversation import (
    Event,
    Fault,
    Finish,
    Object,
    PartEnd,
    PartStart,
    Request,
    Start,
    Text,
    TextDelta,
    Usage,
)
from dragoman.dialects import openai_responses
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_responses import Encoder, encode_reply, output_items
from dragoman.folding import Fold
from tests.dialects.openai_responses.streams import check_stream, encode, parse
from tests.dialects.openai_responses.strict import check_response
from tests.dialects.openai_responses.told import ANSWERS, SEALED, START, USAGE, text, thought

Ask = Callable[..., Request]
FINISHED = [name for name, (_, events) in ANSWERS.items() if isinstance(events[-1], Finish) and "fault" not in name]


@pytest.mark.parametrize("name", ANSWERS)
def test_golden(name: str, ask: Ask, stamp: Stamp, golden: Callable[[str, str], None]) -> None:
    members, events = ANSWERS[name]
    data = encode(events, ask(**members), stamp)
    golden(f"{name}.txt", data.decode())
    check_stream(parse(data))


@pytest.mark.parametrize("name", FINISHED)
def test_a_whole_answer_is_the_end_of_its_stream(name: str, ask: Ask, stamp: Stamp) -> None:
    members, events = ANSWERS[name]
    request = ask(**members)
    ending = check_stream(parse(encode(events, request, stamp)))
    fold = Fold("anthropic")
    fold.feed(events)
    whole = encode_reply(fold.reply, request, stamp)
    check_response(whole)
    assert whole == ending


@pytest.mark.parametrize("name", ANSWERS)
def test_events_one_by_one_give_the_same_bytes(name: str, ask: Ask, stamp: Stamp) -> None:
    members, events = ANSWERS[name]
    encoder = Encoder(ask(**members), stamp)
    assert b"".join(encoder.feed([event]) for event in events) == encode(events, ask(**members), stamp)


# --- the SDK -------------------------------------------------------------------------------------

Accumulate = Callable[..., Any]


@pytest.fixture(scope="module")
def accumulate() -> Iterator[Accumulate]:
    """What the SDK's stream helper makes of these bytes."""
    served: list[bytes] = []

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=served[-1])

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client,
    ):

        def run(data: bytes) -> tuple[list[Any], Any]:
            served.append(data)
            responses: Any = client.responses
            with responses.stream(model="m", input="hi") as stream:
                events = list(stream)
                ended = events[-1].type == "response.completed"
                return events, stream.get_final_response() if ended else events[-1].response

        yield run


@pytest.mark.parametrize("name", ANSWERS)
def test_the_sdk_adds_up_the_same(name: str, ask: Ask, stamp: Stamp, accumulate: Accumulate) -> None:
    members, told = ANSWERS[name]
    data = encode(told, ask(**members), stamp)
    ending = parse(data)[-1]["response"]
    events, response = accumulate(data)
    assert response.id == "resp_1"
    assert response.status == ending["status"]
    kept = [
        item.model_dump(exclude_unset=True, by_alias=True, exclude={"parsed_arguments"}) for item in response.output
    ]
    for item in kept:
        for part in item.get("content") or ():
            part.pop("parsed", None)
    assert kept == ending["output"]
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    spoken = [item for item in ending["output"] if item["type"] == "message"]
    said = "".join(part["text"] for item in spoken for part in item["content"] if part["type"] == "output_text")
    assert deltas == said or ending["status"] == "failed"


def test_output_text_is_all_of_the_text(ask: Ask, stamp: Stamp, accumulate: Accumulate) -> None:
    _, response = accumulate(encode(ANSWERS["citations"][1], ask(), stamp))
    assert response.output_text == "Oslo is cold. Bergen is wet."
    (annotation,) = response.output[0].content[0].annotations
    assert response.output_text[annotation.start_index : annotation.end_index] == "is cold."


# --- what only some clients get ------------------------------------------------------------------


def items(data: bytes) -> list[Object]:
    output: list[Object] = parse(data)[-1]["response"]["output"]
    return output


@pytest.mark.parametrize(
    ("members", "sealed"),
    [
        ({}, False),
        ({"store": True}, False),
        ({"include": ["message.output_text.logprobs"]}, False),
        ({"include": ["reasoning.encrypted_content"]}, True),
        ({"store": False}, True),
    ],
)
def test_proofs_for_who_asks_and_for_who_keeps(members: Any, sealed: bool, ask: Ask, stamp: Stamp) -> None:
    encoder = Encoder(ask(**members), stamp)
    data = encoder.feed([START, *thought(0, "Hm.", seal="c2VhbA=="), Finish("stop")])
    assert ("encrypted_content" in items(data)[0]) is sealed
    assert b"c2VhbA" not in data
    assert encoder.kept[0]["encrypted_content"].startswith("dragoman.1.")
    assert [item["id"] for item in encoder.kept] == [item["id"] for item in items(data)]


def test_reasoning_that_is_not_asked_for_stays_in_the_envelope(ask: Ask, stamp: Stamp) -> None:
    members, events = ANSWERS["hidden_reasoning"]
    (reasoning, _) = items(encode(events, ask(**members), stamp))
    assert reasoning["summary"] == []
    back = openai_responses.decode_request({"model": "m", "input": [reasoning]})
    (part,) = back.messages[0].content
    assert part.text == "Secret."  # type: ignore[union-attr]


def test_reasoning_without_words_is_an_item_without_a_summary(ask: Ask, stamp: Stamp) -> None:
    data = encode([START, *thought(0, seal="c2VhbA=="), *text(1, "a"), Finish("stop")], ask(**SEALED), stamp)
    assert "summary" not in {event["type"].split("_")[-1] for event in parse(data)}
    assert items(data)[0]["summary"] == []


def test_the_kept_items_of_a_whole_answer(ask: Ask, stamp: Stamp) -> None:
    members, events = ANSWERS["reasoning_text_call"]
    request = ask(**{**members, "store": True, "include": []})
    fold = Fold("anthropic")
    fold.feed(events)
    encoder = Encoder(request, stamp)
    encoder.feed(events)
    assert output_items(fold.reply, request, stamp) == encoder.kept
    assert "encrypted_content" in encoder.kept[0]
    assert "encrypted_content" not in encode_reply(fold.reply, request, stamp)["output"][0]


def test_log_probabilities_of_the_text(ask: Ask, stamp: Stamp) -> None:
    tokens: list[Object] = [
        {"token": "é", "logprob": -0.1, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -2.0, "bytes": None}]}
    ]
    request = ask(include=["message.output_text.logprobs"], top_logprobs=1)
    assert (request.logprobs, request.top_logprobs) == (True, 1)
    events: list[Event] = [
        START,
        PartStart(0, Text(text="")),
        TextDelta(0, "é", tokens),
        TextDelta(0, "!"),
        PartEnd(0),
        Finish("stop"),
    ]
    data = encode(events, request, stamp)
    check_stream(parse(data))
    (scored,) = items(data)[0]["content"][0]["logprobs"]
    assert scored["bytes"] == [0xC3, 0xA9]
    assert scored["top_logprobs"][0]["bytes"] == [0x65]
    assert items(data)[0]["content"][0]["text"] == "é!"


def test_members_of_a_server_of_this_wire_stay(ask: Ask, stamp: Stamp) -> None:
    start = Start("r", "gpt", origin="openai_responses", tier="flex", extra={"moderation": {"x": 1}})
    phased = Text(text="", extra={"item": {"id": "msg_their", "phase": "commentary"}})
    ending = Finish("stop", Usage(input=1), extra={"usage": {"input_tokens_details": {"audio_tokens": 3}}})
    data = encode([start, PartStart(0, phased), TextDelta(0, "a"), PartEnd(0), *text(1, "b"), ending], ask(), stamp)
    response = parse(data)[-1]["response"]
    assert response["moderation"] == {"x": 1}
    assert response["service_tier"] == "flex"
    assert response["usage"]["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 3}
    assert [(item["id"], item["phase"]) for item in response["output"]] == [("msg_their", "commentary")]


def test_members_of_other_servers_are_noted_and_not_told(ask: Ask, stamp: Stamp) -> None:
    encoder = Encoder(ask(), stamp)
    start = Start("r", "m", origin="openai_chat", extra={"system_fingerprint": "fp"})
    data = encoder.feed([start, *text(0, "a"), Finish("stop_sequence", USAGE, stop_sequence="END")])
    assert b"fp" not in data
    assert encoder.untold.names == ["system_fingerprint", "stop_sequence"]


def test_what_a_server_counted_nobody_makes_up(ask: Ask, stamp: Stamp) -> None:
    data = encode([START, *text(0, "a"), Finish("stop")], ask(), stamp)
    assert parse(data)[-1]["response"]["usage"] is None


def test_nothing_follows_the_end(ask: Ask, stamp: Stamp) -> None:
    encoder = Encoder(ask(), stamp)
    encoder.feed([START, *text(0, "a"), Finish("stop")])
    assert encoder.done
    assert encoder.feed([*text(1, "b"), Fault("internal", "x"), Finish("stop")]) == b""
