"""Which conversations are worth looking for."""

from __future__ import annotations

from mmap import mmap

from dragoman.conversation import Message, Request, Text
from dragoman.relay.beginnings import SIZE, Beginnings

HOUR = 3600.0


class Clock:
    now = 1000 * HOUR

    def __call__(self) -> float:
        return self.now


def talk(*turns: str) -> Request:
    messages = [
        Message(role="assistant" if n % 2 else "user", content=[Text(text=text)]) for n, text in enumerate(turns)
    ]
    return Request(origin="ollama", model="m", messages=messages)


def test_a_conversation_that_grows_is_known_by_its_beginning() -> None:
    begun = Beginnings(Clock(), 24 * HOUR, bytearray(SIZE))
    begun.add(talk("How are you?"))
    assert talk("How are you? ", "Well.", "Good.") in begun
    assert sum(talk(f"Who are you, number {number}?") in begun for number in range(500)) <= 2


def test_a_mark_counts_for_its_time_and_a_day_of_the_clock_may_end_in_it() -> None:
    for start in range(300):
        clock = Clock()
        clock.now = start * HOUR
        begun = Beginnings(clock, 24 * HOUR, bytearray(SIZE))
        begun.add(talk("a"))
        for later, known in ((0, True), (1, True), (24, True), (26, False), (200, False)):
            clock.now = (start + later) * HOUR
            assert (talk("a") in begun) is known, (start, later)


def test_memory_that_is_shared_is_seen_at_once() -> None:
    with mmap(-1, SIZE) as room:
        one, other = Beginnings(Clock(), HOUR, room), Beginnings(Clock(), HOUR, room)
        one.add(talk("a"))
        assert talk("a") in other and talk("b") not in other
        del one, other


def test_a_request_that_says_nothing_is_one_too() -> None:
    begun = Beginnings(Clock(), HOUR, bytearray(SIZE))
    assert talk() not in begun
    begun.add(talk())
    assert talk() in begun
