"""What a machine cannot see by itself: other words for the same thing, and members that ask nothing of a server.

Keys are patterns of members' paths.  Every entry must be needed: one that no member needs any more fails a test.
"""

from __future__ import annotations

ALIASES: dict[str, str] = {
    "thinking": (
        r"^thinking\[enabled\]\.budget_tokens$|^messages\[.*\b(thinking|redacted_thinking|reasoning\w*|thinking_blocks)\b"
        r"|^input\[reasoning\]"
    ),
    "cache": r"cache_control|prompt_cache_breakpoint",
    "tool_choice": r"^function_call\b",
    "prompt_cache_options": r"^prompt_cache_options\.",
    "reasoning_effort": r"^(thinking|reasoning)\b",
    "reasoning.budget": r"^(thinking\[enabled\]\.budget_tokens|reasoning\.max_tokens)$",
    "output_config.format": r"^output_format\b",
    "output_config.format.newcomer": r"^output_format\b",
}
"""Names in a report that are no paths, and the members they mean."""

EQUIVALENTS: dict[str, str] = {
    r"parallel_tool_calls$": r"disable_parallel_tool_use=True",
    r"disable_parallel_tool_use$": r"parallel_tool_calls=False",
    r"prompt_cache_breakpoint\.ttl$": r"^ttl=1h",
    r"^(think|reasoning_effort|output_config\.effort|include_reasoning|(input\[configuration_update\]\.)?reasoning(\.\w+)?)$"
    r"|^thinking\[(enabled|adaptive|disabled)\]$": (
        r"^(type=(adaptive|enabled|disabled|between_tools)|effort=|reasoning_effort=|enable_thinking=|think=)"
    ),
    r"is_error$": r"It failed",
    r"\.active$": r"\(active\)",
    r"^tool_choice\[(none|any)\]$": r"^tool_choice=(none|required)",
    r"^(response_format|(input\[configuration_update\]\.)?text\.format)\[json_object\]$|^format$": (
        r"^type=json_object|^format=json|JSON"
    ),
    r"^function_call$": r"^(type|tool_choice)=none",
    r"(grammar|format\[grammar\])\.syntax$": r'"syntax":"regex"',
    r"^include\[\]$": r"^logprobs=True",
    r"^logprobs$": r"^include=message\.output_text\.logprobs$",
    r"tools\[web_search_preview\]$": r"^type=web_search",
    r"^tool_choice$|allowed_tools\]?\.mode$": r"^type=any|^tool_choice=required|must (answer|call)",
}
"""What stands for a member upstream, as `name=value` of something the member added."""

_RUNNER = (
    "num_ctx|num_keep|num_batch|num_gpu|main_gpu|num_thread|use_mmap|use_mlock|numa|low_vram|f16_kv|logits_all|"
    "vocab_only|embedding_only|draft_num_predict"
)
_CACHING = r"^(Ollama|OpenAI|Responses|vLLM|others): .*"

NOTHING: dict[str, str] = {
    r": (store|background(_options\.\w+)?|previous_response_id|conversation(\.id)?|metadata)$": "done here",
    r"input\[[a-z_]+\](\.id|\.status)$": "about what was kept of the item",
    r"input\[function_call_output\]\.(name|namespace)$": "the call that is answered says it",
    r"input\[configuration_update\](\.text)?$": "says nothing by itself",
    r"annotations\[url_citation\]\.(start|end)_index$": "a source is told behind the text it is of",
    r": truncation$": "the default",
    r": model$": "names the model, which is called by its own name",
    r": stream$": "false is the default, and said by saying nothing",
    r": stream_options(\.\w+)?$": "done here: usage is always counted, and nothing is padded",
    r": n$": "done here, by that many calls",
    r": echo$": "done here",
    r": keep_alive$": "done here: how long `/api/ps` shows the model",
    rf": options\.({_RUNNER})$": "tells a local runner how to use its machine",
    r"(response_format\[json_schema\]\.json_schema|format\[json_schema\])\.strict$": "it is always strict",
    r"(server_tool_use|mcp_tool_use)\]\.id$|_tool_result\]\.tool_use_id$": "in words, a result stands behind its call",
    r": service_tier$": "about the capacity of Anthropic's servers",
    r": tools\[custom\]\.eager_input_streaming$": "how fast a call's input streams",
    r"edits\[clear_thinking_20251015\]\.keep$": "all is kept anyway",
    r"^Ollama: tool_choice\[(any|tool)\]\.disable_parallel_tool_use$": "a forced call is one call",
    r"str_replace_result\]$": "says only that it was done",
    r": thinking\[\w+\]\.display$|: reasoning\.exclude$": "done here",
    r"^(OpenAI|vLLM|others): include_reasoning$": "done here",
    r"^Claude Haiku 4\.5: thinking\[disabled\]$": "the default",
    r": (truncate|shift)$": "nothing is cut there, ever",
    r"reasoning_details\[[\w.]*\]\.(id|format)$": "says nothing by itself",
    r": response_format\[text\]$|text\.format\[text\]$": "the default",
    r"tools\[custom\]\.(custom\.)?format\[text\]$": "the default",
    r": tools\[\]\.type$": "there is one kind",
    r"(parameters|input_schema)\[object\]$|tool_choice\[auto\]$": "the default",
    r"user_location\[approximate\]$": "says nothing by itself",
    r"^Ollama: (user|safety_identifier|metadata\.user_id)$": "names nobody to a server without accounts",
    _CACHING + r"(cache_control|prompt_cache_breakpoint)": "these servers cache by themselves",
    r"\[image\]\.source\[base64\]\.media_type$|\[(base64|text)\]\.media_type$|input_audio\.format$": (
        "told by the first bytes"
    ),
    r"\[tool_use\]\.caller\[direct\]$|caller\[direct\]$": "the default",
}
"""Members that ask nothing of the server behind, by column and path, each with the reason."""
