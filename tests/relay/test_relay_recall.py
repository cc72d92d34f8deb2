"""Sealed thinking is found again by whoever can repeat the conversation, within bounds of size and age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from dragoman.conversation import Media, Message, Part, Refusal, Request, Seal, Text, Thinking, ToolCall, ToolResult
from dragoman.relay.recall import Recall

THOUGHT = Thinking(text="Look it up.", seal=Seal("anthropic", "SIGNATURE"))
CALL = ToolCall(id="toolu_1", name="weather", arguments='{"city":"Paris","days":2}')
TURN: tuple[Part, ...] = (THOUGHT, Text(text="One moment."), CALL)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def asking(*messages: Message) -> Request:
    return Request(origin="ollama", model="m", messages=list(messages))


def user(*parts: Part) -> Message:
    return Message(role="user", content=list(parts) or [Text(text="Weather?")])


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", content=list(parts))


def result(call_id: str = "x", text: str = "Sunny") -> Message:
    return user(ToolResult(id=call_id, content=[Text(text=text)]))


# What a client sends back of TURN: no thought, an id of its own, arguments spelled otherwise.
RETURNED: tuple[Part, ...] = (
    Text(text="One moment."),
    ToolCall(id="call_9", name="weather", arguments='{ "days": 2, "city": "Paris" }'),
)


def remembering(clock: Clock | None = None, turn: Sequence[Part] = TURN, **bounds: float) -> Recall:
    recall = Recall(clock or Clock(), **bounds)  # type: ignore[arg-type]
    recall.remember(asking(user()), turn)
    return recall


def thoughts(request: Request) -> list[Thinking]:
    return [part for message in request.messages for part in message.content if isinstance(part, Thinking)]


def test_the_thought_comes_back_in_its_place_with_the_clients_own_call() -> None:
    sent = asking(user(), assistant(*RETURNED), result())
    restored = remembering().restore(sent)
    assert restored.messages[1].content == [THOUGHT, Text(text="One moment."), RETURNED[1]]
    assert restored.messages[0] == sent.messages[0] and restored.messages[2] == sent.messages[2]
    assert sent.messages[1].content == list(RETURNED), "the client's request was changed"


def test_thoughts_between_calls_stay_between_them() -> None:
    second = Thinking(text="", seal=Seal("anthropic", "SECOND"), redacted=True)
    other = ToolCall(id="toolu_2", name="time", arguments="{}")
    recall = remembering(turn=[THOUGHT, CALL, second, other])
    returned = [RETURNED[1], ToolCall(id="call_10", name="time", arguments="")]
    restored = recall.restore(asking(user(), assistant(*returned), result()))
    assert restored.messages[1].content == [THOUGHT, returned[0], second, returned[1]]


@pytest.mark.parametrize(
    "turn",
    [
        [ToolCall(id="", name="weather", arguments='{"city":"Paris","days":2}'), Text(text="One moment.")],
        [Text(text="  One moment.\n"), *RETURNED[1:]],
        [Text(text="One "), Text(text="moment."), *RETURNED[1:]],
        [Thinking(text="something the client made up"), *RETURNED],
    ],
    ids=["order", "white space", "text in pieces", "an unsigned thought"],
)
def test_what_clients_do_to_a_turn_does_not_hide_it(turn: list[Part]) -> None:
    restored = remembering().restore(asking(user(), assistant(*turn), result()))
    assert thoughts(restored) == [THOUGHT]


@pytest.mark.parametrize(
    "messages",
    [
        [user(Text(text="Weather!")), assistant(*RETURNED)],
        [user(), user(Text(text="Well?")), assistant(*RETURNED)],
        [Message(role="system", content=[Text(text="Be brief.")]), user(), assistant(*RETURNED)],
        [assistant(*RETURNED)],
        [user(Text(text="Weather?"), Media(kind="image", data="AAAA")), assistant(*RETURNED)],
        [user(), assistant(Text(text="Two moments."), RETURNED[1])],
        [user(), assistant(RETURNED[0], ToolCall(id="1", name="weather", arguments='{"city":"Rome","days":2}'))],
        [user(), assistant(RETURNED[0], ToolCall(id="1", name="climate", arguments=CALL.arguments))],
        [user(), assistant(*RETURNED, RETURNED[1])],
        [user(), assistant(RETURNED[0])],
        [user(), user(*RETURNED)],
    ],
    ids=["question", "more", "system", "alone", "media", "words", "arguments", "name", "twice", "no call", "role"],
)
def test_another_conversation_finds_nothing(messages: list[Message]) -> None:
    sent = asking(*messages, result())
    assert remembering().restore(sent) == sent


def test_a_sealed_turn_is_left_alone() -> None:
    own = Thinking(text="mine", seal=Seal("anthropic", "MINE"))
    sent = asking(user(), assistant(own, *RETURNED), result())
    assert remembering().restore(sent) == sent


@pytest.mark.parametrize(
    "turn",
    [
        [THOUGHT, Text(text="Done.")],
        [Thinking(text="no seal"), CALL],
        [CALL],
        [THOUGHT, Refusal(text="No.")],
        [],
    ],
)
def test_only_sealed_thoughts_before_calls_are_kept(turn: list[Part]) -> None:
    recall = remembering(turn=turn)
    sent = asking(user(), assistant(*(part for part in turn if not isinstance(part, Thinking))), result())
    assert recall.restore(sent) == sent


def test_a_conversation_that_grows_finds_every_turn() -> None:
    """A loop of tool calls: each round is remembered over the client's own words, in which no thought is."""
    recall = Recall(Clock())
    messages = [user()]
    for round in range(5):
        seal = Seal("anthropic", f"SEAL {round}")
        turn: list[Part] = [
            Thinking(text="", seal=seal),
            ToolCall(id=f"toolu_{round}", name="step", arguments=f'{{"n":{round}}}'),
        ]
        recall.remember(asking(*messages), turn)
        messages += [
            assistant(ToolCall(id=f"mine{round}", name="step", arguments=f'{{"n":{round}}}')),
            result(f"mine{round}", f"result {round}"),
        ]
        found = [thought.seal.value for thought in thoughts(recall.restore(asking(*messages))) if thought.seal]
        assert found == [f"SEAL {n}" for n in range(round + 1)]


