"""What the client asked of the model's thinking, as far as this model can be told."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Reasoning, Request
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.thinking import ROOM, effort_for, nearest_level, wants_thinking


def fit_thinking(request: Request, card: Card, losses: Losses) -> Request:
    """`reasoning` with on, off, or a level that the model has; None where there is nothing to say."""
    asked = request.reasoning or Reasoning()
    if asked.mode == "between_tools":
        losses.drop("reasoning", "thinking between calls of tools only is Claude's own way: it is off here")
    thinks = "enabled" in card.thinking.types
    match wants_thinking(asked):
        case True if thinks:
            return replace(request, reasoning=_on(asked, card, losses))
        case True:
            losses.drop("reasoning", f"{card.id} does not think")
        case False if thinks:
            if asked.effort is not None:
                losses.drop("reasoning.effort", "it says how much to think, and the model is asked not to")
            return replace(request, reasoning=_off(card, losses))
        case None if thinks:
            return replace(request, reasoning=_unasked(request.max_tokens, asked, card, losses))
    if asked.effort is not None:
        losses.drop("reasoning.effort", f"{card.id} does not think, with whatever effort")
    return replace(request, reasoning=None)


def _on(asked: Reasoning, card: Card, losses: Losses) -> Reasoning:
    effort = asked.effort
    if effort is None and asked.budget is not None:
        effort = effort_for(asked.budget) if card.effort.levels else None
        how = f"is sent as effort {effort}" if effort else "is not known to this model: it thinks as long as it likes"
        losses.emulate("reasoning.budget", f"a budget of {asked.budget} tokens {how}")
    elif asked.budget is not None:
        losses.emulate("reasoning.budget", "the effort that was asked for stands for it")
    return Reasoning(enabled=True, effort=nearest_level(effort, card, losses))


def _off(card: Card, losses: Losses) -> Reasoning | None:
    if "disabled" in card.thinking.types:
        return Reasoning(enabled=False)
    losses.drop("reasoning", f"{card.id} always thinks; it is asked for the least effort")
    lowest = card.effort.levels[0] if card.effort.levels else None
    return Reasoning(effort=lowest) if lowest else None


def _unasked(limit: int | None, asked: Reasoning, card: Card, losses: Losses) -> Reasoning | None:
    if asked.effort is not None:
        effort = nearest_level(asked.effort, card, losses)
        return Reasoning(effort=effort) if effort else None
    if card.thinking.default_on and "disabled" in card.thinking.types and limit is not None and limit < ROOM:
        # The model would spend the few tokens there are on thoughts nobody asked for.
        return Reasoning(enabled=False)
    return None
