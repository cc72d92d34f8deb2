"""Rules about `cache_control`: how many marks, where, and in which order of lifetimes."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.conversation import Object
from dragoman.simulator.refused import bad
from dragoman.simulator.rules_messages import blocks

_MOST = 4


def _markable(body: Object) -> Iterator[tuple[Object, str]]:
    for index, tool in enumerate(body.get("tools") or []):
        yield tool, f"tools.{index}"
    system = body.get("system")
    for index, part in enumerate(system if isinstance(system, list) else []):
        yield part, f"system.{index}"
    for index, message in enumerate(body["messages"]):
        for at, block in enumerate(blocks(message)):
            where = f"messages.{index}.content.{at}"
            inner = block.get("content")
            if block["type"] == "tool_result" and isinstance(inner, list):
                for number, part in enumerate(inner):
                    yield part, f"{where}.content.{number}"
            yield block, where


def check_cache_marks(body: Object) -> None:
    """At most four marks (the automatic one counts), none on empty text, and one-hour marks before five-minute ones."""
    marks = [(block, at) for block, at in _markable(body) if block.get("cache_control")]
    automatic = body.get("cache_control")
    if (count := len(marks) + bool(automatic)) > _MOST:
        raise bad(f"A maximum of {_MOST} blocks with cache_control may be provided. Found {count}.")
    short = False
    for block, at in marks:
        if block.get("type") == "text" and not block["text"]:
            raise bad(f"{at}: cache_control cannot be set for empty text blocks")
        ttl = block["cache_control"].get("ttl", "5m")
        if ttl == "1h" and short:
            raise bad(
                f"{at}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control "
                "block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            )
        short = short or ttl == "5m"
    if automatic and body["messages"]:
        _automatic(automatic.get("ttl", "5m"), body["messages"][-1], short)


def _automatic(ttl: str, last: Object, short: bool) -> None:
    content = blocks(last)
    mark = content[-1].get("cache_control") if content else None
    if mark and mark.get("ttl", "5m") != ttl:
        raise bad("cache_control: the last block already has a cache_control with a different ttl")
    if ttl == "1h" and short:
        raise bad(
            "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."
        )
