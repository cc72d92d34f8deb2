"""Whatever a client says, the request that goes out is one the model accepts.

The judge is the simulator's copy of the real API's rules; the conversations are random, the models all there are.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import (
    Format,
    Media,
    Message,
    Object,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from dragoman.simulator.rules import Call, check
from tests.models.building import CARDS, fitted

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TODAY = date(2026, 11, 22)
JUDGED = {name: card for card in CARDS.values() for name in (card.id, *card.aliases)}

ids = st.sampled_from(["a", "b", "functions.Bash:0", "", "x y", "call_1"])
names = st.sampled_from(["f", "g", "mcp.tool/x", "n" * 90, "wetter für alle"])
words = st.sampled_from(["hello", "", "   ", "\n", "one two", "ä"])
texts = st.builds(Text, text=words, cache=st.sampled_from([None, None, None, "5m"]))
images = st.builds(Media, kind=st.just("image"), data=st.just(PNG), media_type=st.sampled_from(["", "image/jpeg"]))
calls = st.builds(ToolCall, id=ids, name=names, arguments=st.sampled_from(["{}", "", '{"a":1}', "[1]", "{broken"]))
results = st.builds(
    ToolResult, id=ids, content=st.lists(texts | images, max_size=2), is_error=st.booleans(), name=st.just("f")
)
thoughts = st.builds(Thinking, text=words)
said_by: dict[str, st.SearchStrategy[Part]] = {
    "user": st.one_of(texts, images, results),
    "assistant": st.one_of(texts, calls, thoughts, st.builds(Refusal, text=words)),
    "system": texts,
    "developer": texts,
}


@st.composite
def messages(draw: st.DrawFn) -> Message:
    role: Any = draw(st.sampled_from(["user", "assistant", "user", "assistant", "system", "developer"]))
    return Message(role=role, content=draw(st.lists(said_by[role], max_size=3)))


schemas: st.SearchStrategy[Object] = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]},
        {"type": "array", "items": {"type": ["string", "null"], "maxLength": 3}},
        {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"b": {"type": "number"}}}]},
        {"type": "object"},
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}},
        {"type": "object", "properties": {"k": {"$ref": "#/$defs/k"}}, "$defs": {"k": {"enum": ["x", 1]}}},
    ]
)
tools = st.builds(
    Tool,
    name=names,
    description=words,
    schema=st.none() | schemas,
    strict=st.sampled_from([None, True, False]),
    freeform=st.booleans(),
)
choices = st.builds(ToolChoice, mode=st.sampled_from(["auto", "none", "any"]), parallel=st.sampled_from([None, False]))
reasonings = st.builds(
    Reasoning,
    enabled=st.sampled_from([None, True, False]),
    effort=st.sampled_from([None, "minimal", "low", "high", "xhigh", "max"]),
    budget=st.sampled_from([None, 100, 5000, 200_000]),
    visible=st.sampled_from([None, True, False]),
)
requests = st.builds(
    Request,
    origin=st.just("ollama"),
    model=st.just("asked"),
    messages=st.lists(messages(), max_size=7),
    tools=st.lists(tools, max_size=3),
    tool_choice=st.none() | choices,
    max_tokens=st.sampled_from([None, -1, 5, 256, 2000, 9_999_999]),
    temperature=st.sampled_from([None, 0.0, 0.7, 1.0, 1.9]),
    top_p=st.sampled_from([None, 0.9, 1.0]),
    top_k=st.sampled_from([None, 5]),
    stop=st.lists(st.sampled_from(["END", " ", "\n"]), max_size=2),
    reasoning=st.none() | reasonings,
    format=st.none()
    | st.builds(Format, kind=st.just("json"))
    | st.builds(Format, kind=st.just("schema"), schema=schemas),
    user=st.none() | st.just("somebody"),
)
models: st.SearchStrategy[Card] = st.sampled_from([card for card in CARDS.values() if not card.retired(TODAY)])


@settings(max_examples=400, deadline=None)
@given(requests, models)
def test_what_goes_out_is_accepted(asked: Request, card: Card) -> None:
    before = msgspec.json.encode(asked)
    try:
        _, body, _ = fitted(asked, card, "auto")
    except GatewayError as error:
        # The one thing nobody can repair: a call is demanded and there is nothing to call.
        assert error.param == "tool_choice"
        assert not asked.tools
    else:
        check(msgspec.json.decode(msgspec.json.encode(body)), Call(today=TODAY), JUDGED)
    assert msgspec.json.encode(asked) == before, "fit must leave the request alone"


@settings(max_examples=150, deadline=None)
@given(requests, models, st.lists(messages(), min_size=1, max_size=3))
def test_a_growing_conversation_keeps_its_bytes(asked: Request, card: Card, more: list[Message]) -> None:
    """What a prompt cache or a signature rests on: earlier turns are sent the same when later ones come.

    The last turn may differ: it is still open (unanswered calls, an unfinished user turn).
    """
    asked.tool_choice = asked.reasoning = asked.format = None
    longer = msgspec.structs.replace(asked, messages=[*asked.messages, *more])
    _, short, _ = fitted(asked, card)
    _, long, _ = fitted(longer, card)
    closed = unmarked(short["messages"][:-2])
    assert unmarked(long["messages"])[: len(closed)] == closed


def unmarked(messages: list[Object]) -> list[Object]:
    """Without cache marks: of too many the newest stay, and where they stand is no part of the prompt."""
    return [
        {**message, "content": [{k: v for k, v in part.items() if k != "cache_control"} for part in message["content"]]}
        for message in messages
    ]
