"""The cards of models on Ollama and OpenAI-compatible servers, read from what the servers themselves list.

A list may say much, little or nonsense.  What it says counts; what it does not say is taken to be possible, as long as
asking for it in vain does no harm.  Members of the wrong type are as good as absent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec.structs import replace

from dragoman.arguments import json_text
from dragoman.conversation import Effort, Object
from dragoman.models.cards import Card, EffortCard, ThinkingCard
from dragoman.models.cost import with_own_prices
from dragoman.models.open.card import ALWAYS_ON, CONTEXT, NO_THINKING, SWITCHED, generic
from dragoman.models.servers import Server, facts, server_of

_EFFORTS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)
_SHOWN = ("capabilities", "details", "model_info", "modified_at", "parameters", "projector_info", "template")
_MOST_SHOWN = 16 * 1024


# --- Ollama -------------------------------------------------------------------------------------


def ollama_card(tag: Object, show: Object | None, upstream: str) -> Card:
    """The card of an element of `/api/tags`, with the answer of `/api/show` for it, if there is one.

    Wire: https://docs.ollama.com/api/tags and https://docs.ollama.com/api-reference/show-model-details
    """
    name = _text(tag, "model") or _text(tag, "name")
    shown = show if isinstance(show, dict) else {}
    info = _object(shown, "model_info")
    families = _families(tag, shown, info)
    told = _told(shown) or _told(tag)
    capabilities = set(told) if told else _derived(shown, families)
    context = _context(info) or _size(_object(tag, "details"), "context_length") or CONTEXT
    thinking, levels = _ollama_thinking(families)
    card = generic(
        name,
        "ollama",
        upstream,
        capabilities=capabilities,
        context_window=context,
        thinking=thinking,
        levels=levels,
        native=tag | ({"show": small} if (small := _small(shown)) else {}),
    )
    return replace(card, released=_day(tag.get("modified_at")))


def native_num_ctx(card: Card) -> int:
    """The window an Ollama model's own file asks for; 0 when it does not."""
    found = _NUM_CTX.search(_text(_object(card.native, "show"), "parameters"))
    return int(found[1]) if found else 0


def _told(owner: Object) -> list[str]:
    value = owner.get("capabilities")
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _families(tag: Object, shown: Object, info: Object) -> list[str]:
    """Every word for the model's architecture, the surest first."""
    found = [_text(info, "general.architecture")]
    for owner in (shown, tag):
        details = _object(owner, "details")
        found.append(_text(details, "family"))
        many = details.get("families")
        found += [word for word in many if isinstance(word, str)] if isinstance(many, list) else []
    return [word.lower() for word in found if word]


def _derived(shown: Object, families: list[str]) -> set[str]:
    """Capabilities on a server too old to list them: by its template and family, or else text, tools and pictures."""
    known = facts()
    if known.embedders.families.intersection(families):
        return {"embedding"}
    template = _text(shown, "template")
    if not shown:
        return {"completion", "tools", "vision"}
    held = {"completion"}
    sees = bool(_object(shown, "projector_info")) or bool(known.seers.families.intersection(families))
    marks = (("tools", ".Tools" in template), ("insert", ".Suffix" in template), ("thinking", ".Think" in template))
    return held | {word for word, yes in (*marks, ("vision", sees)) if yes}


def _context(info: Object) -> int:
    """`<architecture>.context_length`, or whatever ends like it."""
    if size := _size(info, f"{_text(info, 'general.architecture')}.context_length"):
        return size
    return next((size for key in info if str(key).endswith(".context_length") and (size := _size(info, key))), 0)


def _ollama_thinking(families: list[str]) -> tuple[ThinkingCard, tuple[Effort, ...]]:
    thinkers = facts().thinkers
    kind = next((thinkers[family] for family in families if family in thinkers), None)
    if kind is None:
        return SWITCHED, ()
    return ALWAYS_ON if kind.always else SWITCHED, kind.levels


def _small(shown: Object) -> Object:
    """What is worth keeping of `/api/show`: no licence, no vocabulary, nothing large."""
    kept: Object = {}
    for key in _SHOWN:
        value = shown.get(key)
        if isinstance(value, dict):
            value = {name: member for name, member in value.items() if not isinstance(member, list | dict)}
        if value and len(json_text(value)) <= _MOST_SHOWN:
            kept[key] = value
    return kept


# --- OpenAI-compatible --------------------------------------------------------------------------


def openai_card(entry: Object, upstream: str, flavor: str, dialect: str = "openai_chat") -> Card:
    """The card of an element of `GET /v1/models` on a server of this flavor (see `servers.toml`).

    OpenAI's own list has names only; vLLM adds `max_model_len`, llama.cpp `meta`, Groq `context_window`, OpenRouter
    `architecture`, `supported_parameters` and `top_provider`, Mistral and LM Studio `capabilities` and `type`.
    """
    server = server_of(flavor)
    name = _text(entry, "id") or _text(entry, "name")
    provider, context = _object(entry, "top_provider"), _openai_context(entry)
    output = _size(entry, "max_completion_tokens", "max_output_tokens") or _size(provider, "max_completion_tokens")
    levels = tuple(effort for effort in _EFFORTS if effort not in server.efforts)
    takes = _words(entry.get("supported_parameters"))
    inputs = _words(_object(entry, "architecture").get("input_modalities"))
    card = generic(
        name,
        dialect,
        upstream,
        flavor=flavor,
        capabilities=_openai_capabilities(name, entry, server, takes, inputs),
        context_window=context or CONTEXT,
        max_output_tokens=output or None,
        levels=levels,
        native=entry,
    )
    return replace(
        card,
        display_name=_text(entry, "display_name") or _text(entry, "name") or name,
        released=_day(entry.get("created")),
        pdf_input=server.files if inputs is None else server.files and "file" in inputs,
        structured_outputs="json_schema" in server.formats
        and (takes is None or bool(takes & {"structured_outputs", "response_format"})),
        forced_tool_choice=server.tool_choice != "none" and (takes is None or "tool_choice" in takes),
        mid_conversation_system=server.late_system,
    )


