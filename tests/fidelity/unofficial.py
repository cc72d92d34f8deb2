"""Members of a request that no official SDK has, and that programs send all the same: what only some servers know.

They are types as the SDKs have them, and are walked with theirs.  Sources: https://docs.vllm.ai,
https://openrouter.ai/docs, https://api-docs.deepseek.com, https://docs.litellm.ai, https://github.com/ggml-org/llama.cpp
"""

from __future__ import annotations

from typing import Any, Literal, Required, TypedDict


class _Mark(TypedDict, total=False):
    type: Required[Literal["ephemeral"]]
    ttl: Literal["5m", "1h"]


# --- chat completions ----------------------------------------------------------------------------


class _Enabled(TypedDict, total=False):
    type: Required[Literal["enabled"]]
    budget_tokens: int


class _Disabled(TypedDict, total=False):
    type: Required[Literal["disabled"]]


class _Adaptive(TypedDict, total=False):
    type: Required[Literal["adaptive"]]


class _Reasoning(TypedDict, total=False):
    enabled: bool
    effort: Literal["low", "high"]
    max_tokens: int
    exclude: bool


class _Text(TypedDict, total=False):
    type: Required[Literal["text"]]
    text: Required[str]
    cache_control: _Mark


class _System(TypedDict, total=False):
    role: Required[Literal["system"]]
    content: Required[list[_Text]]


class _User(TypedDict, total=False):
    role: Required[Literal["user"]]
    content: Required[list[_Text]]


class _ToolResult(TypedDict, total=False):
    role: Required[Literal["tool"]]
    content: Required[list[_Text]]
    tool_call_id: Required[str]
    name: str


class _SaidText(TypedDict, total=False):
    type: Required[Literal["reasoning.text"]]
    text: Required[str]
    signature: str
    id: str
    format: str


class _SaidSummary(TypedDict, total=False):
    type: Required[Literal["reasoning.summary"]]
    summary: Required[str]
    id: str
    format: str


class _SaidSealed(TypedDict, total=False):
    type: Required[Literal["reasoning.encrypted"]]
    data: Required[str]
    id: str
    format: str


class _Block(TypedDict, total=False):
    type: Required[Literal["thinking"]]
    thinking: Required[str]
    signature: Required[str]


class _SealedBlock(TypedDict, total=False):
    type: Required[Literal["redacted_thinking"]]
    data: Required[str]


class _Assistant(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    reasoning_content: str
    reasoning: str
    reasoning_details: list[_SaidText | _SaidSummary | _SaidSealed]
    thinking_blocks: list[_Block | _SealedBlock]
    prefix: bool


class _Named(TypedDict):
    name: str


class _Function(TypedDict, total=False):
    type: Required[Literal["function"]]
    function: Required[_Named]
    cache_control: _Mark


class Chat(TypedDict, total=False):
    """Of chat completions: OpenRouter's, DeepSeek's, vLLM's, SGLang's, llama.cpp's, Open WebUI's."""

    messages: list[_System | _User | _Assistant | _ToolResult]
    tools: list[_Function]
    system: str
    top_k: int
    min_p: float
    top_a: float
    repetition_penalty: float
    length_penalty: float
    min_tokens: int
    stop_token_ids: list[int]
    ignore_eos: bool
    add_generation_prompt: bool
    guided_json: dict[str, Any]
    guided_regex: str
    structured_outputs: dict[str, Any]
    chat_template_kwargs: dict[str, Any]
    mm_processor_kwargs: dict[str, Any]
    documents: list[dict[str, Any]]
    thinking_token_budget: int
    thinking: _Enabled | _Disabled | _Adaptive
    reasoning: _Reasoning
    include_reasoning: bool
    think: bool
    cache_control: _Mark
    cache_prompt: bool
    id_slot: int
    grammar: str
    models: list[str]
    provider: dict[str, Any]
    plugins: list[dict[str, Any]]
    transforms: list[str]
    route: Literal["fallback"]
    usage: dict[str, Any]
    safe_prompt: bool
    keep_alive: str
    num_ctx: int
    options: dict[str, Any]


class Completions(TypedDict, total=False):
    """Of legacy completions."""

    top_k: int
    min_p: float
    repetition_penalty: float
    guided_json: dict[str, Any]
    cache_prompt: bool
    grammar: str


# --- Ollama --------------------------------------------------------------------------------------


class _Options(TypedDict, total=False):
    min_p: float
    draft_num_predict: int
    num_gqa: int
    rope_frequency_base: float


class OllamaChat(TypedDict, total=False):
    """Of `/api/chat`: what the server reads and the SDK has no word for, and what programs send."""

    options: _Options
    tool_choice: Literal["none", "required"]
    parallel_tool_calls: bool
    truncate: bool
    shift: bool
    template: str
    system: str
    prompt: str
    _debug_render_only: bool


class OllamaGenerate(TypedDict, total=False):
    """Of `/api/generate`."""

    options: _Options
    truncate: bool
    shift: bool
    _debug_render_only: bool


# --- Anthropic -----------------------------------------------------------------------------------


class _Format(TypedDict):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class Messages(TypedDict, total=False):
    """Of `/v1/messages`: spellings of old SDKs, and of other clouds."""

    output_format: _Format
    anthropic_version: str
    anthropic_beta: list[str]
