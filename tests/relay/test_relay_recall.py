"""Sealed thinking is found again by whoever can repeat the conversation, within bounds of size and age."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from dragoman.conversation import (
    Citation,
    Foreign,
    Media,
    Message,
    Part,
    Request,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
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


def restored(recall: Recall, request: Request) -> Request:
    return asyncio.run(recall.restore(request)).request


def thoughts(request: Request) -> list[Thinking]:
    return [part for message in request.messages for part in message.content if isinstance(part, Thinking)]


def test_the_thought_comes_back_in_its_place_with_the_clients_own_call() -> None:
    sent = asking(user(), assistant(*RETURNED), result())
    whole = restored(remembering(), sent)
    assert whole.messages[1].content == [THOUGHT, Text(text="One moment."), RETURNED[1]]
    assert whole.messages[0] == sent.messages[0] and whole.messages[2] == sent.messages[2]
    assert sent.messages[1].content == list(RETURNED), "the client's request was changed"


def test_thoughts_between_calls_stay_between_them() -> None:
    second = Thinking(text="", seal=Seal("anthropic", "SECOND"), redacted=True)
    other = ToolCall(id="toolu_2", name="time", arguments="{}")
    recall = remembering(turn=[THOUGHT, CALL, second, other])
    returned = [RETURNED[1], ToolCall(id="call_10", name="time", arguments="")]
    whole = restored(recall, asking(user(), assistant(*returned), result()))
    assert whole.messages[1].content == [THOUGHT, returned[0], second, returned[1]]


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
    whole = restored(remembering(), asking(user(), assistant(*turn), result()))
    assert thoughts(whole) == [THOUGHT]


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
    assert restored(remembering(), sent) == sent


def test_a_sealed_turn_is_left_alone() -> None:
    own = Thinking(text="mine", seal=Seal("anthropic", "MINE"))
    sent = asking(user(), assistant(own, *RETURNED), result())
    assert restored(remembering(), sent) == sent


@pytest.mark.parametrize(
    "turn",
    [
        [Thinking(text="no seal"), CALL],
        [Thinking(text="no seal"), Text(text="Done.")],
        [CALL],
        [Text(text="Done.")],
        [],
    ],
)
def test_only_sealed_thoughts_are_kept(turn: list[Part]) -> None:
    recall = remembering(turn=turn)
    sent = asking(user(), assistant(*(part for part in turn if not isinstance(part, Thinking))), result())
    assert restored(recall, sent) == sent


def test_a_conversation_that_grows_finds_every_turn() -> None:
    """A loop of tool calls: each round is remembered over the client's own words, in which no thought is."""
    recall = Recall(Clock())
    messages = [user()]
    last = b""
    for round in range(5):
        seal = Seal("anthropic", f"SEAL {round}")
        turn: list[Part] = [
            Thinking(text="", seal=seal),
            ToolCall(id=f"toolu_{round}", name="step", arguments=f'{{"n":{round}}}'),
        ]
        recall.remember(asking(*messages), turn, after=last)
        messages += [
            assistant(ToolCall(id=f"mine{round}", name="step", arguments=f'{{"n":{round}}}')),
            result(f"mine{round}", f"result {round}"),
        ]
        recalled = asyncio.run(recall.restore(asking(*messages)))
        last = recalled.last
        found = [thought.seal.value for thought in thoughts(recalled.request) if thought.seal]
        assert not recalled.forgotten
        assert found == [f"SEAL {n}" for n in range(round + 1)]


def test_age_is_bounded() -> None:
    clock = Clock()
    recall = remembering(clock, max_age=60.0)
    sent = asking(user(), assistant(*RETURNED), result())
    clock.now += 59
    assert thoughts(restored(recall, sent))
    clock.now += 59
    assert thoughts(restored(recall, sent)), "it was used a minute ago"
    clock.now += 61
    assert restored(recall, sent) == sent


def _distinct(recall: Recall, number: int, size: int) -> Request:
    """Remember a turn of about `size` bytes; the request that should find it."""
    question = user(Text(text=f"Question {number}"))
    thought = Thinking(text="", seal=Seal("anthropic", "s" * size))
    recall.remember(asking(question), [thought, CALL])
    return asking(question, assistant(RETURNED[1]), result())


def test_size_is_bounded_and_the_oldest_goes_first() -> None:
    recall = Recall(Clock(), max_bytes=10_000)
    sent = [_distinct(recall, number, 2000) for number in range(10)]
    found = [bool(thoughts(restored(recall, request))) for request in sent]
    assert found[-3:] == [True] * 3
    assert found[:5] == [False] * 5
    assert found == sorted(found)


def test_what_is_used_stays_longer() -> None:
    recall = Recall(Clock(), max_bytes=10_000)
    first = _distinct(recall, 0, 2000)
    for number in range(1, 10):
        assert thoughts(restored(recall, first)), f"forgotten after {number}"
        _distinct(recall, number, 2000)


