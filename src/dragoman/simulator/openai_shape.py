"""The shape of a request as data, as in `shape`, but with OpenAI's words, paths (`messages[0].content`) and codes.

Every check is `check(value, at, strict)`: it returns nothing or raises `Refused`.  Strict servers refuse members that
they do not know; for all of them a member that is null is absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from dragoman.simulator.openai_refused import Refusal, wrong

Check = Callable[[Any, str, bool], None]

_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def invalid_type(at: str, wanted: str, value: Any) -> Refusal:
    """A value of the wrong kind."""
    given = _KINDS[type(value)]
    return wrong(f"Invalid type for '{at}': expected {wanted}, but got {given} instead.", at, "invalid_type")


def anything(value: Any, at: str, strict: bool) -> None:
    """Every value will do."""


def boolean(value: Any, at: str, strict: bool) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid_type(at, "a boolean", value)


def mapping(value: Any, at: str, strict: bool) -> None:
    """Any object."""
    if not isinstance(value, dict):
        raise invalid_type(at, "an object", value)


def text(pattern: str = "", low: int = 0, high: int | None = None) -> Check:
    """Text of `low` to `high` characters that matches `pattern` as a whole."""
    matches = re.compile(pattern).fullmatch

    def check(value: Any, at: str, strict: bool) -> None:
        if not isinstance(value, str):
            raise invalid_type(at, "a string", value)
        if len(value) < low:
            message = f"Invalid '{at}': empty string. Expected a string with minimum length {low}."
            raise wrong(message, at, "empty_string")
        if high is not None and len(value) > high:
            length = f"maximum length {high}, but got a string with length {len(value)} instead."
            message = f"Invalid '{at}': string too long. Expected a string with {length}"
            raise wrong(message, at, "string_above_max_length")
        if pattern and not matches(value):
            wanted = f"Expected a string that matches the pattern '^{pattern}$'."
            raise wrong(f"Invalid '{at}': string does not match pattern. {wanted}", at, "invalid_value")

    return check


def number(low: float | None = None, high: float | None = None, whole: bool = False) -> Check:
    """A number within bounds, both included."""
    kind = "integer" if whole else "decimal"

    def check(value: Any, at: str, strict: bool) -> None:
        right = isinstance(value, int) or (isinstance(value, float) and not (whole and not value.is_integer()))
        if isinstance(value, bool) or not right:
            raise invalid_type(at, "an integer" if whole else "a decimal", value)
        for bound, below, word, sign in ((low, True, "below minimum", ">="), (high, False, "above maximum", "<=")):
            if bound is not None and (value < bound if below else value > bound):
                wanted = f"Expected a value {sign} {bound:g}, but got {value} instead."
                code = f"{kind}_{'below_min' if below else 'above_max'}_value"
                raise wrong(f"Invalid '{at}': {kind} {word} value. {wanted}", at, code)

    return check


def one_of(*allowed: str) -> Check:
    """One of a few strings."""

    def check(value: Any, at: str, strict: bool) -> None:
        if not isinstance(value, str) or value not in allowed:
            raise unsupported(value, at, allowed)

    return check


def unsupported(value: Any, at: str, allowed: tuple[str, ...]) -> Refusal:
    """A word that is none of those there are."""
    words = [f"'{word}'" for word in allowed]
    spoken = words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, and {words[-1]}"
    return wrong(f"Invalid value: '{value}'. Supported values are: {spoken}.", at, "invalid_value")


def array(of: Check, low: int = 0, high: int | None = None) -> Check:
    """A list of `low` to `high` times `of`."""

    def check(value: Any, at: str, strict: bool) -> None:
        if not isinstance(value, list):
            raise invalid_type(at, "an array", value)
        if len(value) < low:
            wanted = f"Expected an array with minimum length {low}, but got an empty array instead."
            raise wrong(f"Invalid '{at}': empty array. {wanted}", at, "empty_array")
        if high is not None and len(value) > high:
            wanted = f"Expected an array with maximum length {high}, but got an array with length {len(value)} instead."
            raise wrong(f"Invalid '{at}': array too long. {wanted}", at, "array_above_max_length")
        for index, item in enumerate(value):
            of(item, f"{at}[{index}]", strict)

    return check


def text_or(of: Check) -> Check:
    """A plain string, or `of`."""

    def check(value: Any, at: str, strict: bool) -> None:
        if not isinstance(value, str):
            of(value, at, strict)

    return check


def record(members: Mapping[str, Check], *required: str) -> Check:
    """An object with these members, and for strict servers no others."""

    def check(value: Any, at: str, strict: bool) -> None:
        if not isinstance(value, dict):
            raise invalid_type(at, "an object", value)
        for name in required:
            if value.get(name) is None:
                path = _under(at, name)
                raise wrong(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
        for name, member in value.items():
            known = members.get(name)
            if known is None:
                if strict:
                    raise unknown(_under(at, name))
            elif member is not None:
                known(member, _under(at, name), strict)

    return check


def unknown(at: str) -> Refusal:
    """A member that does not exist."""
    return wrong(f"Unknown parameter: '{at}'.", at, "unknown_parameter")


def tagged(tag: str, variants: Mapping[str, Check]) -> Check:
    """An object whose member `tag` says which of `variants` it is."""
    names = tuple(variants)

    def check(value: Any, at: str, strict: bool) -> None:
        if not isinstance(value, dict):
            raise invalid_type(at, "an object", value)
        path = _under(at, tag)
        kind = value.get(tag)
        if kind is None:
            raise wrong(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
        if not isinstance(kind, str) or kind not in variants:
            raise unsupported(kind, path, names)
        variants[kind](value, at, strict)

    return check


def _under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
