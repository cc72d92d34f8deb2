"""Structured output: the server's own constraint, and words for what it does not show the model or cannot hold."""

from __future__ import annotations

import re

from msgspec.structs import replace

from dragoman.arguments import json_text
from dragoman.conversation import Format, Message, Request, Text
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.formats import ONE_VALUE, Shape, shape_of, titled
from dragoman.models.keywords import root_kind
from dragoman.models.open.schema import Held, is_closed, is_described
from dragoman.models.servers import server_of
from dragoman.models.tools import instruct

_SAYS_JSON = re.compile("json", re.IGNORECASE)


def fit_format(request: Request, card: Card, losses: Losses) -> tuple[Request, Shape]:
    """The request, and how the answer's text must be read on the way back: see `models.formats`.

    Where a server holds the answer to the form, that is read, too: many that say so do not, and a clean answer passes
    as it is.
    """
    wanted = request.format
    if wanted is None:
        return request, ""
    if request.tools and card.dialect == "ollama":
        losses.emulate("format", "beside tools Ollama would hold every call to it: the model is asked to follow it")
        return _asked(request, wanted), shape_of(wanted)
    if wanted.kind == "json":
        # These servers want the word to be there: OpenAI refuses without, a grammar alone ends in white space.
        return (request if _mentioned(request) else instruct(request, ONE_VALUE.format(kind="object"))), "object"
    if not card.structured_outputs:
        losses.emulate("format", f"{card.id} cannot be held to it: it is asked to follow it")
        return _half_held(request, wanted, card), shape_of(wanted)
    if card.dialect == "ollama":
        return _held(request, wanted, losses), shape_of(wanted)
    strict = True if wanted.strict is None and is_closed(wanted.schema) else wanted.strict
    return replace(request, format=replace(wanted, strict=strict)), shape_of(wanted)


def _half_held(request: Request, wanted: Format, card: Card) -> Request:
    """The schema in words; and the JSON mode of a server that has only that, where the answer is to be an object."""
    asked = _asked(request, wanted)
    only_json = card.dialect == "openai_chat" and server_of(card.flavor).formats == ("json_object",)
    if only_json and not request.tools and root_kind(wanted.schema) == "object":
        return replace(asked, format=Format(kind="json"))
    return asked


def _asked(request: Request, wanted: Format) -> Request:
    if wanted.kind == "json":
        return instruct(replace(request, format=None), ONE_VALUE.format(kind="object"))
    return instruct(replace(request, format=None), _in_words(wanted))


def _in_words(wanted: Format) -> str:
    about = f"\n{wanted.description}" if wanted.description else ""
    rule = ONE_VALUE.format(kind="value")
    return f"{rule} It must be valid against this JSON Schema:\n{json_text(titled(wanted).schema)}{about}"


def _held(request: Request, wanted: Format, losses: Losses) -> Request:
    """The grammar of the schema; and the schema in words, where it says more than the grammar can."""
    held = Held(titled(wanted).schema, whole=True)
    constrained = replace(request, format=replace(wanted, schema=held.schema))
    if held.unheld:
        losses.emulate("format", f"{', '.join(held.unheld)}: not enforced, but described to the model")
    if held.unheld or wanted.description or is_described(wanted.schema):
        return instruct(constrained, _in_words(wanted))
    return constrained


def _mentioned(request: Request) -> bool:
    """Whether the beginning, which stays as the conversation grows, speaks of JSON."""
    return any(_SAYS_JSON.search(part.text) for message in _beginning(request.messages) for part in _texts(message))


def _beginning(messages: list[Message]) -> list[Message]:
    first = next((i for i, message in enumerate(messages) if message.role == "user"), len(messages) - 1)
    return messages[: first + 1]


def _texts(message: Message) -> list[Text]:
    return [part for part in message.content if isinstance(part, Text)]
