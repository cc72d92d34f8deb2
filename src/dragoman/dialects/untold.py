"""What of an answer a client's wire has no words for, by name: contents are never told.

The names are the answer's own members (`system_fingerprint`, `usage.cost`, `content[1].caller`), as the upstream wrote
them, or the conversation's where it has one.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from msgspec import Struct

from dragoman.conversation import (
    JSON,
    Citation,
    Finish,
    Foreign,
    Media,
    Object,
    Part,
    Reason,
    Refusal,
    Reply,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from dragoman.dialects.told import told
from dragoman.losses import Losses

_MANY = 32
_LONG = 80

INNER = frozenset({"choice", "message", "usage", "stop_details"})
"""Members of `Reply.extra` that hold what is left of a place inside the answer, and are no members of it."""

_HOLDERS = frozenset({"item"})
"""The same of the `extra` of a part."""

MEASURED = frozenset(
    {"timings", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}  # llama.cpp's, and Ollama's
)
"""Members that only time what the gateway times itself."""

CONTENT = "content"
"""The place of what the parts have of their own."""

USUAL = "standard"
"""The tier that says nothing."""


class Says(Struct, frozen=True, kw_only=True):
    """What a client's wire can say.

    `origins` are the dialects whose own members it writes back, where these are not in one of the places `without`.
    `tiers` are its words for how a call was served; `logprobs` the parts of which it has them; `unsaid` the parts it
    has no place for, `mute` the reasons to end that look like an ordinary end on it.  Without `refuses` a model's words
    about a refusal are said only where it says nothing else.  `plain_tokens`: where it tells log probabilities there is
    no place for more of a token than its text, its bytes and its number.
    """

    origins: frozenset[str]
    tiers: Mapping[str, str]
    without: frozenset[str] = frozenset()
    stop_sequence: bool = True
    plain_tokens: bool = False
    mute: tuple[Reason, ...] = ()
    refuses: bool = True
    logprobs: tuple[type[Part], ...] = ()
    unsaid: tuple[type[Part], ...] = ()


_TOKEN = frozenset({"token", "logprob", "bytes", "top_logprobs"})

_KINDS: Mapping[type[Part], str] = {Thinking: "thinking", ToolCall: "tool_use"}


def note(names: list[str], name: str) -> None:
    """Add `name`, once, cut to a bearable length; above a number nobody reads, no more."""
    if len(names) < _MANY and (name := name[:_LONG]) not in names:
        names.append(name)


class Untold:
    """`names` of what an answer has and `says` has no words for, `reworded` of what it says by other means.

    Feed it what is rare in a stream.
    """

    def __init__(self, says: Says) -> None:
        self.names: list[str] = []
        self.reworded: list[str] = []
        self._says = says
        self._spoke = False
        self.own = False
        """Whether the answer's own members are this wire's."""

    @property
    def _keeps_parts(self) -> bool:
        return self.own and CONTENT not in self._says.without

    def start(self, event: Start) -> None:
        self.own = event.origin in self._says.origins
        knows = event.tier in self._says.tiers or (self.own and self._says.tiers)
        if event.tier not in ("", USUAL) and not knows:
            self.note("service_tier")
        self._extra(event.extra)

    def part(self, index: int, part: Part) -> None:
        """A part, as it is at its start or as a whole."""
        if type(part) is Text and not (part.extra or part.citations or part.logprobs):
            self._spoke = True  # nearly every part there is
            return
        at = f"content[{index}]"
        match part:
            case Foreign(origin=origin, extra=extra):
                in_words = Thinking not in self._says.unsaid and bool(told(part))  # as a step of the thinking
                if origin not in self._says.origins:
                    note(self.reworded if in_words else self.names, f"{at} ({extra.get('type')})")
                return
            case Media(kind=kind, source=source):
                in_words = Media not in self._says.unsaid and source in ("url", "text")
                note(self.reworded if in_words else self.names, f"{at} ({kind})")
            case Thinking(redacted=True) if Thinking in self._says.unsaid:
                self.note(f"{at} (redacted_thinking)")
            case Refusal() if self._spoke and not self._says.refuses:
                self.note(f"{at} (refusal)")
            case Text(citations=citations):
                for citation in citations:
                    self.cited(index, citation)
            case _ if isinstance(part, self._says.unsaid):
                self.note(f"{at} ({_KINDS[type(part)]})")
            case _:
                pass
        self._spoke = self._spoke or isinstance(part, (Text, Refusal))
        self.logprobs(index, part, _logprobs(part))
        if part.extra and not self._keeps_parts:
            for name in _names(part.extra, _HOLDERS):
                self.note(f"{at}.{name}")

    def cited(self, index: int, citation: Citation) -> None:
        """A source of the part: what else is said of it than its name and address is the origin's own."""
        if citation.extra and not self._keeps_parts:
            note(self.reworded, f"content[{index}].citations")

    def logprobs(self, index: int, part: Part | None, tokens: Sequence[Object] | None) -> None:
        """`tokens` of `part` have log probabilities."""
        if tokens and not isinstance(part, self._says.logprobs):
            self.note(f"content[{index}].logprobs")
        elif tokens and self._says.plain_tokens:
            tops = [top for token in tokens for top in token.get("top_logprobs", ())]
            for name in sorted({name for token in (*tokens, *tops) for name in token} - _TOKEN):
                self.note(f"content[{index}].logprobs.{name}")

    def finish(self, event: Finish) -> None:
        if event.stop_sequence is not None and not self._says.stop_sequence:
            self.note("stop_sequence")
        if event.reason in self._says.mute and not (event.reason == "refusal" and self._tells(event)):
            self.note("stop_reason")
        if event.explanation and self._spoke and not self._says.refuses:
            self.note("stop_details.explanation")
        for name in event.skipped or ():
            self.note(name)
        self._extra(event.extra)

    def _tells(self, event: Finish) -> bool:
        """Whether the text itself says that there was a refusal."""
        return bool(event.explanation) or not self._spoke

    def note(self, name: str) -> None:
        note(self.names, name)

    def report(self, losses: Losses) -> None:
        """All of it in the report of the call, as `reply.…`."""
        for name in self.names:
            losses.drop(f"reply.{name}", "the client's API has no place for it in an answer")
        for name in self.reworded:
            losses.emulate(f"reply.{name}", "it was told in words")

    def join(self, other: Untold) -> None:
        """What `other` has noted, too."""
        for name in other.names:
            note(self.names, name)
        for name in other.reworded:
            note(self.reworded, name)

    def _extra(self, extra: Object | None) -> None:
        for name in _names(extra) if extra else ():
            if not self.own or name.partition(".")[0] in self._says.without:
                self.note(name)


def _names(extra: Object, holders: Container[str] = INNER) -> Iterator[str]:
    """The members of `extra` that say something, with what is within those that only hold others."""
    for name, value in extra.items():
        if name in MEASURED:
            continue
        if name in holders and isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in _deep(value))
        elif value not in NOTHING:
            yield name


def _deep(value: Object) -> Iterator[str]:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from (f"{name}.{below}" for below in _deep(inner))
        elif inner not in NOTHING:
            yield name


NOTHING: tuple[JSON, ...] = (None, "", [], {}, 0, USUAL, "global", "not_available", {"type": "direct"})
"""What says nothing about an answer: a count of 0, or a word of Anthropic's for "as usual" and "we do not say"."""


def of_reply(reply: Reply, says: Says) -> Untold:
    """The same of a whole answer."""
    untold = Untold(says)
    untold.start(Start(reply.id, reply.model, None, None, reply.origin, reply.tier, reply.extra))
    for index, part in enumerate(reply.content):
        untold.part(index, part)
    untold.finish(Finish(reply.reason, None, reply.stop_sequence, reply.explanation, reply.skipped))
    return untold


def _logprobs(part: Part) -> Sequence[Object]:
    return getattr(part, "logprobs", ())
