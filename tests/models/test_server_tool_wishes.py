"""Who asks for a tool that the model's server runs, and what becomes of the wish."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from dragoman.config.table import OVERRIDES
from dragoman.conversation import Message, Object, Request, Text, Tool, WebSearch
from dragoman.dialects import openai_chat
from dragoman.losses import Losses
from dragoman.models.cards import bundled
from dragoman.models.dress import dress
from dragoman.models.fit import fit
from dragoman.models.servers import server_of
from dragoman.models.servertools import generations, with_server_tools
from dragoman.translation import translate

TODAY = date(2026, 11, 22)
HAIKU, SONNET = "claude-haiku-4-5-20251001", "claude-sonnet-5-5"
PLACE = {"city": "Paris", "country": "FR", "timezone": "Europe/Paris"}
SEARCH: Object = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


def translated(source: str, target: str = "anthropic", *, model: str = SONNET, **members: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}
    return translate(body, source=source, target=target, today=TODAY)


# --- web_search_options ---------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "version"), [(HAIKU, "web_search_20250305"), (SONNET, "web_search_20260318")])
def test_a_search_becomes_the_newest_tool_the_model_takes(model: str, version: str) -> None:
    place = {"type": "approximate", "approximate": PLACE}
    asked = {"user_location": place, "search_context_size": "medium"}
    done = translated("openai_chat", model=model, web_search_options=asked)
    location = {"type": "approximate", **PLACE}
    assert done.body["tools"] == [{"type": version, "name": "web_search", "user_location": location}]
    assert not done.dropped


def test_a_search_beside_tools() -> None:
    function = {"type": "function", "function": {"name": "f"}}
    done = translated("openai_chat", tools=[function], web_search_options={})
    assert [tool["name"] for tool in done.body["tools"]] == ["f", "web_search"]


def test_a_choice_among_tools_does_not_rule_out_a_search() -> None:
    functions = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    chosen = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": chosen}
    done = translated("openai_chat", tools=functions, tool_choice=choice, web_search_options={})
    assert [tool["name"] for tool in done.body["tools"]] == ["g", "web_search"]


def test_what_a_search_cannot_be_told_is_reported() -> None:
    done = translated("openai_chat", web_search_options={"search_context_size": "high", "novel": 1})
    assert set(done.dropped) == {"web_search_options.search_context_size", "web_search_options.novel"}


def test_a_model_that_does_not_search() -> None:
    request = Request(
        origin="openai_chat",
        model="m",
        messages=[Message(role="user", content=[Text(text="hi")])],
        web_search=WebSearch(at="web_search_options"),
    )
    card = bundled().cards["claude-3-haiku-20240307"]
    losses = Losses()
    assert fit(request, card, losses).request.tools == []
    assert set(losses.dropped) == {"web_search"}


def test_a_tool_of_the_clients_own_keeps_its_name() -> None:
    function = {"type": "function", "function": {"name": "web_search"}}
    done = translated("openai_chat", tools=[function], web_search_options={})
    assert [tool["name"] for tool in done.body["tools"]] == ["web_search"]
    assert set(done.dropped) == {"web_search_options"}


def test_a_search_for_ollama_is_reported() -> None:
    done = translated("openai_chat", "ollama", web_search_options={})
    assert set(done.dropped) == {"web_search_options"}


@pytest.mark.parametrize("options", [{}, {"search_context_size": "low", "user_location": {"type": "approximate"}}])
def test_a_wrong_place_or_none_is_no_place(options: Object) -> None:
    tool = translated("openai_chat", web_search_options=options).body["tools"][0]
    assert "user_location" not in tool


def test_a_search_of_chat_completions_stays_as_it_was() -> None:
    options = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Paris"}},
        "novel": 1,
    }
    done = translated("openai_chat", "openai_chat", web_search_options=options)
    assert done.body["web_search_options"] == options
    assert not done.dropped


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("web_search_20250305", "web_search"),
        ("web_fetch_20250910", "web_fetch"),
        ("code_execution_20250825", "code_execution"),
        ("tool_search_tool_bm25_20251119", "tool_search_tool_bm25"),
        ("tool_search_tool_regex", "tool_search_tool_regex"),
    ],
)
@pytest.mark.parametrize("source", ["ollama", "openai_chat"])
def test_a_tool_of_anthropics_may_come_without_its_name(source: str, kind: str, name: str) -> None:
    done = translated(source, tools=[{"type": kind}])
    assert done.body["tools"] == [{"type": kind, "name": name}]
    assert translated(source, tools=[{"type": kind, "name": "own"}]).body["tools"][0]["name"] == "own"


# --- Anthropic's tools elsewhere ------------------------------------------------------------------


@pytest.mark.parametrize("source", ["openai_chat", "ollama"])
@pytest.mark.parametrize(
    "tool",
    [SEARCH, {"type": "code_execution_20260521", "name": "code_execution"}, {"type": "bash_20250124", "name": "bash"}],
)
def test_anthropics_tools_are_carried_to_claude_as_they_are(source: str, tool: Object) -> None:
    done = translated(source, tools=[tool])
    assert done.body["tools"] == [tool]
    assert not done.dropped
    assert not done.emulated


@pytest.mark.parametrize("source", ["openai_chat", "ollama"])
@pytest.mark.parametrize("target", ["openai_chat", "ollama"])
def test_anthropics_tools_are_reported_elsewhere(source: str, target: str) -> None:
    done = translated(source, target, tools=[SEARCH])
    assert not done.body.get("tools")
    assert [name.partition("[")[0].partition(".")[0] for name in done.dropped] == ["tools"]


def test_a_tool_choice_can_name_one() -> None:
    choice = {"type": "function", "function": {"name": "web_search"}}
    done = translated("openai_chat", model=HAIKU, tools=[SEARCH], tool_choice=choice)
    assert done.body["tool_choice"] == {"type": "tool", "name": "web_search"}


def searched(model: str, flavor: str) -> tuple[Object, Losses]:
    """Anthropic's search, for a model behind an OpenAI-compatible server."""
    tool = {**SEARCH, "user_location": {"type": "approximate", "city": "Paris"}}
    done = translated("anthropic", "openai_chat", model=model, max_tokens=9, tools=[tool])
    losses = Losses()
    losses.dropped.update(done.dropped)
    return dress(dict(done.body), server_of(flavor), losses), losses


