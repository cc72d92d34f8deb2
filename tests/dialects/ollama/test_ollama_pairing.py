"""Which result answers which call, as the programs out there write it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.conversation import Message, Text, ToolCall, ToolResult
from dragoman.dialects.ollama.messages import decode_messages

Wire = list[dict[str, Any]]


def call(name: str, id: str | None = None, **arguments: object) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}} | ({"id": id} if id else {})


def turn(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls)}


def result(content: str, **names: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, **names}


def decode(wire: Wire) -> list[Message]:
    """Decoding takes the objects apart, so each call gets its own."""
    return decode_messages(json.loads(json.dumps(wire)))


def pairs(messages: list[Message]) -> dict[str, str]:
    """What each call was answered: `name` or `name#n` of the n-th call of that name, to the text of its result."""
    labels: dict[str, str] = {}
    answers: dict[str, str] = {}
    for message in messages:
        for part in message.content:
            if isinstance(part, ToolCall):
                seen = sum(label.split("#")[0] == part.name for label in labels.values())
                labels[part.id] = f"{part.name}#{seen}" if seen else part.name
            if isinstance(part, ToolResult):
                text = part.content[0].text if part.content and isinstance(part.content[0], Text) else ""
                answers[labels.get(part.id, "nobody")] = text
    return answers


USER = {"role": "user", "content": "Go"}

PAIRED: list[tuple[str, Wire, dict[str, str]]] = [
    (
        "Home Assistant: neither id nor name",
        [USER, turn(call("light"), call("heat")), result("lit"), result("warm")],
        {"light": "lit", "heat": "warm"},
    ),
    (
        "ollama-python: names only, out of order",
        [USER, turn(call("f"), call("g")), result("from g", tool_name="g"), result("from f", tool_name="f")],
        {"f": "from f", "g": "from g"},
    ),
    (
        "AI SDK: ids, out of order",
        [USER, turn(call("f", "1"), call("f", "2")), result("b", tool_call_id="2"), result("a", tool_call_id="1")],
        {"f": "a", "f#1": "b"},
    ),
    (
        "LangChain: the calls lost their ids, the results kept theirs",
        [USER, turn(call("f"), call("g")), result("a", tool_call_id="x1"), result("b", tool_call_id="x2")],
        {"f": "a", "g": "b"},
    ),
    (
        "parallel calls of one tool, told apart by place",
        [USER, turn(call("f", city="A"), call("f", city="B")), result("a", tool_name="f"), result("b", tool_name="f")],
        {"f": "a", "f#1": "b"},
    ),
    (
        "only one result has an id: it is served first",
        [USER, turn(call("f", "1"), call("g")), result("from g"), result("from f", tool_call_id="1")],
        {"f": "from f", "g": "from g"},
    ),
    (
        "only one result has a name",
        [USER, turn(call("f"), call("g")), result("from g"), result("from f", tool_name="f")],
        {"f": "from f", "g": "from g"},
    ),
    (
        "a repeated result takes nobody else's place",
        [
            *(USER, turn(call("f", "1"), call("g", "2"))),
            *(result("a", tool_call_id="1"), result("a again", tool_call_id="1"), result("b", tool_call_id="2")),
        ],
        {"f": "a again", "g": "b"},
    ),
    (
        "LlamaIndex: the id is the name of the tool, every turn",
        [
            *(USER, turn(call("f", "f")), result("one", tool_call_id="f")),
            *(turn(call("f", "f")), result("two", tool_call_id="f")),
        ],
        {"f": "one", "f#1": "two"},
    ),
    (
        "one message a call",
        [USER, turn(call("f")), turn(call("g")), result("a"), result("b")],
        {"f": "a", "g": "b"},
    ),
    (
        "an unanswered call of an earlier turn is not pending any more",
        [USER, turn(call("f")), USER, turn(call("g")), result("a")],
        {"g": "a"},
    ),
    ("Continue: the calls are not replayed", [USER, result("a", tool_name="f")], {"nobody": "a"}),
    ("more results than calls", [USER, turn(call("f")), result("a"), result("b")], {"f": "a", "nobody": "b"}),
]


@pytest.mark.parametrize(("wire", "answers"), [row[1:] for row in PAIRED], ids=[row[0] for row in PAIRED])
def test_pairing(wire: Wire, answers: dict[str, str]) -> None:
    messages = decode(wire)
    assert pairs(messages) == answers
    calls = [part.id for message in messages for part in message.content if isinstance(part, ToolCall)]
    assert len(set(calls)) == len(calls)
    assert all(calls)
    results = [part for message in messages for part in message.content if isinstance(part, ToolResult)]
    assert all(part.id for part in results)


@pytest.mark.parametrize("wire", [row[1] for row in PAIRED], ids=[row[0] for row in PAIRED])
def test_ids_stay_while_the_conversation_grows(wire: Wire) -> None:
    whole = [*wire, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "More"}, turn(call("f"))]
    ends = [i for i in range(len(whole) + 1) if i == len(whole) or whole[i]["role"] != "tool"]
    longest = decode(whole)
    for end in ends:
        messages = decode(whole[:end])
        assert messages == longest[: len(messages)]


def test_a_run_of_results_is_one_message() -> None:
    messages = decode([USER, turn(call("f"), call("g")), result("a"), result("b"), USER])
    assert [message.role for message in messages] == ["user", "assistant", "user", "user"]
    assert [type(part) for part in messages[2].content] == [ToolResult, ToolResult]


def test_ids_belong_to_their_conversation() -> None:
    """The same first call in two conversations is not the same call."""
    ids = set()
    for question in ("Weather in Paris?", "Is it warm in Paris?"):
        part = decode([{"role": "user", "content": question}, turn(call("f"))])[-1].content[0]
        assert isinstance(part, ToolCall)
        ids.add(part.id)
        assert part.id.startswith("call_")
    assert len(ids) == 2


def test_what_clients_change_between_calls_does_not_change_ids() -> None:
    """Home Assistant writes the time into its system prompt; most programs do not send reasoning back."""
    seen = set()
    for system, thinking in (("It is 10:00", "hm"), ("It is 10:01", None)):
        assistant = turn(call("f")) | {"thinking": thinking}
        part = decode([{"role": "system", "content": system}, USER, assistant])[-1].content[-1]
        assert isinstance(part, ToolCall)
        seen.add(part.id)
    assert len(seen) == 1


def test_results_are_named_after_their_call() -> None:
    messages = decode([USER, turn(call("f", "1")), result("a", tool_call_id="1")])
    assert isinstance(answer := messages[-1].content[0], ToolResult)
    assert (answer.id, answer.name) == ("1", "f")
