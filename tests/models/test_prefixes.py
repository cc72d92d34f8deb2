"""A conversation that grows is translated to a prompt that grows: what was sent stays, for every pair of dialects.

Signed reasoning holds only after what it was made after, prompt caches hold only what has not changed, and local
servers read again all that follows a change.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dragoman import translate
from dragoman.conversation import Object
from dragoman.errors import GatewayError
from tests.models.growing import WISHES, WRITERS, Round, beginning, conversations
from tests.running import TODAY

BUDGETED = "claude-haiku-4-5"

# Models that differ in what is done to a request: a prefix check; no system messages later on; thinking by budget.
MODELS = {
    "anthropic": ["claude-opus-5-5", "claude-sonnet-5", BUDGETED],
    "ollama": ["qwen3"],
    "openai_chat": ["gpt"],
}
PAIRS = [(source, target) for source in WRITERS for target in MODELS]


@pytest.mark.parametrize(("source", "target"), PAIRS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_was_sent_stays(source: str, target: str, data: st.DataObject) -> None:
    wishes: dict[str, Any] = data.draw(WISHES) | {"model": data.draw(st.sampled_from(MODELS[target]))}
    rounds = data.draw(conversations(tools=wishes["tools"]))
    if wishes["model"] == BUDGETED and wishes["think"]:
        # It stops thinking where its client has lost what it thought, and can be forced then; nothing signed is left.
        wishes["forced"] = ""
    before: tuple[str, list[str]] | None = None
    for count in range(1, len(rounds) + 1):
        head, pieces = beginning(_translated(source, target, rounds[:count], wishes))
        if before is not None:
            assert head == before[0]
            assert pieces[: len(before[1])] == before[1]
            assert len(pieces) > len(before[1])
        before = head, pieces


def _translated(source: str, target: str, rounds: list[Round], wishes: dict[str, Any]) -> Object:
    try:
        return translate(WRITERS[source](rounds, wishes), source=source, target=target, today=TODAY).body
    except GatewayError as error:
        assume(error.kind != "invalid_request")
        raise
