"""Embeddings on OpenAI's wire, both ways.  https://platform.openai.com/docs/api-reference/embeddings

The official SDKs ask for base64 unless told otherwise, which is a fifth of the bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import Stamp
from dragoman.dialects.embeddings import EmbedReply, EmbedRequest, check_vectors, own_members, reply_members
from dragoman.dialects.openai_chat.failure import find_error
from dragoman.dialects.openai_chat.usage import decode_usage
from dragoman.dialects.openai_chat.vocabulary import NAME
from dragoman.dialects.reading import check, choose, need, path, take
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses

_decode = msgspec.json.Decoder().decode


class _Item(Struct):
    embedding: Raw
    index: int | None = None


_items = msgspec.json.Decoder(list[_Item]).decode

# --- request ------------------------------------------------------------------------------------


def decode_request(body: Object) -> EmbedRequest:
    """Takes a request apart.  Raises `GatewayError` ("invalid_request") naming the member that is wrong."""
    model = need(body, "model", str)
    value = _input(body.pop("input", None))
    dimensions = take(body, "dimensions", int)
    if dimensions is not None and dimensions < 1:
        raise invalid(f"dimensions must be at least 1, not {dimensions}", "dimensions")
    packed = choose(body, "encoding_format", ("float", "base64")) == "base64"
    extra = {name: member for name, member in body.items() if member is not None}
    return EmbedRequest(origin=NAME, model=model, input=value, dimensions=dimensions, packed=packed, extra=extra)


def encode_request(request: EmbedRequest, losses: Losses) -> Object:
    """A request.  Raises "invalid_request" for one without input, which this wire cannot say.

    The form of the vectors is asked for only where the client asked for base64: not every server knows the member.
    """
    if not request.input:
        raise invalid("input must not be empty: this model's server cannot load a model without one", "input")
    body: Object = {"model": request.model}
    if request.packed:
        body["encoding_format"] = "base64"
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body | own_members(request, NAME, losses) | {"input": request.input}


def _input(value: JSON) -> list[str] | list[list[int]]:
    """A text, texts, the token ids of one text, or of several."""
    if value is None:
        raise invalid("input is required", "input")
    if isinstance(value, str):
        value = [value] if value else []
    listed: list[Any] = check(value, list, "input")
    kinds = set(map(type, listed))
    if not kinds:
        raise invalid("input must not be empty", "input")
    if kinds == {str}:
        return listed
    if kinds == {int}:
        return [listed]
    if kinds == {list}:
        return [_tokens(item, path("input", place)) for place, item in enumerate(listed)]
    return [check(item, str, path("input", place)) for place, item in enumerate(listed)]  # the complaint


def _tokens(value: list[Any], at: str) -> list[int]:
    if not value:
        raise invalid(f"{at} must not be empty", at)
    if set(map(type, value)) == {int}:  # a million of them is nothing unusual
        return value
    return [check(item, int, path(at, place)) for place, item in enumerate(value)]


# --- reply --------------------------------------------------------------------------------------


def decode_reply(body: bytes, request: EmbedRequest) -> EmbedReply:
    """An answer.  Raises "upstream", or what the error in it says, when it is none to this request."""
    members = reply_members(body)
    try:
        if error := find_error({name: _decode(raw) for name, raw in members.items() if name != "data"}):
            raise error
        items = _items(members["data"])
        usage = decode_usage(_decode(members["usage"]) if "usage" in members else None)
    except (KeyError, UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        raise GatewayError("upstream", "the upstream's answer has no embeddings") from None
    return EmbedReply(vectors=check_vectors(_in_order(items), request), tokens=usage.input)


def _in_order(items: list[_Item]) -> list[Raw]:
    """By `index`.  Where that says nothing (absent, or 0 for all), the order they stand in is theirs."""
    places = [item.index for item in items]
    if not any(places):
        return [item.embedding for item in items]
    vectors = {item.index: item.embedding for item in items}
    if set(vectors) != set(range(len(items))):
        raise GatewayError("upstream", "the upstream numbered its embeddings in a way that makes no sense")
    return [vectors[place] for place in range(len(items))]


def encode_reply(reply: EmbedReply, request: EmbedRequest, stamp: Stamp) -> Object:
    """The list object."""
    data = [{"object": "embedding", "index": index, "embedding": raw} for index, raw in enumerate(reply.vectors)]
    usage = {"prompt_tokens": reply.tokens, "total_tokens": reply.tokens}
    return {"object": "list", "data": data, "model": stamp.model, "usage": usage}
