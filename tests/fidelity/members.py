"""Every member of a request, read from the types of the official SDKs.

The SDKs are the list: a member that one of them learns is a member here, without a line being written.  A path names
the variant of each element where there are several: `messages[user].content[image_url].image_url.detail`.
"""

from __future__ import annotations

import collections.abc
import re
import types
from collections.abc import Iterator
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import anthropic.types.beta.message_create_params as anthropic_beta
import anthropic.types.message_create_params as anthropic_messages
import ollama._types as ollama_types
import openai.types.chat.completion_create_params as openai_chat
import openai.types.completion_create_params as openai_completions
import openai.types.responses.response_create_params as openai_responses
from pydantic import BaseModel
from typing_extensions import is_typeddict

from tests.fidelity import unofficial

_DISCRIMINATORS = ("type", "role", "name", "command")
_MAX_DEPTH = 14


class Leaf(NamedTuple):
    """A value without members of its own.  `choices`: the words it can be, where they are listed."""

    kind: str
    choices: tuple[Any, ...] = ()


class Array(NamedTuple):
    items: tuple[Shape, ...]


class Record(NamedTuple):
    """An object.  `label` is the value that tells it from its alternatives, "" where it has none."""

    name: str
    label: str
    fields: dict[str, Field]


class Field(NamedTuple):
    required: bool
    alternatives: tuple[Shape, ...]


Shape = Leaf | Array | Record


class Step(NamedTuple):
    """One step into a value: the field `key` of an object, or (`key` "") an element of an array, as `shape`."""

    key: str
    shape: Shape


class Member(NamedTuple):
    """`path` for people; `steps` lead to it from the root `record`; `owner` is the path of what it is a member of."""

    path: str
    steps: tuple[Step, ...]
    owner: str
    required: bool

    @property
    def leaf(self) -> Shape:
        return self.steps[-1].shape


ROOTS: dict[str, tuple[type, ...]] = {
    "anthropic": (anthropic_messages.MessageCreateParamsNonStreaming, anthropic_beta.MessageCreateParamsNonStreaming),
    "openai_chat": (openai_chat.CompletionCreateParamsNonStreaming,),
    "openai_completions": (openai_completions.CompletionCreateParamsNonStreaming,),
    "openai_responses": (openai_responses.ResponseCreateParamsNonStreaming,),
    "ollama": (ollama_types.ChatRequest,),
    "ollama_generate": (ollama_types.GenerateRequest,),
}
"""Each client dialect's request, in the types of its vendor's SDK."""


UNOFFICIAL: dict[str, tuple[type, ...]] = {
    "anthropic": (unofficial.Messages,),
    "openai_chat": (unofficial.Chat,),
    "openai_completions": (unofficial.Completions,),
    "ollama": (unofficial.OllamaChat,),
    "ollama_generate": (unofficial.OllamaGenerate,),
}
"""And what programs say besides."""


@cache
def root(dialect: str) -> Record:
    """The request of `dialect` as one object: what any of its types has."""
    shapes = [_record(kind, ()) for kind in (*ROOTS[dialect], *UNOFFICIAL.get(dialect, ()))]
    return _united(shapes)


@cache
def members(dialect: str) -> tuple[Member, ...]:
    """Every member of a request of `dialect`, in the order of the types."""
    return tuple(_members(root(dialect), "", ()))


@cache
def newcomers(dialect: str) -> tuple[Member, ...]:
    """A member that no type knows yet, in every object of a request of `dialect`."""
    owners: dict[str, tuple[Step, ...]] = {"": ()}
    for member in members(dialect):
        for depth, step in enumerate(member.steps):
            if isinstance(step.shape, Record):
                steps = member.steps[: depth + 1]
                owners.setdefault(_path(steps), steps)
    step = Step(NEWCOMER, Leaf("str"))
    return tuple(
        Member(f"{owner}.{NEWCOMER}" if owner else NEWCOMER, (*steps, step), owner, False)
        for owner, steps in owners.items()
    )


NEWCOMER = "newcomer"


