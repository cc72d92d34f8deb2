"""Structured output as this model gives it: its own constraint where it can hold the schema, else instruction."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from dragoman.arguments import json_text
from dragoman.conversation import Format, Object, Request
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.jsontext import Root
from dragoman.models.keywords import root_kind
from dragoman.models.schema import UnfitError, transform
from dragoman.models.tools import instruct

WRAPPER = "value"
Shape = Root | Literal["", "wrapped"]

ONE_VALUE = "Answer with one JSON {kind} only: no other text before or after it, and no code fence."


def fit_format(request: Request, card: Card, losses: Losses) -> tuple[Request, Shape]:
    """The request, and how the answer's text must be read on the way back.

    "json", "object", "array": take the one value of this kind out of it; "wrapped": the value is the member `value` of
    an object, because the model's constraint wants an object at the root.
    """
    wanted = request.format
    if wanted is None:
        return request, ""
    if wanted.kind == "json":
        losses.emulate("format", "Claude has no JSON mode without a schema: it is asked for JSON")
        return instruct(replace(request, format=None), ONE_VALUE.format(kind="object")), "object"
    if wanted.name:
        wanted = titled(wanted)
        request = replace(request, format=wanted)
    if wanted.description:
        own = wanted.schema.get("description")
        about = f"{wanted.description}\n{own}" if isinstance(own, str) and own else wanted.description
        wanted = replace(wanted, description="", schema={**wanted.schema, "description": about})
        request = replace(request, format=wanted)
    try:
        return _constrained(request, card, losses)
    except UnfitError as why:
        losses.emulate("format", f"the model cannot be held to this schema ({why}): it is asked to follow it")
        rule = ONE_VALUE.format(kind="value")
        text = f"{rule} It must be valid against this JSON Schema:\n{json_text(wanted.schema)}"
        return instruct(replace(request, format=None), text), shape_of(wanted)


def titled(wanted: Format) -> Format:
    """`wanted` with its name as the title of its schema, for servers that know no other place for it."""
    if not wanted.name or "title" in wanted.schema:
        return wanted
    return replace(wanted, schema={"title": wanted.name, **wanted.schema})


def shape_of(wanted: Format) -> Root:
    """What to look for in an answer that nothing but words holds to `wanted`."""
    return "object" if wanted.kind == "json" else root_kind(wanted.schema) or "json"


def _constrained(request: Request, card: Card, losses: Losses) -> tuple[Request, Shape]:
    if request.format is None or not card.structured_outputs:
        raise UnfitError(f"{card.id} has no structured outputs")
    schema, moved = transform(request.format.schema)
    if moved:
        losses.emulate("format", f"{', '.join(moved)}: not enforced, but described to the model")
    wrap = schema.get("type") != "object"
    if wrap:
        schema = _wrapped(schema)
    return replace(request, format=replace(request.format, schema=schema)), "wrapped" if wrap else ""


def _wrapped(schema: Object) -> Object:
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    root = {"type": "object", "properties": {WRAPPER: schema}, "required": [WRAPPER], "additionalProperties": False}
    return root | definitions
