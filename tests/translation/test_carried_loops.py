"""Conversations that go on, on one server or from one to another: every thought goes back to who thought it.

A thought that is not sent again, and a proof that stays behind, are told; a proof never reaches a server of another
dialect; and what was said before does not change while a conversation grows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Reply, Thinking
from dragoman.relay.call import Sent
from tests.translation.servers import Bench, Server, servers
from tests.translation.talking import BODIES, Talk

THINKERS = [server for server in servers() if server.card.tools and server.card.thinking.types]
SCENARIOS = st.sampled_from(["tools calls=2", "tools calls=1", "thinking", "text", "auto"])


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize("client", sorted(BODIES))
@settings(max_examples=40, deadline=None)
@given(
    pair=st.tuples(st.sampled_from(THINKERS), st.sampled_from(THINKERS)),
    path=st.sampled_from([(0, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 1), (0, 1, 1, 0)]),
    scenarios=st.lists(SCENARIOS, min_size=4, max_size=4),
)
def test_thoughts_go_home(
    bench: Bench, client: str, pair: tuple[Server, Server], path: tuple[int, ...], scenarios: list[str]
) -> None:
    talk = Talk(bench, client)
    turns: list[tuple[Server, Reply]] = []
    before: tuple[Server, list[Any]] | None = None
    for number, (index, scenario) in enumerate(zip(path, scenarios, strict=True)):
        server = pair[index]
        sent, body = talk.ask(server, scenario, f"Question {number} about the weather in Rome?")
        for thinker, reply in turns:
            for part in reply.content:
                if isinstance(part, Thinking):
                    check_thought(client, part, thinker, server, sent)
        if before is not None and before[0] is server:
            assert body["messages"][: len(before[1])] == before[1], "what was said before has changed"
        before = server, body["messages"]
        turns.append((server, talk.reply))


@pytest.mark.parametrize("home", [s for s in THINKERS if s.card.dialect == "anthropic"], ids=repr)
def test_a_thought_refused_once_stays_out(bench: Bench, home: Server) -> None:
    """A server looks at the newest turn only: what it refused there it would take a turn later."""
    elsewhere = next(s for s in THINKERS if s.card.flavor == "openrouter" and "claude" in s.card.id)
    talk = Talk(bench, "openai_chat")
    talk.ask(elsewhere, "thinking", "Why?")
    first, body = talk.ask(home, "thinking", "And then?")
    assert "thinking" in first.losses.dropped
    for _ in range(2):
        sent, grown = talk.ask(home, "thinking", "And then?")
        assert "thinking" in sent.losses.dropped
        assert grown["messages"][: len(body["messages"])] == body["messages"]
        body = grown


def check_thought(client: str, part: Thinking, thinker: Server, server: Server, sent: Sent) -> None:
    """What became of a thought of `thinker` in a request to `server`."""
    said = sent.body.decode()
    told = "thinking" in sent.losses.dropped or "thinking" in sent.losses.emulated
    home = thinker is server
    assert not part.text or json.dumps(part.text, ensure_ascii=False)[1:-1] in said or told
    if part.seal is None:
        return
    proof = part.seal.value
    if part.seal.origin == "openai_chat":
        detail = json.loads(proof)
        proof = detail.get("signature") or detail["data"]
    arrived = proof in said
    if client == "anthropic":
        assert arrived or told
        # OpenAI's clients hold proofs in a form that several servers share.
        assert not arrived or thinker.card.dialect == server.card.dialect
    if client != "ollama" and home:
        assert arrived or told
