"""The members of OpenAI's requests, as tables.

https://platform.openai.com/docs/api-reference/chat/create, .../completions/create, .../embeddings/create
"""

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
_COUNT = number(1, whole=True)
_KIND = one_of  # of a member `type` that a tag has already checked

# --- messages ----------------------------------------------------------------------------------------

_CACHED: dict[str, Check] = {"type": anything, "prompt_cache_breakpoint": mapping}
_TEXT = record({**_CACHED, "text": _STRING}, "text")
_IMAGE = record(
    {**_CACHED, "image_url": record({"url": _STRING, "detail": one_of("auto", "low", "high", "original")}, "url")},
    "image_url",
)
_AUDIO = record(
    {**_CACHED, "input_audio": record({"data": _STRING, "format": one_of("wav", "mp3")}, "data", "format")},
    "input_audio",
)
_FILE = record({**_CACHED, "file": record({"file_data": _STRING, "file_id": _STRING, "filename": _STRING})}, "file")
_REFUSAL = record({**_CACHED, "refusal": _STRING}, "refusal")

_TEXTS = text_or(array(tagged("type", {"text": _TEXT}), low=1))
_USER = text_or(
    array(tagged("type", {"text": _TEXT, "image_url": _IMAGE, "input_audio": _AUDIO, "file": _FILE}), low=1)
)
_ASSISTANT = text_or(array(tagged("type", {"text": _TEXT, "refusal": _REFUSAL}), low=1))
_CALL = tagged(
    "type",
    {
        "function": record(
            {
                "id": _STRING,
                "type": anything,
                "function": record({"name": text(low=1), "arguments": _STRING}, "name", "arguments"),
            },
            "id",
            "function",
        ),
        "custom": record(
            {
                "id": _STRING,
                "type": anything,
                "custom": record({"name": text(low=1), "input": _STRING}, "name", "input"),
            },
            "id",
            "custom",
        ),
    },
)
_FUNCTION_CALL = record({"name": _STRING, "arguments": _STRING}, "name", "arguments")
_SYSTEM = record({"role": anything, "content": _TEXTS, "name": _STRING}, "content")
_MESSAGE = tagged(
    "role",
    {
        "system": _SYSTEM,
        "assistant": record(
            {
                "role": anything,
                "content": _ASSISTANT,
                "name": _STRING,
                "refusal": _STRING,
                "annotations": array(mapping),  # an answer's own member, as clients send the answer back
                "tool_calls": array(_CALL, low=1),
                "function_call": _FUNCTION_CALL,
                "audio": record({"id": _STRING}, "id"),
            }
        ),
        "user": record({"role": anything, "content": _USER, "name": _STRING}, "content"),
        "function": record({"role": anything, "content": _STRING, "name": _STRING}, "name"),
        "tool": record(
            {"role": anything, "content": _TEXTS, "tool_call_id": _STRING, "name": _STRING}, "content", "tool_call_id"
        ),
        "developer": _SYSTEM,
    },
)

MESSAGES = array(_MESSAGE, low=1)

# --- tools -------------------------------------------------------------------------------------------

_FUNCTION = record({"name": _NAME, "description": _STRING, "parameters": mapping, "strict": boolean}, "name")
_FORMAT = tagged(
    "type",
    {
        "text": record({"type": anything}),
        "grammar": record(
            {
                "type": anything,
                "grammar": record({"definition": _STRING, "syntax": one_of("lark", "regex")}, "definition", "syntax"),
            },
            "grammar",
        ),
    },
)
_CUSTOM = record({"name": _NAME, "description": _STRING, "format": _FORMAT}, "name")
_TOOL = tagged(
    "type",
    {
        "function": record({"type": anything, "function": _FUNCTION}, "function"),
        "custom": record({"type": anything, "custom": _CUSTOM}, "custom"),
    },
)
_NAMED = record({"name": _STRING}, "name")
_NAMED_FUNCTION = record({"type": anything, "function": _NAMED}, "function")
_NAMED_CUSTOM = record({"type": anything, "custom": _NAMED}, "custom")
_ALLOWED = record(
    {
        "mode": one_of("auto", "required"),
        "tools": array(tagged("type", {"function": _NAMED_FUNCTION, "custom": _NAMED_CUSTOM}), low=1),
    },
    "mode",
    "tools",
)
_CHOICES = one_of("none", "auto", "required")
_CHOICE_OBJECTS = tagged(
    "type",
    {
        "function": _NAMED_FUNCTION,
        "custom": _NAMED_CUSTOM,
        "allowed_tools": record({"type": anything, "allowed_tools": _ALLOWED}, "allowed_tools"),
    },
)


