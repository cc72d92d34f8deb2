"""The shape of a request as data: small checks that compose, and complain with the path and words of the real API.

Every check is `check(value, at, betas)`: it returns nothing or raises `Refused`.  Paths are those of the real API:
`messages.0.content.1.image.source.base64.data`, where the tag of a union is part of the path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dragoman.simulator.refused import bad

Betas = frozenset[str]
Check = Callable[[Any, str, Betas], None]


class Field(NamedTuple):
    """A member of an object.  With `betas` it exists only for requests that name one of them."""

    check: Check
    required: bool = False
    nullable: bool = False
    betas: tuple[str, ...] = ()


def need(check: Check) -> Field:
    """A member that must be there."""
    return Field(check, required=True)


def may(check: Check) -> Field:
    """A member that may be absent, but not null."""
    return Field(check)


def null(check: Check) -> Field:
    """A member that may be absent or null."""
    return Field(check, nullable=True)


def beta(check: Check, *names: str) -> Field:
    """A member that exists only together with an `anthropic-beta` header."""
    return Field(check, nullable=True, betas=names)


def under(at: str, key: str | int) -> str:
    """The path of `key` below `at`."""
    return f"{at}.{key}" if at else str(key)


def anything(value: Any, at: str, betas: Betas) -> None:
    """Every value will do."""


def boolean(value: Any, at: str, betas: Betas) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise bad(f"{at}: Input should be a valid boolean")


def mapping(value: Any, at: str, betas: Betas) -> None:
    """Any object."""
    if not isinstance(value, dict):
        raise bad(f"{at}: Input should be a valid dictionary")


def string(pattern: str = "", low: int = 0, high: int | None = None) -> Check:
    """Text of `low` to `high` characters that matches `pattern` as a whole."""
    matches = re.compile(pattern).fullmatch

    def check(value: Any, at: str, betas: Betas) -> None:
        if not isinstance(value, str):
            raise bad(f"{at}: Input should be a valid string")
        if len(value) < low:
            raise bad(f"{at}: String should have at least {low} character{'s' * (low != 1)}")
        if high is not None and len(value) > high:
            raise bad(f"{at}: String should have at most {high} characters")
        if pattern and not matches(value):
            raise bad(f"{at}: String should match pattern '^{pattern}$'")

    return check


def number(low: float | None = None, high: float | None = None, whole: bool = False) -> Check:
    """A number within bounds, both included."""

    def check(value: Any, at: str, betas: Betas) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad(f"{at}: Input should be a valid {'integer' if whole else 'number'}")
        if whole and isinstance(value, float) and not value.is_integer():
            raise bad(f"{at}: Input should be a valid integer, got a number with a fractional part")
        if low is not None and value < low:
            raise bad(f"{at}: Input should be greater than or equal to {low:g}")
        if high is not None and value > high:
            raise bad(f"{at}: Input should be less than or equal to {high:g}")

    return check


def literal(*allowed: str) -> Check:
    """One of a few strings."""
    words = [repr(word) for word in allowed]
    spoken = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

    def check(value: Any, at: str, betas: Betas) -> None:
        if not isinstance(value, str) or value not in allowed:
            raise bad(f"{at}: Input should be {spoken}")

    return check


def array(of: Check) -> Check:
    """A list of `of`."""

    def check(value: Any, at: str, betas: Betas) -> None:
        if not isinstance(value, list):
            raise bad(f"{at}: Input should be a valid list")
        for index, item in enumerate(value):
            of(item, f"{at}.{index}", betas)

    return check


def text_or(of: Check) -> Check:
    """A plain string, or `of`."""

    def check(value: Any, at: str, betas: Betas) -> None:
        if not isinstance(value, str):
            of(value, at, betas)

    return check


def record(fields: Mapping[str, Field]) -> Check:
    """An object with these members and no others."""
    required = [name for name, field in fields.items() if field.required]

    def check(value: Any, at: str, betas: Betas) -> None:
        if not isinstance(value, dict):
            raise bad(f"{at or 'body'}: Input should be a valid dictionary or object to extract fields from")
        for name in required:
            if name not in value:
                raise bad(f"{under(at, name)}: Field required")
        for name, member in value.items():
            field = fields.get(name)
            if field is None or (field.betas and betas.isdisjoint(field.betas)):
                raise bad(f"{under(at, name)}: Extra inputs are not permitted")
            if member is not None or not field.nullable:
                field.check(member, under(at, name), betas)

    return check


def tagged(variants: Mapping[str, Check], default: str | None = None) -> Check:
    """An object whose `type` says which of `variants` it is; `default` when it does not say."""
    names = ", ".join(repr(name) for name in variants)

    def check(value: Any, at: str, betas: Betas) -> None:
        if not isinstance(value, dict):
            raise bad(f"{at}: Input should be a valid dictionary or object to extract fields from")
        kind = value.get("type") or default
        if kind is None:
            raise bad(f"{at}.type: Field required")
        if not isinstance(kind, str) or kind not in variants:
            raise bad(f"{at}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {names}")
        variants[kind](value, f"{at}.{kind}", betas)

    return check
