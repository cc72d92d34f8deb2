"""A server that gives one answer, without a socket, and what the relay reports of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec

from dragoman.config import Settings
from dragoman.dialects import registry
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.relay.attempt import Attempts
from dragoman.relay.call import Call, Plan
from dragoman.relay.carrying import Carrier
from dragoman.translation import sources
from tests.mutation.rows import Object, Row, names

_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


class Answers:
    """A server of the dialect `dialect`, and its connection: every call gets the same answer."""

    def __init__(self, dialect: str, answer: bytes) -> None:
        self.dialect: Any = registry()[dialect]
        self.timeouts = SimpleNamespace(idle=10.0)
        self.limits = SimpleNamespace(frame=1 << 24, answer=1 << 26)
        self.headers: dict[str, str] = {}
        self.status, self.paused = 200, False
        self._answer = answer

    async def post(self, body: bytes, betas: str = "") -> Any:
        return self

    async def whole(self, connection: Any) -> bytes:
        return self._answer

    def release(self, connection: Any) -> None:
        """There is nothing to give back."""

    def hide(self, words: str) -> str:
        return words

    def read_into(self, sink: Any, patience: float) -> None:
        """As a connection does it: the answer comes in a later turn of the event loop."""
        loop = asyncio.get_running_loop()
        loop.call_soon(sink.data, self._answer)
        loop.call_soon(sink.end)


def answered(
    name: str,
    client: str,
    body: Object,
    to: Card,
    answer: Any,
    *,
    dropped: str = "",
    emulated: str = "",
    **settings: Any,
) -> Row:
    """A request, and the answer of the model's server: a document, or the bytes of a stream."""

    async def once() -> Losses:
        data = answer if isinstance(answer, bytes) else _encode(answer)
        carrier = Carrier(Settings(**{"fetch": False, **settings}), lambda: 0.0)
        dialect = sources()[client]
        call = Call(dialect, Plan(()), lambda: dialect.decode_request(_decode(_encode(body))))
        resolution = Resolution("asked", to)
        call.sent = await carrier.made(call, resolution)
        server: Any = Answers(to.dialect, data)
        await Attempts(carrier).go(call, server, resolution)
        return call.losses

    return Row(name, lambda: asyncio.run(once()), names(dropped), names(emulated))


def sse(*events: Object) -> bytes:
    """Events as Anthropic streams them."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event)) for event in events)
