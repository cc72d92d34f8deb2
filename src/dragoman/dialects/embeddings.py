"""What every embeddings wire means, once: texts in, vectors out.  The wires are in `ollama` and `openai_chat`.

An answer can be millions of numbers.  So a vector is no list of floats here: it stays the JSON it came as, checked, and
is rewritten only when the client reads another form.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct, field

from dragoman.conversation import Object
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses

_FLOAT = 4  # bytes

_encode = msgspec.json.Encoder().encode
_vector = msgspec.json.Decoder(list[float] | str).decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode


class EmbedRequest(Struct, kw_only=True):
    """Texts (or token ids, which only the model's own server can read) to be made vectors.

    `input` is empty when a client only wants a model loaded.  `packed`: the client reads vectors as base64 of 32-bit
    floats, little-endian.  `hints` tell a server of `origin` how to run and change no vector: no loss elsewhere.
    `extra` is what is left, and is one.
    """

    origin: str
    model: str
    input: list[str] | list[list[int]]
    dimensions: int | None = None
    packed: bool = False
    hints: Object = field(default_factory=dict)
    extra: Object = field(default_factory=dict)


class EmbedReply(Struct, kw_only=True):
    """`vectors` stand in the order of the inputs, each as JSON in the client's form.  `tokens`: of all inputs."""

    vectors: list[Raw]
    tokens: int = 0


def own_members(request: EmbedRequest, target: str, losses: Losses) -> Object:
    """What of the request only a server of its own dialect understands; for every other `target` it is reported."""
    if request.origin == target:
        return request.hints | request.extra
    for name in request.extra:
        losses.drop(name, f"the {target} API has no such member")
    return {}


# --- an upstream's answer ------------------------------------------------------------------------


def reply_members(body: bytes) -> Mapping[str, Raw]:
    """The members of an answer, unread.  Raises "upstream" when it is no object."""
    try:
        return _members(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GatewayError("upstream", "the upstream's answer is not a JSON object") from None


def check_vectors(vectors: Sequence[Raw], request: EmbedRequest) -> list[Raw]:
    """The vectors in the form the client reads.

    Raises "upstream" when there is not one for each input, or one is no vector; and "invalid_request" when the model
    cannot make them of the length that was asked for.
    """
    if len(vectors) != len(request.input):
        raise GatewayError("upstream", f"the upstream made {len(vectors)} vectors of {len(request.input)} inputs")
    try:
        return [_as_asked(vector, request) for vector in vectors]
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, struct.error, OverflowError, ValueError) as error:
        raise GatewayError("upstream", f"the upstream's answer has a vector that makes no sense: {error}") from None


def _as_asked(raw: Raw, request: EmbedRequest) -> Raw:
    """One vector, an array of numbers or base64 of 32-bit floats, in the client's form."""
    value = _vector(raw)
    if isinstance(value, list):
        _check_length(len(value), request)
        return Raw(_encode(struct.pack(f"<{len(value)}f", *value))) if request.packed else raw  # bytes become base64
    data = base64.b64decode(value, validate=True)
    if len(data) % _FLOAT:
        raise ValueError(f"{len(data)} bytes are no 32-bit floats")
    _check_length(len(data) // _FLOAT, request)
    if request.packed:
        return raw
    numbers = struct.unpack(f"<{len(data) // _FLOAT}f", data)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not every number is finite")
    return Raw(_encode(numbers))


def _check_length(length: int, request: EmbedRequest) -> None:
    """Some servers do not know `dimensions`, and none can stretch: a wrong length would spoil the client's index."""
    wanted = request.dimensions
    if wanted is not None and length != wanted:
        raise invalid(f"{request.model} makes vectors of {length} numbers, and cannot make them {wanted}", "dimensions")
