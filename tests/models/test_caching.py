"""Marks of the prompt cache: the client's own, as many as fit and where they may be, and ours where it set none."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from dragoman.conversation import Foreign, Message, Object, Part, Request, Text, Thinking, Tool, ToolCall, ToolResult
from dragoman.dialects import anthropic, openai_chat
from dragoman.losses import Losses
from dragoman.models.dress import dress
from dragoman.models.open.card import generic
from dragoman.models.servers import servers
from dragoman.simulator.rules_cache import check_cache_marks
from dragoman.translation import carry
from tests.models.building import assistant, call, card_with, fitted, request, result, say, user

CARD = card_with(status="active", sampling="omit")
LONG = "word " * 4000
SEARCH = Tool(name="search", schema={"type": "object"})


def marks(body: Object) -> list[tuple[str, str]]:
    """(what is marked, for how long), in the order of the prompt.  The simulator agrees that all of them may stand."""
    check_cache_marks(body)
    found = [(tool["name"], tool["cache_control"]) for tool in body.get("tools", []) if "cache_control" in tool]
    for part in body.get("system", []):
        found += [("system", part["cache_control"])] if "cache_control" in part else []
    for message in body["messages"]:
        for block in message["content"]:
            inner = block.get("content")
            for each in [*(inner if isinstance(inner, list) else []), block]:
                what = each.get("text") or each.get("tool_use_id") or each.get("id") or each["type"]
                found += [(what, each["cache_control"])] if "cache_control" in each else []
    found += [("end", body["cache_control"])] if "cache_control" in body else []
    return [(what, control.get("ttl", "5m")) for what, control in found]


def sent(*messages: Message, auto: bool = True, **members: Any) -> tuple[list[tuple[str, str]], Losses]:
    mode: Literal["auto", "off"] = "auto" if auto else "off"
    _, body, losses = fitted(request(*messages, **members), CARD, mode)
    return marks(body), losses


# --- ours -----------------------------------------------------------------------------------------

TALK = (user("a"), assistant("b"), user("c"))

AUTOMATIC: list[tuple[str, tuple[Message, ...], dict[str, Any], list[tuple[str, str]]]] = [
    ("a lone question", (), {}, []),
    ("a lone question under a long system prompt", (say("system", LONG), user("a")), {}, [("system", "5m")]),
    ("a lone question under a short one", (say("system", "Be brief."), user("a")), {}, []),
    ("a conversation", TALK, {}, [("end", "5m")]),
    ("a conversation of a client that could have", TALK, {"origin": "anthropic"}, [("end", "5m")]),
    ("a conversation under a long system prompt", (say("system", LONG), *TALK), {}, [("system", "5m"), ("end", "5m")]),
    ("tools", (user("a"),), {"tools": [SEARCH]}, [("end", "5m")]),
    (
        "long tools",
        (user("a"),),
        {"tools": [SEARCH, Tool(name="f", description=LONG)]},
        [("f", "5m"), ("end", "5m")],
    ),
    (
        "tools that stay out of the prompt at first",
        (user("a"),),
        {
            "origin": "anthropic",
            "tools": [Tool(name="f", description=LONG), Tool(name="g", extra={"defer_loading": True})],
        },
        [("f", "5m"), ("end", "5m")],
    ),
    (
        "more is new than a mark looks back over",
        (user("a"), assistant("b"), user(*map(str, range(20)))),
        {},
        [("a", "5m"), ("end", "5m")],
    ),
    ("a wish for an hour", (user("a"),), {"cache": "1h"}, [("end", "1h")]),
    ("a wish for an hour, and more to come", TALK, {"cache": "1h"}, [("end", "1h")]),
]


@pytest.mark.parametrize(("name", "messages", "members", "expected"), AUTOMATIC, ids=[row[0] for row in AUTOMATIC])
def test_marks_for_clients_that_set_none(
    name: str, messages: tuple[Message, ...], members: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found, losses = sent(*messages, **members)
    assert found == expected
    assert not losses.dropped
    if not members.get("cache"):
        assert sent(*messages, **members, auto=False)[0] == []


def test_what_the_client_wrote_is_left_as_it_was() -> None:
    asked = request(say("system", LONG), user("a"), assistant("b"), user(*map(str, range(20))), tools=[SEARCH])
    before = repr(asked)
    fitted(asked, CARD, "auto")
    assert repr(asked) == before


# --- the client's ---------------------------------------------------------------------------------


def marked(text: str, cache: Literal["5m", "1h"] = "5m") -> Text:
    return Text(text=text, cache=cache)


def test_a_client_that_marks_gets_no_marks_of_ours() -> None:
    assert sent(say("system", LONG), user(marked("a")), assistant("b"), user("c"))[0] == [("a", "5m")]
    assert sent(*TALK, origin="anthropic", cache="5m", tools=[Tool(name="f", description=LONG)])[0] == [("end", "5m")]


def test_of_too_many_marks_the_newest_are_kept() -> None:
    asked = request(*(user(marked(str(n))) for n in range(6)))
    _, body, losses = fitted(asked, CARD, "auto")
    assert marks(body) == [(str(n), "5m") for n in (2, 3, 4, 5)]
    assert list(losses.dropped) == ["cache"]
    assert all(part.cache for message in asked.messages for part in message.content)


def test_the_mark_at_the_top_counts_as_one() -> None:
    found, losses = sent(*(user(marked(str(n))) for n in range(4)), cache="5m")
    assert found == [("1", "5m"), ("2", "5m"), ("3", "5m"), ("end", "5m")]
    assert list(losses.dropped) == ["cache"]


def test_marks_that_only_anthropic_can_read_count_too() -> None:
    control = {"cache_control": {"type": "ephemeral", "ttl": "5m"}}
    hosted = Tool(
        name="web_search", hosted=True, extra={"type": "web_search_20250305", "name": "web_search", **control}
    )
    block = Foreign(
        origin="anthropic", extra={"type": "search_result", "source": "s", "title": "t", "content": [], **control}
    )
    scoped = Text(text="a", cache="5m", extra={"cache_control": {"type": "ephemeral", "scope": "global"}})
    inside = result("c", "")
    inside.content = [marked("inner")]
    found, losses = sent(
        user(scoped, block),
        assistant(call("c", "search")),
        user(inside, marked("last")),
        origin="anthropic",
        tools=[hosted, SEARCH],
    )
    assert found == [("a", "5m"), ("search_result", "5m"), ("inner", "5m"), ("last", "5m")]
    assert list(losses.dropped) == ["cache"]
    only = [Foreign(origin="anthropic", extra={**block.extra, "title": str(n)}) for n in range(5)]
    assert len(sent(user(*only), origin="anthropic")[0]) == 4


ORDERS: list[tuple[str, list[Part], str | None, list[tuple[str, str]]]] = [
    ("in order", [marked("a", "1h"), marked("b")], None, [("a", "1h"), ("b", "5m")]),
    (
        "an hour after five minutes",
        [marked("a"), marked("b", "1h"), marked("c")],
        None,
        [("a", "1h"), ("b", "1h"), ("c", "5m")],
    ),
    ("an hour at the end", [marked("a"), Text(text="b")], "1h", [("a", "1h"), ("end", "1h")]),
    ("the end is marked twice", [marked("a"), marked("b", "1h")], "5m", [("a", "1h"), ("b", "1h")]),
]


@pytest.mark.parametrize(("name", "parts", "top", "expected"), ORDERS, ids=[row[0] for row in ORDERS])
def test_longer_lifetimes_come_first(
    name: str, parts: list[Part], top: Literal["5m", "1h"] | None, expected: list[tuple[str, str]]
) -> None:
    found, losses = sent(user(*parts), cache=top)
    assert found == expected
    assert ("cache" in losses.emulated) == (name != "in order")
    assert not losses.dropped


def test_lifetimes_that_only_anthropic_can_read_are_ordered_too() -> None:
    control = {"cache_control": {"type": "ephemeral", "scope": "global"}}
    block = Foreign(
        origin="anthropic", extra={"type": "search_result", "source": "s", "title": "t", "content": [], **control}
    )
    assert sent(user(block, marked("b", "1h")), origin="anthropic")[0] == [("search_result", "1h"), ("b", "1h")]


def test_a_mark_on_what_can_bear_none_goes_to_what_stands_before() -> None:
    thought = Thinking(text="hm", cache="5m", extra={"cache_control": {"type": "ephemeral", "scope": "global"}})
    found, losses = sent(user("a", marked(" ")), assistant("b", thought), user("c"), origin="anthropic")
    assert found == [("a", "5m"), ("b", "5m")]
    assert "cache" in losses.emulated
    assert "cache" not in losses.dropped


def test_a_mark_on_nothing_at_all_is_reported() -> None:
    found, losses = sent(user(marked(" "), "a"), origin="anthropic")
    assert found == []
    assert list(losses.dropped) == ["cache"]
    assert "messages[0]" in losses.dropped["cache"]


def test_a_place_that_is_marked_already_keeps_its_mark() -> None:
    found, losses = sent(user(marked("a", "1h"), marked("")), origin="anthropic")
    assert found == [("a", "1h")]
    assert not losses.dropped


# --- in OpenAI's words ------------------------------------------------------------------------------

MESSAGES = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]


@pytest.mark.parametrize(
    ("members", "expected", "emulated"),
    [
        ({"prompt_cache_key": "k"}, [("end", "5m")], ["prompt_cache_key"]),
        ({"prompt_cache_retention": "in_memory"}, [("end", "5m")], ["prompt_cache_retention"]),
        ({"prompt_cache_retention": "24h"}, [("end", "1h")], ["prompt_cache_retention"]),
        ({"prompt_cache_options": {"mode": "implicit"}}, [("end", "5m")], ["prompt_cache_options"]),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, [("end", "1h")], []),
        ({"cache_control": {"type": "ephemeral"}}, [("end", "5m")], []),
    ],
)
def test_what_openai_clients_say_of_caches(
    members: Object, expected: list[tuple[str, str]], emulated: list[str]
) -> None:
    losses = Losses(openai_chat.SPELLING)
    asked = openai_chat.decode_request({"model": "m", "messages": [*map(dict, MESSAGES)], **members})
    body = carry(asked, openai_chat, anthropic, CARD, losses).body
    assert marks(body) == expected
    assert list(losses.emulated) == emulated
    assert not losses.dropped
    own = openai_chat.encode_request(asked, Losses())
    assert {name: own.get(name) for name in members} == members, "a server of its own dialect reads it as it was"


# --- other servers ------------------------------------------------------------------------------------


def dressed(asked: Request, flavor: str) -> tuple[Object, Losses]:
    losses = Losses()
    card = generic("m", "openai_chat", "there", flavor=flavor)
    body = carry(asked, anthropic, openai_chat, card, losses).body
    return dress(body, servers()[flavor], losses, own=asked.origin == "openai_chat"), losses


@pytest.mark.parametrize(
    ("asked", "control"),
    [
        (request(user(marked("a")), origin="anthropic"), {"type": "ephemeral"}),
        (request(user("a"), origin="anthropic", cache="1h"), {"type": "ephemeral", "ttl": "1h"}),
        (
            request(user("a"), origin="anthropic", tools=[Tool(name="f", cache="1h")]),
            {"type": "ephemeral", "ttl": "1h"},
        ),
        (
            request(
                user("a"),
                assistant(ToolCall(id="c", name="f", arguments="{}")),
                user(ToolResult(id="c", content=[marked("x")])),
                origin="anthropic",
            ),
            {"type": "ephemeral"},
        ),
        (request(user("a"), origin="anthropic"), None),
    ],
)
def test_a_server_that_must_be_asked_is_asked(asked: Request, control: Object | None) -> None:
    body, losses = dressed(asked, "openrouter")
    assert body.get("cache_control") == control
    assert ("cache" in losses.emulated) == (control is not None and asked.cache is None)
    assert "cache" not in str(dressed(asked, "vllm")[0])


def test_marks_of_its_own_clients_are_in_the_words_of_the_server() -> None:
    part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    asked = openai_chat.decode_request({"model": "m", "messages": [{"role": "user", "content": [dict(part)]}]})
    assert dressed(asked, "openrouter")[0]["messages"][0]["content"] == [part]
