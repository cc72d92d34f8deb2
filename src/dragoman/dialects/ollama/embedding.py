"""Embeddings on Ollama's wire: /api/embed both ways, and the client half of the older /api/embeddings.

https://docs.ollama.com/api/embed.  Ollama cuts a text that is too long unless it is told not to, where OpenAI refuses
it: for clients of others it is told.
"""

from __future__ import annotations

import msgspec

from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import Stamp
from dragoman.dialects.embeddings import EmbedReply, EmbedRequest, check_vectors, own_members, reply_members
from dragoman.dialects.ollama.failure import error_kind, error_message
from dragoman.dialects.ollama.loading import keep_alive_seconds
from dragoman.dialects.ollama.vocabulary import NAME
from dragoman.dialects.reading import take
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses

_decode = msgspec.json.Decoder().decode
_vectors = msgspec.json.Decoder(list[msgspec.Raw]).decode

# --- request ------------------------------------------------------------------------------------


def decode_request(body: Object) -> EmbedRequest:
    """Takes a request of /api/embed apart.  Raises "invalid_request" in Ollama's own words where it has any."""
    if not (body.get("model") or body.get("name")):
        raise GatewayError("model_not_found", "model '' not found", param="model")
    model, value = _model(body), body.pop("input", None)
    dimensions = take(body, "dimensions", int)
    request = _request(body, model, _texts(value))
    request.dimensions = dimensions if dimensions is not None and dimensions > 0 else None
    return request


def decode_legacy(body: Object) -> EmbedRequest:
    """Takes a request of /api/embeddings apart: one `prompt`, one vector."""
    model, prompt = _model(body), take(body, "prompt", str)
    return _request(body, model, [prompt] if prompt else [])


def encode_request(request: EmbedRequest, losses: Losses) -> Object:
    """A request of /api/embed.  Raises "invalid_request" for token ids: Ollama takes text only."""
    if request.input and isinstance(request.input[0], list):
        raise invalid(
            "input has token ids, which this model's server cannot read: send text "
            "(in LangChain, check_embedding_ctx_length=False does that)",
            "input",
        )
    body: Object = {"model": request.model}
    if request.origin != NAME:
        body["truncate"] = False
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body | own_members(request, NAME, losses) | {"input": request.input}


def _model(body: Object) -> str:
    model = take(body, "model", str) or take(body, "name", str)
    if not model:
        raise invalid("model is required", "model")
    return model


def _texts(value: JSON) -> list[str]:
    """Nothing at all is as good as an empty text or an empty array: it loads the model."""
    match value:
        case None | "":
            return []
        case str():
            return [value]
        case list() if all(isinstance(item, str) for item in value):
            return value
        case list():
            place = next(index for index, item in enumerate(value) if not isinstance(item, str))
            raise invalid("invalid input type", f"input[{place}]")
        case _:
            raise invalid("invalid input type", "input")


def _request(body: Object, model: str, texts: list[str]) -> EmbedRequest:
    keep_alive_seconds(body.get("keep_alive"))
    hints: Object = {"options": take(body, "options", dict), "keep_alive": body.pop("keep_alive", None)}
    hints["truncate"] = take(body, "truncate", bool)
    if hints["truncate"] is not False:  # only Ollama cuts; all others refuse what is too long
        body["truncate"] = hints.pop("truncate")
    return EmbedRequest(origin=NAME, model=model, input=texts, hints=_said(hints), extra=_said(body))


def _said(members: Object) -> Object:
    return {name: value for name, value in members.items() if value is not None}


# --- reply --------------------------------------------------------------------------------------


def decode_reply(body: bytes, request: EmbedRequest) -> EmbedReply:
    """An answer of /api/embed.  Raises "upstream", or what the error in it says, when it is none to this request."""
    members = reply_members(body)
    try:
        if "error" in members and (message := error_message({"error": _decode(members["error"])})):
            raise GatewayError(error_kind(500, message), message)
        vectors = _vectors(members["embeddings"])
        tokens: JSON = _decode(members.get("prompt_eval_count", b"0"))
    except (KeyError, UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        raise GatewayError("upstream", "the upstream's answer has no embeddings") from None
    return EmbedReply(vectors=check_vectors(vectors, request), tokens=tokens if isinstance(tokens, int) else 0)


def encode_reply(reply: EmbedReply, request: EmbedRequest, stamp: Stamp) -> Object:
    """The answer of /api/embed.  How long the model took to load is not known, so it is the least there is."""
    total = max(stamp.clock() - stamp.started, 1)
    return {
        "model": stamp.model,
        "embeddings": reply.vectors,
        "total_duration": total,
        "load_duration": 1,
        "prompt_eval_count": reply.tokens,
    }


def encode_legacy(reply: EmbedReply, request: EmbedRequest, stamp: Stamp) -> Object:
    """The answer of /api/embeddings: the one vector, or an empty one for a call without a prompt."""
    return {"embedding": reply.vectors[0] if reply.vectors else []}
