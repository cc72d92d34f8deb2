"""An answer's text against the format its client asked for: its own schema, not the one a model was held to.

`format` is an annotation, as JSON Schema has it.  Neither schema nor answer is trusted: nothing is fetched, patterns
have limits, and what would take too long to check is not checked.  Nothing of the answer but numbers and names of
members is put in a message: messages are logged.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Format, Object
from dragoman.models.keywords import TooDeepError, read_leniently
from dragoman.models.schemacost import work
from dragoman.pointers import pointed

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_decode = msgspec.json.Decoder().decode

# A schema of more parts is none that a person or a program meant for a model; the library itself goes 255 deep.
_MAX_PARTS, _MAX_DEPTH = 20_000, 120
_MAX_PATTERNS, _MAX_PATTERN_TEXT = 200, 20_000
# Looks at a value (see `schemacost`): a million takes some ten milliseconds.  To explain one takes a thousand times as
# long, so of many only the first that is wrong is explained, and of very many none: all alternatives are part of it.
_MAX_WORK, _MAX_EXPLAINED_ONCE, _MAX_EXPLAINED = 3_000_000, 100_000, 10_000
_MAX_TEXT = 4_000_000

_TOLD = 3
_MAX_MESSAGE, _MAX_PATH = 200, 100

# What names a schema or says what is in a text; no constraint to anybody here.
_SILENT = frozenset(("$schema", "$id", "id", "$anchor", "contentEncoding", "contentMediaType"))
_ELSEWHERE = ("$dynamicRef", "$recursiveRef")
_DRAFTS = ("2020-12", "draft-07", "draft-04", "2019-09", "draft-06")

_VALUE = "the value"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class UncheckableError(Exception):
    """Answers cannot be held against this schema; the text says why."""


def complaint(text: str, wanted: Format) -> str | None:
    """What is wrong with `text`, and where: "$.age: -1 is less than the minimum of 0".

    None: it fits, or nobody can tell (see `unchecked`).
    """
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        said = str(error).removeprefix("JSON is malformed: ")
        return f"it is not one JSON value: {said}" if text.strip() else "it is empty"
    except RecursionError:
        return "it is nested too deep"
    if wanted.kind == "json":
        return None if isinstance(value, dict) else "$: it is not a JSON object"
    try:
        return _misfit(value, wanted.schema) if len(text) <= _MAX_TEXT else None
    except UncheckableError:
        return None


def unchecked(wanted: Format) -> str:
    """Why answers cannot be checked against this format; "" when they can."""
    if wanted.kind == "json":
        return ""
    try:
        _validator(_meant(wanted.schema), wanted.schema)
    except UncheckableError as why:
        return str(why)
    return ""


def _misfit(value: JSON, schema: Object) -> str | None:
    meant = _meant(schema)
    looks = work(meant, value)
    if looks > _MAX_WORK:
        return None
    validator = _validator(meant, schema)
    try:
        if validator.is_valid(value):
            return None
        if looks > _MAX_EXPLAINED_ONCE and _has_alternatives(meant):
            return "it is not valid against the schema"
        told = [_told(_nearest(error), value) for error in _errors(validator, value, looks) if not _gave_up(error)]
    except (ValueError, RecursionError):  # too deep for the library
        return None
    return "; ".join(list(dict.fromkeys(told))[:_TOLD]) or None


def _has_alternatives(node: JSON) -> bool:
    if isinstance(node, list):
        return any(map(_has_alternatives, node))
    return isinstance(node, dict) and ("anyOf" in node or "oneOf" in node or any(map(_has_alternatives, node.values())))


def _errors(validator: Any, value: JSON, looks: int) -> list[ValidationError]:
    if looks <= _MAX_EXPLAINED:
        return list(islice(validator.iter_errors(value), 20))
    from jsonschema_rs import ValidationError  # noqa: PLC0415

    try:
        validator.validate(value)
    except ValidationError as error:
        return [error]
    return []


# --- the schema ---------------------------------------------------------------------------------


def _meant(schema: Object) -> Object:
    try:
        meant = read_leniently(schema, without=_SILENT, most=_MAX_PARTS, depth=_MAX_DEPTH)
    except (TooDeepError, RecursionError):
        raise UncheckableError("the schema is too large") from None
    patterns: list[str] = []
    _look_through(meant, meant, patterns)
    if len(patterns) > _MAX_PATTERNS or sum(map(len, patterns)) > _MAX_PATTERN_TEXT:
        raise UncheckableError("the schema has too many patterns")
    return meant


def _look_through(node: JSON, root: Object, patterns: list[str]) -> None:
    """Collects the patterns of `node`.  Raises `UncheckableError` for references whose work cannot be told."""
    if isinstance(node, list):
        for item in node:
            _look_through(item, root, patterns)
    elif isinstance(node, dict):
        if any(name in node for name in _ELSEWHERE):
            raise UncheckableError("the schema has dynamic references")
        if isinstance(ref := node.get("$ref"), str) and pointed(root, ref) is None:
            raise UncheckableError(f"it refers to {_shortened(ref)}, which is not in it")
        if isinstance(pattern := node.get("pattern"), str):
            patterns.append(pattern)
        if isinstance(named := node.get("patternProperties"), dict):
            patterns += named
        for child in node.values():
            _look_through(child, root, patterns)


def _validator(meant: Object, schema: Object) -> Any:
    """A validator, by the draft the schema names or else the newest one that takes it.

    Raises `UncheckableError` for what no draft takes, and for references that lead out of it.
    """
    import jsonschema_rs  # noqa: PLC0415  7 MB and 15 ms that only answers with a schema are worth

    classes: dict[str, Any] = {
        "2020-12": jsonschema_rs.Draft202012Validator,
        "2019-09": jsonschema_rs.Draft201909Validator,
        "draft-07": jsonschema_rs.Draft7Validator,
        "draft-06": jsonschema_rs.Draft6Validator,
        "draft-04": jsonschema_rs.Draft4Validator,
    }
    named = str(schema.get("$schema", ""))
    order = sorted(_DRAFTS[:3], key=lambda draft: draft not in named)
    order = [*(draft for draft in _DRAFTS[3:] if draft in named), *order]
    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000, size_limit=1 << 18, dfa_size_limit=1 << 18)
    why = ""
    for draft in order:
        try:
            return classes[draft](meant, offline=True, validate_formats=False, mask=_VALUE, pattern_options=patterns)
        except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
            why = why or str(error).partition("\n")[0]
    raise UncheckableError(f"the schema is not valid: {_shortened(why)}")


def _gave_up(error: ValidationError) -> bool:
    """Whether it is the library's limits that were met, and not the value that is wrong."""
    return _kind(error) in ("BacktrackLimitExceeded", "RegexEngineFailure")


