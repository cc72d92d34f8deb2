"""The beginning of an answer that passes through, held back until it is known to be one, or, while another server could
still take the call over, until it says something.

A server may say 200 and then fail: with an error event, an error object in a line of its own, or by going silent.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import UpstreamDialect
from dragoman.dialects.openai_chat.failure import find_error
from dragoman.dialects.openai_responses.failure import find_failure
from dragoman.errors import GatewayError
from dragoman.relay.http1 import Connection

# Bytes after which whatever comes is an answer.
_MOST = 256 * 1024
_decode = msgspec.json.Decoder().decode


class Opening:
    """A sink that collects until something is said.  What comes after that is collected, too, until it is taken.

    Without `words` it is enough that an event came, of whatever kind but an error: signs of life are not held back.
    """

    def __init__(self, dialect: UpstreamDialect, *, words: bool = True) -> None:
        self._dialect = dialect
        self._words = words
        self._held = bytearray()
        self._read = 0
        self._said: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self, connection: Connection, patience: float) -> None:
        """Until something is said.  Raises `GatewayError` when that is a failure, or nothing ever is."""
        connection.read_into(self, patience)
        await self._said

    def take(self) -> bytes:
        """All that has come."""
        held = bytes(self._held)
        self._held.clear()
        return held

    # --- the connection's sink -------------------------------------------------------------------

    def data(self, data: bytes) -> None:
        self._held += data
        if self._said.done():
            return
        while not self._said.done() and (end := self._held.find(b"\n", self._read)) >= 0:
            line = bytes(self._held[self._read : end])
            self._read = end + 1
            self._look(line)
        if not self._said.done() and len(self._held) > _MOST:
            self._said.set_result(None)

    def end(self) -> None:
        if not self._said.done():
            self._look(bytes(self._held[self._read :]))
        if not self._said.done():
            self.broken(GatewayError("upstream", "the upstream server ended its answer before it said anything"))

    def broken(self, error: GatewayError) -> None:
        if not self._said.done():
            self._said.set_exception(error)

    def _look(self, line: bytes) -> None:
        payload = line.removeprefix(b"data:").strip()
        said = said_in(payload, self._dialect)
        if isinstance(said, GatewayError):
            self.broken(said)
        elif said or (not self._words and payload.startswith((b"{", b":"))):
            self._said.set_result(None)


def said_in(payload: bytes, dialect: UpstreamDialect) -> bool | GatewayError:
    """Whether a line of an answer says anything; the error, where it is one."""
    if payload == b"[DONE]":
        return True
    if not payload.startswith(b"{"):
        return False
    try:
        document: JSON = _read(payload)
    except (ValueError, RecursionError):
        return GatewayError("upstream", "the upstream server's answer is not JSON")
    return _says(document, payload, dialect)


def whole_said(payload: bytes, dialect: UpstreamDialect) -> Object:
    """The document of an answer that came whole.  Raises `GatewayError` for a failure, and for what is no object."""
    if payload.startswith(b"{"):
        try:
            document: Object = _read(payload)
        except (ValueError, RecursionError):
            raise GatewayError("upstream", "the upstream server's answer is not JSON") from None
        if error := error_in(document, payload, dialect):
            raise error
        return document
    raise GatewayError("upstream", "the upstream server's answer is not a JSON object")


def _read(payload: bytes) -> Any:
    """JSON, also with what only careless servers write: half a character, a number beyond all numbers."""
    try:
        return _decode(payload)
    except msgspec.DecodeError:
        return json.loads(payload)


def _says(document: JSON, payload: bytes, dialect: UpstreamDialect) -> bool | GatewayError:
    if not isinstance(document, dict):
        return True
    if error := error_in(document, payload, dialect):
        return error
    if document.get("type") in _BEGINNINGS:
        return False
    choices = document.get("choices")
    if not isinstance(choices, list):
        return True
    # OpenAI's first chunk has the role and no word.
    return any(_talks(choice) for choice in choices)


# Events that come before anything is said.
_BEGINNINGS = ("ping", "message_start", "response.created", "response.queued", "response.in_progress")


def error_in(document: dict[str, JSON], payload: bytes, dialect: UpstreamDialect) -> GatewayError | None:
    """The error that stands where an answer should."""
    if document.get("type") == "response.failed" and isinstance(response := document.get("response"), dict):
        return find_failure(response)
    if dialect.NAME in ("openai_chat", "openai_responses"):
        own = document.get("type") == "error" and not document.get("error")  # Responses' event has its words at the top
        return find_error({"error": document} if own else document)
    return dialect.decode_error(500, payload, None) if document.get("error") else None


def _talks(choice: JSON) -> bool:
    if not isinstance(choice, dict):
        return True
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return True
    return bool(choice.get("finish_reason")) or any(value for name, value in delta.items() if name != "role")
