"""The members of a Responses request, as tables.  https://platform.openai.com/docs/api-reference/responses/create"""

from __future__ import annotations

from dragoman.simulator.openai_shape import (
    Check,
    anything,
    array,
    boolean,
    mapping,
    number,
    one_of,
    record,
    tagged,
    text,
    text_or,
)

_NAME = text(r"[a-zA-Z0-9_-]+", high=64)
_STRING = text()
_CALL_ID = text(low=1, high=64)

_MARKED: dict[str, Check] = {"type": anything, "prompt_cache_breakpoint": mapping}
_TEXT = record({**_MARKED, "text": _STRING}, "text")
_IMAGE = record(
    {**_MARKED, "image_url": _STRING, "file_id": _STRING, "detail": one_of("auto", "low", "high", "original")}
)
_FILE = record(
    {**_MARKED, "file_data": _STRING, "file_id": _STRING, "file_url": _STRING, "filename": _STRING, "detail": _STRING}
)
_AUDIO = record({**_MARKED, "input_audio": mapping}, "input_audio")
_OUTPUT_TEXT = record({**_MARKED, "text": _STRING, "annotations": array(mapping), "logprobs": array(mapping)}, "text")
_REFUSAL = record({**_MARKED, "refusal": _STRING}, "refusal")
_INPUTS: dict[str, Check] = {"input_text": _TEXT, "input_image": _IMAGE, "input_file": _FILE, "input_audio": _AUDIO}
_CONTENT = text_or(
    array(tagged("type", {**_INPUTS, "output_text": _OUTPUT_TEXT, "refusal": _REFUSAL, "summary_text": _TEXT}))
)

# --- items -------------------------------------------------------------------------------------------

_ITEM: dict[str, Check] = {"type": anything, "id": _STRING, "status": _STRING}
_MESSAGE = record(
    {
        **_ITEM,
        "role": one_of("user", "system", "developer", "assistant"),
        "content": _CONTENT,
        "phase": one_of("commentary", "final_answer"),
    },
    "role",
    "content",
)
_CALLED: dict[str, Check] = {**_ITEM, "call_id": _CALL_ID, "name": _NAME, "namespace": _NAME, "caller": mapping}
_RESULT = record(
    {**_CALLED, "output": text_or(array(tagged("type", _INPUTS)))},
    "call_id",
    "output",
)
_REASONING = record(
    {
        **_ITEM,
        "summary": array(record({"type": one_of("summary_text"), "text": _STRING}, "text")),
        "content": array(record({"type": one_of("reasoning_text"), "text": _STRING}, "text")),
        "encrypted_content": _STRING,
    },
    "summary",
)
ITEMS: dict[str, Check] = {
    "message": _MESSAGE,
    "reasoning": _REASONING,
    "function_call": record({**_CALLED, "arguments": _STRING}, "call_id", "name", "arguments"),
    "custom_tool_call": record({**_CALLED, "input": _STRING}, "call_id", "name", "input"),
    "function_call_output": _RESULT,
    "custom_tool_call_output": _RESULT,
    "web_search_call": record({**_ITEM, "action": mapping}, "id"),
    "compaction": record({**_ITEM, "encrypted_content": _STRING}, "encrypted_content"),
}
_TYPED = tagged("type", ITEMS)


def _item(value: object, at: str, strict: bool) -> None:
    """A message may go without its type."""
    if isinstance(value, dict) and value.get("type") is None and "role" in value:
        _MESSAGE(value, at, strict)
    else:
        _TYPED(value, at, strict)


# --- tools -------------------------------------------------------------------------------------------

_SHARED: dict[str, Check] = {"type": anything, "name": _NAME, "description": _STRING, "defer_loading": boolean}
_FUNCTION = record(
    {**_SHARED, "parameters": mapping, "strict": boolean, "output_schema": mapping, "prompt_cache_breakpoint": mapping},
    "name",
)
_GRAMMAR = record(
    {"type": anything, "definition": _STRING, "syntax": one_of("lark", "regex")}, "type", "definition", "syntax"
)
_FORM = tagged("type", {"text": record({"type": anything}), "grammar": _GRAMMAR})
_CUSTOM = record({**_SHARED, "format": _FORM, "prompt_cache_breakpoint": mapping}, "name")
_CLIENTS: dict[str, Check] = {"function": _FUNCTION, "custom": _CUSTOM}
_SEARCH = record(
    {
        "type": anything,
        "search_context_size": one_of("low", "medium", "high"),
        "user_location": mapping,
        "filters": mapping,
    }
)
_TOOL = tagged(
    "type",
    {
        **_CLIENTS,
        "namespace": record({**_SHARED, "tools": array(tagged("type", _CLIENTS), low=1)}, "name", "tools"),
        "web_search": _SEARCH,
        "code_interpreter": record({"type": anything, "container": anything}),
    },
)
_NAMED = record({"type": anything, "name": _STRING}, "name")
_CHOICES = one_of("none", "auto", "required")
_CHOICE_OBJECTS = tagged(
    "type",
    {
        "function": _NAMED,
        "custom": _NAMED,
        "allowed_tools": record(
            {"type": anything, "mode": one_of("auto", "required"), "tools": array(mapping, low=1)}, "mode", "tools"
        ),
        "web_search": record({"type": anything}),
        "code_interpreter": record({"type": anything}),
    },
)


def _choice(value: object, at: str, strict: bool) -> None:
    (_CHOICES if isinstance(value, str) else _CHOICE_OBJECTS)(value, at, strict)


# --- the request -------------------------------------------------------------------------------------

_FORMAT = tagged(
    "type",
    {
        "text": record({"type": anything}),
        "json_object": record({"type": anything}),
        "json_schema": record(
            {"type": anything, "name": _NAME, "description": _STRING, "schema": mapping, "strict": boolean},
            "name",
            "schema",
        ),
    },
)
_EFFORTS = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")

_MEMBERS = {
    "model": _STRING,
    "input": text_or(array(_item)),
    "instructions": _STRING,
    "stream": boolean,
    "stream_options": record({"include_obfuscation": boolean}),
    "max_output_tokens": number(16, whole=True),
    "max_tool_calls": number(1, whole=True),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_logprobs": number(0, 20, whole=True),
    "tools": array(_TOOL, high=128),
    "tool_choice": _choice,
    "parallel_tool_calls": boolean,
    "reasoning": record(
        {"effort": _EFFORTS, "summary": one_of("auto", "concise", "detailed"), "context": _STRING, "mode": _STRING}
    ),
    "text": record({"format": _FORMAT, "verbosity": one_of("low", "medium", "high")}),
    "include": array(_STRING),
    "store": boolean,
    "previous_response_id": _STRING,
    "conversation": anything,
    "background": boolean,
    "truncation": one_of("auto", "disabled"),
    "metadata": mapping,
    "client_metadata": mapping,
    "service_tier": _STRING,
    "safety_identifier": text(high=128),
    "prompt_cache_key": _STRING,
    "prompt_cache_options": mapping,
    "prompt_cache_retention": one_of("in_memory", "24h"),
    "user": _STRING,
}
RESPONSES = record(_MEMBERS, "model", "input")

# https://platform.openai.com/docs/api-reference/responses/input-tokens
_OF_INPUT = ("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text")
COUNTED = record({name: _MEMBERS[name] for name in (*_OF_INPUT, "truncation", "previous_response_id", "conversation")})