def _kind(error: ValidationError) -> str:
    return type(error.kind).__name__


# --- the words ----------------------------------------------------------------------------------


def _nearest(error: ValidationError) -> ValidationError:
    """Of an error that says that no alternative fits: the error in the one that fits best, where one stands out."""
    for _ in range(8):
        if _kind(error) not in ("AnyOf", "OneOfNotValid"):
            break
        branches: list[list[ValidationError]] = getattr(error.kind, "context", [])
        best = max((branch[0] for branch in branches if branch), key=_fit, default=error)
        if _fit(best) <= (len(error.instance_path), False):
            break
        error = best
    return error


def _fit(error: ValidationError) -> tuple[int, bool]:
    """How well an alternative fits whose first error this is: how far inside it is; one of another type does not."""
    return len(error.instance_path), error.kind.name not in ("type", "const", "enum")


def _told(error: ValidationError, value: JSON) -> str:
    path = list(error.instance_path)
    for step in path:
        value = value[step]
    message = error.message.partition("\n")[0]
    if isinstance(value, int | float | None) and message.startswith(_VALUE):
        message = json_text(value) + message.removeprefix(_VALUE)
    return f"{_shortened(_place(path), _MAX_PATH)}: {_shortened(message)}"


def _place(path: list[str | int]) -> str:
    """`$.items[3]["odd name"]`"""
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step}" if _NAME.fullmatch(step) else f"[{json_text(step)}]"
        for step in path
    )
    return "$" + "".join(steps)


def _shortened(text: str, most: int = _MAX_MESSAGE) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