def test_anthropics_search_where_openais_models_search() -> None:
    body, losses = searched("gpt-5-search-api", "openai")
    place = {"type": "approximate", "approximate": {"city": "Paris"}}
    assert body["web_search_options"] == {"user_location": place}
    assert "tools" not in body
    assert set(losses.dropped) == {"tools.web_search.max_uses"}


@pytest.mark.parametrize(("model", "flavor"), [("gpt-5", "openai"), ("gpt-5-search-api", "vllm")])
def test_anthropics_search_elsewhere_is_reported(model: str, flavor: str) -> None:
    body, losses = searched(model, flavor)
    assert "web_search_options" not in body
    assert "web_search" in losses.dropped


def test_who_wrote_a_search_for_an_openai_server_knows_best() -> None:
    body: Object = {"model": "gpt-5", "messages": [], "web_search_options": {}}
    assert dress(body, server_of("openai"), Losses(), own=True)["web_search_options"] == {}


# --- the configuration's wish ---------------------------------------------------------------------


def request(*tools: Tool, **members: Any) -> Request:
    return Request(origin="ollama", model="m", messages=[], tools=list(tools), **members)


def test_the_configured_tools_are_those_of_the_table() -> None:
    for versions in generations().values():
        assert OVERRIDES["server_tools"].check(list(versions)) == tuple(versions)


def test_every_generation_of_a_model_is_in_the_table() -> None:
    assert {card.server_tools for card in bundled().cards.values()} - {""} == set(generations())


def test_configured_tools_are_added_once() -> None:
    card = bundled().cards[SONNET]
    names = ("web_search", "web_fetch")
    kinds = [tool.extra["type"] for tool in with_server_tools(request(), names, card).tools]
    assert kinds == ["web_search_20260318", "web_fetch_20260318"]
    own = Tool(name="web_search")
    assert [tool.name for tool in with_server_tools(request(own), names, card).tools] == ["web_search", "web_fetch"]
    asked = request(web_search=WebSearch(at="web_search_options"))
    assert [tool.name for tool in with_server_tools(asked, names, card).tools] == ["web_fetch"]
    assert with_server_tools(request(), names, bundled().cards["claude-3-haiku-20240307"]).tools == []


# --- annotations that come back -------------------------------------------------------------------

ANSWER: Object = {
    "role": "assistant",
    "content": "It is so.",
    "annotations": [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 9, "title": "T", "url": "https://h/x"},
        }
    ],
}


@pytest.mark.parametrize("target", ["anthropic", "ollama"])
def test_annotations_come_back_as_a_list(target: str) -> None:
    messages = [{"role": "user", "content": "hi"}, ANSWER, {"role": "user", "content": "Sure?"}]
    done = translated("openai_chat", target, messages=messages)
    said = str(done.body["messages"][1]["content"])
    assert "Sources:" in said and "[T](https://h/x)" in said
    assert "messages[1].annotations" in done.emulated
    assert not done.dropped


def test_annotations_go_to_chat_completions_as_they_are() -> None:
    messages = [{"role": "user", "content": "hi"}, ANSWER, {"role": "user", "content": "Sure?"}]
    done = translated("openai_chat", "openai_chat", messages=messages)
    assert done.body["messages"][1] == ANSWER


def test_annotations_of_another_kind_are_reported() -> None:
    answer = {**ANSWER, "annotations": [{"type": "file_citation"}]}
    messages = [{"role": "user", "content": "hi"}, answer, {"role": "user", "content": "Sure?"}]
    done = translated("openai_chat", messages=messages)
    assert done.body["messages"][1]["content"] == [{"type": "text", "text": "It is so."}]
    assert set(done.dropped) == {"messages[1].annotations"}


def test_the_client_half_reads_its_own_words() -> None:
    decoded = openai_chat.decode_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "web_search_options": {"novel": 1}}
    )
    assert decoded.web_search == WebSearch(at="web_search_options", extra={"novel": 1})
    assert decoded.extra == {}
