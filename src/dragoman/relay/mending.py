"""What a server refuses of a call: the call made again without it, and what is learnt from that for the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Message, Object, Request
from dragoman.dialects.anthropic import BETA, bind, refuses_binding, unbind
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.models.refusal import EARLIER, Refusals, refused_member, refuses_schema, without
from dragoman.models.repair import is_checked
from dragoman.relay.call import Call, Sent
from dragoman.relay.sealing import Unknown, is_sealed, refused_seal, seals, unsealed

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Translate = Callable[[Call, Request, Resolution, Losses], Awaitable[Sent]]
"""The call as a model is sent it, with another request in place of its own."""

# How `refusals` calls what `bind` puts into a body.
_BINDING = "thinking.block_binding"

# Why a model is not sent a thought with a proof that it refuses.
_UNKNOWN = "the model does not know it"

# A member that no client of another dialect can have asked for: our own wish for counts at the end of a stream.
_OURS = "stream_options"


class Mender:
    """`translate` makes the call anew; `refusals` are the members that models refused."""

    def __init__(self, refusals: Refusals, translate: Translate) -> None:
        self._refusals = refusals
        self._translate = translate
        self._unknown = Unknown()

    def known(self, key: str, messages: list[Message]) -> list[Message]:
        """`messages` without the signed thinking that the model `key` refused; the same list where it is in none."""
        return self._unknown.without(key, messages)

    def spared(self, body: Object, key: str, losses: Losses) -> Object:
        """`body` without the members that the model `key` refused before."""
        for name in self._refusals.of(key):
            if name in body or name == EARLIER:
                body = _without(body, name, losses)
        return body

    async def knowing(self, call: Call, wanted: Request, resolution: Resolution, losses: Losses) -> Sent:
        """The call without the signed thinking that this model refused before."""
        messages = self.known(resolution.card.key, wanted.messages)
        if messages is wanted.messages:
            return await self._translate(call, wanted, resolution, losses)
        return await self._less(call, replace(wanted, messages=messages), resolution, losses, _UNKNOWN)

    async def mended(self, call: Call, error: GatewayError) -> Sent:
        """The same call without what `error` refuses.  Raises `error` when the call makes no sense without it."""
        if error.kind == "unverified_thinking":
            return await self._unsealed(call, error)
        sent = call.sent
        if BETA in sent.betas and error.kind == "invalid_request" and refuses_binding(error.message):
            return self._unbound(call, error)
        body: Object = _decode(sent.body)
        if sent.wanted is not None and is_checked(call.request, sent.card.dialect) and refuses_schema(body, error):
            return await self._unheld(call, sent.wanted)
        if sent.card.dialect != "openai_chat":
            raise error
        name = refused_member(body, error)
        own = call.request.origin == sent.card.dialect and name in call.request.extra
        if name is None or (call.strict and name != _OURS) or own:
            raise error
        self._refusals.add(sent.key, name)
        return replace(sent, body=_encode(_without(body, name, sent.losses)))

    async def _unheld(self, call: Call, wanted: Request) -> Sent:
        """The same call with the schema in words: the server cannot make a constraint of it."""
        resolution = call.sent.resolution
        asked = replace(resolution, card=replace(resolution.card, structured_outputs=False))
        return await self._translate(call, wanted, asked, call.sent.losses)

    def betas(self, call: Call, card: Card, body: Object) -> str:
        """What `body` needs in `anthropic-beta`: what its client sent, and ours where thinking goes back to a model
        that checks what stands before it.

        We cannot prove that this is as it was: clients have clocks in their system prompts, and forget.  Such thinking
        is to be left out, and we are told.  In strict mode it is to be an error, where the client itself sent it.
        """
        own = _own_betas(call)
        if not card.thinking_prefix_check or _BINDING in self._refusals.of(card.key):
            return own
        if (call.strict and is_sealed(call.request)) or not bind(body) or BETA in own:
            return own
        return f"{own}, {BETA}" if own else BETA

    def _unbound(self, call: Call, error: GatewayError) -> Sent:
        """The same call for a server that does not know how to leave thinking out.  Raises `error` when the client
        asked for it itself."""
        sent = call.sent
        own = _own_betas(call)
        if own == sent.betas:
            raise error
        self._refusals.add(sent.key, _BINDING)
        return replace(sent, betas=own, body=_encode(unbind(_decode(sent.body))))

    async def _unsealed(self, call: Call, error: GatewayError) -> Sent:
        """The same call without the thinking that was sent back: the model says it belongs to another conversation.

        It happens when a client rewrites what came before (a clock in the system prompt, another set of tools), and
        when it brings thinking along from somewhere else; the first time only that goes, where it can be told apart.
        Strict mode minds only thinking that the client itself sent: what was remembered is no part of its request.
        Raises `error` when there is no such thinking.
        """
        sent = call.sent
        if sent.wanted is None:
            raise error
        only = "" if sent.unproved else refused_seal(sent.body, error)
        messages = unsealed(sent.wanted.messages, only)
        if messages == sent.wanted.messages:
            raise error
        self._unknown.add(sent.key, [only] if only else seals(sent.wanted.messages))
        wanted = replace(sent.wanted, messages=messages)
        why = _UNKNOWN if only else "what came before it has changed since the model signed it"
        again = await self._less(call, wanted, sent.resolution, sent.losses, why)
        return replace(again, unproved=True)

    async def _less(self, call: Call, wanted: Request, resolution: Resolution, losses: Losses, why: str) -> Sent:
        """The call as `wanted`, from which thinking was taken.  In strict mode an error, if its client sent it."""
        if is_sealed(call.request):
            losses.drop("thinking", why)
        sent = await self._translate(call, wanted, resolution, losses)
        losses.drop("thinking", why)
        return sent


def _without(body: Object, name: str, losses: Losses) -> Object:
    rest = without(body, name)
    if name == EARLIER:
        if rest != body:
            losses.drop("thinking", "this model's server refuses earlier reasoning")
    elif len(rest) < len(body) and name != _OURS:
        losses.drop(name, "this model's server refuses it")
    return rest


def _own_betas(call: Call) -> str:
    """What an Anthropic client says in `anthropic-beta`."""
    way = call.way
    return way.headers.get("anthropic-beta", "") if way is not None and way.dialect == "anthropic" else ""
