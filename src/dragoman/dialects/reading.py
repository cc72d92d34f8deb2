"""Reading a client's JSON: every member checked, every complaint with its path.

`take` pops; `null` is the same as absent, in every dialect.
"""

from __future__ import annotations

from typing import Any, TypeVar

from dragoman.conversation import JSON, Object
from dragoman.errors import invalid

T = TypeVar("T", str, int, float, bool, dict[str, Any], list[Any])
Word = TypeVar("Word", bound=str)

_WORDS: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "an array",
    type(None): "null",
}


def path(at: str, key: str | int) -> str:
    """`messages[3].content`: the path of `key` below `at`."""
    if isinstance(key, int):
        return f"{at}[{key}]"
    return f"{at}.{key}" if at else key


def check(value: JSON, kind: type[T], at: str) -> T:
    """`value` if it is of `kind` (a whole float counts as int, an int as float); else the client is told."""
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise invalid(f"{at} is out of range", at) from None
    if kind is int and type(value) is float and value.is_integer():
        return int(value)  # type: ignore[return-value]
    raise invalid(f"{at} must be {_WORDS[kind]}, not {_WORDS.get(type(value), 'that')}", at)


def take(body: Object, key: str, kind: type[T], at: str = "") -> T | None:
    """Pop `key`: its value, or None when it is absent or null."""
    value = body.pop(key, None)
    if value is None or type(value) is kind:
        return value
    return check(value, kind, path(at, key))


def need(body: Object, key: str, kind: type[T], at: str = "") -> T:
    """Pop `key`, which must be there."""
    value = take(body, key, kind, at)
    if value is None:
        where = path(at, key)
        raise invalid(f"{where} is required", where)
    return value


def choose(body: Object, key: str, allowed: tuple[Word, ...], at: str = "") -> Word | None:
    """Pop `key`: one of `allowed`, or None when absent or null."""
    value = take(body, key, str, at)
    if value is not None and value not in allowed:
        where = path(at, key)
        raise invalid(f"{where} must be one of {', '.join(allowed)}, not {value!r}", where)
    return value


def keep(owner: Object, key: str, rest: Object) -> None:
    """Put back under `key` what is left of an object that was taken apart, if anything is."""
    if rest:
        owner[key] = rest


def laid_over(wire: Object, rest: Object) -> Object:
    """`wire` with the members of `rest`; an object in both has the members of both.  The inverse of `keep`."""
    if not rest:
        return wire
    return wire | {
        key: laid_over(said, value) if isinstance(value, dict) and isinstance(said := wire.get(key), dict) else value
        for key, value in rest.items()
    }


def strings(value: JSON, at: str) -> list[str]:
    """A string, or an array of strings, as a list."""
    if isinstance(value, str):
        return [value]
    return [check(item, str, path(at, i)) for i, item in enumerate(check(value, list, at))]


def objects(value: JSON, at: str) -> list[tuple[Object, str]]:
    """An array of objects, each with its path."""
    found: list[tuple[Object, str]] = []
    for i, item in enumerate(check(value, list, at)):
        where = f"{at}[{i}]"
        found.append((item if type(item) is dict else check(item, dict, where), where))
    return found
