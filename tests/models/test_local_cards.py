"""Cards of local models, from the lists that real servers give."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Override
from dragoman.conversation import Object
from dragoman.models.local import native_num_ctx, ollama_card, openai_card, with_override
from dragoman.models.servers import servers

TAG: Object = {
    "name": "qwen3:8b",
    "model": "qwen3:8b",
    "modified_at": "2026-10-01T12:00:00.123456Z",
    "size": 5225388164,
    "digest": "500a1f067a9f",
    "details": {"format": "gguf", "family": "qwen3", "families": ["qwen3"], "parameter_size": "8.2B"},
}
SHOW: Object = {
    "license": "x" * 20000,
    "parameters": 'num_ctx                        16384\nstop                           "<|im_end|>"',
    "template": "{{ .Prompt }}",
    "details": {"family": "qwen3"},
    "model_info": {
        "general.architecture": "qwen3",
        "qwen3.context_length": 40960,
        "tokenizer.ggml.tokens": ["a"] * 1000,
    },
    "capabilities": ["completion", "tools", "thinking"],
}


def show(**members: Any) -> Object:
    return {key: value for key, value in {**SHOW, **members}.items() if value is not None}


# --- Ollama -------------------------------------------------------------------------------------


def test_what_an_ollama_server_says_of_a_model() -> None:
    card = ollama_card(copy.deepcopy(TAG), copy.deepcopy(SHOW), "home")
    assert (card.id, card.dialect, card.upstream, card.released) == ("qwen3:8b", "ollama", "home", "2026-10-01")
    assert card.capabilities == ["completion", "tools", "thinking"]
    assert card.context_window == 40960
    assert card.thinking.types == ["enabled", "disabled"]
    assert (card.structured_outputs, card.forced_tool_choice, card.sampling, card.prefill) == (True, False, "all", True)
    assert not card.mid_conversation_system
    assert native_num_ctx(card) == 16384
    assert card.native["size"] == 5225388164
    assert "license" not in card.native["show"]
    assert "tokenizer.ggml.tokens" not in card.native["show"]["model_info"]


def test_newer_servers_say_it_all_in_the_list() -> None:
    details = TAG["details"] | {"context_length": 32768}
    card = ollama_card(TAG | {"details": details, "capabilities": ["completion", "vision"]}, None, "home")
    assert (card.capabilities, card.context_window) == (["completion", "vision"], 32768)
    assert native_num_ctx(card) == 0


# What /api/show of an older server has, and what follows.
OLDER: list[tuple[Object | None, list[str]]] = [
    (None, ["completion", "tools", "vision"]),
    ({"template": "{{ .Prompt }}"}, ["completion"]),
    ({"template": "{{ if .Tools }}x{{ end }}"}, ["completion", "tools"]),
    ({"template": "{{ .Prompt }}{{ .Suffix }}"}, ["completion", "insert"]),
    ({"template": "{{ .Prompt }}", "projector_info": {"clip.has_vision_encoder": True}}, ["completion", "vision"]),
    ({"template": "", "details": {"families": ["llama", "clip"]}}, ["completion", "vision"]),
    ({"template": "", "model_info": {"general.architecture": "nomic-bert"}}, ["embedding"]),
]


@pytest.mark.parametrize(("shown", "capabilities"), OLDER)
def test_an_older_server_that_lists_no_capabilities(shown: Object | None, capabilities: list[str]) -> None:
    assert ollama_card({"name": "m", "details": {"families": None}}, shown, "home").capabilities == capabilities


def test_a_model_that_thinks_in_levels_and_always() -> None:
    card = ollama_card(
        TAG, show(model_info={"general.architecture": "gptoss", "gptoss.context_length": 131072}), "home"
    )
    assert card.thinking.types == ["enabled"]
    assert card.effort.levels == ["low", "medium", "high"]
    assert ollama_card(TAG, SHOW, "home").effort.levels == []


CONTEXTS: list[tuple[Any, int]] = [
    ({"general.architecture": "llama", "llama.context_length": 8192}, 8192),
    ({"mllama.context_length": 4096}, 4096),
    ({"general.architecture": "llama", "llama.context_length": "8192"}, 131072),
    ({"general.architecture": "llama", "llama.context_length": -1}, 131072),
    ({"general.architecture": ["llama"], "llama.context_length": 2048.0}, 2048),
    (None, 131072),
    ("nonsense", 131072),
]


@pytest.mark.parametrize(("info", "context"), CONTEXTS)
def test_the_context_of_an_ollama_model(info: Any, context: int) -> None:
    assert ollama_card(TAG, show(model_info=info), "home").context_window == context


# --- OpenAI-compatible --------------------------------------------------------------------------

# Flavor, the list's element, and members of the card.
ENTRIES: list[tuple[str, Object, Object]] = [
    (
        "openai",
        {"id": "gpt-5.6", "created": 1763790000, "owned_by": "system"},
        {
            "capabilities": ["completion", "tools", "vision", "thinking"],
            "released": "2025-11-22",
            "pdf_input": True,
            "forced_tool_choice": True,
            "mid_conversation_system": True,
            "context_window": 131072,
        },
    ),
    ("openai", {"id": "text-embedding-3-small"}, {"capabilities": ["embedding"]}),
    ("openai", {"id": "whisper-1"}, {"capabilities": []}),
    (
        "vllm",
        {"id": "Qwen/Qwen3-8B", "owned_by": "vllm", "max_model_len": 32768},
        {
            "context_window": 32768,
            "max_output_tokens": 32768,
            "pdf_input": False,
            "forced_tool_choice": True,
        },
    ),
    ("vllm", {"id": "BAAI/bge-m3", "max_model_len": 8192}, {"capabilities": ["embedding"]}),
    ("llamacpp", {"id": "m.gguf", "meta": {"n_ctx_train": 40960, "n_params": 8}}, {"context_window": 40960}),
    (
        "groq",
        {"id": "llama", "context_window": 131072, "max_completion_tokens": 32768, "active": True},
        {
            "context_window": 131072,
            "max_output_tokens": 32768,
        },
    ),
    (
        "openrouter",
        {
            "id": "anthropic/claude-sonnet-5.5",
            "name": "Anthropic: Claude Sonnet 5.5",
            "context_length": 1000000,
            "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
            "supported_parameters": ["tools", "tool_choice", "reasoning", "structured_outputs"],
            "top_provider": {"context_length": 400000, "max_completion_tokens": 64000},
        },
        {
            "capabilities": ["completion", "tools", "vision", "thinking"],
            "context_window": 400000,
            "pdf_input": True,
            "max_output_tokens": 64000,
            "structured_outputs": True,
            "display_name": "Anthropic: Claude Sonnet 5.5",
        },
    ),
    (
        "openrouter",
        {
            "id": "small",
            "architecture": {"input_modalities": ["text"]},
            "supported_parameters": ["temperature"],
        },
        {
            "capabilities": ["completion"],
            "structured_outputs": False,
            "forced_tool_choice": False,
            "pdf_input": False,
        },
    ),
    (
        "openrouter",
        {
            "id": "hears",
            "architecture": {"input_modalities": ["text", "audio"], "output_modalities": ["text"]},
        },
        {"capabilities": ["completion", "tools", "audio", "thinking"]},
    ),
    ("openrouter", {"id": "paints", "architecture": {"output_modalities": ["image"]}}, {"capabilities": []}),
    (
        "mistral",
        {
            "id": "m",
            "max_context_length": 32768,
            "capabilities": {
                "completion_chat": True,
                "function_calling": False,
                "vision": False,
            },
        },
        {"capabilities": ["completion"], "context_window": 32768},
    ),
    ("mistral", {"id": "mistral-embed", "capabilities": {"completion_chat": False}}, {"capabilities": ["embedding"]}),
    (
        "lmstudio",
        {"id": "m", "type": "llm", "max_context_length": 131072, "loaded_context_length": 4096},
        {
            "capabilities": ["completion", "tools", "thinking"],
            "context_window": 4096,
        },
    ),
    ("lmstudio", {"id": "m", "type": "vlm"}, {"capabilities": ["completion", "tools", "vision", "thinking"]}),
    ("lmstudio", {"id": "m", "type": "embeddings"}, {"capabilities": ["embedding"]}),
    ("deepseek", {"id": "deepseek-chat"}, {"structured_outputs": False}),
    ("ollama", {"id": "m", "owned_by": "library"}, {"forced_tool_choice": False}),
    ("nobody knows", {"id": "m"}, {"capabilities": ["completion", "tools", "vision", "thinking"]}),
]


@pytest.mark.parametrize(("flavor", "entry", "members"), ENTRIES)
def test_what_a_list_says_of_a_model(flavor: str, entry: Object, members: Object) -> None:
    card = openai_card(entry, "far", flavor)
    assert {name: getattr(card, name) for name in members} == members
    assert (card.id, card.upstream, card.flavor, card.dialect) == (entry["id"], "far", flavor, "openai_chat")
    assert card.native == entry


# --- nonsense -----------------------------------------------------------------------------------

_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_TAG_KEYS = ("name", "model", "modified_at", "details", "capabilities", "size")
_SHOW_KEYS = ("capabilities", "details", "model_info", "parameters", "projector_info", "template", "modified_at")
_ENTRY_KEYS = (
    *("id", "name", "created", "owned_by", "max_model_len", "context_length", "context_window", "architecture"),
    *("supported_parameters", "top_provider", "meta", "type", "task", "capabilities", "display_name"),
    *("max_completion_tokens", "loaded_context_length"),
)
_INNER_KEYS = (
    *("general.architecture", "llama.context_length", "context_length", "family", "families", "input_modalities"),
    *("output_modalities", "completion_chat", "vision", "function_calling", "n_ctx_train", "max_completion_tokens"),
)


def _junk(keys: tuple[str, ...]) -> st.SearchStrategy[Object]:
    inner = st.dictionaries(st.sampled_from(_INNER_KEYS), _JUNK | st.just("llama"), max_size=4)
    return st.dictionaries(st.sampled_from(keys), _JUNK | inner, max_size=len(keys))


@settings(max_examples=100, deadline=None)
@given(tag=_junk(_TAG_KEYS), shown=st.none() | _junk(_SHOW_KEYS))
def test_no_list_of_an_ollama_server_is_too_strange(tag: Object, shown: Object | None) -> None:
    card = ollama_card(tag, shown, "home")
    assert card.context_window > 0
    assert native_num_ctx(card) >= 0


@settings(max_examples=100, deadline=None)
@given(entry=_junk(_ENTRY_KEYS), flavor=st.sampled_from(sorted(servers())))
def test_no_list_of_models_is_too_strange(entry: Object, flavor: str) -> None:
    card = openai_card(entry, "far", flavor)
    assert 0 < card.context_window < 2**40
    assert card.max_output_tokens > 0


# --- corrections --------------------------------------------------------------------------------


def test_configured_capabilities_replace_what_the_server_says() -> None:
    card = with_override(ollama_card(TAG, SHOW, "home"), Override(capabilities=("completion", "vision")))
    assert card.capabilities == ["completion", "vision"]
    assert card.thinking.types == []
    back = with_override(card, Override(capabilities=("completion", "thinking", "audio")))
    assert back.capabilities == ["completion", "audio", "thinking"]
    assert back.thinking.types == ["enabled", "disabled"]


def test_configured_thinking_keeps_how_the_model_thinks() -> None:
    card = ollama_card(TAG, show(details={"family": "gptoss"}, model_info={}), "home")
    assert with_override(card, Override(capabilities=("completion", "thinking"))).thinking == card.thinking


def test_a_configured_window_bounds_the_output_too() -> None:
    card = with_override(ollama_card(TAG, SHOW, "home"), Override(context_window=8192))
    assert (card.context_window, card.max_output_tokens) == (8192, 8192)
    groq = openai_card({"id": "m", "context_window": 131072, "max_completion_tokens": 4096}, "far", "groq")
    assert with_override(groq, Override(context_window=65536)).max_output_tokens == 4096


def test_no_override_changes_nothing() -> None:
    card = ollama_card(TAG, SHOW, "home")
    assert with_override(card, None) == card
    assert with_override(card, Override(temperature=0.5)) == card
