"""The words of the Ollama wire: its name, its members, its reasons to stop.  https://docs.ollama.com/api"""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.conversation import Effort, Media, Reason, Refusal, Text, Thinking
from dragoman.dialects.untold import Says

NAME = "ollama"
STREAM_TYPE = "application/x-ndjson"

SPELLING: Mapping[str, str] = {
    "max_tokens": "num_predict",
    "reasoning": "think",
    "reasoning.effort": "think",
    "reasoning.budget": "think",
}

# There is no reason for tool calls: a turn that ends in calls says "stop".
DONE_REASONS: Mapping[Reason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "tool_calls": "stop",
    "refusal": "stop",
    "pause": "stop",
    "other": "stop",
    "length": "length",
    "context": "length",
}
REASONS: Mapping[str, Reason] = {"stop": "stop", "length": "length", "": "stop"}

DURATIONS = frozenset({"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"})
"""How long an answer took, in nanoseconds: what a server of this dialect says of it stays as it is."""
MEASURED = DURATIONS | {"created_at", "prompt_eval_count", "eval_count"}
"""Members of an answer that have a meaning here, besides the answer itself."""

SAYS = Says(
    origins=frozenset({NAME}),
    tiers={},
    stop_sequence=False,
    logprobs=(Text, Refusal, Thinking),
    unsaid=(Media,),
    mute=("pause", "refusal"),
)

# `keep_alive` is the gateway's own business; the rest tells a local runner how to use its machine.
HANDLED = frozenset(
    {
        *("keep_alive", "truncate", "shift", "num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread"),
        *("use_mmap", "use_mlock", "numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "embedding_only"),
        "draft_num_predict",
    }
)
EMULATED: Mapping[str, str] = {"suffix": "the model is asked for the text between prompt and suffix"}

# `think` has four levels: the right column.
LEVELS: Mapping[Effort, Effort] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
THINK_LEVELS: tuple[Effort, ...] = ("low", "medium", "high", "max")

PROMPT_ONLY = "_debug_render_only"
"""Asks for the prompt as the model would read it, and for no answer."""

# What /api/generate understands and /api/chat does not.
GENERATE_ONLY = ("raw", "template", "suffix", "context", "width", "height", "steps")
