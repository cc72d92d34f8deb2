"""The card of a model on an Ollama or OpenAI-compatible server, from as much as is known of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from dragoman.conversation import Effort, Object
from dragoman.models.bounds import Bounds
from dragoman.models.cards import Card, EffortCard, ThinkingCard, bundled
from dragoman.models.servers import server_of

# What a chat model is taken to do while nobody has said otherwise.
CAPABILITIES = ("completion", "tools", "vision", "thinking")
# What most models of today can hold, in tokens.
CONTEXT = 131_072

NO_THINKING = ThinkingCard(types=[], default_on=False)
SWITCHED = ThinkingCard(types=["enabled", "disabled"], default_on=True)
ALWAYS_ON = ThinkingCard(types=["enabled"], default_on=True)
ON_DEMAND = ThinkingCard(types=["enabled", "disabled"], default_on=False)
"""Of a server of which it is not known what its models do when nobody asks."""


class _Wire(Struct, frozen=True):
    """What every server of a dialect has in common: what its API can say, whatever the model.

    `documents`: PDF files as they are.  `prefill`: a last message of the assistant is continued.  `choice`: the server
    understands a tool choice and forces it.  `thinking`, `levels`: of a model that thinks.  `images`, `media`: the
    kinds of pictures it reads and how much it takes, where that does not depend on the server.
    """

    documents: bool
    prefill: bool
    choice: bool
    thinking: ThinkingCard
    levels: tuple[Effort, ...]
    images: tuple[str, ...] = ()
    media: Bounds | None = None


# https://docs.ollama.com/api/chat and https://platform.openai.com/docs/api-reference/chat/create
_WIRES = {
    "ollama": _Wire(
        documents=False,
        prefill=True,
        choice=False,
        thinking=SWITCHED,
        levels=("low", "medium", "high", "max"),
        images=("image/jpeg", "image/png", "image/webp"),
        media=Bounds(sounds=("audio/wav",)),  # https://github.com/ollama/ollama/issues/15427
    ),
    "openai_chat": _Wire(True, False, True, ON_DEMAND, ("low", "medium", "high")),
    # https://platform.openai.com/docs/api-reference/responses/create
    "openai_responses": _Wire(True, False, True, ON_DEMAND, ("low", "medium", "high")),
}


def generic(
    id: str,
    dialect: str,
    upstream: str,
    *,
    flavor: str = "",
    capabilities: Collection[str] = CAPABILITIES,
    context_window: int = CONTEXT,
    max_output_tokens: int | None = None,
    thinking: ThinkingCard | None = None,
    levels: Sequence[Effort] | None = None,
    native: Object | None = None,
) -> Card:
    """A card of the model `id` on `upstream`, with the habits of its dialect.

    `capabilities` are in Ollama's words (completion, tools, insert, vision, audio, embedding, thinking), sizes are
    tokens, and `thinking` and `levels` say how a model with the capability "thinking" is told to.  A model on an
    Anthropic server is what the bundled table assumes of those it does not know.
    """
    if dialect == "anthropic":
        return replace(bundled().unknown, id=id, upstream=upstream)
    wire, server = _WIRES[dialect], server_of(flavor)
    thinks = "thinking" in capabilities
    return Card(
        id=id,
        dialect=dialect,
        upstream=upstream,
        flavor=flavor,
        display_name=id,
        context_window=context_window,
        max_output_tokens=max_output_tokens or context_window,
        completion="completion" in capabilities,
        tools="tools" in capabilities,
        insert="insert" in capabilities,
        embedding="embedding" in capabilities,
        image_input="vision" in capabilities,
        audio_input="audio" in capabilities,
        pdf_input=wire.documents,
        image_types=wire.images or server.image_types,
        media=server.media if wire.media is None else wire.media,
        structured_outputs=True,
        prefill=wire.prefill,
        forced_tool_choice=wire.choice,
        mid_conversation_system=False,
        sampling="all",
        effort=EffortCard(levels=list(wire.levels if levels is None else levels) if thinks else []),
        thinking=(thinking or wire.thinking) if thinks else NO_THINKING,
        native=native or {},
    )
