"""Token counts, read from an answer whose bytes pass through untouched.

Nothing ordinary is parsed: each read is searched for the name of a member that carries counts, and only the line that
has it is decoded.  Memory is bounded: of a line, or of an unstreamed body, that is longer than `WHOLE` only the last
`TAIL` bytes are kept, where every server puts its counts.

Where they are: https://platform.claude.com/docs/en/build-with-claude/streaming,
https://platform.openai.com/docs/api-reference/chat-streaming, https://docs.ollama.com/api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from dragoman.conversation import JSON, Object, Usage
from dragoman.dialects.anthropic.vocabulary import decode_usage as decode_anthropic
from dragoman.dialects.ollama.reply import decode_usage as decode_ollama
from dragoman.dialects.openai_chat.usage import decode_usage as decode_openai
from dragoman.dialects.openai_responses.usage import decode_usage as decode_responses
from dragoman.errors import GatewayError

# Bytes.  Nothing that carries counts and is not hostile is longer, but for answers full of vectors or tokens.
WHOLE = 1024 * 1024
TAIL = 64 * 1024
# How many places of a tail are tried, the last ones.
_TRIES = 8

_NEWLINE = 10
_NONE = Usage()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode


class Tap(Protocol):
    """What reads along."""

    marked: Callable[[bytes], object]
    """Whether `feed` would look at these whole lines.  Between whole lines, those it would not need not be fed."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the answer, in whatever pieces.  Never raises."""

    def knows(self, body: Object) -> None:
        """All of an answer that came whole, read by somebody else: what is fed is of no more interest."""

    @property
    def usage(self) -> Usage | None:
        """What the answer said of its tokens; None when it said nothing.  Final once all of it was fed."""


def tap_for(dialect: str, streamed: bool) -> Tap:
    """A tap for one answer of a server that speaks `dialect`: a stream of events or lines, or one JSON object.

    Unstreamed answers to embeddings and legacy completions carry their counts in the same members.  Raises `KeyError`
    for a dialect that nobody speaks.
    """
    wire = _WIRES[dialect]
    return _StreamTap(wire) if streamed else _BodyTap(wire)


class _StreamTap:
    """Looks at whole lines, and at most of them only from outside."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._search = wire.marker.search
        self.marked: Callable[[bytes], object] = self._search
        self._line = _Bounded()
        self._counts: Object = {}

    def feed(self, data: bytes) -> None:
        if data and data[-1] == _NEWLINE and not self._line.size:  # whole lines, as they mostly come
            if self._search(data):
                self._look(data)
            return
        self._collect(data)

    def knows(self, body: Object) -> None:
        self._counts |= self._wire.counted(body)

    @property
    def usage(self) -> Usage | None:
        # The last line of NDJSON may have no end.
        return _usage(self._wire, self._counts | self._begun() if self._line.size else self._counts)

    def _collect(self, data: bytes) -> None:
        end = data.rfind(b"\n") + 1
        if end and self._line.size:
            first = data.find(b"\n") + 1
            self._line.add(data[:first])
            self._counts |= self._begun()
            self._line.clear()
            data, end = data[first:], end - first
        if end:
            lines, data = data[:end], data[end:]
            if self._search(lines):
                self._look(lines)
        self._line.add(data)

    def _look(self, lines: bytes) -> None:
        for line in lines.split(b"\n"):
            if self._search(line):
                self._counts |= self._wire.counts(_payload(line))

    def _begun(self) -> Object:
        line = self._line.get()
        return self._wire.counts(_payload(line), cut=self._line.cut) if self._search(line) else {}


class _BodyTap:
    """Keeps the body, or the end of one that is too long, and reads it when asked."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self.marked: Callable[[bytes], object] = bool
        self._body = _Bounded()
        self._known = self._read = False
        self._usage: Usage | None = None

    def feed(self, data: bytes) -> None:
        if not self._known:
            self._body.add(data)
            self._read = False

    def knows(self, body: Object) -> None:
        self._known = self._read = True
        self._usage = _usage(self._wire, self._wire.counted(body))

    @property
    def usage(self) -> Usage | None:
        if not self._read:  # several ask, and reading is not for nothing
            self._read = True
            self._usage = _usage(self._wire, self._wire.counts(self._body.get().strip(), cut=self._body.cut))
        return self._usage


