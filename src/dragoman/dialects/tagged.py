"""Reasoning that stands in the text itself: `<think>...</think>` at the beginning of an answer.

Models write it so; servers that know the model put it where reasoning belongs, others leave it.  Only what an answer
begins with counts: later on, and after reasoning that was told as such, a tag is a word like any other.
"""

from __future__ import annotations

from typing import Literal

from dragoman.conversation import Part, Text, Thinking

_OPEN, _CLOSE = "<think>", "</think>"


class Tagged:
    """Reads an answer's text as it comes.  `done`: the rest is text, and need not be read here."""

    def __init__(self) -> None:
        self.done = False
        self._place: Literal["begin", "thought", "between"] = "begin"
        self._held = ""  # what cannot be told yet: half a tag, or white space that may be the last of a thought
        self._told = False  # whether any of the thought was

    def feed(self, text: str, *, first: bool = True) -> list[Text | Thinking]:
        """The thoughts and texts in the next piece of text: all of them, but for what may be half a tag.

        `first`: the answer has said nothing else yet, but for what was found here.
        """
        if self.done:
            return [Text(text=text)] if text else []
        self._held += text
        if self._place == "begin" and not first:
            return self.close()
        match self._place:
            case "begin":
                return self._begin()
            case "thought":
                return self._think()
            case _:
                return self._between()

    def close(self) -> list[Text | Thinking]:
        """There is no more text: what was held back."""
        held, self._held, self.done = self._held, "", True
        match self._place:
            case "begin" if held:
                return [Text(text=held)]
            case "thought" if held.strip():
                return [Thinking(text=held.rstrip())]
            case _:
                return []

    def _begin(self) -> list[Text | Thinking]:
        words = self._held.lstrip()
        if words.startswith(_OPEN):
            self._place, self._held = "thought", words.removeprefix(_OPEN)
            return self._think()
        return [] if _OPEN.startswith(words) else self.close()

    def _think(self) -> list[Text | Thinking]:
        """More of the thought, without the white space around it."""
        thought, closed, rest = self._held.partition(_CLOSE)
        if closed:
            self._place, self._held = "between", rest
            return self._thought(thought.rstrip()) + self._between()
        said = thought[: len(thought) - _half_tag(thought)].rstrip()
        self._held = thought[len(said) :]
        return self._thought(said)

    def _thought(self, text: str) -> list[Text | Thinking]:
        if not self._told:
            text = text.lstrip()
        self._told |= bool(text)
        return [Thinking(text=text)] if text else []

    def _between(self) -> list[Text | Thinking]:
        """The answer begins with its first word; the blank lines before it belong to the tag."""
        words, self._held = self._held.lstrip(), ""
        self.done = bool(words)
        return [Text(text=words)] if words else []


def _half_tag(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of the closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)


def untagged(content: list[Part]) -> list[Part]:
    """The parts of a whole answer, the thought at the beginning of its text as a part of its own."""
    if not content or not isinstance(first := content[0], Text) or not first.text.lstrip().startswith(_OPEN):
        return content
    if any(isinstance(part, Thinking) for part in content):
        return content
    tags = Tagged()
    return [*tags.feed(first.text), *tags.close(), *content[1:]]