def _path(steps: tuple[Step, ...]) -> str:
    path = ""
    for step in steps:
        label = step.shape.label if isinstance(step.shape, Record) else ""
        if step.key:
            path = f"{path}.{step.key}" if path else step.key
        path += f"[{label}]" if label or not step.key else ""
    return path


def record_of(*kinds: type) -> Record:
    """Several types as one object: what any of them has."""
    return _united([_record(kind, ()) for kind in kinds])


def members_of(record: Record) -> tuple[Member, ...]:
    """Every member of an object, in the order of its types."""
    return tuple(_members(record, "", ()))


# --- types to shapes -----------------------------------------------------------------------------


def _record(kind: type, inside: tuple[type, ...]) -> Record:
    fields = _pydantic_fields(kind, inside) if not is_typeddict(kind) else _typed_fields(kind, inside)
    return Record(kind.__name__, _label(fields), fields)


def _typed_fields(kind: Any, inside: tuple[type, ...]) -> dict[str, Field]:
    fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        needed = kind.__total__
        while get_origin(hint) in (Required, NotRequired):
            needed, hint = get_origin(hint) is Required, get_args(hint)[0]
        fields[_wire_name(hint, name)] = Field(needed, _shapes(hint, (*inside, kind)))
    return fields


def _pydantic_fields(kind: type[BaseModel], inside: tuple[type, ...]) -> dict[str, Field]:
    return {
        info.alias or name: Field(info.is_required(), _shapes(info.annotation, (*inside, kind)))
        for name, info in kind.model_fields.items()
    }


def _wire_name(hint: Any, name: str) -> str:
    """The name on the wire, where the SDK's own name would be a keyword of Python."""
    notes = getattr(hint, "__metadata__", ())
    return next((note.alias for note in notes if getattr(note, "alias", None)), name)


_DATED = re.compile(r"_20\d\d_\d\d_\d\d$")
"""Of words for one thing the first has no date."""


def _label(fields: dict[str, Field]) -> str:
    for name in _DISCRIMINATORS:
        field = fields.get(name)
        words = [word for shape in field.alternatives for word in getattr(shape, "choices", ())] if field else []
        if len(words) == 1 or (words and (name == "role" or all(_DATED.sub("", word) == words[0] for word in words))):
            return str(words[0])
    return ""


def _shapes(hint: Any, inside: tuple[type, ...]) -> tuple[Shape, ...]:
    """The alternatives of a type, one of each label; records that would contain themselves are left out."""
    found: list[Shape] = []
    for shape in _flat(hint, inside):
        if isinstance(shape, Record):
            same = next((i for i, s in enumerate(found) if isinstance(s, Record) and s.label == shape.label), None)
            if same is not None and (shape.label or isinstance(found[same], Record)):
                found[same] = _united([found[same], shape])  # type: ignore[list-item]
                continue
        elif isinstance(shape, Array):
            same = next((i for i, s in enumerate(found) if isinstance(s, Array)), None)
            if same is not None:
                found[same] = Array(_merged([*found[same].items, *shape.items]))  # type: ignore[union-attr]
                continue
        elif any(isinstance(s, Leaf) and s.kind == shape.kind and not shape.choices for s in found):
            continue
        found.append(shape)
    if any(isinstance(shape, Record) for shape in found):  # the same object, in a looser type
        found = [shape for shape in found if shape != Leaf("object")]
    return tuple(found)


def _merged(shapes: list[Shape]) -> tuple[Shape, ...]:
    out: list[Shape] = []
    for shape in shapes:
        same = next((i for i, s in enumerate(out) if _alike(s, shape)), None)
        if same is None:
            out.append(shape)
        elif isinstance(shape, Record):
            out[same] = _united([out[same], shape])  # type: ignore[list-item]
    return tuple(out)


def _alike(one: Shape, other: Shape) -> bool:
    if isinstance(one, Record) and isinstance(other, Record):
        return one.label == other.label
    return type(one) is type(other) and (isinstance(one, Array) or one == other)


def _united(records: list[Record]) -> Record:
    """One record with the fields of all; the alternatives of a field are those of all."""
    first, *others = records
    fields = dict(first.fields)
    for record in others:
        for name, field in record.fields.items():
            known = fields.get(name)
            if known is None:
                fields[name] = Field(False, field.alternatives)
            else:
                fields[name] = Field(known.required, _joined([*known.alternatives, *field.alternatives]))
    return Record(first.name, first.label, fields)


