"""Reasoning in a stream.

`reasoning_content` or `reasoning` is text.  `reasoning_details` come in fragments that belong together by `index`, may
repeat the same text, and bring the proof last.  The text is told once (people have seen it twice), the proof before the
part ends.
"""

from __future__ import annotations

from dragoman.conversation import JSON, Object, SealDelta, Thinking
from dragoman.dialects.openai_chat.opening import Parts
from dragoman.dialects.openai_chat.reasoning import decode_detail

_THINKING = "thinking"
_WORDS = ("text", "summary", "data", "signature", "format", "type")


class Thoughts:
    """Opens Thinking parts in `parts`, and seals them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # of the open part: its text so far, and the element of `reasoning_details` it is, with its index
        self._text: list[str] = []
        self._detail: Object | None = None
        self._key: JSON = None

    def read(self, delta: Object) -> None:
        """The reasoning members of one delta."""
        texts = (delta.get("reasoning_content"), delta.get("reasoning"))
        plain = next((text for text in texts if isinstance(text, str) and text), "")
        details = delta.get("reasoning_details")
        fragments = [_clean(d) for d in details if isinstance(d, dict)] if isinstance(details, list) else []
        if plain and not any(map(_words, fragments)):
            self.plain(plain)
        for fragment in fragments:
            self._fragment(fragment)

    def block(self, part: Object) -> None:
        """Mistral's `thinking` part of a content array, whose text is in parts again."""
        inner = part.get("thinking")
        for piece in inner if isinstance(inner, list) else ():
            if isinstance(piece, dict) and isinstance(text := piece.get("text"), str):
                self.plain(text)

    def plain(self, text: str) -> None:
        """More of the reasoning that is told as text."""
        if self._parts.last is not None:
            self._parts.close()  # what is sealed is complete
        self._say(text)

    def _say(self, text: str) -> None:
        if self._parts.kind != _THINKING:
            self._begin()
        self._parts.text(_THINKING, Thinking(text=""), text)
        self._text.append(text)

    def _begin(self) -> None:
        self._parts.begin(_THINKING, Thinking(text=""))
        self._text, self._detail = [], None

    def _fragment(self, fragment: Object) -> None:
        key, words = fragment.pop("index", None), _words(fragment)
        is_open = self._parts.kind == _THINKING
        if fragment.get("type") == "reasoning.encrypted":
            if thought := decode_detail(fragment, "", theirs=True):
                self._parts.begin("sealed thinking", thought)
        elif is_open and self._detail is not None and key == self._key and (key is not None or not self._parts.last):
            self._merge(fragment)
            self._say(words)
        elif is_open and self._detail is None and words.strip() in ("", "".join(self._text).strip()):
            self._merge(fragment)  # the same thought again, now whole
        elif words or "signature" in fragment:
            self._begin()
            self._merge(fragment)
            self._say(words)
        self._key = key

    def _merge(self, fragment: Object) -> None:
        detail = self._detail or {}
        for name, value in fragment.items():
            joins = name in ("text", "summary", "signature") and isinstance(detail.get(name), str)
            detail[name] = detail[name] + value if joins else value
        self._detail = detail
        thought = decode_detail(dict(detail), "", theirs=True)
        if thought and thought.seal:
            self._parts.last = SealDelta(self._parts.index, thought.seal)


def _clean(fragment: Object) -> Object:
    """Without nulls, and without words that are no strings."""
    return {k: v for k, v in fragment.items() if v is not None and (k not in _WORDS or isinstance(v, str))}


def _words(fragment: Object) -> str:
    return fragment.get("text") or fragment.get("summary") or ""
