"""A short way to write JSON Schema, for the tables of what each surface takes and gives (`api.toml`).

    name = "string! -- what it is called"      required, with a description
    stop = "string | string[]"                 one of two types
    kind = "'a' | 'b'"                         one of these words
    n = "integer(1..128)"                      with bounds, either of which may be missing; also of a string's length
    input = "Item[1..]"                        an array, with at least so many
    labels = "string{}"                        an object with such values
    message = "Message!"                       another shape, by its name

`any`, `object` and `null` are what they say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dragoman.conversation import JSON, Object

_TOKEN = re.compile(r"\s*('[^']*'|[A-Za-z]\w*|\(-?\d*\.\.\d*\)|\[(?:\d*\.\.\d*)?\]|\{\}|[|()])")
_BOUNDS = re.compile(r"(-?\d*)\.\.(\d*)")
_LEAST = {"integer": "minimum", "number": "minimum", "string": "minLength"}
_MOST = {"integer": "maximum", "number": "maximum", "string": "maxLength"}
_NULL: Object = {"type": "null"}


def shape(members: Mapping[str, str], *, asked: bool) -> Object:
    """The schema of an object with these members.  More of them are always welcome.

    In what is `asked` of us null is the same as absent; in what we tell it is there only where it is said.
    """
    properties: Object = {}
    required = []
    for name, written in members.items():
        text, _, about = written.partition(" -- ")
        text = text.strip()
        schema = parsed(text.removesuffix("!"))
        if text.endswith("!"):
            required.append(name)
        elif asked:
            schema = _or_null(schema)
        properties[name] = schema | ({"description": about.strip()} if about else {})
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def parsed(text: str) -> Object:
    """The schema of one type.  Raises `ValueError` for what is none."""
    reader = _Reader(text)
    found = reader.union()
    if reader.rest:
        raise ValueError(f"{text!r} is no type: there is {reader.rest[0]!r} in it")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.rest: list[str] = []
        at = 0
        text = text.strip()
        while at < len(text):
            if (found := _TOKEN.match(text, at)) is None:
                raise ValueError(f"{text!r} is no type: it cannot be read from {text[at:]!r} on")
            self.rest.append(found[1])
            at = found.end()

    def union(self) -> Object:
        found = [self._one()]
        while self.rest[:1] == ["|"]:
            self.rest.pop(0)
            found.append(self._one())
        return _any_of(found)

    def _one(self) -> Object:
        schema = self._atom()
        while self.rest and self.rest[0][0] in "[{":
            mark = self.rest.pop(0)
            if mark == "{}":
                schema = {"type": "object", "additionalProperties": schema}
                continue
            least, most = _bounds(mark)
            schema = {"type": "array", "items": schema}
            schema |= {"minItems": least} if least is not None else {}
            schema |= {"maxItems": most} if most is not None else {}
        return schema

    def _atom(self) -> Object:
        if not self.rest:
            raise ValueError("a type is missing")
        word = self.rest.pop(0)
        if word == "(":
            inner = self.union()
            if self.rest[:1] != [")"]:
                raise ValueError("a bracket is not closed")
            self.rest.pop(0)
            return inner
        if word.startswith("'"):
            return {"enum": [word[1:-1]]}
        if word == "any":
            return {}
        if word[0].isupper():
            return {"$ref": f"#/components/schemas/{word}"}
        if word not in ("string", "integer", "number", "boolean", "null", "object"):
            raise ValueError(f"there is no type {word!r}")
        schema: Object = {"type": word}
        if word in _LEAST and self.rest and self.rest[0].startswith("(") and ".." in self.rest[0]:
            least, most = _bounds(self.rest.pop(0))
            schema |= {_LEAST[word]: least} if least is not None else {}
            schema |= {_MOST[word]: most} if most is not None else {}
        return schema


def _bounds(mark: str) -> tuple[int | None, int | None]:
    found = _BOUNDS.search(mark)
    least, most = (found[1], found[2]) if found else ("", "")
    return int(least) if least else None, int(most) if most else None


def _any_of(found: list[Object]) -> Object:
    """One schema for all of these: words in one list, the rest side by side."""
    words: list[JSON] = [word for schema in found for word in schema.get("enum", ())]
    others = [schema for schema in found if "enum" not in schema]
    if words:
        others.insert(0, {"type": "string", "enum": words})
    return others[0] if len(others) == 1 else {"anyOf": others}


def _or_null(schema: Object) -> Object:
    if not schema:
        return schema
    return {"anyOf": [*schema["anyOf"], _NULL]} if schema.keys() == {"anyOf"} else {"anyOf": [schema, _NULL]}
