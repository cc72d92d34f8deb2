"""What one model behind a Responses server refuses though others take it: left out, and from then on never sent.

The same as `mending` does for chat completions.  https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Object
from dragoman.dialects import openai_responses
from dragoman.dialects.kindred import name_in
from dragoman.dialects.openai_responses.vocabulary import ENCRYPTED
from dragoman.errors import GatewayError
from dragoman.models.refusal import Refusals, refused_member, without
from dragoman.relay.call import Call, Sent

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

# Asked for by the gateway itself: only who asked for it, too, loses anything.
_OURS = "include"


def spared(call: Call, refusals: Refusals) -> Sent:
    """What the model is sent, without what it is known to refuse."""
    sent = call.sent
    if sent.card.dialect != openai_responses.NAME or sent.way is not None or not (names := refusals.of(sent.key)):
        return sent
    body: Object = _decode(sent.body)
    for name in names:
        if _may_go(call, name):
            body = _without(body, name, call)
    return replace(sent, body=_encode(body))


def mended(call: Call, error: GatewayError, refusals: Refusals) -> Sent | None:
    """The same without the member that `error` is about; None where it is about something else, or the call makes no
    sense without it."""
    sent = call.sent
    if sent.card.dialect != openai_responses.NAME:
        return None
    body: Object = _decode(sent.body)
    name = refused_member(body, error)
    if name is None or not _may_go(call, name):
        return None
    refusals.add(sent.key, name)
    return replace(sent, body=_encode(_without(body, name, call)))


def refuses_proofs(data: bytes) -> bool:
    """Whether an answer that is an error says that this model's reasoning has no proofs."""
    error = openai_responses.decode_error(400, data, None)
    return refused_member({_OURS: [ENCRYPTED]}, error) == _OURS


def has_proofs(refusals: Refusals, key: str) -> bool:
    """Whether the model may have proofs of its reasoning, as far as is known."""
    return _OURS not in refusals.of(key)


def _may_go(call: Call, name: str) -> bool:
    """What the client wrote for such a server itself it is told of, and so is who minds every loss."""
    if name == _OURS:
        return True
    own = call.request.origin == openai_responses.NAME and name.partition(".")[0] in call.request.extra
    return not call.strict and not own


def _without(body: Object, name: str, call: Call) -> Object:
    rest = without(body, name)
    if rest != body and (name != _OURS or _OURS in call.request.extra):
        call.sent.losses.drop(name_in(call.request, name), "this model's server refuses it")
    return rest
