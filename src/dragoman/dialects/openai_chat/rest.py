"""What is left of a streamed answer when all that has a name is read: told at its end, to whom it may concern.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from dragoman.conversation import JSON, Object
from dragoman.dialects.openai_chat.usage import usage_rest
from dragoman.dialects.untold import NOTHING, note

# What the decoder reads, and what only says that this is a chunk: its kind, its time, and padding against those who
# guess at words by their length.
_CHUNK = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "service_tier", "obfuscation", "error", "code", "message"}
)
_CHOICE = frozenset({"index", "delta", "message", "logprobs", "finish_reason", "stop_reason", "error"})
_DELTA = frozenset(
    {"role", "content", "refusal", "annotations", "audio", "tool_calls", "function_call"}
    | {"reasoning_content", "reasoning", "reasoning_details"}
)
_LOGPROBS = frozenset({"content", "refusal"})
_MANY = 32


class Rest:
    """`extra` is of the reply, in the shape of `Reply.extra`; `width` and `choice_width` are how many members the last
    chunk and its choice had that were looked at: the next ones of that width have the same."""

    def __init__(self, skipped: list[str]) -> None:
        self.extra: Object = {}
        self._first: Object = {}
        self._tier: str | None = None
        self.width = self.choice_width = 0
        self._skipped = skipped

    def chunk(self, chunk: Object) -> None:
        self.width = len(chunk)
        if self._tier is None:
            self._tier = chunk.get("service_tier") or ""
        elif (tier := chunk.get("service_tier")) not in (None, self._tier):
            self.extra["service_tier"] = tier  # on second thought
        self._keep(self.extra, chunk, _CHUNK)
        if isinstance(usage := chunk.get("usage"), dict) and (rest := usage_rest(usage)):
            self.extra["usage"] = rest

    def choice(self, choice: Object) -> None:
        self.choice_width = len(choice)
        self._keep(self.extra.setdefault("choice", {}), choice, _CHOICE)
        if isinstance(logprobs := choice.get("logprobs"), dict):
            self._skip("logprobs", logprobs, _LOGPROBS)

    def delta(self, delta: Object) -> None:
        self._skip("delta", delta, _DELTA)
        if isinstance(audio := delta.get("audio"), dict):
            self._skip("delta.audio", audio, frozenset({"transcript"}))

    def first(self) -> Object | None:
        """What there is at the start; the end does not say it again."""
        self._first = self.last() or {}
        self.extra = {}
        return self._first or None

    def last(self) -> Object | None:
        return {name: value for name, value in self.extra.items() if value not in ({}, self._first.get(name))} or None

    def _keep(self, kept: Object, members: Object, known: frozenset[str]) -> None:
        for name in (name for name in members if name not in known):
            if (value := members[name]) not in NOTHING and len(kept) < _MANY:
                kept[name] = value

    def _skip(self, place: str, members: Object, known: frozenset[str]) -> None:
        """Nobody knows how the pieces of these would add up."""
        for name in (name for name in members if name not in known):
            if said(members[name]):
                note(self._skipped, f"{place}.{name}")


def said(value: JSON) -> bool:
    """Whether a member says anything."""
    return value not in NOTHING
