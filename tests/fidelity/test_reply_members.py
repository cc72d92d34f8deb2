"""Nothing of an answer is lost silently: every member of every upstream's answer is said, reported, or declared."""

from __future__ import annotations

import itertools

import pytest

from dragoman.conversation import Finish, Foreign, Media, Part, Refusal, Reply, Text, Thinking
from dragoman.dialects.untold import Says, Untold, note, of_reply
from dragoman.losses import Losses
from tests.fidelity.reply_declared import DECLARED, declared
from tests.fidelity.reply_probing import CLIENTS, UPSTREAMS, verdicts
from tests.fidelity.reply_samples import EVENTS, ITEM_EVENTS, NOVEL, answers, streams

PAIRS = list(itertools.product(UPSTREAMS, CLIENTS, [False, True]))


@pytest.mark.parametrize(("upstream", "client", "streamed"), PAIRS)
def test_every_member_is_said_or_reported_or_declared(upstream: str, client: str, streamed: bool) -> None:
    silent = [path for path, verdict in verdicts(upstream, client, streamed=streamed) if verdict == "silent"]
    assert [path for path in silent if declared(upstream, path, client) is None] == []


@pytest.mark.parametrize(("upstream", "client", "streamed"), PAIRS)
def test_a_member_nobody_knows_yet_is_never_lost_silently(upstream: str, client: str, streamed: bool) -> None:
    """Wherever the next version of an API puts one."""
    found = verdicts(upstream, client, streamed=streamed, later=True)
    assert found
    silent = [path for path, verdict in found if verdict == "silent"]
    assert [path for path in silent if declared(upstream, path, client) is None] == []


def test_what_is_declared_is_still_needed() -> None:
    needed = {
        declared(upstream, path, client)
        for upstream, client, streamed in PAIRS
        for path, verdict in verdicts(upstream, client, streamed=streamed)
        if verdict == "silent"
    }
    assert [entry for entry in DECLARED if entry not in needed] == []


def test_the_client_of_the_same_dialect_is_told_nearly_all() -> None:
    for upstream, streamed in itertools.product(UPSTREAMS, [False, True]):
        found = verdicts(upstream, upstream, streamed=streamed)
        assert sum(verdict == "carried" for _, verdict in found) > len(found) * 0.4


def test_the_samples_reach_into_every_corner() -> None:
    """The types say what there is; that they are read to the bottom is seen by what is at it."""
    whole = {answer.path for answer in answers("anthropic")}
    assert {
        "content[text].citations[page_location].start_page_number",
        "usage.server_tool_use.web_fetch_requests",
    } <= whole
    assert "content[compaction].tool_changes[tool_addition].tool[tool_reference].name" in whole
    assert {"message_start", "content_block_delta", "message_delta"} <= EVENTS.keys()
    chunks = {answer.path for answer in streams("openai_chat", later=True)}
    assert f"choices[].logprobs.content[].top_logprobs[].{NOVEL}" in chunks
    assert {"message.thinking", "logprobs[].top_logprobs[].logprob"} <= {a.path for a in streams("ollama")}
    assert len(ITEM_EVENTS) > 45
    assert f"output[web_search_call].action[search].{NOVEL}" in {
        a.path for a in answers("openai_responses", later=True)
    }


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (Reply(origin="x", id="", model="", content=[Media(kind="image", data="AAAA")]), "content[0] (image)"),
        (Reply(origin="x", id="", model="", content=[], extra={"trace": {"a": 1}}), "trace"),
        (Reply(origin="x", id="", model="", content=[], tier="lunar"), "service_tier"),
        (Reply(origin="x", id="", model="", content=[], skipped=["event novel"]), "event novel"),
        (Reply(origin="x", id="", model="", content=[Text(text="a", extra={"tone": "glad"})]), "content[0].tone"),
    ],
)
def test_what_an_upstream_of_another_kind_says_is_named(client: str, reply: Reply, name: str) -> None:
    assert of_reply(reply, CLIENTS[client].SAYS).names == [name]


@pytest.mark.parametrize(
    ("part", "client", "said"),
    [
        (Refusal(text="no"), "openai_completions", True),
        (Thinking(text="hm"), "openai_completions", False),
        (Media(kind="image", data="https://h/x.png", source="url"), "anthropic", True),
        (Media(kind="image", data="https://h/x.png", source="url"), "ollama", False),
    ],
)
def test_what_has_a_place_is_not_named(part: Part, client: str, said: bool) -> None:
    untold = of_reply(Reply(origin="x", id="", model="", content=[part]), CLIENTS[client].SAYS)
    assert (untold.names == []) == said


def test_the_report_of_a_call_has_them_all() -> None:
    losses = Losses()
    block = Foreign(
        origin="anthropic", extra={"type": "server_tool_use", "name": "web_search", "input": {"query": "x"}}
    )
    content: list[Part] = [block, Media(kind="image", data="AAAA")]
    of_reply(Reply(origin="anthropic", id="", model="", content=content), CLIENTS["ollama"].SAYS).report(losses)
    assert list(losses.dropped) == ["reply.content[1] (image)"]
    assert list(losses.emulated) == ["reply.content[0] (server_tool_use)"]


def test_names_are_few_and_short_and_never_contents() -> None:
    names: list[str] = []
    for number in range(1000):
        note(names, f"{number % 40:03}" * 100)
    assert len(names) == len(set(names)) == 32
    assert max(map(len, names)) == 80
    untold = Untold(Says(origins=frozenset(), tiers={}))
    untold.finish(Finish("stop", extra={"secret": "the content"}))
    assert untold.names == ["secret"]
