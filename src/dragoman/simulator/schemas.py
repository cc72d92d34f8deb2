"""What the API says about JSON schemas: which it takes as a tool's input, which it can guarantee, and what fits one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dragoman.conversation import Object
from dragoman.simulator.patterns import UnsupportedPatternError, example
from dragoman.simulator.refused import bad

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_INVALID = (
    "JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). "
    "Learn more about tool use at https://docs.claude.com/en/docs/tool-use."
)
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16
_DEEPEST = 200
_MOST_SCHEMAS = 5000

# What each keyword of draft 2020-12 must hold.
_SCHEMA = ("items", "contains", "not", "if", "then", "else", "additionalProperties", "propertyNames",
           "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
_SCHEMA_MAP = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMA_LIST = ("anyOf", "oneOf", "allOf", "prefixItems")
_NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_SIZE = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
         "maxContains")  # fmt: skip
_STRING = ("$ref", "$id", "$schema", "$anchor", "$comment", "title", "description", "format", "pattern")
_FLAG = ("uniqueItems", "deprecated", "readOnly", "writeOnly")


def check_input_schema(schema: Object, at: str) -> None:
    """A tool's `input_schema`: an object, valid in draft 2020-12, without a union at its top."""
    if "type" not in schema:
        raise bad(f"{at}.type: Field required")
    if schema["type"] != "object":
        raise bad(f"{at}.type: Input should be 'object'")
    if any(key in schema for key in ("oneOf", "anyOf", "allOf")):
        raise bad(f"{at}: input_schema does not support oneOf, allOf, or anyOf at the top level")
    if not _valid(schema, 0):
        raise bad(f"{at}: {_INVALID}")


def well_formed(schema: Any) -> bool:
    """Whether every keyword holds what it must hold."""
    return _valid(schema, 0)


def _valid(schema: Any, depth: int) -> bool:
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return False
    return all(_valid_keyword(key, value, depth + 1) for key, value in schema.items())


def _valid_keyword(key: str, value: Any, depth: int) -> bool:
    if key in _SCHEMA:
        return _valid(value, depth)
    if key in _SCHEMA_MAP:
        return isinstance(value, dict) and all(_valid(item, depth) for item in value.values())
    if key in _SCHEMA_LIST:
        return isinstance(value, list) and bool(value) and all(_valid(item, depth) for item in value)
    if key in _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if key in _SIZE:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if key in _STRING:
        return isinstance(value, str)
    if key in _FLAG:
        return isinstance(value, bool)
    match key:
        case "type":
            kinds = value if isinstance(value, list) else [value]
            return bool(kinds) and all(isinstance(kind, str) and kind in _TYPES for kind in kinds)
        case "required":
            return isinstance(value, list) and all(isinstance(name, str) for name in value)
        case "enum" | "examples":
            return isinstance(value, list)
        case _:
            return True


# --- structured output ------------------------------------------------------------------------