def _choice(value: object, at: str, strict: bool) -> None:
    (_CHOICES if isinstance(value, str) else _CHOICE_OBJECTS)(value, at, strict)


# --- the requests ------------------------------------------------------------------------------------

_RESPONSE_FORMAT = tagged(
    "type",
    {
        "text": record({"type": anything}),
        "json_object": record({"type": anything}),
        "json_schema": record(
            {
                "type": anything,
                "json_schema": record(
                    {"name": _NAME, "description": _STRING, "schema": mapping, "strict": boolean}, "name"
                ),
            },
            "json_schema",
        ),
    },
)
_STOP = text_or(array(_STRING, high=4))
_PENALTY = number(-2, 2)
_SAMPLING: dict[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "n": number(1, 128, whole=True),
    "stop": _STOP,
    "seed": number(whole=True),
    "frequency_penalty": _PENALTY,
    "presence_penalty": _PENALTY,
    "logit_bias": mapping,
    "stream": boolean,
    "stream_options": record({"include_usage": boolean, "include_obfuscation": boolean}),
    "user": _STRING,
    "model": _STRING,
    "max_tokens": _COUNT,
}
_TIERS = one_of("auto", "default", "flex", "scale", "priority", "fast")

CHAT = record(
    {
        **_SAMPLING,
        "messages": MESSAGES,
        "max_completion_tokens": _COUNT,
        "logprobs": boolean,
        "top_logprobs": number(0, 20, whole=True),
        "response_format": _RESPONSE_FORMAT,
        "tools": array(_TOOL, low=1, high=128),
        "tool_choice": _choice,
        "parallel_tool_calls": boolean,
        "functions": array(_FUNCTION, low=1, high=128),
        "function_call": text_or(_NAMED),
        "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        "verbosity": one_of("low", "medium", "high"),
        "modalities": array(one_of("text", "audio")),
        "audio": mapping,
        "prediction": mapping,
        "web_search_options": mapping,
        "metadata": mapping,
        "store": boolean,
        "service_tier": _TIERS,
        "safety_identifier": text(high=128),
        "prompt_cache_key": _STRING,
        "prompt_cache_options": mapping,
        "prompt_cache_retention": one_of("in_memory", "24h"),
        "moderation": mapping,
    },
    "messages",
    "model",
)
_TOKENS = array(number(0, whole=True), low=1)


def _prompt(value: object, at: str, strict: bool) -> None:
    """Text, texts, token ids, or lists of them."""
    if isinstance(value, str):
        return
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, list):
        array(_TOKENS, low=1, high=2048)(value, at, strict)
    elif isinstance(first, int):
        _TOKENS(value, at, strict)
    else:
        array(_STRING, low=1, high=2048)(value, at, strict)


COMPLETION = record(
    {
        **_SAMPLING,
        "prompt": _prompt,
        "suffix": _STRING,
        "logprobs": number(0, 5, whole=True),
        "echo": boolean,
        "best_of": number(1, 20, whole=True),
    },
    "model",
)
EMBEDDING = record(
    {
        "input": _prompt,
        "model": _STRING,
        "encoding_format": one_of("float", "base64"),
        "dimensions": _COUNT,
        "user": _STRING,
    },
    "input",
    "model",
)
