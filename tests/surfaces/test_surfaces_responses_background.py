"""Responses in the background: polled, watched, taken up again, cancelled."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.conftest import GatewayMaker
from tests.dialects.openai_responses.streams import check_stream, parse
from tests.surfaces.responding import HAIKU, before_all, create, events, get, named, polled, post
from tests.waiting import until


def frames(url: str, id: str, query: str = "") -> list[Any]:
    answer = get(url, f"/responses/{id}?stream=true{query}")
    assert answer.status_code == 200, answer.text
    return parse(answer.content)


@pytest.mark.parametrize("server", ["anthropic", "ollama", "vllm", "openai", "responses"])
def test_it_is_made_while_nobody_waits(server: str) -> None:
    with before_all() as bed:
        client = bed.client()
        queued = client.responses.create(model=named(server), input="Hello", background=True, metadata={"a": "b"})
        assert queued.status == "queued"
        assert queued.background is True
        done = polled(bed.url, queued.id)
        assert done["status"] == "completed", done
        assert done["id"] == queued.id
        assert done["background"] is True
        assert done["metadata"] == {"a": "b"}
        again = client.responses.create(model=named(server), input="More", previous_response_id=queued.id)
        assert again.output_text
        streamed = client.responses.create(model=named(server), input="Hello", background=True, stream=True)
        told = list(streamed)
        assert told[-1].type == "response.completed"
        kept = client.responses.retrieve(told[-1].response.id)
        assert kept.output_text == told[-1].response.output_text


def test_its_events_can_be_had_again(make_gateway: GatewayMaker) -> None:
    url = make_gateway().url
    told = events(post(url, {"model": HAIKU, "input": "Hello", "background": True, "stream": True}))
    check_stream(told)
    id = told[0]["response"]["id"]
    assert frames(url, id) == told
    assert frames(url, id, "&starting_after=3") == told[4:]
    assert frames(url, id, "&starting_after=1000") == []
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-client") as client:
        resumed = [event.sequence_number for event in client.responses.retrieve(id, stream=True, starting_after=5)]
    assert resumed == list(range(6, len(told)))
    wrong = get(url, f"/responses/{id}?stream=true&starting_after=x")
    assert wrong.json()["error"]["param"] == "starting_after"


@pytest.mark.parametrize("words", ["Hello", "What does clock say?", "[[simulate: refusal]]"])
def test_events_that_nobody_kept_are_made_of_the_response(make_gateway: GatewayMaker, words: str) -> None:
    url = make_gateway().url
    tools = [{"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}]
    reasoning = {"effort": "low", "summary": "auto"}
    response = create(url, input=words, tools=tools, reasoning=reasoning)
    assert check_stream(frames(url, response["id"])) == response
    assert frames(url, response["id"], "&starting_after=4") == frames(url, response["id"])[5:]


def test_the_client_may_leave(make_gateway: GatewayMaker) -> None:
    url = make_gateway().url
    body = {"model": HAIKU, "input": "[[simulate: text tokens=40 pace=20]]", "background": True, "stream": True}
    with httpx.stream(
        "POST", f"{url}/v1/responses", json=body, headers={"authorization": "Bearer sk-client"}
    ) as answer:
        first = next(answer.iter_bytes())
    id = parse(first[: first.index(b"\n\n") + 2])[0]["response"]["id"]
    assert polled(url, id, states=("in_progress", "completed"))["id"] == id
    assert polled(url, id)["status"] == "completed"
    check_stream(frames(url, id))


def test_who_leaves_another_one_has_it_cancelled(make_gateway: GatewayMaker) -> None:
    """As the API says: a response that is not made in the background ends with its connection, and is not kept."""
    gateway = make_gateway()
    body = {"model": HAIKU, "input": "[[simulate: text tokens=400 pace=50]]", "stream": True}
    headers = {"authorization": "Bearer sk-client"}
    with httpx.stream("POST", f"{gateway.url}/v1/responses", json=body, headers=headers) as answer:
        first = next(answer.iter_bytes())
    id = parse(first[: first.index(b"\n\n") + 2])[0]["response"]["id"]
    until(lambda: gateway.simulator.departures)
    assert get(gateway.url, f"/responses/{id}").status_code == 404


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_cancelled(make_gateway: GatewayMaker, stream: bool) -> None:
    gateway = make_gateway()
    queued = create(gateway.url, input="[[simulate: text delay=60]]", background=True)
    cancelled = get(gateway.url, f"/responses/{queued['id']}/cancel", method="POST")
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["status"] == "cancelled"
    assert get(gateway.url, f"/responses/{queued['id']}/cancel", method="POST").json()["status"] == "cancelled"
    assert polled(gateway.url, queued["id"])["status"] == "cancelled"
    if stream:
        assert frames(gateway.url, queued["id"])[-1]["response"]["status"] == "cancelled"


def test_only_what_is_in_the_background_can_be_cancelled(make_gateway: GatewayMaker) -> None:
    url = make_gateway().url
    done = create(url, input="Hello")
    refused = get(url, f"/responses/{done['id']}/cancel", method="POST")
    assert refused.status_code == 400
    assert get(url, "/responses/resp_none/cancel", method="POST").status_code == 404


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scenario", ["rate_limit", "truncation after=5", "reset after=1"])
def test_it_fails(make_gateway: GatewayMaker, scenario: str, stream: bool) -> None:
    url = make_gateway().url
    body = {"model": HAIKU, "input": f"[[simulate: {scenario}]]", "background": True, "stream": stream}
    answer = post(url, body)
    told = events(answer) if stream else []
    failed = polled(url, told[0]["response"]["id"] if stream else answer.json()["id"])
    assert failed["status"] == "failed"
    assert failed["error"]["code"] in ("rate_limit_exceeded", "server_error")
    if stream:
        assert told[-1]["type"] == "response.failed"
        assert told[-1]["response"]["error"] == failed["error"]


def test_what_is_wrong_is_told_at_once(make_gateway: GatewayMaker) -> None:
    url = make_gateway().url
    assert post(url, {"model": HAIKU, "background": True}).status_code == 400
    assert post(url, {"model": HAIKU, "background": True, "input": "x", "store": False}).status_code == 400
