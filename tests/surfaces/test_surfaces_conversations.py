"""Conversations, by the official SDK and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.conftest import GatewayMaker
from tests.running import Gateway
from tests.surfaces.responding import HAIKU, Object, asked, create, events, get, post

ANN = {"type": "message", "role": "user", "content": "I am Ann."}


@pytest.fixture
def running(make_gateway: GatewayMaker) -> Gateway:
    return make_gateway()


@pytest.fixture
def client(running: Gateway) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(verify=False)
    url = f"{running.url}/v1"
    with openai.OpenAI(base_url=url, api_key="sk-client", max_retries=0, http_client=http) as made:
        yield made


def test_a_conversation_from_birth_to_death(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"a": "b"}, items=[ANN])  # type: ignore[list-item]
    assert made.id.startswith("conv_")
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"c": "d"})
    assert changed.metadata == {"c": "d"}
    assert client.conversations.retrieve(made.id).metadata == {"c": "d"}
    gone = client.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_items_come_and_go(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    words: Any = [{"role": "user", "content": f"part {number}"} for number in range(5)]
    added = client.conversations.items.create(made.id, items=words)
    assert len({item.id for item in added.data}) == 5
    assert [item.id for item in client.conversations.items.list(made.id, order="asc", limit=2)] == [
        item.id for item in added.data
    ]
    newest = client.conversations.items.list(made.id, limit=1)
    assert newest.data[0].id == added.data[4].id
    assert newest.has_more
    one = client.conversations.items.retrieve(added.data[1].id or "", conversation_id=made.id)
    assert one == added.data[1]
    client.conversations.items.delete(added.data[1].id or "", conversation_id=made.id)
    assert len(list(client.conversations.items.list(made.id))) == 4
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(added.data[1].id or "", conversation_id=made.id)


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_made_in_it(running: Gateway, client: openai.OpenAI, stream: bool) -> None:
    made = client.conversations.create(items=[ANN])  # type: ignore[list-item]
    for number, wanted in enumerate((made.id, {"id": made.id})):
        body = {"model": HAIKU, "input": f"question {number}", "conversation": wanted, "stream": stream}
        answer = post(running.url, body)
        response = events(answer)[-1]["response"] if stream else answer.json()
        assert response["conversation"] == {"id": made.id}
    said = [text for role, text in asked(running) if role == "user"]
    assert said == ["I am Ann.question 0", "question 1"]
    kept = list(client.conversations.items.list(made.id, order="asc"))
    assert [getattr(item, "role", "") for item in kept] == ["user", "user", "assistant", "user", "assistant"]
    assert len({item.id for item in kept}) == 5


def test_nothing_is_added_by_who_wants_nothing_kept(running: Gateway, client: openai.OpenAI) -> None:
    made = client.conversations.create(items=[ANN])  # type: ignore[list-item]
    create(running.url, input="question", conversation=made.id, store=False)
    assert "I am Ann." in asked(running)[0][1]
    assert len(list(client.conversations.items.list(made.id))) == 1


def test_in_the_background(running: Gateway, client: openai.OpenAI) -> None:
    made = client.conversations.create()
    told = events(
        post(running.url, {"model": HAIKU, "input": "Hi", "conversation": made.id, "background": True, "stream": True})
    )
    assert told[-1]["type"] == "response.completed"
    assert len(list(client.conversations.items.list(made.id))) == 2


def test_what_is_not_there(running: Gateway) -> None:
    answer = post(running.url, {"model": HAIKU, "input": "x", "conversation": "conv_none"})
    assert answer.status_code == 404
    for path in ("/conversations/conv_none", "/conversations/conv_none/items", "/conversations/c%00/items/x"):
        assert get(running.url, path).status_code == 404


BAD: dict[str, tuple[Object, str]] = {
    "items": ({"items": 5}, "items"),
    "an item": ({"items": ["x"]}, "items"),
    "an item of no type": ({"items": [ANN, {"content": "x"}]}, "items[1].type"),
    "too many": ({"items": [ANN] * 21}, "items"),
    "metadata": ({"metadata": ["x"]}, "metadata"),
    "metadata of numbers": ({"metadata": {"a": 1}}, "metadata"),
    "much metadata": ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
    "long metadata": ({"metadata": {"a": "x" * 513}}, "metadata"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(running: Gateway, case: str) -> None:
    body, param = BAD[case]
    answer = post(running.url, body, "/v1/conversations")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_without_the_prefix(running: Gateway) -> None:
    made = post(running.url, {}, "/conversations").json()
    assert (
        post(running.url, {"model": HAIKU, "input": "Hi", "conversation": made["id"]}, "/responses").status_code == 200
    )
