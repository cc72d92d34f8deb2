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

MEASURED = frozenset(
    {"created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
    | {"prompt_eval_count", "eval_count"}
)
"""Members of an answer that the gateway counts and measures itself."""

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

# What /api/generate understands and /api/chat does not.
GENERATE_ONLY = ("raw", "template", "suffix", "context", "width", "height", "steps")
