"""A turn that is paused in the middle of a search, and goes on when it comes back: once, or `rounds` times.

What comes back must be what was sent: every block, unchanged and in order.  The simulator keeps nothing, it says the
same again and compares.  https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

from __future__ import annotations

from dragoman.conversation import Object
from dragoman.simulator import brain
from dragoman.simulator.answer import Answer, Part, text
from dragoman.simulator.refused import bad
from dragoman.simulator.rules import Approved
from dragoman.simulator.rules_messages import blocks
from dragoman.simulator.scenario import Scenario

_SEALED = ("thinking", "redacted_thinking")


def pause(approved: Approved, scenario: Scenario) -> Answer:
    """The next piece of the turn.  Raises `Refused` when what was said before has been changed."""
    rounds = max(1, scenario.count("rounds", 1))
    messages = approved.sent["messages"]
    begins = messages[-1]["role"] != "assistant"
    # What is said depends on the conversation, and not on its marks, which move.
    before = [{**turn, "content": list(map(_bare, blocks(turn)))} for turn in messages]
    body = {**approved.body, "messages": before if begins else before[:-1]}
    thoughts = brain.think(approved._replace(body=body))
    if begins:
        return Answer([*thoughts, *_round(body, 0, rounds)], "pause_turn", searches=1)
    said = blocks(messages[-1])
    place = f"messages.{len(messages) - 1}.content"
    if bool(thoughts) != bool(said and said[0]["type"] in _SEALED):
        raise bad(f"{place}.0: a paused turn must come back with the thinking it began with, and no other")
    said = [_bare(block) for block in said if block["type"] not in _SEALED]
    expected: list[Object] = []
    for number in range(min(rounds, len(said))):
        expected += [part.body for part in _round(body, number, rounds)]
        if said == expected:
            parts = _round(body, number + 1, rounds)
            return Answer(parts, "end_turn") if number + 1 == rounds else Answer(parts, "pause_turn", searches=1)
    at = next((i for i, pair in enumerate(zip(said, expected, strict=False)) if pair[0] != pair[1]), len(said))
    raise bad(f"{place}.{at}: a paused turn must come back as it was sent")


def _round(body: Object, number: int, rounds: int) -> list[Part]:
    """What is said in one round; the last one answers."""
    before = [brain.search_result(brain.search_call(body, number - 1).body["id"])] if number else []
    if number == rounds:
        return [*before, brain.cited()]
    words = "I look further." if number else "I am still searching."
    return [*before, text(words), brain.search_call(body, number)]


def _bare(block: Object) -> Object:
    """Marks of the prompt cache do not count."""
    return {name: value for name, value in block.items() if name != "cache_control"}
