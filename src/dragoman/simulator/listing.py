"""`GET /v1/models`: the bundled table in the shape of the real list, with its paging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from urllib.parse import parse_qs

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator.refused import Refused, bad

_LEVELS = ("low", "medium", "high", "xhigh", "max")
_THINKING = ("adaptive", "between_tools", "disabled", "enabled")
_EDITS = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
_MOST, _DEFAULT = 1000, 20


def describe_model(card: Card, today: date) -> Object:
    """One element of the list.  https://platform.claude.com/docs/en/api/models"""
    retired = card.retired(today)
    firm = card.retirement != "not_sooner_than"
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.display_name,
        "created_at": f"{card.released or '1970-01-01'}T00:00:00Z",
        "lifecycle": "retired" if retired else card.status,
        "deprecated_at": None,
        "retires_at": f"{card.retires_at}T00:00:00Z" if firm and card.retires_at else None,
        "line": card.line or None,
        "max_input_tokens": card.context_window,
        "max_tokens": card.max_output_tokens,
        "capabilities": _capabilities(card),
    }


def _has(value: bool) -> Object:
    return {"supported": value}


def _capabilities(card: Card) -> Object:
    thinks = any(kind in card.thinking.types for kind in ("adaptive", "enabled"))
    return {
        "batch": _has(True),
        "citations": _has(True),
        "code_execution": _has(card.structured_outputs),
        "context_management": {**_has(True), **{edit: _has(True) for edit in _EDITS}},
        "effort": {**_has(bool(card.effort.levels)), **{level: _has(level in card.effort.levels) for level in _LEVELS}},
        "image_input": _has(card.image_input),
        "pdf_input": _has(card.pdf_input),
        "server_tools": {**_has(True), "web_search": _has(True), "code_execution": _has(True)},
        "structured_outputs": _has(card.structured_outputs),
        "thinking": {**_has(thinks), "types": {kind: _has(kind in card.thinking.types) for kind in _THINKING}},
    }


def list_models(cards: Iterable[Card], today: date, query: str) -> Object:
    """A page of models, newest first.  Retired ones only when `lifecycle` asks for them.  Raises `Refused`."""
    asked = parse_qs(query)
    lifecycles = asked.get("lifecycle[]", asked.get("lifecycle", ["active", "deprecated"]))
    newest = sorted(cards, key=lambda card: card.released, reverse=True)
    rows = [row for row in (describe_model(card, today) for card in newest) if row["lifecycle"] in lifecycles]
    limit = _limit(asked.get("limit", [str(_DEFAULT)])[-1])
    if "after_id" in asked:
        rows = rows[_index(rows, asked["after_id"][-1], "after_id") + 1 :]
    if "before_id" in asked:
        end = _index(rows, asked["before_id"][-1], "before_id")
        page, more = rows[max(0, end - limit) : end], end > limit
    else:
        page, more = rows[:limit], len(rows) > limit
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"data": page, "has_more": more, **ends}


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:6]) <= _MOST:
        raise bad(f"limit: Input should be an integer between 1 and {_MOST}")
    return int(text)


def _index(rows: list[Object], model: str, name: str) -> int:
    for index, row in enumerate(rows):
        if row["id"] == model:
            return index
    raise bad(f"{name}: no such model: {model}")


def retrieve(cards: Mapping[str, Card], model: str, today: date) -> Object:
    """One model by id or alias, retired ones too.  Raises `Refused`."""
    if model not in cards:
        raise Refused(404, "not_found_error", f"model: {model}")
    return describe_model(cards[model], today)
