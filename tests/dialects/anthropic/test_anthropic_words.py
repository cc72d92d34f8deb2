"""What only Anthropic's servers understand, put into words for others; and what asks nothing of them, taken out."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from anthropic.types.beta.beta_content_block_param import BetaContentBlockParam
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dragoman.conversation import Foreign, Media, Message, Object, Part, Request, Text, Thinking, ToolResult
from dragoman.dialects import anthropic, ollama
from dragoman.losses import Losses
from dragoman.translation import report_leftovers

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
BARE: Object = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PICTURE: Object = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def said(blocks: list[Object], role: str = "assistant", version: str = "2023-06-01") -> tuple[list[Part], Losses]:
    """The parts of one message after a first one of the user, and what was reported."""
    messages: list[Object] = [{"role": "user", "content": "hi"}, {"role": role, "content": blocks}]
    request, losses = sent({"messages": messages}, version)
    return request.messages[-1].content, losses


def sent(body: Object, version: str = "2023-06-01") -> tuple[Request, Losses]:
    request = anthropic.decode_request(copy.deepcopy(BARE | body))
    before = copy.deepcopy(request)
    losses = Losses(anthropic.SPELLING)
    worded = anthropic.put_in_words(request, losses, version)
    assert request == before
    return worded, losses


WORDS: list[tuple[Object, str]] = [
    (
        {
            "type": "search_result",
            "source": "https://h",
            "title": "Bees",
            "content": [{"type": "text", "text": "They fly."}, {"type": "text", "text": "They hum."}],
        },
        "Search result: Bees\nSource: https://h\nThey fly.\nThey hum.\n",
    ),
    (
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "bees"}},
        'Called web_search with {"query":"bees"}.\n',
    ),
    (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {
                    "type": "web_search_result",
                    "url": "https://h/bees",
                    "title": "Bees",
                    "encrypted_content": "XXX",
                    "page_age": "2 days",
                },
                {"type": "web_search_result", "url": "https://h/wasps", "title": "Wasps", "encrypted_content": "XXX"},
            ],
        },
        "Found on the web:\n- Bees: https://h/bees (2 days)\n- Wasps: https://h/wasps\n",
    ),
    (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
        },
        "web_search failed: max_uses_exceeded\n",
    ),
    (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "web_fetch_result",
                "url": "https://h",
                "content": {
                    "type": "document",
                    "title": "Bees",
                    "source": {"type": "text", "media_type": "text/plain", "data": "They fly."},
                },
            },
        },
        "Read https://h: Bees\nThey fly.\n",
    ),
    (
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "code_execution_result",
                "stdout": "42",
                "stderr": "",
                "return_code": 0,
                "content": [{"type": "code_execution_output", "file_id": "file_1"}],
            },
        },
        "code_execution returned 0:\n42\nFiles: file_1\n",
    ),
    (
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"},
        },
        "bash_code_execution failed: unavailable\n",
    ),
    (
        {
            "type": "text_editor_code_execution_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {"type": "text_editor_code_execution_str_replace_result", "lines": ["-a", "+b"]},
        },
        "text_editor_code_execution returned:\n-a\n+b\n",
    ),
    (
        {
            "type": "tool_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "tool_search_tool_search_result",
                "tool_references": [{"type": "tool_reference", "tool_name": "f"}],
            },
        },
        "Tools found: f.\n",
    ),
    (
        {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "ask", "server_name": "s", "input": {"q": 1}},
        'Called ask of s with {"q":1}.\n',
    ),
    (
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "content": [{"type": "text", "text": "yes"}]},
        "It returned:\nyes\n",
    ),
    (
        {
            "type": "advisor_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {"type": "advisor_result", "text": "Look twice."},
        },
        "The advisor said:\nLook twice.\n",
    ),
]


@pytest.mark.parametrize(("block", "words"), WORDS, ids=[block["type"] for block, _ in WORDS])
def test_a_block_in_words(block: Object, words: str) -> None:
    TypeAdapter(BetaContentBlockParam).validate_python(block)
    parts, losses = said([block])
    assert parts == [Text(text=words)]
    assert list(losses.emulated) == ["messages[1].content[0]"]
    assert [name for name, why in losses.dropped.items() if "XXX" not in str(block) or "Anthropic" not in why] == []
    assert "XXX" not in words


@pytest.mark.parametrize(("block", "_"), WORDS, ids=[block["type"] for block, _ in WORDS])
def test_the_same_block_goes_back_whole_to_anthropic(block: Object, _: str) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [block]}]}
    request = anthropic.decode_request(copy.deepcopy({"model": "m"} | body))
    assert anthropic.encode_request(request, Losses())["messages"][1]["content"] == [block]


IN_RESULTS: list[tuple[Object, list[Part]]] = [
    ({"type": "tool_reference", "tool_name": "f"}, [Text(text="The tool f can be called.\n")]),
    (
        {"type": "browser_state", "tabs": [{"tab_id": "1", "title": "Bees", "url": "https://h", "active": True}]},
        [Text(text="Open tabs:\n- Bees https://h (active)\n")],
    ),
    (
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        [Text(text="Search result: t\nSource: s\n")],
    ),
    (PICTURE, [Media(kind="image", data=PNG, media_type="image/png")]),
    (
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}, PICTURE]}},
        [Text(text="a"), Media(kind="image", data=PNG, media_type="image/png")],
    ),
    (
        {"type": "document", "title": "T", "context": "C", "source": {"type": "content", "content": "a"}},
        [Text(text="Document: T\nC\n"), Text(text="a")],
    ),
    ({"type": "novel"}, [Foreign(origin="anthropic", extra={"type": "novel"})]),
]


@pytest.mark.parametrize(("block", "parts"), IN_RESULTS)
def test_inside_a_tool_result(block: Object, parts: list[Part]) -> None:
    result: Object = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [block], "is_error": False}
    assert said([result], "user")[0] == [ToolResult(id="toolu_1", content=parts)]


def test_what_is_said_about_a_document_stands_before_it() -> None:
    document: Object = {
        "type": "document",
        "title": "Bill",
        "context": "Unpaid.",
        "citations": {"enabled": False},
        "source": {"type": "text", "media_type": "text/plain", "data": "10"},
    }
    parts, losses = said([document], "user")
    assert parts == [
        Text(text="About the document Bill:\nUnpaid."),
        Media(kind="document", source="text", data="10", media_type="text/plain", name="Bill"),
    ]
    assert list(losses.emulated) == ["messages[1].content[0].context"]


@pytest.mark.parametrize(
    "block", [{"type": "fallback", "from": {"model": "a"}}, {"type": "compaction", "content": None}]
)
def test_a_note_for_anthropics_servers_is_dropped(block: Object) -> None:
    parts, losses = said([block, {"type": "text", "text": "a"}])
    assert parts == [Text(text="a")]
    assert list(losses.dropped) == ["messages[1].content[0]"]


def test_tools_that_come_and_go_are_told_of() -> None:
    reference = {"type": "tool_reference", "name": "f"}
    blocks = [{"type": "tool_addition", "tool": reference}, {"type": "tool_removal", "tool": reference}]
    parts, _ = said(blocks, "system")
    assert parts == [
        Text(text="From here on the tool f can be called.\n"),
        Text(text="From here on the tool f can no longer be called.\n"),
    ]


def test_a_compacted_conversation_begins_with_its_summary() -> None:
    messages = [
        {"role": "user", "content": "long ago"},
        {"role": "assistant", "content": "yes"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "before"},
                {"type": "compaction", "content": "They greeted.", "encrypted_content": "XXX"},
                {"type": "text", "text": "after"},
            ],
        },
        {"role": "user", "content": "now"},
    ]
    request, losses = sent({"system": "Be kind.", "messages": messages})
    assert request.messages == [
        Message(role="system", content=[Text(text="Be kind.")], at="system"),
        Message(role="user", content=[Text(text="Summary of the conversation so far:\nThey greeted.\n")]),
        Message(role="assistant", content=[Text(text="after")]),
        Message(role="user", content=[Text(text="now")]),
    ]
    assert "messages" in losses.emulated


# --- members -------------------------------------------------------------------------------------

KEEP_ALL = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
MEMBERS: list[tuple[Object, list[str]]] = [
    ({"service_tier": "auto", "speed": "standard", "inference_geo": "global", "container": None}, []),
    ({"context_management": KEEP_ALL}, []),
    ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, ["context_management"]),
    ({"speed": "fast", "inference_geo": "us"}, ["speed", "inference_geo"]),
    ({"novel": {"x": 1}}, ["novel"]),
    ({"metadata": {"user_id": "u", "novel": 1}}, ["metadata.novel"]),
    ({"output_config": {"effort": "high", "task_budget": {"total": 1}}}, ["output_config.task_budget"]),
    (
        {"thinking": {"type": "adaptive", "block_binding": {}, "display": "updates"}},
        ["thinking.block_binding", "thinking.display"],
    ),
    ({"tool_choice": {"type": "auto", "novel": 1}}, ["tool_choice.novel"]),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "novel": 1}]}]},
        ["messages[0].content[0].novel"],
    ),
]


@pytest.mark.parametrize(("body", "lost"), MEMBERS)
def test_a_member_nobody_else_knows_is_reported(body: Object, lost: list[str]) -> None:
    request, losses = sent(body)
    report_leftovers(request, anthropic, ollama, losses)
    assert list(losses.dropped) == lost
    again = anthropic.decode_request(copy.deepcopy(BARE | body))
    back = anthropic.encode_request(again, Losses())
    for name in set(body) - {"messages", "tool_choice"}:
        assert back.get(name) == body[name]


def test_the_whole_request_of_a_plain_conversation_stays_the_very_same() -> None:
    """Nothing is copied that has nothing in it for us: this happens at every call."""
    messages: list[Object] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "x"}]},
    ]
    request = anthropic.decode_request({"model": "m", "messages": messages})
    losses = Losses()
    worded = anthropic.put_in_words(request, losses)
    assert all(a is b for a, b in zip(worded.messages, request.messages, strict=True))
    assert not (losses.dropped or losses.emulated)
    other = Request(origin="ollama", model="m", messages=[])
    assert anthropic.put_in_words(other, losses) is other


CITED: Object = {"type": "web_search_result_location", "url": "https://h", "title": "T", "cited_text": "c"}


def test_what_the_later_version_refuses_is_carried_and_reported() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}
    body: Object = {
        "temperature": 0.0,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "citations": [CITED]}]},
            {"role": "assistant", "content": [document]},
        ],
    }
    _, earlier = sent(body)
    request, later = sent(body, "2026-10-21")
    assert not earlier.emulated
    assert set(later.emulated) == {"temperature", "messages[0].content[0].citations", "messages[1].content[0]"}
    assert request.temperature == 0.0


def test_citations_are_reported_with_their_place() -> None:
    cited: Object = {"type": "text", "text": "a", "citations": [CITED]}
    parts, losses = said([cited])
    assert isinstance(parts[0], Text)
    assert list(losses.dropped) == ["messages[1].content[0].citations"]
    _, lost = sent({"system": [cited]})
    assert list(lost.dropped) == ["system[0].citations"]


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "source", "text", "input", "tool", "tabs", "lines", "error_code"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
kinds = st.sampled_from([block["type"] for block, _ in WORDS] + ["tool_reference", "browser_state", "compaction"])


@settings(max_examples=100, deadline=None)
@given(
    kinds, st.dictionaries(st.sampled_from(["content", "source", "input", "name", "tabs", "tool"]), junk, max_size=4)
)
def test_a_block_of_any_shape_is_put_into_words_or_left(kind: str, members: Object) -> None:
    block = Foreign(origin="anthropic", extra={"type": kind} | members)
    message = Message(role="assistant", content=[block])
    request = Request(origin="anthropic", model="m", messages=[message])
    for part in anthropic.put_in_words(request, Losses()).messages[-1].content:
        assert isinstance(part, Text | Media | Foreign | Thinking)
        assert not isinstance(part, Text) or part.text.strip()


def test_what_claude_code_sends_loses_nothing() -> None:
    """Its body as seen on the wire: a changing line first in `system`, a system message after the first of the user."""
    mark = {"type": "ephemeral"}
    call: Object = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}, "caller": {"type": "direct"}}
    result: Object = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "x"}, PICTURE],
        "is_error": False,
        "cache_control": mark | {"ttl": "1h", "scope": "global"},
    }
    thought: Object = {"type": "thinking", "thinking": "", "signature": "EqQB"}
    body: Object = {
        "model": "phi4:latest",
        "max_tokens": 32000,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are a coder.", "cache_control": mark},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]},
            {"role": "system", "content": [{"type": "text", "text": "Today is Sunday."}]},
            {"role": "assistant", "content": [thought, call]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": "Read", "description": "d", "input_schema": {"type": "object"}}],
        "metadata": {"user_id": '{"device_id":"x"}'},
        "thinking": {"type": "adaptive"},
        "context_management": KEEP_ALL,
        "output_config": {"effort": "high"},
    }
    request, losses = sent(body)
    report_leftovers(request, anthropic, ollama, losses)
    assert not losses.dropped
    assert not losses.emulated
    assert [message.role for message in request.messages] == ["system", "user", "system", "assistant", "user"]
