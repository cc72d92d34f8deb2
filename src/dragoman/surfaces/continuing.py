"""What a Responses request goes on from: an earlier response, a conversation, items it only names.

All of that is ours: no server behind us is asked to keep anything, or knows an id of ours.  So a request is made whole
before anybody reads it.  https://platform.openai.com/docs/guides/conversation-state
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.conversation import JSON, Message, Object, Request
from dragoman.dialects import openai_responses
from dragoman.errors import GatewayError, invalid
from dragoman.store.durable import Durable
from dragoman.surfaces.exchange import parse_object

_encode = msgspec.json.Encoder().encode


class _Top(Struct, frozen=True):
    previous_response_id: Any = None
    conversation: Any = None
    store: Any = None
    background: Any = None


_top = msgspec.json.Decoder(_Top).decode
_REFERENCE = b"item_reference"


class Asked(Struct, frozen=True, kw_only=True):
    """A request, made whole.

    `body` is all of it, with `before` items in front of the client's own; `members` are what a Response object of it
    says of the ids it goes on from.  With `keeps` the response is to be kept, by `own` its items.
    """

    body: bytes
    keeps: bool
    background: bool = False
    previous: str | None = None
    conversation: str | None = None
    before: int = 0
    changed: bool = False
    own: Callable[[str], list[Object]]

    def decoded(self) -> Request:
        """The request, every place in it named as the client wrote it."""
        return self._shifted() if self.before else openai_responses.decode_request(parse_object(self.body))

    def members(self, id: str) -> Object:
        """What the gateway knows of the response `id`, whoever makes it; empty where nothing is kept for anybody."""
        if not self.keeps and not self.changed:
            return {}
        named = {"conversation": {"id": self.conversation}} if self.conversation else {}
        known: Object = {"store": self.keeps, "background": self.background, "previous_response_id": self.previous}
        return {"id": id, **known, **named} if self.keeps else {**known, **named}

    def bare(self) -> bytes:
        """The body without what only this gateway knows."""
        document = parse_object(self.body)
        for name in _OURS:
            document.pop(name, None)
        return _encode(document)

    @property
    def wants_proofs(self) -> bool:
        """Whether the client itself asks for the proofs of the reasoning."""
        included = parse_object(self.body).get("include")
        return isinstance(included, list) and _PROOFS in included

    def for_server(self, *, proofs: bool = True) -> bytes:
        """The body for a server of this dialect, which keeps nothing: with the `proofs`, if there are any."""
        document = parse_object(self.bare())
        document["store"] = False
        included = document.get("include") or []
        if proofs and isinstance(included, list) and _PROOFS not in included:
            document["include"] = [*included, _PROOFS]
        if isinstance(items := document.get("input"), list):
            document["input"] = [_without_id(item) for item in items]
        return _encode(document)

    @property
    def stays(self) -> bool:
        """Whether there is something in it that only this gateway knows."""
        return self.keeps or self.changed or self.background

    def _shifted(self) -> Request:
        try:
            request = openai_responses.decode_request(parse_object(self.body))
        except GatewayError as error:
            if error.param:
                place = self._place(error.param)
                error.message, error.param = error.message.replace(error.param, place), place
            raise
        for message in request.messages:
            _move(message, self._place)
        for tool in request.tools:
            tool.at = self._place(tool.at)
        request.extra = {self._place(name): value for name, value in request.extra.items()}
        return request

    def _place(self, at: str) -> str:
        """Where the client wrote what stands at `at`: what it only named stands under that name."""
        found = _ITEM.match(at)
        if found is None:
            return at
        index = int(found[1]) - self.before
        if index >= 0:
            return f"input[{index}]{found[2]}"
        return f"{'previous_response_id' if self.previous else 'conversation'}[{found[1]}]{found[2]}"


_ITEM = re.compile(r"input\[(\d+)\](.*)", re.DOTALL)
_OURS = ("previous_response_id", "conversation", "background", "background_options")
_PROOFS = "reasoning.encrypted_content"


def _move(message: Message, place: Callable[[str], str]) -> None:
    message.at = place(message.at)
    message.places = [place(at) for at in message.places]


def _without_id(item: JSON) -> JSON:
    """Ids are those of a server that kept the item; this one did not.  A proof is looked up by nothing else."""
    if isinstance(item, dict) and item.get("type") != "reasoning" and "id" in item:
        return {name: value for name, value in item.items() if name != "id"}
    return item


async def asked_for(body: bytes, store: Durable, owner: str) -> Asked:
    """The request in `body`, made whole.  Raises `GatewayError` for what is not there, or is somebody else's."""
    top = _read(body)
    keeps, background = _wishes(top, store)
    previous, conversation = _named(top)
    changed = top.store is not False and not keeps
    if not (previous or conversation or changed or _REFERENCE in body):
        return Asked(body=body, keeps=keeps, background=background, own=_reader(body))
    document = parse_object(body)
    if changed:
        document["store"] = False
    own = await _referred(_items(document), store, owner)
    before = await _before(previous, conversation, store, owner)
    document["input"] = [*before, *own]
    return Asked(
        body=_encode(document),
        keeps=keeps,
        background=background,
        previous=previous,
        conversation=conversation,
        before=len(before),
        changed=True,
        own=_reader(_encode({"input": own})),
    )


