"""The contract between a wire and the house.

Dialects are pure: bytes and values in, bytes and values out; no network, no clock, no environment, no knowledge of
models.  What must not be invented inside a pure function (ids, times) comes in a `Stamp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from dragoman.conversation import Event, Object, Reply, Request
from dragoman.dialects.untold import Says, Untold
from dragoman.errors import GatewayError
from dragoman.framing import MAX_FRAME
from dragoman.losses import Losses


class Stamp(Struct, kw_only=True, frozen=True):
    """What a reply is stamped with.

    `model` is the name the client asked for.  `created` is Unix time in nanoseconds, `started` the reading of
    `clock` (monotonic nanoseconds) at that moment: `clock() - started` is how long the call has taken.
    """

    id: str
    model: str
    created: int
    started: int
    clock: Callable[[], int]


class StreamEncoder(Protocol):
    """Events to a client's bytes."""

    untold: Untold
    """What of the answer could not be said, by the end of it."""

    def feed(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events, ready to send; may be empty.  A Finish or a Fault completes the stream."""


class StreamDecoder(Protocol):
    """An upstream's bytes to events."""

    skipped: list[str]
    """Names of what was not understood, or came where nothing could keep it.  The Finish has them, too."""

    def feed(self, data: bytes) -> list[Event]:
        """The events in these bytes.  Never raises on what it does not know."""

    def close(self) -> list[Event]:
        """Call at the end of the input: a `Fault` when the answer is not complete."""


class ClientDialect(Protocol):
    """The half a client speaks to us."""

    NAME: str
    STREAM_TYPE: str
    SPELLING: Mapping[str, str]
    """Conversation member to this wire's word for it, for errors and loss reports."""

    HANDLED: frozenset[str]
    """Members of `Request.extra` that the gateway itself honours, or that ask nothing of a remote model: no losses."""
    EMULATED: Mapping[str, str]
    """Members of `Request.extra` that `decode_request` has already put into other words, and how."""

    def decode_request(self, body: Object) -> Request:
        """Takes `body` apart.  Raises `GatewayError` ("invalid_request") naming the member that is wrong."""

    SAYS: Says
    """What of an answer this wire has words for."""

    def encode_reply(self, reply: Reply, request: Request, stamp: Stamp) -> Object:
        """The body of a whole answer to `request`; `stamp` has the id and the times, which must not be invented."""

    def encode_error(self, error: GatewayError) -> Object:
        """The body of an error; its status and headers are the surface's business."""

    def Encoder(self, request: Request, stamp: Stamp) -> StreamEncoder:
        """What writes the stream that answers `request`."""


class UpstreamDialect(Protocol):
    """The half we speak to an upstream."""

    NAME: str

    def encode_request(self, request: Request, losses: Losses) -> Object:
        """The body for the upstream.  `losses` is told what this wire cannot say; the model's limits are `fit`'s."""

    def decode_reply(self, body: Object) -> Reply:
        """Takes `body` apart.  Raises `GatewayError`: the error that it is, or "upstream" where it is no answer."""

    def decode_error(self, status: int, body: bytes, retry_after: float | None) -> GatewayError:
        """What an answer that is an error means, whatever is in it; `retry_after` is in seconds.  Never raises."""

    def Decoder(self, limit: int = MAX_FRAME) -> StreamDecoder:
        """`limit`: the largest frame of the stream, in bytes.  A larger one is a `Fault`."""


class Dialect(ClientDialect, UpstreamDialect, Protocol):
    """Both halves."""
