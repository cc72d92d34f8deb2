"""What OpenAI's two wires say an answer took, read defensively: tokens, money, and what only servers count."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.conversation import JSON, Object
from dragoman.dialects.untold import NOTHING

_MOST_TOKENS, _MOST_MONEY = 2**63, 1e9


def count(owner: JSON, key: str) -> int:
    """A number of tokens in an object; what is missing or no number counts 0."""
    value = owner.get(key) if isinstance(owner, dict) else None
    return int(value) if isinstance(value, (int, float)) and 0 < value < _MOST_TOKENS else 0


def money(value: JSON) -> float | None:
    """US dollars, where it is a sum."""
    return float(value) if type(value) in (int, float) and 0 <= value < _MOST_MONEY else None


def uncounted(value: JSON, known: frozenset[str], details: Mapping[str, frozenset[str]]) -> Object:
    """What a `usage` counts besides its `known` members, and those of its `details`.  Counts of 0 are left out."""
    rest: Object = {}
    for name, said in value.items() if isinstance(value, dict) else ():
        if name in details:
            inner = said.items() if isinstance(said, dict) else ()
            said = {word: number for word, number in inner if word not in details[name] and number not in NOTHING}
        if name not in known and said not in NOTHING:
            rest[name] = said
    return rest


def with_rest(counted: Object, rest: Object | None) -> Object:
    """`counted` with what a server of the same dialect counted besides, also inside its details."""
    for name, value in (rest or {}).items():
        known = counted.get(name)
        counted[name] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
    return counted
