"""What no client is told of an answer, and is not reported either, because nothing is lost.  Each with its reason.

An entry that nothing needs any more is taken out: a test looks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OLLAMA = ("ollama", "ollama_generate")
OTHERS = ("openai_chat", "openai_completions", "openai_responses", *OLLAMA)


class Declared(NamedTuple):
    """Members of `upstream` by a pattern of their paths, a value after "=".  No `clients`: all of them."""

    upstream: str
    pattern: str
    why: str
    clients: tuple[str, ...] = ()


_EVENT = r"(message_start\.message\[message\]\.|message_delta\.(delta\.)?)?"
_OWN = "every answer has an id of its own client's kind"
_MODEL = "the client reads the name it asked for; the model's own is in `x-dragoman-model`"
_TIMED = "the gateway measures the time and the moment itself"
_INDEX = "parts are numbered anew"
_INSIDE = "a part of a count that is told"

_RESPONSE = r"(response\.\w+\.response\.)?"
_ECHO = (
    r"access_programs|background|image|instructions|max_output_tokens|max_tool_calls|metadata|parallel_tool_calls|"
    r"previous_response_id|prompt|prompt_cache_key|prompt_cache_options|prompt_cache_retention|reasoning|"
    r"safety_identifier|temperature|text|tool_choice|tools|top_logprobs|top_p|truncation|user"
)
_FINISHED = "items are made anew, finished when the answer is"
_SAID_AGAIN = (
    r"(code_interpreter_call|mcp_call|mcp_list_tools|shell_call|web_search_call|file_search_call|"
    r"image_generation_call)\w*\.(added|delta|done|in_progress|searching|interpreting|generating|completed|failed)|"
    r"compaction\.compacting|reasoning_summary_part\.\w+"
)

DECLARED: tuple[Declared, ...] = (
    Declared("anthropic", rf"{_EVENT}id", _OWN),
    Declared("anthropic", rf"{_EVENT}model(=.*)?", _MODEL),
    Declared("anthropic", r"content_block_(start|delta|stop)\.index", _INDEX),
    Declared("anthropic", rf"{_EVENT}stop_reason=end_turn", "an ordinary end; it is the other words that change it"),
    Declared("anthropic", rf"{_EVENT}stop_reason=stop_sequence", "an ordinary end; the sequence is told", OTHERS),
    Declared(
        "anthropic",
        rf"{_EVENT}stop_reason=tool_use",
        "the calls say it",
        ("openai_completions", "openai_responses", *OLLAMA),
    ),
    Declared("anthropic", r".*service_tier=standard", "the usual tier is what no word means"),
    Declared("anthropic", r".*usage\.speed=standard", "the usual speed is what no word means", OTHERS),
    Declared(
        "anthropic", r".*cache_creation\.ephemeral_5m_input_tokens", "what is left of `cache_creation_input_tokens`"
    ),
    Declared("anthropic", r".*cache_creation\.ephemeral_1h_input_tokens", _INSIDE, OTHERS),
    Declared("anthropic", r".*usage\.cache_(read|creation)_input_tokens", _INSIDE, OLLAMA),
    Declared("anthropic", r".*output_tokens_details\.thinking_tokens", _INSIDE, OLLAMA),
    Declared(
        "anthropic", r"message_start\..*usage\.output_tokens", "the end of the stream has the final count", OTHERS
    ),
    Declared("anthropic", r".*\[tool_use\]\.input", "a placeholder; the input comes in pieces"),
    Declared(
        "anthropic", r".*(signature|\[redacted_thinking\]\.data)", "the gateway keeps it for the next turn", OLLAMA
    ),
    Declared("openai_chat", r"id", _OWN),
    Declared("openai_chat", r"model", _MODEL),
    Declared("openai_chat", r"created", _TIMED),
    Declared("openai_chat", r"choices\[\](\.delta\[developer\]\.tool_calls\[function\])?\.index", _INDEX),
    Declared("openai_chat", r"choices\[\]\.finish_reason=stop", "an ordinary end"),
    Declared(
        "openai_chat",
        r"choices\[\]\.finish_reason=(tool_calls|function_call)",
        "the calls say it",
        ("openai_completions", "openai_responses", *OLLAMA),
    ),
    Declared("openai_chat", r"choices\[\]\.logprobs\..*bytes\[\]", "the token's text says it", ("openai_completions",)),
    Declared("openai_chat", r"service_tier=default", "the usual tier is what no word means"),
    Declared("openai_chat", r"usage\.total_tokens", "the sum of two counts that are told"),
    Declared("openai_chat", r"usage\..*_details\.(cached|cache_write|reasoning)_tokens", _INSIDE, OLLAMA),
    Declared("openai_chat", r"obfuscation", "padding against those who guess at words by their length"),
    Declared("openai_responses", rf"{_RESPONSE}(created_at|completed_at)", _TIMED),
    Declared("openai_responses", rf"{_RESPONSE}id|output\[\w+\]\.id", _OWN),
    Declared("openai_responses", rf"{_RESPONSE}model(=.*)?", _MODEL),
    Declared("openai_responses", rf"{_RESPONSE}({_ECHO})(=.*)?", "what the request said; the client reads its own"),
    Declared("openai_responses", rf"{_RESPONSE}service_tier=(auto|default)", "the usual tier is what no word means"),
    Declared("openai_responses", rf"{_RESPONSE}usage\.total_tokens", "the sum of two counts that are told"),
    Declared(
        "openai_responses", rf"{_RESPONSE}usage\.\w+_details\.(cached|cache_write|reasoning)_tokens", _INSIDE, OLLAMA
    ),
    Declared("openai_responses", r"status=completed", "an ordinary end"),
    Declared(
        "openai_responses", r".*\[reasoning\]\.encrypted_content", "the gateway keeps it for the next turn", OLLAMA
    ),
    Declared("openai_responses", r".*logprobs\[\]\..*bytes\[\]", "the token's text says it", ("openai_completions",)),
    Declared("openai_responses", r"(.*\.)?output\[\w+\]\.status=(in_progress|completed|incomplete)", _FINISHED),
    Declared("openai_responses", r"response\.output_item\.\w+\.item\[\w+\]\.(id|status=\w+)", _FINISHED),
    Declared("openai_responses", rf"{_RESPONSE}input_transformations.*", "told in `x-dragoman-dropped` of the call"),
    Declared("openai_responses", r"response\.(in_progress|queued)\.response\..*", "the last event has all of it"),
    Declared("openai_responses", r"response\.\w+\.response\.status=\w+", "the name of the event says it"),
    Declared("openai_responses", r"response\.created\.response\.(incomplete_details|usage).*", "known at the end only"),
    Declared("openai_responses", r".*\.(sequence_number|item_id|\w+_index)", _INDEX),
    Declared("openai_responses", rf"response\.({_SAID_AGAIN})\..*", "the end of its item says it again"),
    Declared(
        "openai_responses",
        r"response\.content_part\.\w+\.part\[reasoning_text\].*",
        "the end of its item says it again",
    ),
    Declared("ollama", r"model", _MODEL),
    Declared("ollama", r"created_at|(total|load|prompt_eval|eval)_duration", _TIMED),
    Declared("ollama", r"done", "an answer that is not done is an error"),
    Declared("ollama", r"message\.role", "who answers is the assistant"),
)


def declared(upstream: str, path: str, client: str) -> Declared | None:
    """The entry for a member, if there is one."""
    return next(
        (
            entry
            for entry in DECLARED
            if entry.upstream == upstream
            and (not entry.clients or client in entry.clients)
            and re.fullmatch(entry.pattern, path)
        ),
        None,
    )
