"""A Responses server's answer, passed on with what the gateway knows better: which ids are whose, and what is kept.

Only the events that carry the whole response are read; all others are the server's own bytes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from dragoman.conversation import Object
from dragoman.dialects.openai_responses import told_error
from dragoman.errors import GatewayError
from dragoman.framing import sse
from dragoman.relay.call import Passage
from dragoman.relay.passthrough import Passing, reply_headers
from dragoman.surfaces.exchange import JSON_TYPE, Exchange
from dragoman.surfaces.paging import without_proof
from dragoman.surfaces.passing import pass_on

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Keep = Callable[[Object], Awaitable[bool]]
"""Keeps a response; False when it could not."""

_WHOLE = re.compile(rb'"type"\s*:\s*"response\.(?:created|queued|in_progress|completed|incomplete|failed|cancelled)"')
_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d+)')
_LAST = ("completed", "incomplete", "failed", "cancelled")
_PROOF = b'"encrypted_content"'
_WAIT = (429, 503)
# What servers leave out, and Open Responses wants in every response.
_ABSENT: Object = {
    "completed_at": None,
    "error": None,
    "incomplete_details": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "service_tier": "default",
    "truncation": "disabled",
    "safety_identifier": None,
    "prompt_cache_key": None,
    "metadata": {},
}


class Amended:
    """One response as it passes.  `members` are laid over it, wherever the whole of it is told; with `hides` the client
    is not shown the proofs of its reasoning, which only the gateway asked for.

    `response` is the last that was told, with its proofs, and `ended` whether it was the last of all.
    """

    def __init__(self, members: Mapping[str, object], *, hides: bool = False) -> None:
        self.response: Object | None = None
        self.ended = False
        self._members = members
        self._hides = hides
        self._number = -1
        self._begun = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of whole events, as the client gets them.  What is no whole event yet waits for its end."""
        data = self._begun + data
        end = max((data.rfind(mark) + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in data), default=0)
        self._begun = data[end:]
        if numbers := _NUMBER.findall(data[:end]):
            self._number = int(numbers[-1])
        if not _WHOLE.search(data, 0, end) and not (self._hides and _PROOF in data):
            return data[:end]
        return b"".join(map(self._frame, _frames(data[:end])))

    def rest(self) -> bytes:
        """What came after the last whole event."""
        rest, self._begun = self._begun, b""
        return rest

    def whole(self, document: Object) -> Object:
        """A whole response, as the client gets it."""
        self.response = {**_ABSENT, **document, **self._members} if self._members else document
        self.ended = document.get("status") in _LAST
        return self._shown(self.response)

    def cut(self, error: GatewayError) -> bytes:
        """The event that ends an answer which broke off: agents know no other end than that it failed."""
        failed: Object = {"id": "", "object": "response", "output": [], "usage": None, **(self.response or {})}
        self.response = failed | {"status": "failed", "error": told_error(error)}
        self.ended = True
        told = self._shown(self.response)
        event = {"type": "response.failed", "response": told, "sequence_number": self._number + 1}
        return sse(_encode(event), "response.failed")

    def _frame(self, frame: bytes) -> bytes:
        if not _WHOLE.search(frame):
            return self._hidden(frame) if self._hides and _PROOF in frame else frame
        event = _decoded(frame, "response")
        if event is None:
            return frame
        event["response"] = self.whole(event["response"])
        self.ended = str(event.get("type")).removeprefix("response.") in _LAST
        return sse(_encode(event), str(event["type"])) if self._members else frame

    def _hidden(self, frame: bytes) -> bytes:
        """An item as the client is shown it."""
        event = _decoded(frame, "item")
        if event is None:
            return frame
        event["item"] = without_proof(event["item"])
        return sse(_encode(event), str(event["type"]))

    def _shown(self, response: Object) -> Object:
        return response | {"output": [*map(without_proof, response.get("output") or ())]} if self._hides else response


def _frames(data: bytes) -> list[bytes]:
    return re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", data)


def _decoded(frame: bytes, member: str) -> Object | None:
    """The event in a frame, if it has an object as `member`."""
    lines = [line.removeprefix(b"data:").strip() for line in frame.splitlines() if line.startswith(b"data:")]
    try:
        event = _decode(b"\n".join(lines))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get(member), dict) else None


async def pass_on_amended(exchange: Exchange, passage: Passage, amended: Amended, keep: Keep) -> None:
    """As `passing.pass_on`; what ends the answer is passed on when it is kept."""
    connection = passage.connection
    if connection.status in _WAIT and "retry-after" not in connection.headers:
        exchange.extra.append((b"retry-after", b"5"))  # without it some agents give up at once
    if connection.status >= 400:
        await pass_on(exchange, passage)
    elif passage.streamed:
        await exchange.begin(connection.status, reply_headers(connection.headers.items()))
        await _stream(exchange, passage, amended, keep)
    else:
        data = passage.body if passage.body is not None else await passage.server.whole(connection)
        passage.tap.feed(data)
        document = _decode(data)
        if isinstance(document, dict):
            told = amended.whole(document)
            kept = await keep(amended.response or told)
            data = _encode(told if kept else told | {"store": False})
        headers = [each for each in reply_headers(connection.headers.items()) if each[0] != b"content-type"]
        await exchange.relay(connection.status, [(b"content-type", JSON_TYPE), *headers], data)


async def _stream(exchange: Exchange, passage: Passage, amended: Amended, keep: Keep) -> None:
    def write(data: bytes) -> Awaitable[None] | None:
        ended, told = amended.ended, amended.feed(data)
        if amended.ended and not ended:
            return _last(exchange, told, amended, keep)
        return exchange.write_now(told) if told else None

    passage.fault = await Passing(passage, write).run(passage.server.timeouts.idle)
    if passage.fault is not None:
        passage.fault.message = passage.server.hide(passage.fault.message)
        amended.rest()
        await _last(exchange, amended.cut(passage.fault), amended, keep)
    elif rest := amended.rest():
        await exchange.write(rest)
    await exchange.end_stream()


async def _last(exchange: Exchange, told: bytes, amended: Amended, keep: Keep) -> None:
    if amended.response is not None and not await keep(amended.response):
        told = unkept(told)
    await exchange.write(told)


def unkept(data: bytes) -> bytes:
    """Whole events, when the response in them is kept nowhere after all."""
    return b"".join(map(_unkept, _frames(data)))


def _unkept(frame: bytes) -> bytes:
    event = _decoded(frame, "response") if _WHOLE.search(frame) else None
    if event is None:
        return frame
    event["response"] = event["response"] | {"store": False}
    return sse(_encode(event), str(event["type"]))