def _openai_context(entry: Object) -> int:
    """What the server gives the model; only then what the model was made for."""
    own = _size(
        entry, "loaded_context_length", "max_model_len", "context_window", "context_length", "max_context_length"
    )
    provided = _size(_object(entry, "top_provider"), "context_length")
    own = min(own, provided) if own and provided else own or provided
    return own or _size(_object(entry, "meta"), "n_ctx", "n_ctx_train")


def _openai_capabilities(
    name: str, entry: Object, server: Server, takes: set[str] | None, inputs: set[str] | None
) -> set[str]:
    """`takes` and `inputs`: the parameters and kinds of input the list names, None where it does not say."""
    if (kind := _openai_kind(name, entry)) != "completion":
        return {kind} if kind else set()
    held = {"completion"}
    if _openai_tools(entry, takes):
        held.add("tools")
    if (server.reasoning != "none") if takes is None else bool(takes & {"reasoning", "reasoning_effort"}):
        held.add("thinking")
    if _sees(entry, inputs):
        held.add("vision")
    if server.audio and (facts().hearers.named(name) if inputs is None else "audio" in inputs):
        held.add("audio")
    return held


def _openai_kind(name: str, entry: Object) -> str:
    """ "completion", "embedding", or "" for a model that has nothing to do with text."""
    outputs = _words(_object(entry, "architecture").get("output_modalities"))
    if outputs is not None:
        return "completion" if "text" in outputs else "embedding" if outputs & {"embedding", "embeddings"} else ""
    kind = (_text(entry, "type") or _text(entry, "task")).lower()
    if kind in ("embedding", "embeddings", "embed", "feature-extraction"):
        return "embedding"
    chats = _object(entry, "capabilities").get("completion_chat")
    if chats is False:
        return "embedding" if facts().embedders.named(name) else ""
    if kind in ("llm", "vlm", "chat", "generate") or chats is True:
        return "completion"
    if facts().embedders.named(name):
        return "embedding"
    return "" if facts().others.named(name) else "completion"


def _openai_tools(entry: Object, takes: set[str] | None) -> bool:
    if takes is not None:
        return "tools" in takes
    said = entry.get("capabilities")
    if isinstance(said, dict) and isinstance(yes := said.get("function_calling"), bool):
        return yes
    return True


def _sees(entry: Object, inputs: set[str] | None) -> bool:
    if inputs is not None:
        return "image" in inputs
    said = entry.get("capabilities")
    if isinstance(said, dict) and isinstance(yes := said.get("vision"), bool):
        return yes
    return _text(entry, "type").lower() != "llm"  # LM Studio's other word is "vlm"


# --- the configuration's corrections ------------------------------------------------------------


class Corrections(Protocol):
    """The members of the configuration's `Override` that correct a card."""

    @property
    def capabilities(self) -> Collection[str] | None: ...
    @property
    def context_window(self) -> int | None: ...
    @property
    def prices(self) -> Mapping[str, float] | None: ...


def with_override(card: Card, override: Corrections | None) -> Card:
    """`card` with the configured capabilities, which replace what the server says, the configured window and prices."""
    if override is None:
        return card
    if override.prices is not None:
        card = with_own_prices(card, override.prices)
    if (words := override.capabilities) is not None:
        card = _with_capabilities(card, words)
    if (window := override.context_window) is not None:
        unbounded = card.max_output_tokens >= card.context_window
        output = window if unbounded else min(card.max_output_tokens, window)
        card = replace(card, context_window=window, max_output_tokens=output)
    return card


def _with_capabilities(card: Card, words: Collection[str]) -> Card:
    changes: Object = {}
    if "thinking" not in words:
        changes = {"thinking": NO_THINKING, "effort": EffortCard()}
    elif "thinking" not in card.capabilities:
        changes = {"thinking": SWITCHED}
    return replace(
        card,
        completion="completion" in words,
        tools="tools" in words,
        insert="insert" in words,
        embedding="embedding" in words,
        image_input="vision" in words,
        audio_input="audio" in words,
        **changes,
    )


# --- members of a list, as they should be -------------------------------------------------------


def _text(owner: Mapping[str, Any], key: str) -> str:
    value = owner.get(key)
    return value if isinstance(value, str) else ""


def _object(owner: Mapping[str, Any], key: str) -> Object:
    value = owner.get(key)
    return value if isinstance(value, dict) else {}


def _size(owner: Mapping[str, Any], *keys: str) -> int:
    """The first of these that is a positive whole number, else 0."""
    return next((value for value in _values(owner, keys) if 0 < value < 2**40), 0)


def _values(owner: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[int]:
    for key in keys:
        value = owner.get(key)
        if type(value) is int or (type(value) is float and value.is_integer()):
            yield int(value)


def _words(value: Any) -> set[str] | None:
    return {word for word in value if isinstance(word, str)} if isinstance(value, list) else None


def _day(value: Any) -> str:
    """The day of a timestamp in ISO form or Unix seconds; "" when it is neither."""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value[:10]).date().isoformat()
        if type(value) in (int, float) and value > 0:
            return datetime.fromtimestamp(value, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    return ""
