"""The regular expressions that structured output takes: parsed, refused as the API refuses them, and given an example.

Taken: classes, groups, alternatives, `* + ?` and small `{n,m}`.  Not taken: lookaround, back references, word
boundaries, large repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

_MOST_REPEATS = 1000
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
    "D": lambda char: not char.isdecimal(),
    "W": lambda char: not (char.isalnum() or char == "_"),
    "S": lambda char: not char.isspace(),
}
_PRINTABLE = "".join(map(chr, (*range(97, 127), *range(33, 97)))) + " é\n"


class UnsupportedPatternError(Exception):
    """A feature that cannot be compiled; the message names it."""


def example(pattern: str) -> str:
    """A short text that matches `pattern`.  Raises `UnsupportedPatternError`."""
    parser = _Parser(pattern)
    text = parser.alternatives()
    if parser.at < len(pattern):
        raise UnsupportedPatternError("unbalanced parenthesis")
    return text


class _Parser:
    """Recursive descent; every method gives the example of what it read."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise UnsupportedPatternError("unexpected end of pattern")
        self.at += 1
        return char

    def alternatives(self) -> str:
        self.depth += 1
        if self.depth > 50:
            raise UnsupportedPatternError("too deeply nested")
        first = self.sequence()
        while self.peek() == "|":
            self.take()
            self.sequence()
        self.depth -= 1
        return first

    def sequence(self) -> str:
        out = []
        while self.peek() not in ("", "|", ")"):
            if self.peek() in "^$":
                self.take()
            else:
                out.append(self.repeated())
        return "".join(out)

    def repeated(self) -> str:
        one = self.atom()
        match self.peek():
            case "*" | "+" | "?":
                self.take()
                self.lazy()
                return one
            case "{":
                low = self.braces()
                self.lazy()
                if len(one) * low > _MOST_REPEATS:
                    raise UnsupportedPatternError("large quantifier")
                return one * low
            case _:
                return one

    def lazy(self) -> None:
        if self.peek() == "?":
            self.take()
        elif self.peek() == "+":
            raise UnsupportedPatternError("possessive quantifier")

    def braces(self) -> int:
        end = self.pattern.find("}", self.at)
        low, _, high = self.pattern[self.at + 1 : max(end, 0)].partition(",")
        if not low.isdecimal() or (high and not high.isdecimal()):
            raise UnsupportedPatternError("malformed quantifier")
        if int(high or low) > _MOST_REPEATS:
            raise UnsupportedPatternError("large quantifier")
        self.at = end + 1
        return int(low)

    def atom(self) -> str:
        match self.take():
            case "(":
                return self.group()
            case "[":
                return self.members()
            case "\\":
                return _one(self.escape())
            case ".":
                return "a"
            case "*" | "+" | "?":
                raise UnsupportedPatternError("nothing to repeat")
            case char:
                return char

    def group(self) -> str:
        if self.peek() == "?":
            self.take()
            if (kind := self.take()) != ":":
                names = {"=": "lookahead", "!": "lookahead", "<": "lookbehind"}
                raise UnsupportedPatternError(names.get(kind, f"(?{kind}"))
        inner = self.alternatives()
        if self.take() != ")":
            raise UnsupportedPatternError("unbalanced parenthesis")
        return inner

    def escape(self) -> str | Callable[[str], bool]:
        """A character, or what a class of characters holds."""
        char = self.take()
        if char in "bB":
            raise UnsupportedPatternError("word boundary")
        if char.isdecimal() or char == "k":
            raise UnsupportedPatternError("backreference")
        if char in _CLASSES:
            return _CLASSES[char]
        if char.isalnum() and char not in _CONTROLS:
            raise UnsupportedPatternError(f"escape \\{char}")
        return _CONTROLS.get(char, char)

    def members(self) -> str:
        negated = self.peek() == "^"
        if negated:
            self.take()
        tests: list[Callable[[str], bool]] = []
        while not tests or self.peek() != "]":
            tests.append(self.member())
        self.take()
        chosen = (char for char in _PRINTABLE + self.pattern if any(test(char) for test in tests) is not negated)
        return _found(chosen)

    def member(self) -> Callable[[str], bool]:
        low = self.member_end()
        if callable(low):
            return low
        high = low
        if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
            self.take()
            end = self.member_end()
            if callable(end) or end < low:
                raise UnsupportedPatternError("malformed range")
            high = end
        return lambda char: low <= char <= high

    def member_end(self) -> str | Callable[[str], bool]:
        return self.escape() if (char := self.take()) == "\\" else char


def _one(escaped: str | Callable[[str], bool]) -> str:
    return _found(filter(escaped, _PRINTABLE)) if callable(escaped) else escaped


def _found(chars: Iterable[str]) -> str:
    for char in chars:
        return char
    raise UnsupportedPatternError("character class")
