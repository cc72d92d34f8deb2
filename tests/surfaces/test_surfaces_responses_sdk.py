"""The official SDK, blocking and asynchronous: every method of `responses` and `conversations`, over every server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.surfaces.responding import MODELS, Behind, Object, before_all, named

KINDS = ("sync", "async")


class City(BaseModel):
    name: str
    people: int


class Caller:
    """Calls either SDK in the same words: what can be awaited is, and a stream becomes a list."""

    def __init__(self, url: str, kind: str) -> None:
        options: Object = {"base_url": f"{url}/v1", "api_key": "sk-client", "max_retries": 0}
        made = openai.AsyncOpenAI if kind == "async" else openai.OpenAI
        self._runner = asyncio.Runner()
        self.client: Any = made(**options)

    def get(self, value: Any) -> Any:
        """What a call gives."""
        return self._runner.run(_awaited(value)) if inspect.isawaitable(value) else value

    def all(self, value: Any) -> list[Any]:
        """The events of a stream, or the elements of a list with all its pages."""
        if not isinstance(value, openai.AsyncStream) and not hasattr(value, "__aiter__") and inspect.isawaitable(value):
            value = self.get(value)
        return self._runner.run(_listed(value)) if hasattr(value, "__aiter__") else list(value)

    def streamed(self, manager: Any) -> tuple[list[Any], Any]:
        """The events and the final response of `responses.stream`."""
        if hasattr(manager, "__aenter__"):
            return self._runner.run(_streamed(manager))
        with manager as stream:
            return list(stream), stream.get_final_response()

    def close(self) -> None:
        self.get(self.client.close())
        self._runner.close()


async def _awaited(value: Any) -> Any:
    return await value


async def _listed(value: Any) -> list[Any]:
    return [each async for each in value]


async def _streamed(manager: Any) -> tuple[list[Any], Any]:
    async with manager as stream:
        events = [event async for event in stream]
        return events, await stream.get_final_response()


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with before_all() as behind:
        yield behind


@pytest.fixture(params=KINDS)
def caller(bed: Behind, request: pytest.FixtureRequest) -> Iterator[Caller]:
    made = Caller(bed.url, request.param)
    yield made
    made.close()


def refused(caller: Caller, value: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        caller.get(value() if callable(value) else value)
    return caught.value


@pytest.mark.parametrize("server", MODELS)
def test_made_and_asked_for_again(caller: Caller, server: str) -> None:
    responses = caller.client.responses
    first = caller.get(responses.create(model=named(server), input="I am Ann.", metadata={"a": "b"}))
    assert first.status == "completed"
    assert first.output_text
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens
    again = caller.get(responses.retrieve(first.id))
    assert again.to_dict() == first.to_dict()
    told = caller.all(responses.retrieve(first.id, stream=True))
    assert told[-1].type == "response.completed"
    assert told[-1].response.output_text == first.output_text
    later = caller.all(responses.retrieve(first.id, stream=True, starting_after=3))
    assert [event.sequence_number for event in later] == list(range(4, len(told)))
    (item,) = caller.all(responses.input_items.list(first.id, order="asc", limit=1))
    assert item.content[0].text == "I am Ann."
    second = caller.get(responses.create(model=named(server), input="And?", previous_response_id=first.id))
    assert second.previous_response_id == first.id
    assert caller.get(responses.delete(first.id)) is None
    assert refused(caller, lambda: responses.retrieve(first.id)).status_code == 404
    assert isinstance(refused(caller, lambda: responses.delete(first.id)), openai.NotFoundError)


@pytest.mark.parametrize("server", MODELS)
def test_streamed(caller: Caller, server: str) -> None:
    responses = caller.client.responses
    raw = caller.all(responses.create(model=named(server), input="Hello", stream=True))
    assert raw[0].type == "response.created"
    assert raw[-1].type == "response.completed"
    deltas = "".join(event.delta for event in raw if event.type == "response.output_text.delta")
    assert deltas == raw[-1].response.output_text
    events, final = caller.streamed(responses.stream(model=named(server), input="Hello", reasoning={"effort": "low"}))
    assert events[-1].type == "response.completed"
    assert final.output_text == "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert caller.get(responses.retrieve(final.id)).output_text == final.output_text


@pytest.mark.parametrize("server", MODELS)
def test_parsed(caller: Caller, server: str) -> None:
    responses = caller.client.responses
    whole = caller.get(responses.parse(model=named(server), input="A city.", text_format=City))
    assert isinstance(whole.output_parsed, City)
    events, final = caller.streamed(responses.stream(model=named(server), input="A city.", text_format=City))
    assert isinstance(final.output_parsed, City)
    done = [event for event in events if event.type == "response.output_text.done"]
    assert done[-1].parsed == final.output_parsed


@pytest.mark.parametrize("server", MODELS)
def test_tools(caller: Caller, server: str) -> None:
    responses = caller.client.responses
    tool = openai.pydantic_function_tool(City, name="note_city")["function"]
    tools = [{"type": "function", **tool, "strict": True}]
    body: Object = {"model": named(server), "tools": tools, "tool_choice": "required"}
    parsed = caller.get(responses.parse(input="Note a city: note_city.", **body))
    (call,) = [item for item in parsed.output if item.type == "function_call"]
    assert call.name == "note_city"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "noted"}
    del body["tool_choice"]
    after = caller.get(responses.create(input=[result], previous_response_id=parsed.id, **body))
    assert after.status == "completed"
    events, final = caller.streamed(responses.stream(input="Note a city: note_city.", **body, tool_choice="required"))
    (call,) = [item for item in final.output if item.type == "function_call"]
    pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert pieces == call.arguments


@pytest.mark.parametrize("server", MODELS)
def test_in_the_background(caller: Caller, server: str) -> None:
    responses = caller.client.responses
    slow = "[[simulate: text delay=60]] Hello"
    queued = caller.get(responses.create(model=named(server), input=slow, background=True))
    assert queued.status == "queued"
    stopped = caller.get(responses.cancel(queued.id))
    assert stopped.status == "cancelled"
    assert caller.get(responses.retrieve(queued.id)).status == "cancelled"
    told = caller.all(responses.create(model=named(server), input="Hello", background=True, stream=True))
    assert told[-1].type == "response.completed"
    watched = caller.all(responses.retrieve(told[0].response.id, stream=True, starting_after=2))
    assert [event.sequence_number for event in watched] == list(range(3, len(told)))
    done = caller.get(responses.create(model=named(server), input="Hello"))
    assert isinstance(refused(caller, lambda: responses.cancel(done.id)), openai.BadRequestError)


@pytest.mark.parametrize("server", MODELS)
def test_measured(caller: Caller, server: str) -> None:
    responses = caller.client.responses
    counted = caller.get(responses.input_tokens.count(model=named(server), input="Hello"))
    assert (counted.object, counted.input_tokens > 0) == ("response.input_tokens", True)
    shorter = caller.get(responses.compact(model=named(server), input="I am Ann."))
    assert shorter.object == "response.compaction"
    after = [*(item.to_dict() for item in shorter.output), {"role": "user", "content": "My name?"}]
    assert caller.get(responses.create(model=named(server), input=after)).output_text


@pytest.mark.parametrize("server", MODELS)
def test_conversations(caller: Caller, server: str) -> None:
    conversations, responses = caller.client.conversations, caller.client.responses
    hello = {"type": "message", "role": "user", "content": "I am Ann."}
    made = caller.get(conversations.create(metadata={"a": "b"}, items=[hello]))
    assert caller.get(conversations.retrieve(made.id)).metadata == {"a": "b"}
    assert caller.get(conversations.update(made.id, metadata={"a": "c"})).metadata == {"a": "c"}
    added = caller.get(conversations.items.create(made.id, items=[{**hello, "content": "I like tea."}]))
    answer = caller.get(responses.create(model=named(server), input="Who am I?", conversation=made.id))
    assert answer.conversation.id == made.id
    items = caller.all(conversations.items.list(made.id, order="asc", limit=2))
    said = [part.text for item in items if item.type == "message" for part in item.content]
    assert said[:3] == ["I am Ann.", "I like tea.", "Who am I?"]
    assert said[3] == answer.output_text
    one = caller.get(conversations.items.retrieve(added.data[0].id, conversation_id=made.id))
    assert one.content[0].text == "I like tea."
    caller.get(conversations.items.delete(one.id, conversation_id=made.id))
    left = caller.all(conversations.items.list(made.id))
    assert len(left) == len(items) - 1
    assert caller.get(conversations.delete(made.id)).deleted is True
    assert refused(caller, lambda: conversations.retrieve(made.id)).status_code == 404


@pytest.mark.parametrize("server", MODELS)
def test_proofs_are_for_who_asks(caller: Caller, server: str) -> None:
    """The gateway keeps them for the next call, whoever answers."""
    responses, include = caller.client.responses, ["reasoning.encrypted_content"]
    body: Object = {"model": named(server), "input": "Hello", "reasoning": {"effort": "low"}}
    for asked in ({}, {"include": include}):
        whole = caller.get(responses.create(**body, **asked))
        told = caller.all(responses.create(**body, **asked, stream=True))
        items = [event.item for event in told if event.type == "response.output_item.done"]
        for output in (whole.output, told[-1].response.output, items):
            (thought,) = [item for item in output if item.type == "reasoning"]
            assert bool(thought.encrypted_content) is bool(asked)
        kept = caller.get(responses.retrieve(whole.id, include=include))
        assert kept.output[0].encrypted_content
