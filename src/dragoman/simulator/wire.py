"""What a Messages request may contain, as tables: every member, its kind, and the beta header it needs.

Members are those of the official SDK's parameter types (anthropic 2.12, November 2026).  A member not listed here is
refused with "Extra inputs are not permitted", which is how members of other dialects that leaked through are caught.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dragoman.simulator.refused import bad
from dragoman.simulator.shape import (
    Betas,
    Check,
    Field,
    anything,
    array,
    beta,
    boolean,
    literal,
    mapping,
    may,
    need,
    null,
    number,
    record,
    string,
    tagged,
    text_or,
)

_TEXT = string()
_COUNT = number(0, whole=True)
_ID = string("[a-zA-Z0-9_-]+")
_TOOL_NAME = string("[a-zA-Z0-9_-]{1,128}")

_CACHE: Check = tagged(
    {
        "ephemeral": record(
            {
                "type": may(anything),
                "ttl": may(literal("5m", "1h")),
                "scope": beta(literal("global", "organization"), "prompt-caching-scope-2026-01-05"),
            }
        )
    }
)
_CACHED = {"cache_control": null(_CACHE)}
_CITE = {"citations": null(record({"enabled": may(boolean)}))}
_CALLER = tagged(
    {
        "direct": record({"type": may(anything)}),
        "code_execution_20250825": record({"type": may(anything), "tool_id": need(_TEXT)}),
        "code_execution_20260120": record({"type": may(anything), "tool_id": need(_TEXT)}),
    }
)


def _block(**fields: Field) -> Check:
    return record({"type": may(anything), **fields})


def _span(kind: str) -> dict[str, Field]:
    return {f"start_{kind}_index": need(_COUNT), f"end_{kind}_index": need(_COUNT)}


_IN_DOCUMENT = {
    "cited_text": need(_TEXT),
    "document_index": need(_COUNT),
    "document_title": null(_TEXT),
    "file_id": null(_TEXT),
}
_CITATION = tagged(
    {
        "char_location": _block(**_IN_DOCUMENT, **_span("char")),
        "page_location": _block(**_IN_DOCUMENT, start_page_number=need(_COUNT), end_page_number=need(_COUNT)),
        "content_block_location": _block(**_IN_DOCUMENT, **_span("block")),
        "search_result_location": _block(
            cited_text=need(_TEXT),
            search_result_index=need(_COUNT),
            source=need(_TEXT),
            title=null(_TEXT),
            **_span("block"),
        ),
        "web_search_result_location": _block(
            cited_text=need(_TEXT), encrypted_index=need(_TEXT), title=null(_TEXT), url=need(_TEXT)
        ),
    }
)

_TEXT_MEMBERS = {"text": need(_TEXT), "citations": null(array(_CITATION)), **_CACHED}
_TEXT_BLOCK = _block(**_TEXT_MEMBERS)
_SYSTEM_BLOCK = record({"type": need(literal("text")), **_TEXT_MEMBERS})
_URL = _block(url=need(_TEXT))
_FILE = _block(file_id=need(_TEXT))
_IMAGE = _block(
    source=need(
        tagged(
            {
                "base64": _block(
                    data=need(_TEXT), media_type=need(literal("image/jpeg", "image/png", "image/gif", "image/webp"))
                ),
                "url": _URL,
                "file": _FILE,
            }
        )
    ),
    transformations=null(record({"oversized_image": may(literal("downsize", "error"))})),
    **_CACHED,
)
_DOCUMENT = _block(
    source=need(
        tagged(
            {
                "base64": _block(data=need(_TEXT), media_type=need(literal("application/pdf"))),
                "text": _block(data=need(_TEXT), media_type=need(literal("text/plain"))),
                "content": _block(content=need(text_or(array(tagged({"text": _TEXT_BLOCK, "image": _IMAGE}))))),
                "url": _URL,
                "file": _FILE,
            }
        )
    ),
    title=null(_TEXT),
    context=null(_TEXT),
    **_CITE,
    **_CACHED,
)
_SEARCH_RESULT = _block(
    source=need(_TEXT), title=need(_TEXT), content=need(array(tagged({"text": _TEXT_BLOCK}))), **_CITE, **_CACHED
)
_TOOL_REFERENCE = _block(tool_name=need(string("[a-zA-Z0-9_-]{1,64}")), **_CACHED)
_BROWSER_STATE = _block(tabs=need(array(mapping)), state_changes=null(array(mapping)), **_CACHED)
_SERVER_TOOLS = (
    "web_search",
    "web_fetch",
    "code_execution",
    "bash_code_execution",
    "text_editor_code_execution",
    "tool_search_tool_regex",
    "tool_search_tool_bm25",
)


def _server_result(**fields: Field) -> Check:
    return _block(tool_use_id=need(_ID), content=need(anything), caller=null(_CALLER), **fields, **_CACHED)


BLOCKS: Mapping[str, Check] = {
    "text": _TEXT_BLOCK,
    "image": _IMAGE,
    "document": _DOCUMENT,
    "search_result": _SEARCH_RESULT,
    "thinking": _block(thinking=need(_TEXT), signature=need(_TEXT)),
    "redacted_thinking": _block(data=need(_TEXT)),
    "tool_use": _block(
        id=need(_ID),
        name=need(string(low=1, high=200)),
        input=need(mapping),
        caller=null(_CALLER),
        toolset_name=null(_TEXT),
        **_CACHED,
    ),
    "tool_result": _block(
        tool_use_id=need(_ID),
        content=may(
            text_or(
                array(
                    tagged(
                        {
                            "text": _TEXT_BLOCK,
                            "image": _IMAGE,
                            "document": _DOCUMENT,
                            "search_result": _SEARCH_RESULT,
                            "tool_reference": _TOOL_REFERENCE,
                            "browser_state": _BROWSER_STATE,
                        }
                    )
                )
            )
        ),
        is_error=may(boolean),
        toolset_name=null(_TEXT),
        **_CACHED,
    ),
    "server_tool_use": _block(
        id=need(string("srvtoolu_[a-zA-Z0-9_]+")),
        name=need(literal(*_SERVER_TOOLS)),
        input=need(mapping),
        caller=null(_CALLER),
        **_CACHED,
    ),
    "web_search_tool_result": _server_result(),
    "web_fetch_tool_result": _server_result(),
    "code_execution_tool_result": _server_result(),
    "bash_code_execution_tool_result": _server_result(),
    "text_editor_code_execution_tool_result": _server_result(),
    "tool_search_tool_result": _server_result(),
    "container_upload": _block(file_id=need(_TEXT), **_CACHED),
}

_ROLES = ("user", "assistant", "system")
_COMMON = {"role": need(literal(*_ROLES))}
_BLOCK_LIST = text_or(array(tagged(BLOCKS)))
_SAID = record({**_COMMON, "content": need(_BLOCK_LIST)})
_DIRECTED = record(
    {
        **_COMMON,
        "content": may(text_or(array(tagged({"text": _TEXT_BLOCK})))),
        "output_config": beta(mapping, "mid-conversation-output-config-2026-07-01"),
        "clear_at": beta(literal("next_user_message", "never"), "mid-conversation-system-clear-at-2026-08-21"),
    }
)


def _message(value: Any, at: str, betas: Betas) -> None:
    system = isinstance(value, dict) and value.get("role") == "system"
    if system and "content" not in value and "output_config" not in value:
        raise bad(f"{at}.content: Field required")
    (_DIRECTED if system else _SAID)(value, at, betas)


_DISPLAY = may(literal("summarized", "omitted", "updates"))
_BINDING = beta(
    record({"prefix_mismatch_behavior": null(literal("error", "drop_block"))}), "thinking-binding-controls-2026-08-01"
)
_SHOWN = {"display": _DISPLAY._replace(nullable=True), "block_binding": _BINDING}
_THINKING = tagged(
    {
        "adaptive": _block(**_SHOWN),
        "enabled": _block(budget_tokens=need(number(1024, whole=True)), **_SHOWN),
        "disabled": _block(),
        "between_tools": _block(),
    }
)
_PARALLEL = {"disable_parallel_tool_use": may(boolean)}
_TOOL_CHOICE = tagged(
    {
        "auto": _block(**_PARALLEL),
        "any": _block(**_PARALLEL),
        "tool": _block(name=need(_TEXT), **_PARALLEL),
        "none": _block(),
    }
)
_OUTPUT = record(
    {
        "effort": null(literal("low", "medium", "high", "xhigh", "max")),
        "format": null(record({"type": need(literal("json_schema")), "schema": need(mapping)})),
        "task_budget": beta(mapping, "task-budgets-2026-03-13"),
    }
)

_DOMAINS = {
    "allowed_domains": null(array(_TEXT)),
    "blocked_domains": null(array(_TEXT)),
    "max_uses": null(number(1, whole=True)),
}
_EXAMPLES = {"input_examples": may(array(mapping))}
_SEARCH = {**_DOMAINS, "user_location": null(mapping)}
_FETCH = {**_DOMAINS, **_CITE, "max_content_tokens": null(_COUNT), "url_sources": null(mapping)}
_INCLUSION = {"response_inclusion": may(literal("full", "excluded"))}
_USE_CACHE = {"use_cache": may(boolean)}
_EDITOR = {**_EXAMPLES, "max_characters": null(_COUNT)}

# By type: (the only name it may have, its members besides the common ones)
PROVIDED_TOOLS: Mapping[str, tuple[str, Mapping[str, Field]]] = {
    "bash_20250124": ("bash", _EXAMPLES),
    "text_editor_20250124": ("str_replace_editor", _EXAMPLES),
    "text_editor_20250429": ("str_replace_based_edit_tool", _EXAMPLES),
    "text_editor_20250728": ("str_replace_based_edit_tool", _EDITOR),
    "memory_20250818": ("memory", _EXAMPLES),
    "code_execution_20250522": ("code_execution", {}),
    "code_execution_20250825": ("code_execution", {}),
    "code_execution_20260120": ("code_execution", {}),
    "code_execution_20260521": ("code_execution", {}),
    "web_search_20250305": ("web_search", _SEARCH),
    "web_search_20260209": ("web_search", _SEARCH),
    "web_search_20260318": ("web_search", {**_SEARCH, **_INCLUSION}),
    "web_fetch_20250910": ("web_fetch", _FETCH),
    "web_fetch_20260209": ("web_fetch", _FETCH),
    "web_fetch_20260309": ("web_fetch", {**_FETCH, **_USE_CACHE}),
    "web_fetch_20260318": ("web_fetch", {**_FETCH, **_USE_CACHE, **_INCLUSION}),
    "tool_search_tool_bm25_20251119": ("tool_search_tool_bm25", {}),
    "tool_search_tool_bm25": ("tool_search_tool_bm25", {}),
    "tool_search_tool_regex_20251119": ("tool_search_tool_regex", {}),
    "tool_search_tool_regex": ("tool_search_tool_regex", {}),
}
# The tools among them that run at Anthropic; the others are the client's to run.
HOSTED_PREFIXES = ("web_search", "web_fetch", "code_execution", "tool_search")
_TOOLSET = _block(configs=null(mapping), **_CACHED)
_TOOL_COMMON = {
    "allowed_callers": may(
        array(literal("direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521"))
    ),
    "defer_loading": may(boolean),
    "strict": may(boolean),
    **_CACHED,
}
_TOOLS = {
    "custom": _block(
        name=need(_TOOL_NAME),
        description=may(_TEXT),
        input_schema=need(mapping),
        eager_input_streaming=null(boolean),
        **_EXAMPLES,
        **_TOOL_COMMON,
    ),
    **{
        kind: _block(name=need(literal(name)), **fields, **_TOOL_COMMON)
        for kind, (name, fields) in PROVIDED_TOOLS.items()
    },
    "computer_toolset_20260801": _TOOLSET,
    "browser_toolset_20260801": _TOOLSET,
}

_COUNTED: Mapping[str, Field] = {
    "model": need(string(low=1, high=256)),
    "messages": need(array(_message)),
    "system": may(text_or(array(_SYSTEM_BLOCK))),
    "tools": may(array(tagged(_TOOLS, default="custom"))),
    "tool_choice": may(_TOOL_CHOICE),
    "thinking": may(_THINKING),
    "output_config": may(_OUTPUT),
    "cache_control": null(_CACHE),
    "speed": null(literal("standard", "fast")),
    "context_management": beta(mapping, "context-management-2025-06-27", "compact-2026-01-12"),
    "mcp_servers": beta(array(mapping), "mcp-client-2025-04-04", "mcp-client-2025-11-20", "mcp-client-2026-09-15"),
    "output_format": beta(mapping, "structured-outputs-2025-11-13", "structured-outputs-2025-12-15"),
    "workspace_id": may(_TEXT),
    "user_profile_id": may(_TEXT),
}

COUNT = record(_COUNTED)
SAMPLING = ("temperature", "top_p", "top_k")
CREATE = record(
    {
        **_COUNTED,
        "max_tokens": need(number(0, whole=True)),
        "stream": may(boolean),
        "stop_sequences": may(array(_TEXT)),
        "temperature": may(number(0, 1)),
        "top_p": may(number(0, 1)),
        "top_k": may(number(0, whole=True)),
        "metadata": may(record({"user_id": null(_TEXT)})),
        "service_tier": may(literal("auto", "standard_only")),
        "inference_geo": null(literal("us", "global")),
        "container": null(text_or(record({"id": null(_TEXT), "skills": null(array(mapping))}))),
        "diagnostics": null(record({"previous_message_id": null(_TEXT)})),
        "compaction": beta(mapping, "compact-2026-09-04"),
        "fallbacks": beta(anything, "server-side-fallback-2026-06-01", "server-side-fallback-2026-07-01"),
        "fallback_credit_token": beta(_TEXT, "fallback-credit-2026-06-01", "fallback-credit-2026-07-01"),
        "thread": beta(mapping, "message-threads-2026-08-12"),
        "billing_policy": beta(mapping, "user-profiles-billing-2026-10-01"),
    }
)
