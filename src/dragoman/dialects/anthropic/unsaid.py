"""What the words of a block leave out.

The words for a block name what people know of it; its other members, and those that nobody here knows yet, are found by
comparison, so that none goes without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Media, Object, Part, Text
from dragoman.losses import Losses

# What tells the kind of a block, links a result to its call (in words they stand together), or is a mark of the cache.
_SILENT = frozenset(("type", "id", "tool_use_id", "cache_control", "media_type"))
# Switches that the words say in their own way.
_SAID = frozenset(("is_error", "active"))
# Of a schema, and of a tool, only all of it makes sense.
_WHOLE = frozenset(("input_schema", "schema", "definition"))
_ENCRYPTED = "nobody but Anthropic can read it"
_OTHER = "it has no place in the words that stand for the block"


def report_unsaid(block: Object, said: Iterable[Part], at: str, losses: Losses) -> None:
    """Report each member of the block at `at` that is not in the parts it became."""
    words = "\n".join(filter(None, map(_words, said)))
    for place, value in _unsaid(block, words, at):
        encrypted = "encrypted" in place or (isinstance(value, str) and place.endswith("signature"))
        losses.drop(place, _ENCRYPTED if encrypted else _OTHER)


def _words(part: Part) -> str:
    match part:
        case Text(text=text):
            return text
        case Media(data=data, name=name):
            return f"{data}\n{name}"
        case _:
            return ""


def _unsaid(value: JSON, words: str, at: str) -> Iterator[tuple[str, JSON]]:
    """Each scalar below `at` that is not among `words`, those of an array's elements once for all of them."""
    match value:
        case dict():
            for key, inner in value.items():
                if key in _WHOLE:
                    if inner and json_text(inner) not in words:
                        yield f"{at}.{key}", inner
                elif key not in _SILENT and not (key in _SAID and isinstance(inner, bool)):
                    yield from _unsaid(inner, words, f"{at}.{key}")
        case list():
            told = set()
            for each in (found for inner in value for found in _unsaid(inner, words, f"{at}[]")):
                if each[0] not in told:
                    told.add(each[0])
                    yield each
        case str() if value.strip() and not _is_said(value, words):
            yield at, value
        case True:
            yield at, value
        case int() | float() if not isinstance(value, bool) and str(value) not in words:
            yield at, value


def _is_said(text: str, words: str) -> bool:
    return text.strip() in words or json_text(text)[1:-1] in words
