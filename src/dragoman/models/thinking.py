"""Thinking and effort: what the client asked for, in the words this model takes."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Effort, Message, Reasoning, Request, Thinking, ToolResult
from dragoman.losses import Losses
from dragoman.models.cards import Card

MIN_BUDGET = 1024

# Thinking budgets in tokens for models that are told a budget rather than an effort.
_BUDGETS: dict[Effort | None, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    None: 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 32768,
}
# And back: the smallest effort whose budget covers the one that was asked for.
_EFFORTS: tuple[tuple[int, Effort], ...] = ((2048, "low"), (8192, "medium"), (16384, "high"), (32768, "xhigh"))

# An output limit below this leaves no room to think and to answer.
ROOM = 4096


def effort_for(budget: int) -> Effort:
    """The effort that stands for a thinking budget of so many tokens."""
    return next((effort for most, effort in _EFFORTS if budget <= most), "max")


def fit_thinking(request: Request, card: Card, losses: Losses) -> Request:
    """Choose `reasoning.mode`, effort and budget.  `max_tokens` must still be the client's own, or None."""
    if request.reasoning is None and not card.thinking.default_on:
        return request  # nobody asked, and the model does not think by itself
    asked = request.reasoning or Reasoning()
    wanted = wants_thinking(asked)
    if wanted is None:
        return _unasked(request, asked, card, losses)
    if wanted:
        return _on(request, asked, card, losses)
    return _off(request, asked, card, losses)


def wants_thinking(asked: Reasoning) -> bool | None:
    """Whether the client wants the model to think; None when it did not say."""
    if asked.enabled is not None:
        return asked.enabled
    return True if asked.visible or asked.budget else None


def _on(request: Request, asked: Reasoning, card: Card, losses: Losses) -> Request:
    if "adaptive" in card.thinking.types:
        wanted = asked.effort
        if wanted is None and asked.budget is not None:
            wanted = effort_for(asked.budget)
            losses.emulate("reasoning", f"a thinking budget is sent as effort {wanted}")
        elif asked.budget is not None:
            losses.emulate("reasoning", "the effort that was asked for stands for the thinking budget")
        effort = nearest_level(wanted, card, losses)
        return replace(
            request, reasoning=Reasoning(enabled=True, effort=effort, visible=asked.visible, mode="adaptive")
        )
    if "enabled" in card.thinking.types:
        return _manual(request, asked, card, losses)
    losses.drop("reasoning", f"{card.id} does not think")
    if asked.effort is not None:
        losses.drop("reasoning.effort", f"{card.id} does not think, with whatever effort")
    return replace(request, reasoning=None)


def _manual(request: Request, asked: Reasoning, card: Card, losses: Losses) -> Request:
    """Models that are given a budget in tokens, which must be smaller than the output limit."""
    if _loop_is_unsealed(request, card):
        losses.drop("reasoning", "the signed reasoning that led to these tool calls is not known here")
        return _off(request, asked, card, losses, quiet=True)
    limit = request.max_tokens
    if limit is not None and limit <= MIN_BUDGET:
        losses.drop("reasoning", f"an output limit of {limit} tokens leaves no room to think")
        return _off(request, asked, card, losses, quiet=True)
    budget = max(asked.budget or _BUDGETS[asked.effort], MIN_BUDGET)
    budget = min(budget, min(limit or card.max_output_tokens, card.max_output_tokens) - 1)
    if asked.budget is not None and budget != asked.budget:
        losses.emulate("reasoning.budget", f"{budget} tokens, which leaves room for an answer")
    effort = nearest_level(asked.effort, card, Losses()) if card.effort.levels else None
    if asked.effort is not None and asked.budget is not None and effort is None:
        losses.emulate("reasoning.effort", "the thinking budget that was asked for stands for the effort")
    visible = asked.visible if asked.visible is not (card.thinking.default_display == "summarized") else None
    reasoning = Reasoning(enabled=True, effort=effort, budget=budget, visible=visible, mode="enabled")
    return replace(request, reasoning=reasoning)


def _loop_is_unsealed(request: Request, card: Card) -> bool:
    """Whether the request continues a tool loop that does not begin with its signed reasoning.

    A loop is one turn, however many calls it makes: a model that does not think between them thinks at its start.
    """
    begins: Message | None = None
    if request.messages and request.messages[-1].role == "assistant":
        return False
    for message in reversed(request.messages):
        if message.role == "assistant":
            begins = message
        elif not any(isinstance(part, ToolResult) for part in message.content):
            break
    if begins is None:
        return False
    first = begins.content[0] if begins.content else None
    return not (isinstance(first, Thinking) and first.seal is not None and first.seal.origin == card.dialect)


def _off(request: Request, asked: Reasoning, card: Card, losses: Losses, *, quiet: bool = False) -> Request:
    """Not thinking, or as little as this model can.  `quiet`: the client did not ask for it, we do."""
    types = card.thinking.types
    effort = asked.effort
    if asked.mode == "between_tools" and asked.mode not in types:
        losses.drop("reasoning", f"{card.id} does not know to think between calls of tools only")
    if "disabled" in types or "between_tools" in types or not card.thinking.default_on:
        mode = "" if not card.thinking.default_on else "disabled" if "disabled" in types else "between_tools"
        ceiling = card.thinking.max_effort_when_off
        level = _at_most(nearest_level(effort, card, Losses() if quiet else losses), ceiling, card) if effort else None
        if effort is not None and level is not None and ceiling == level != effort and not quiet:
            losses.emulate("reasoning.effort", f"effort {effort} is sent as {level}, the most it has without thinking")
        reasoning = Reasoning(effort=level, mode=mode) if mode or level else None
        return replace(request, reasoning=reasoning)
    if not quiet:
        losses.drop("reasoning", f"{card.id} always thinks; it is asked for the least effort")
    lowest = card.effort.levels[0] if card.effort.levels else None
    return _with_room(replace(request, reasoning=Reasoning(effort=lowest)), losses)


def _unasked(request: Request, asked: Reasoning, card: Card, losses: Losses) -> Request:
    limit = request.max_tokens
    if card.thinking.default_on and not asked.effort and limit is not None and limit < ROOM:
        # The model would spend the few tokens there are on thoughts nobody asked for.
        return _off(request, asked, card, losses, quiet=True)
    effort = nearest_level(asked.effort, card, losses) if asked.effort else None
    return replace(request, reasoning=Reasoning(effort=effort) if effort else None)


def _with_room(request: Request, losses: Losses) -> Request:
    if request.max_tokens is None or request.max_tokens >= ROOM:
        return request
    losses.emulate("max_tokens", "raised, because this model's thinking counts against the limit")
    return replace(request, max_tokens=request.max_tokens + ROOM)


def nearest_level(effort: Effort | None, card: Card, losses: Losses) -> Effort | None:
    """The closest effort this model has that is not above the one asked for."""
    levels = card.effort.levels
    if effort is None or not levels:
        if effort is not None:
            losses.emulate("reasoning.effort", f"{card.id} has no effort levels")
        return None
    order = ("minimal", "low", "medium", "high", "xhigh", "max")
    fitting = [level for level in levels if order.index(level) <= order.index(effort)] or levels[:1]
    if fitting[-1] != effort:
        losses.emulate("reasoning.effort", f"effort {effort} is sent as {fitting[-1]}")
    return fitting[-1]


def _at_most(effort: Effort | None, ceiling: Effort | None, card: Card) -> Effort | None:
    levels = card.effort.levels
    if effort is None or ceiling is None or levels.index(effort) <= levels.index(ceiling):
        return effort
    return ceiling