def _reader(body: bytes) -> Callable[[str], list[Object]]:
    """The client's own items, by the id of the response they are for."""
    return lambda id: openai_responses.input_items(parse_object(body), id)


def _read(body: bytes) -> _Top:
    try:
        return _top(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Top()  # who decodes it says what is wrong


def _wishes(top: _Top, store: Durable) -> tuple[bool, bool]:
    for name, value in (("store", top.store), ("background", top.background)):
        if not isinstance(value, bool | None):
            raise invalid(f"{name} must be a boolean", name)
    keeps = store.keeps and top.store is not False
    if top.background and not keeps:
        why = "needs store: true" if store.keeps else "is not to be had: this gateway keeps no responses"
        raise invalid(f"background {why}", "background")
    return keeps, bool(top.background)


def _named(top: _Top) -> tuple[str | None, str | None]:
    previous, conversation = top.previous_response_id, top.conversation
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
        if not isinstance(conversation, str):
            raise invalid("conversation.id must be a string", "conversation.id")
    for name, value in (("previous_response_id", previous), ("conversation", conversation)):
        if not isinstance(value, str | None):
            raise invalid(f"{name} must be a string", name)
    if previous and conversation:
        error = invalid("previous_response_id and conversation cannot both be given", "previous_response_id")
        error.code = "mutually_exclusive_parameters"
        raise error
    return previous or None, conversation or None


def _items(document: Object) -> list[Object]:
    given: JSON = document.get("input")
    match given:
        case None:
            return []
        case str():
            return [{"type": "message", "role": "user", "content": given}]
        case dict():
            return [given]
        case list() if all(isinstance(item, dict) for item in given):
            return given
        case _:
            raise invalid("input must be a string or an array of objects", "input")


async def _before(previous: str | None, conversation: str | None, store: Durable, owner: str) -> list[Object]:
    """What was said before, the oldest first."""
    if previous is not None:
        if store.empty or not store.keeps:
            raise GatewayError(
                "invalid_request",
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return await (await store.open()).responses.chain(owner, previous)
    if conversation is not None:
        if store.empty:
            raise GatewayError("not_found", f"Conversation with id '{conversation}' not found.", param="conversation")
        return await (await store.open()).conversations.history(owner, conversation)
    return []


async def _referred(items: Iterable[Object], store: Durable, owner: str) -> list[Object]:
    """The items, those that are only named put in full."""
    whole = []
    for index, item in enumerate(items):
        if item.get("type") == "item_reference" or item.keys() == {"id"}:
            id = item.get("id")
            found = None
            if isinstance(id, str) and not store.empty:
                found = await (await store.open()).responses.item(owner, id)
            if found is None:
                raise GatewayError("not_found", f"Item with id '{id}' not found.", param=f"input[{index}]")
            item = found
        whole.append(item)
    return whole