def _joined(shapes: list[Shape]) -> tuple[Shape, ...]:
    out: list[Shape] = []
    for shape in shapes:
        same = next((i for i, s in enumerate(out) if _alike(s, shape)), None)
        match shape:
            case _ if same is None:
                out.append(shape)
            case Record():
                out[same] = _united([out[same], shape])  # type: ignore[list-item]
            case Array():
                out[same] = Array(_joined([*out[same].items, *shape.items]))  # type: ignore[union-attr]
    return tuple(out)


def _flat(hint: Any, inside: tuple[type, ...]) -> Iterator[Shape]:
    origin, args = get_origin(hint), get_args(hint)
    if hint is None or hint is type(None):
        return
    if origin in (Union, types.UnionType):
        for arg in args:
            yield from _flat(arg, inside)
    elif origin in (Annotated, Required, NotRequired):
        yield from _flat(args[0], inside)
    elif origin is Literal:
        yield Leaf("word", args)
    elif origin is not None:
        yield from _container(origin, args, inside)
    elif is_typeddict(hint) or (isinstance(hint, type) and issubclass(hint, BaseModel)):
        yield from _of_class(hint, inside)
    else:
        yield Leaf(_SCALARS.get(hint, "object"))


def _container(origin: Any, args: tuple[Any, ...], inside: tuple[type, ...]) -> Iterator[Shape]:
    if issubclass(origin, collections.abc.Mapping):
        yield Leaf("object")
    elif items := _shapes(args[0], inside):
        yield Array(items)


def _of_class(kind: Any, inside: tuple[type, ...]) -> Iterator[Shape]:
    if kind.__name__ == "Image":  # the SDK's own wrapping of a base64 string
        yield Leaf("str")
    elif kind.__name__ == "Property":  # of a JSON Schema
        yield Leaf("object")
    elif kind not in inside and len(inside) < _MAX_DEPTH:
        yield _record(kind, inside)


_SCALARS: dict[Any, str] = {str: "str", int: "int", float: "float", bool: "bool"}


# --- shapes to members ---------------------------------------------------------------------------


def _members(record: Record, at: str, steps: tuple[Step, ...]) -> Iterator[Member]:
    for name, field in record.fields.items():
        if _is_label(record, name, field):
            continue
        where = f"{at}.{name}" if at else name
        for shape in field.alternatives:
            yield from _below(shape, where, (*steps, Step(name, shape)), at, field.required)


def _below(shape: Shape, where: str, steps: tuple[Step, ...], owner: str, required: bool) -> Iterator[Member]:
    match shape:
        case Leaf():
            yield Member(where, steps, owner, required)
        case Array(items):
            for item in items:
                label = item.label if isinstance(item, Record) else ""
                yield from _below(item, f"{where}[{label}]", (*steps, Step("", item)), owner, required)
        case Record(_, label, _):
            here = where if not label or where.endswith("]") else f"{where}[{label}]"
            if label or not _is_empty(shape):
                yield Member(here, steps, owner, required)
            if not where.endswith(_NESTED_TOOL) or label == "custom":
                yield from _members(shape, here, steps)


def _is_empty(record: Record) -> bool:
    """Whether it may say nothing at all: then its members are all there is to it."""
    own = [field for name, field in record.fields.items() if not _is_label(record, name, field)]
    needed = [field for field in own if field.required]
    return bool(own) and all(all(isinstance(s, Record) and _is_empty(s) for s in f.alternatives) for f in needed)


_NESTED_TOOL = ".definition"
"""A tool defined in a message: what is in it is probed among the tools, but for the plain one, probed everywhere."""


def _is_label(record: Record, name: str, field: Field) -> bool:
    """Whether the member only tells which variant it is."""
    words = [word for shape in field.alternatives for word in getattr(shape, "choices", ())]
    if not words or not all(isinstance(shape, Leaf) and shape.choices for shape in field.alternatives):
        return False
    return (len(words) == 1 and field.required) or (bool(record.label) and name in ("type", "role", "name"))