def test_age_is_bounded() -> None:
    clock = Clock()
    recall = remembering(clock, max_age=60.0)
    sent = asking(user(), assistant(*RETURNED), result())
    clock.now += 59
    assert thoughts(recall.restore(sent))
    clock.now += 2
    assert recall.restore(sent) == sent


def _distinct(recall: Recall, number: int, size: int) -> Request:
    """Remember a turn of about `size` bytes; the request that should find it."""
    question = user(Text(text=f"Question {number}"))
    thought = Thinking(text="", seal=Seal("anthropic", "s" * size))
    recall.remember(asking(question), [thought, CALL])
    return asking(question, assistant(RETURNED[1]), result())


def test_size_is_bounded_and_the_oldest_goes_first() -> None:
    recall = Recall(Clock(), max_bytes=10_000)
    sent = [_distinct(recall, number, 2000) for number in range(10)]
    found = [bool(thoughts(recall.restore(request))) for request in sent]
    assert found[-3:] == [True] * 3
    assert found[:5] == [False] * 5
    assert found == sorted(found)


def test_what_is_used_stays_longer() -> None:
    recall = Recall(Clock(), max_bytes=10_000)
    first = _distinct(recall, 0, 2000)
    for number in range(1, 10):
        assert thoughts(recall.restore(first)), f"forgotten after {number}"
        _distinct(recall, number, 2000)


def test_the_words_of_a_turn_count_too() -> None:
    """A turn keeps its text beside its thoughts; a long one must not be free."""
    recall = Recall(Clock(), max_bytes=10_000)
    question = user(Text(text="Q"))
    long = Text(text="ü" * 8_000)  # 16,000 bytes
    recall.remember(asking(question), [THOUGHT, long, CALL])
    sent = asking(question, assistant(long, RETURNED[1]), result())
    assert recall.restore(sent) == sent


def test_the_same_turn_again_is_kept_once() -> None:
    recall = Recall(Clock(), max_bytes=5_000)
    other = _distinct(recall, 1, 2000)
    for _ in range(20):
        _distinct(recall, 2, 2000)
    assert thoughts(recall.restore(other))