_NEVER = ("not", "if", "then", "else", "dependentSchemas", "dependentRequired", "$dynamicRef", "propertyNames",
          "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
_UNSUPPORTED = {
    "object": ("patternProperties", "minProperties", "maxProperties"),
    "array": ("maxItems", "uniqueItems", "contains", "prefixItems", "minContains", "maxContains"),
    "string": ("minLength", "maxLength"),
    "number": _NUMBER,
    "integer": _NUMBER,
}
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")


class Tally:
    """How much a request asks the grammar compiler to do, over all its strict schemas."""

    def __init__(self) -> None:
        self.optional = 0
        self.unions = 0
        self.visited = 0

    def visit(self) -> None:
        """One more schema.  References to references can grow without end."""
        self.visited += 1
        if self.visited > _MOST_SCHEMAS:
            raise bad("Schema is too complex for compilation.")

    def check(self) -> None:
        """Refuse what is too much to compile."""
        if self.optional > _MOST_OPTIONAL:
            raise bad(
                f"Schemas contain too many optional parameters ({self.optional}), which would make grammar compilation "
                f"inefficient. Reduce the number of optional parameters in your schemas (limit: {_MOST_OPTIONAL})."
            )
        if self.unions > _MOST_UNIONS:
            raise bad(
                f"Schemas contain too many parameters with union types ({self.unions} parameters with type arrays or "
                f"anyOf). Reduce the number of union-typed parameters (limit: {_MOST_UNIONS})."
            )


def check_strict(schema: Object, at: str, tally: Tally) -> None:
    """A schema whose output is guaranteed: `output_config.format`, and tools with `strict`."""
    if not _valid(schema, 0):
        raise bad(f"{at}: {_INVALID}")
    _strict(schema, schema, at, tally, ())
    tally.check()


def _strict(schema: Any, root: Object, at: str, tally: Tally, refs: tuple[str, ...]) -> None:
    tally.visit()
    if isinstance(schema, bool) or not schema:
        raise bad(f"{at}: Schema is too permissive: every schema must have a type, enum, const, anyOf, allOf or $ref")
    if (ref := schema.get("$ref")) is not None:
        _strict_reference(ref, root, at, tally, refs)
        return
    for keyword in ("oneOf", *_NEVER):
        if keyword in schema:
            raise bad(f"{at}: Schema keyword '{keyword}' is not supported")
    kinds = schema.get("type")
    for kind in [kinds] if isinstance(kinds, str) else kinds or []:
        _strict_type(kind, schema, at)
    tally.unions += isinstance(kinds, list) or "anyOf" in schema
    if any(isinstance(value, dict | list) for value in schema.get("enum", [])):
        raise bad(f"{at}: Enum values must be primitive: objects and arrays in 'enum' are not supported")
    if not any(key in schema for key in ("type", "enum", "const", "anyOf", "allOf")):
        raise bad(f"{at}: Schema is too permissive: every schema must have a type, enum, const, anyOf, allOf or $ref")
    if any("$ref" in part for part in schema.get("allOf", []) if isinstance(part, dict)):
        raise bad(f"{at}: '$ref' inside 'allOf' is not supported")
    required = schema.get("required", [])
    tally.optional += sum(name not in required for name in schema.get("properties", {}))
    for child in _children(schema):
        _strict(child, root, at, tally, refs)


def _strict_type(kind: str, schema: Object, at: str) -> None:
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise bad(f"{at}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for keyword in _UNSUPPORTED.get(kind, ()):
        if keyword in schema:
            raise bad(f"{at}: For '{kind}' type, property '{keyword}' is not supported")
    if kind == "array" and schema.get("minItems", 0) not in (0, 1):
        raise bad(f"{at}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if kind == "string":
        if (named := schema.get("format")) is not None and named not in _FORMATS:
            raise bad(f"{at}: For 'string' type, format '{named}' is not supported")
        try:
            example(schema.get("pattern", ""))
        except UnsupportedPatternError as error:
            raise bad(f"{at}: Unsupported regex feature in pattern field: {error}") from None


def _strict_reference(ref: str, root: Object, at: str, tally: Tally, refs: tuple[str, ...]) -> None:
    if not ref.startswith("#"):
        raise bad(f"{at}: External schema references are not supported: '{ref}'")
    if ref in refs or ref == "#":
        raise bad(f"{at}: Recursive schemas are not supported: '{ref}' refers to itself")
    target = resolve(root, ref)
    if target is None:
        raise bad(f"{at}: Schema reference '{ref}' cannot be resolved")
    _strict(target, root, at, tally, (*refs, ref))


def _children(schema: Object) -> Iterator[Any]:
    yield from schema.get("properties", {}).values()
    yield from schema.get("anyOf", [])
    yield from schema.get("allOf", [])
    if "items" in schema:
        yield schema["items"]


def resolve(root: Object, ref: str) -> Any:
    """What a local `$ref` points at, or None."""
    here: Any = root
    for part in ref.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or key not in here:
            return None
        here = here[key]
    return here


# --- values -----------------------------------------------------------------------------------

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def fits(value: Any, schema: Any) -> bool:
    """Whether a tool's `input_examples` entry fits its schema: types, required members, enums, properties, items."""
    if not isinstance(schema, dict):
        return schema is not False
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds or []
    if names and not any(_is(value, name) for name in names):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list):
        return all(fits(item, schema.get("items", True)) for item in value)
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    if any(name not in value for name in schema.get("required", [])):
        return False
    if schema.get("additionalProperties") is False and any(name not in known for name in value):
        return False
    return all(fits(item, known.get(name, True)) for name, item in value.items())


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
