"""The prompt cache: which part of a prompt was seen before, and what that makes of the input counts.

A mark caches everything before and including its block.  A later request reads the longest prefix an earlier one
wrote, looking back from each of its marks over at most twenty blocks.  Prefixes shorter than the model's minimum are
not cached.  https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator.seals import canonical
from dragoman.simulator.tokens import segments

_LOOKBACK = 20
_MOST_ENTRIES = 10_000
_SECONDS = {"5m": 300.0, "1h": 3600.0}
_DEFAULT_MINIMUM = 1024


class Counts(NamedTuple):
    """The input side of `usage`: not cached, read from the cache, and written to it for five minutes or an hour."""

    fresh: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0


class _Point(NamedTuple):
    """The end of a block: the digest of all up to it, the tokens up to it, and the ttl of its mark or ""."""

    key: bytes
    tokens: int
    mark: str


class PromptCache:
    """What was cached, and until when.  `now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._expires: OrderedDict[bytes, float] = OrderedDict()

    def charge(self, body: Object, card: Card, total: int, now: float) -> Counts:
        """Count the prompt of `total` tokens and remember what its marks ask for."""
        points = _points(body, card)
        marks = [index for index, point in enumerate(points) if point.mark]
        least = card.min_cacheable_tokens or _DEFAULT_MINIMUM
        marks = [index for index in marks if points[index].tokens >= least]
        if not marks:
            return Counts(total)
        hit = max((index for mark in marks for index in self._lookback(points, mark, now)), default=-1)
        read = points[hit].tokens if hit >= 0 else 0
        counts = Counts(total - points[marks[-1]].tokens, read)
        done = read
        for index in marks:
            point = points[index]
            fresh = max(0, point.tokens - done)
            done = max(done, point.tokens)
            if point.mark == "1h":
                counts = counts._replace(written_1h=counts.written_1h + fresh)
            else:
                counts = counts._replace(written_5m=counts.written_5m + fresh)
            self._remember(point.key, now + _SECONDS[point.mark])
        if hit >= 0:
            self._remember(points[hit].key, now + _SECONDS["5m"])
        return counts

    def _lookback(self, points: list[_Point], mark: int, now: float) -> list[int]:
        for index in range(mark, max(-1, mark - _LOOKBACK), -1):
            if self._expires.get(points[index].key, 0.0) > now:
                return [index]
        return []

    def _remember(self, key: bytes, until: float) -> None:
        self._expires[key] = max(until, self._expires.pop(key, 0.0))
        while len(self._expires) > _MOST_ENTRIES:
            self._expires.popitem(last=False)


def _points(body: Object, card: Card) -> list[_Point]:
    running = hashlib.blake2b(card.id.encode(), digest_size=16)
    # Changes to these leave what is cached of tools and system alone, but not what is cached of messages.
    settings = msgspec.json.encode([body.get("tool_choice"), body.get("thinking"), body.get("output_config")])
    automatic = body.get("cache_control")
    points: list[_Point] = []
    tokens = 0
    in_messages = False
    for segment in segments(body, card):
        if segment.message and not in_messages:
            running.update(settings)
            in_messages = True
        running.update(msgspec.json.encode(canonical(segment.value)) + b"\n")
        tokens += segment.tokens
        points.append(_Point(running.digest(), tokens, segment.mark))
    if automatic and points and not points[-1].mark:
        points[-1] = points[-1]._replace(mark=automatic.get("ttl", "5m"))
    return points