class _Bounded:
    """Bytes in pieces.  Once there are more than `WHOLE`, only the last `TAIL` of them."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self.size = 0
        """All that was added, kept or not."""

    @property
    def cut(self) -> bool:
        return self.size > WHOLE

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= WHOLE:
            self._kept += data
        elif len(data) >= TAIL:
            self._kept[:] = data[-TAIL:]
        else:
            self._kept += data
            if len(self._kept) > 2 * TAIL:  # not at each piece: what is cut off is moved over
                del self._kept[:-TAIL]

    def get(self) -> bytes:
        return bytes(self._kept[-TAIL:] if self.cut else self._kept)

    def clear(self) -> None:
        self._kept.clear()
        self.size = 0


def _payload(line: bytes) -> bytes:
    """The JSON in one line of server-sent events or NDJSON."""
    return line.removeprefix(b"data:").strip()


# --- the wires -----------------------------------------------------------------------------------


class _Wire(NamedTuple):
    """`marker` matches from inside the name of a member that carries counts.  `members` of an object are what `find`
    reads them from; later counts replace earlier ones of the same name.  `decode` makes usage of them all."""

    marker: re.Pattern[bytes]
    members: tuple[str, ...]
    find: Callable[[Object], Object]
    decode: Callable[[Object], Usage]

    def counts(self, text: bytes, *, cut: bool = False) -> Object:
        """The counts in a JSON object, or with `cut` in the end of one; empty where it is neither, or has none."""
        for candidate in self._ends(text) if cut else (text,):
            try:
                raw = _members(candidate)
                found = {name: _decode(raw[name]) for name in self.members if name in raw}
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if counts := self.counted(found):
                return counts
        return {}

    def counted(self, body: Object) -> Object:
        """The same, of an object that was read."""
        return {name: value for name, value in self.find(body).items() if value is not None}

    def _ends(self, text: bytes) -> Iterator[bytes]:
        """What is an object again, if a member that carries counts belongs to the outermost one: from its name on.

        From a name further inside it is none, because closing brackets are left over at the end.
        """
        for found in [*self.marker.finditer(text)][-_TRIES:]:
            start = text.rfind(b'"', 0, found.start())
            if start > 0 and text[start - 1 : start] != b"\\":
                yield b"{" + text[start:]


def _usage_member(body: Object) -> Object:
    """`usage` of the object, or of the message or the response that an event brings."""
    message = body.get("message") or body.get("response")
    usage: JSON = body.get("usage") or (message.get("usage") if isinstance(message, dict) else None)
    return usage if isinstance(usage, dict) else {}


def _usage(wire: _Wire, counts: Object) -> Usage | None:
    try:
        usage = wire.decode(dict(counts))
    except (GatewayError, TypeError, AttributeError):  # counts that are no numbers
        return None
    return usage if usage != _NONE else None


# OpenAI's wire has `"usage":null` in every chunk once a client asked for usage: only an object is worth a look.
_USAGE = re.compile(rb'usage"\s*:\s*\{')

_WIRES: Mapping[str, _Wire] = MappingProxyType(
    {
        "anthropic": _Wire(_USAGE, ("usage", "message"), _usage_member, decode_anthropic),
        "openai_chat": _Wire(_USAGE, ("usage",), _usage_member, decode_openai),
        "openai_responses": _Wire(_USAGE, ("usage", "response"), _usage_member, decode_responses),
        "ollama": _Wire(
            re.compile(rb'eval_count"\s*:'), ("prompt_eval_count", "eval_count"), lambda found: found, decode_ollama
        ),
    }
)
