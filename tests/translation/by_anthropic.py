"""Random requests in the words of the Messages API.  https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.translation.nonces import WORD, InBase64, Picture
from tests.translation.parts import ARGUMENTS, IDS, NAMES, PDF, SCHEMAS, Object, maybe, one_of, some, texts

CACHE = maybe({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"})
CITED: list[Object] = [
    {
        "type": "web_search_result_location",
        "url": "https://a/b",
        "title": "t",
        "cited_text": "c",
        "encrypted_index": "e",
    }
]

text = st.fixed_dictionaries(
    {"type": st.just("text"), "text": texts}, optional={"cache_control": CACHE, "citations": one_of(None, [])}
)
cited = st.fixed_dictionaries({"type": st.just("text"), "text": st.just(WORD), "citations": one_of(CITED)})
image = st.builds(
    lambda source, cache: {"type": "image", "source": source, "cache_control": cache},
    one_of(
        {"type": "base64", "media_type": "image/png", "data": Picture()},
        {"type": "base64", "media_type": "image/jpeg", "data": Picture()},
        {"type": "url", "url": f"https://example.com/{WORD}.png"},
        {"type": "url", "url": Picture("data:image/png;base64,")},
    ),
    CACHE,
)
document = st.fixed_dictionaries(
    {
        "type": st.just("document"),
        "source": one_of(
            {"type": "text", "media_type": "text/plain", "data": WORD},
            {"type": "base64", "media_type": "text/plain", "data": InBase64(WORD)},
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
            {"type": "content", "content": WORD},
            {
                "type": "content",
                "content": [
                    {"type": "text", "text": WORD},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": Picture()}},
                ],
            },
        ),
    },
    optional={
        "title": one_of(WORD, None),
        "context": one_of(WORD, None),
        "citations": one_of({"enabled": True}, {"enabled": False}),
        "cache_control": CACHE,
    },
)
search_result = st.just(
    {
        "type": "search_result",
        "source": f"https://example.com/{WORD}",
        "title": WORD,
        "content": [{"type": "text", "text": WORD}],
        "citations": {"enabled": True},
    }
)
# What Anthropic's servers did, as it stands in a conversation that goes on elsewhere.
served = one_of(
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": WORD}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": WORD, "title": WORD, "encrypted_content": "e"}],
    },
    {
        "type": "web_fetch_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "web_fetch_result",
            "url": WORD,
            "content": {"type": "document", "title": WORD, "source": {"type": "text", "data": WORD}},
        },
    },
    {
        "type": "bash_code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "bash_code_execution_result", "stdout": WORD, "stderr": WORD, "return_code": 0},
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
    },
    {
        "type": "code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "code_execution_result",
            "stdout": WORD,
            "stderr": WORD,
            "return_code": 3,
            "content": [{"type": "code_execution_output", "file_id": WORD}],
        },
    },
    {
        "type": "text_editor_code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "text_editor_code_execution_view_result", "file_type": "text", "content": WORD},
    },
    {"type": "tool_use", "id": "toolu_code", "name": "f", "input": {"a": WORD}, "caller": {"type": "direct"}},
    {"type": "mcp_tool_use", "id": "m1", "name": WORD, "server_name": WORD, "input": {"a": WORD}},
    {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": True, "content": [{"type": "text", "text": WORD}]},
    {"type": "mcp_tool_result", "tool_use_id": "m1", "content": WORD},
    {"type": "compaction", "content": WORD},
    {"type": "container_upload", "file_id": WORD},
    {"type": "of_tomorrow", "text": WORD},
)
thinking = one_of(
    {"type": "thinking", "thinking": WORD, "signature": "EsQ="},
    {"type": "thinking", "thinking": WORD, "signature": ""},
    {"type": "redacted_thinking", "data": WORD},
)


@st.composite
def turns(draw: st.DrawFn) -> list[Object]:
    """A conversation, mostly in order: what is not is for us to mend."""
    out: list[Object] = []
    waiting: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        said: list[Any] = [
            {
                "type": "tool_result",
                "tool_use_id": id,
                **draw(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "content": texts | st.lists(text | image | document | search_result, max_size=2),
                            "is_error": st.booleans(),
                            "cache_control": CACHE,
                        },
                    )
                ),
            }
            for id in waiting
            if draw(some(9))
        ]
        said += draw(st.lists(text | text | image | document | search_result, max_size=2))
        if said:
            out.append({"role": "user", "content": draw(st.permutations(said)) if draw(some(1)) else said})
        elif draw(some(8)):
            out.append({"role": "user", "content": WORD})
        if draw(some(1)):
            out.append({"role": "system", "content": draw(texts)})
        if number and draw(some(3)):
            continue
        waiting = [draw(IDS) if draw(some(2)) else f"toolu_{number}_{i}" for i in range(draw(st.integers(0, 2)))]
        answer: list[Any] = draw(st.lists(thinking, max_size=1)) + draw(st.lists(text | cited | served, max_size=2))
        answer += [{"type": "tool_use", "id": id, "name": draw(NAMES), "input": draw(ARGUMENTS)} for id in waiting]
        out.append({"role": "assistant", "content": answer or WORD})
    if draw(some(8)):
        out.append({"role": "user", "content": WORD})
    return out


custom = st.fixed_dictionaries(
    {"name": NAMES, "input_schema": SCHEMAS},
    optional={
        "type": one_of("custom", None),
        "description": one_of(WORD),
        "strict": st.booleans(),
        "cache_control": CACHE,
        "input_examples": one_of([{"a": WORD}]),
        "defer_loading": st.booleans(),
        "eager_input_streaming": one_of(True),
        "allowed_callers": one_of(["direct"], ["code_execution_20250825"]),
    },
)
hosted = one_of(
    {"type": "web_search_20250305", "name": "web_search", "allowed_domains": [WORD]},
    {"type": "web_search_20260209", "name": "web_search", "user_location": {"type": "approximate", "city": WORD}},
    {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 4711, "citations": {"enabled": True}},
    {"type": "code_execution_20250825", "name": "code_execution"},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 4711},
)


@st.composite
def bodies(draw: st.DrawFn) -> Object:
    tools = draw(st.lists(st.one_of(custom, custom, custom, hosted), max_size=3, unique_by=lambda tool: tool["name"]))
    body: Object = draw(
        st.fixed_dictionaries(
            {"model": st.just("m"), "max_tokens": one_of(1, 1234, 30_000), "messages": turns()},
            optional={
                "system": texts | st.lists(text, min_size=1, max_size=2),
                "stream": st.booleans(),
                "temperature": one_of(0.71),
                "top_p": one_of(0.93),
                "top_k": one_of(37),
                "stop_sequences": one_of([WORD], [WORD] * 6),
                "thinking": one_of(
                    {"type": "adaptive"},
                    {"type": "enabled", "budget_tokens": 5120},
                    {"type": "disabled"},
                    {"type": "adaptive", "display": "omitted"},
                    {"type": "between_tools"},
                    {"type": "disabled", "of_tomorrow": WORD},
                ),
                "output_config": one_of({"effort": "low"}, {"effort": "max"}, {"of_tomorrow": WORD})
                | st.builds(lambda schema: {"format": {"type": "json_schema", "schema": schema}}, SCHEMAS),
                "metadata": one_of({"user_id": WORD}, {"user_id": WORD, "team": WORD}),
                "service_tier": one_of("auto"),
                "container": one_of(WORD, {"id": WORD, "skills": [{"type": "custom", "skill_id": WORD}]}),
                "mcp_servers": one_of([{"type": "url", "url": WORD, "name": WORD}]),
                "context_management": one_of(
                    {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
                    {"edits": [{"type": "clear_tool_uses_20250919"}]},
                ),
                "cache_control": CACHE,
                "of_tomorrow": one_of(WORD),
            },
        )
    )
    if tools:
        body["tools"] = tools
        own = [tool["name"] for tool in tools]
        body |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "tool_choice": one_of(
                        {"type": "auto", "disable_parallel_tool_use": True},
                        {"type": "any"},
                        {"type": "none"},
                        {"type": "tool", "name": own[0]},
                        {"type": "tool", "name": own[-1], "disable_parallel_tool_use": True},
                    )
                },
            )
        )
    return body
