"""Tools whose schema only Claude knows, and members of tools that mean nothing elsewhere."""

from __future__ import annotations

import copy

import pytest

from dragoman.conversation import Object, Request, WebSearch
from dragoman.dialects import anthropic
from dragoman.losses import Losses

BARE: Object = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def sent(body: Object) -> tuple[Request, Losses]:
    losses = Losses(anthropic.SPELLING)
    return anthropic.put_in_words(anthropic.decode_request(copy.deepcopy(BARE | body)), losses), losses


KNOWN = [
    ("bash_20250124", "bash", {"command", "restart"}),
    ("text_editor_20250728", "str_replace_based_edit_tool", {"command", "path", "insert_text", "view_range"}),
    ("text_editor_20250124", "str_replace_editor", {"command", "path", "new_str", "view_range"}),
    ("memory_20250818", "memory", {"command", "path", "old_path", "new_path"}),
]


@pytest.mark.parametrize(("kind", "name", "members"), KNOWN)
def test_a_tool_of_the_client_is_written_out(kind: str, name: str, members: set[str]) -> None:
    request, losses = sent({"tools": [{"type": kind, "name": name}]})
    (tool,) = request.tools
    assert (tool.name, tool.hosted, tool.extra) == (name, False, {})
    assert tool.schema is not None
    assert members <= set(tool.schema["properties"])
    assert ("undo_edit" in tool.schema["properties"]["command"].get("enum", ())) == (kind == "text_editor_20250124")
    assert list(losses.emulated) == ["tools[0]"]


def test_a_tool_of_the_server_stays_for_who_can_tell_that_it_is_lost() -> None:
    tools = [{"type": "web_search_20260318", "name": "web_search"}, {"type": "computer_toolset_20260801"}]
    request, losses = sent({"tools": tools})
    assert [tool.hosted for tool in request.tools] == [True]
    assert request.web_search == WebSearch(at="tools.web_search")
    assert not losses.emulated


def test_members_of_a_tool_that_other_servers_need_no_word_of() -> None:
    tool: Object = {
        "name": "f",
        "description": "d",
        "input_schema": {"type": "object"},
        "eager_input_streaming": True,
        "allowed_callers": ["direct"],
        "defer_loading": True,
        "input_examples": [{"a": 1}],
        "cache_control": {"type": "ephemeral", "scope": "global"},
    }
    request, losses = sent({"tools": [tool]})
    assert request.tools[0].extra == {}
    assert request.tools[0].description == 'd\nExamples of its input:\n{"a":1}'
    assert set(losses.emulated) == {"tools[0].defer_loading", "tools[0].input_examples"}
    assert not losses.dropped