def test_the_words_of_a_turn_count_too() -> None:
    """A turn keeps its text beside its thoughts; a long one must not be free."""
    recall = Recall(Clock(), max_bytes=10_000)
    question = user(Text(text="Q"))
    long = Text(text="ü" * 8_000)  # 16,000 bytes
    recall.remember(asking(question), [THOUGHT, long, CALL])
    sent = asking(question, assistant(long, RETURNED[1]), result())
    assert restored(recall, sent) == sent


def test_the_same_turn_again_is_kept_once() -> None:
    recall = Recall(Clock(), max_bytes=5_000)
    other = _distinct(recall, 1, 2000)
    for _ in range(20):
        _distinct(recall, 2, 2000)
    assert thoughts(restored(recall, other))


# --- what holds only after what it was made after ---------------------------------------------------------------------


def loop(recall: Recall, rounds: int, after: dict[int, bytes] | None = None) -> tuple[list[Message], list[bytes]]:
    """A conversation of so many calls, each remembered after the one before it, or after what `after` says."""
    messages, keys = [user()], [b""]
    for round in range(rounds):
        call = ToolCall(id="", name="step", arguments=f'{{"n":{round}}}')
        turn: list[Part] = [Thinking(text="", seal=Seal("anthropic", f"{round}")), call]
        recall.remember(asking(*messages), turn, after=(after or {}).get(round, keys[-1]))
        messages += [assistant(call), result("", str(round))]
        keys.append(asyncio.run(recall.restore(asking(*messages))).last)
    return messages, keys


def seals(request: Request) -> list[str]:
    return [thought.seal.value for thought in thoughts(request) if thought.seal]


def test_what_was_missing_then_stays_missing() -> None:
    """The third turn was made when the first two were not known: they would break its signature."""
    recall = Recall(Clock())
    messages, keys = loop(recall, 5, after={2: b""})
    assert seals(restored(recall, asking(*messages))) == ["2", "3", "4"]
    assert seals(restored(recall, asking(*messages[:5]))) == ["0", "1"]
    assert len(set(keys)) == 6


def test_where_a_link_is_forgotten_the_rest_still_counts() -> None:
    recall = Recall(Clock())
    messages, _ = loop(recall, 5, after={3: b"somebody else's"})
    assert seals(restored(recall, asking(*messages))) == ["0", "1", "2", "3", "4"]


def test_when_room_is_needed_the_first_of_a_conversation_goes_last() -> None:
    recall = Recall(Clock(), max_bytes=4000)
    messages, _ = loop(recall, 8)
    assert len(seals(restored(recall, asking(*messages)))) == 8
    for number in range(6):
        _distinct(recall, number, 100)
    found = seals(restored(recall, asking(*messages)))
    assert 0 < len(found) < 8
    assert found == [str(number) for number in range(len(found))]


@pytest.mark.parametrize(
    ("messages", "forgotten"),
    [
        ([user(), assistant(*RETURNED), result()], True),
        ([user(), assistant(*RETURNED), result(), user(Text(text="And now?"))], False),
        ([user(), assistant(Text(text="Hello."))], False),
        ([user(), assistant(Text(text="Hello.")), user(Text(text="More"))], False),
        ([user(), assistant(THOUGHT, *RETURNED), result()], False),
        ([user(), assistant(THOUGHT, *RETURNED), result(), assistant(*RETURNED), result()], True),
    ],
    ids=["a loop", "it is over", "no calls", "no loop", "the client has it", "the client has half of it"],
)
def test_only_in_a_loop_of_calls_it_matters_that_nothing_is_known(messages: list[Message], forgotten: bool) -> None:
    assert asyncio.run(Recall(Clock()).restore(asking(*messages))).forgotten is forgotten


def test_a_turn_without_thoughts_is_known_too() -> None:
    recall = remembering(turn=[Text(text="One moment."), CALL])
    recalled = asyncio.run(recall.restore(asking(user(), assistant(*RETURNED), result())))
    assert not recalled.forgotten and not thoughts(recalled.request)


def test_words_that_cannot_be_kept_are_not() -> None:
    half = Text(text="\ud83d")
    recall = remembering(turn=[THOUGHT, half, CALL])
    sent = asking(user(), assistant(half, RETURNED[1]), result())
    assert restored(recall, sent) == sent


# --- turns that other wires have other words for ----------------------------------------------------------------------


def test_a_turn_is_found_by_what_the_client_was_told() -> None:
    search = Foreign(origin="anthropic", extra={"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"})
    cited = Text(text="It rains.", citations=[Citation(url="https://example.org", extra={"type": "x", "n": 1})])
    recall = Recall(Clock())
    recall.remember(asking(user()), [search, cited], told=[Text(text="Searched.\nIt rains. [1]")])
    returned = assistant(Text(text="Searched.\nIt rains. [1]"))
    assert restored(recall, asking(user(), returned, user())).messages[1].content == [search, cited]
    assert restored(recall, asking(user(), assistant(Text(text="It rains.")), user())).messages[1].content != [
        search,
        cited,
    ]
