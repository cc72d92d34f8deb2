"""What the requests of all clients are made of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.relay import pdfs
from tests.translation.nonces import WORD

Object = dict[str, Any]

PDF = pdfs.in_base64(pdfs.pdf(pdfs.text("Words of a page.")))


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    """One of them, or nothing, mostly nothing."""
    return st.sampled_from([None] * 3 * len(values) + list(values))


def some(tenths: int) -> st.SearchStrategy[bool]:
    """True so many times of ten."""
    return st.integers(0, 9).map(lambda n: n < tenths)


texts = one_of(WORD, WORD, WORD, f"{WORD}\n\n{WORD}", "", "  \n")
IDS = one_of("a", "functions.Bash:0", "call_1", "toolu_x", "x y")
# The word of a long name stands where a shorter one keeps it.
NAMES = one_of("f", "g", "get_weather", "mcp.tool/x", "wetter für alle", "zzz" + "n" * 90)
ARGUMENTS = one_of({}, {"a": WORD}, {"a": {"b": [WORD, 1]}, "ä": None})
SCHEMAS: st.SearchStrategy[Any] = one_of(
    {"type": "object", "properties": {"a": {"type": "string", "description": WORD}}, "required": ["a"]},
    {"type": "object", "properties": {}},
    {"type": "object"},
    {
        "type": "object",
        "properties": {"a": {"type": "string", "description": WORD}, "b": {"type": ["integer", "null"]}},
        "required": ["a", "b"],
        "additionalProperties": False,
        "description": WORD,
    },
    {"type": "object", "properties": {"k": {"$ref": "#/$defs/k"}}, "$defs": {"k": {"enum": [WORD, WORD]}}},
    {"type": "object", "properties": {"k": {"oneOf": [{"const": WORD}, {"type": "integer", "multipleOf": 7}]}}},
    {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}, "w": {"title": WORD}}}},
    },
    {"type": "object", "properties": {"p": {"type": "string", "pattern": "(?i)a+", "default": WORD}}},
    {"type": "object", "properties": {WORD: {"type": "array", "items": {"type": "string", "enum": [WORD]}}}},
    {"anyOf": [{"type": "object", "properties": {WORD: {}}}, {"type": "object", "properties": {"b": {}}}]},
)
