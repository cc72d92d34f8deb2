"""Would the real API take this request?  A pure function over the body; the answer is `Approved` or `Refused`.

`check` goes through the rules in the order the real API seems to: the shape of the body, the model, what this model
takes, tools, cache marks, messages, media, thinking signatures, and last the size of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator import wire
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.rules_cache import check_cache_marks
from dragoman.simulator.rules_media import check_media
from dragoman.simulator.rules_messages import check_messages, check_version
from dragoman.simulator.rules_tools import check_strict_schemas, check_tools
from dragoman.simulator.seals import check_seals
from dragoman.simulator.tokens import prompt_tokens

_INTERLEAVED = "interleaved-thinking-2025-05-14"
OLD_VERSION, NEW_VERSION = "2023-06-01", "2026-10-21"


class Call(NamedTuple):
    """What surrounds a body: the API version, the betas, the date, and whether tokens are only counted."""

    version: str = OLD_VERSION
    betas: frozenset[str] = frozenset()
    today: date = date(2026, 11, 22)
    counting: bool = False


class Approved(NamedTuple):
    """A request the API takes.  `body` is `sent` without the thinking blocks that `dropped` lists.

    `interleaved`: thinking goes on after tool results.
    """

    card: Card
    sent: Object
    body: Object
    thinks: bool
    display: str
    interleaved: bool
    effort: str
    prompt_tokens: int
    dropped: list[Object]


def check(body: Object, call: Call, cards: Mapping[str, Card]) -> Approved:
    """The rules.  `cards` is keyed by every id and alias.  Raises `Refused`."""
    (wire.COUNT if call.counting else wire.CREATE)(body, "", call.betas)
    if call.version == NEW_VERSION:
        check_version(body)
    card = _model(body["model"], call.today, cards)
    for rule in _MODEL_RULES:
        rule(body, card, call)
    check_tools(body)
    check_strict_schemas(body, card)
    check_cache_marks(body)
    check_messages(body, card)
    check_media(body, card)
    messages, dropped = check_seals(body, card)
    used = {**body, "messages": messages}
    tokens = prompt_tokens(used, card)
    _size(body, card, tokens)
    return Approved(
        card=card,
        sent=body,
        body=used,
        thinks=_thinks(body, card),
        display=(body.get("thinking") or {}).get("display") or card.thinking.default_display,
        interleaved=_interleaved(body, card, call),
        effort=(body.get("output_config") or {}).get("effort") or card.effort.default or "high",
        prompt_tokens=tokens,
        dropped=dropped if "thinking-binding-controls-2026-08-01" in call.betas else [],
    )


def _model(name: str, today: date, cards: Mapping[str, Card]) -> Card:
    card = cards.get(name)
    if card is None or card.retired(today):
        raise Refused(404, "not_found_error", f"model: {name}")
    return card


def _thinking_type(body: Object) -> str | None:
    kind: str | None = (body.get("thinking") or {}).get("type")
    return kind


def _thinks(body: Object, card: Card) -> bool:
    kind = _thinking_type(body)
    return kind in ("adaptive", "enabled") or (kind is None and card.thinking.default_on)


def _interleaved(body: Object, card: Card, call: Call) -> bool:
    manual = _thinking_type(body) == "enabled"
    match card.thinking.interleaved:
        case "automatic":
            return True
        case "adaptive_only":
            return not manual
        case "beta_with_enabled":
            return not manual or _INTERLEAVED in call.betas
        case "beta":
            return _INTERLEAVED in call.betas
        case _:
            return False


# --- what this model takes ---------------------------------------------------------------------


def _output_limit(body: Object, card: Card, call: Call) -> None:
    limit = body.get("max_tokens", 1)
    if limit > card.max_output_tokens:
        raise bad(
            f"max_tokens: {limit} > {card.max_output_tokens}, which is the maximum allowed number of output tokens for "
            f"{card.id}"
        )
    if limit:
        return
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    for clash, name in (
        (body.get("stream"), "stream"),
        (_thinking_type(body) == "enabled", "thinking.type=enabled"),
        ((body.get("output_config") or {}).get("format"), "output_config.format"),
        (forced, "a tool_choice that forces tool use"),
    ):
        if clash:
            raise bad(f"max_tokens: 0 is not supported together with {name}")


def _sampling(body: Object, card: Card, call: Call) -> None:
    given = [name for name in wire.SAMPLING if name in body]
    if card.sampling == "omit" and given:
        raise bad(f"`{given[0]}` is deprecated for this model.")
    if card.sampling == "one" and "temperature" in body and "top_p" in body:
        raise bad("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if not _thinks(body, card):
        return
    learn = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
    if body.get("temperature", 1) != 1:
        raise bad(f"`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. {learn}")
    if "top_k" in body:
        raise bad(f"`top_k` must be unset when thinking is enabled or in adaptive mode. {learn}")
    if body.get("top_p", 1) < 0.95:
        raise bad(f"`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled. {learn}")


def _thinking(body: Object, card: Card, call: Call) -> None:
    config = body.get("thinking")
    if config is None:
        return
    kind = config["type"]
    if kind not in card.thinking.types:
        raise bad(_no_such_thinking(kind, card))
    if config.get("display") == "updates" and "thinking-display-updates-2026-08-18" not in call.betas:
        raise bad(f"thinking.{kind}.display: Input should be 'summarized' or 'omitted'")
    if (
        kind == "enabled"
        and not call.counting
        and config["budget_tokens"] >= body["max_tokens"]
        and not (body.get("tools") and _interleaved(body, card, call))
    ):
        raise bad(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
        )


def _no_such_thinking(kind: str, card: Card) -> str:
    if kind == "adaptive":
        return "adaptive thinking is not supported on this model"
    if kind == "disabled" and "between_tools" in card.thinking.types:
        return (
            '"thinking.type.disabled" is not supported for this model. To turn thinking off, send '
            '"thinking": {"type": "between_tools"}.'
        )
    hint = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
    return f'"thinking.type.{kind}" is not supported for this model. {hint}'


def _effort(body: Object, card: Card, call: Call) -> None:
    effort = (body.get("output_config") or {}).get("effort")
    if effort is None:
        return
    levels = card.effort.levels
    if not levels:
        raise bad("This model does not support the effort parameter.")
    if effort not in levels:
        raise bad(f"output_config.effort '{effort}' is not supported for this model. Supported: {', '.join(levels)}.")
    most = card.thinking.max_effort_when_off
    if most and not _thinks(body, card) and levels.index(effort) > levels.index(most):
        raise bad(
            f"output_config.effort '{effort}' is not supported when thinking is disabled on this model. Use effort "
            f"'{most}' or below, or enable thinking."
        )


def _forced_tool(body: Object, card: Card, call: Call) -> None:
    if (body.get("tool_choice") or {}).get("type") not in ("any", "tool"):
        return
    if not card.forced_tool_choice:
        raise bad('tool_choice: type "tool" and "any" are not supported for this model.')
    if _thinking_type(body) == "enabled":
        raise bad("Thinking may not be enabled when tool_choice forces tool use.")


def _stop_sequences(body: Object, card: Card, call: Call) -> None:
    if any(not stop.strip() for stop in body.get("stop_sequences", [])):
        raise bad("stop_sequences: each stop sequence must contain non-whitespace")


def _speed(body: Object, card: Card, call: Call) -> None:
    if body.get("speed") == "fast" and "fast-mode-2026-02-01" not in call.betas:
        raise bad("speed: Extra inputs are not permitted")


_MODEL_RULES: tuple[Callable[[Object, Card, Call], None], ...] = (
    _output_limit,
    _thinking,
    _effort,
    _sampling,
    _forced_tool,
    _stop_sequences,
    _speed,
)


def _size(body: Object, card: Card, tokens: int) -> None:
    window = card.context_window
    if tokens > window:
        raise bad(f"prompt is too long: {tokens} tokens > {window} maximum")
    limit = body.get("max_tokens", 0)
    if card.overflow == "400" and tokens + limit > window:
        raise bad(
            f"input length and `max_tokens` exceed context limit: {tokens} + {limit} > {window}, decrease input length "
            "or `max_tokens` and try again"
        )
