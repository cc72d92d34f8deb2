"""A shelf in the process above: what several workers of one gateway remember together, without a server for it.

Each worker has a socket to its parent, on which a frame is a length (four bytes, the high one first) and a list in
MessagePack: `[number, "get", keys]`, answered by `[number, values]`, and `[number, "put", key, value]`, answered by
`[number, []]` once every worker can get it.  What is put is sealed, as on any shelf (`sealed`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Sequence
from mmap import mmap
from typing import Any

import msgspec

SCHEME = "link:"
"""How the address of this shelf begins; the number of a descriptor follows, and that of a file in memory."""

_MOST = 64 * 1024 * 1024
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def frame(message: list[Any]) -> bytes:
    """A message as it goes over the socket."""
    data = _encode(message)
    return len(data).to_bytes(4) + data


def shared_file() -> int:
    """The descriptor of a file for `room`, which the kernel forgets with the last process that has it."""
    if (make := getattr(os, "memfd_create", None)) is not None:  # Linux has it
        return int(make("dragoman"))
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Frames:
    """Bytes as they come, and the messages in them."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[list[Any]]:
        """The messages that are whole now.  Raises ValueError for what is none."""
        self._begun += data
        messages = []
        while len(self._begun) >= 4:
            end = 4 + int.from_bytes(self._begun[:4])
            if end > _MOST:
                raise ValueError("a frame that is too large")
            if len(self._begun) < end:
                break
            messages.append(_decode(bytes(self._begun[4:end])))
            del self._begun[:end]
        return messages


class LinkShelf(asyncio.Protocol):
    """The worker's end.  Takes the socket when it is first asked."""

    def __init__(self, url: str) -> None:
        link, _, self._file = url.removeprefix(SCHEME).partition(",")
        self._socket = socket.socket(fileno=int(link))
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._opening = asyncio.Lock()
        self._asked: dict[int, asyncio.Future[list[bytes | None]]] = {}
        self._number = 0

    def room(self, size: int) -> mmap:
        """As `Shelf.room`."""
        file = int(self._file)
        os.ftruncate(file, size)  # the first one makes it as large, and it is never made smaller
        return mmap(file, size)

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As `Shelf.get`."""
        return await self._answer("get", list(keys))

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """As `Shelf.put`."""
        await self._answer("put", key, value)

    async def _answer(self, *question: Any) -> list[bytes | None]:
        transport = await self._open()
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            transport.write(frame([number, *question]))
            found: list[bytes | None] = await answer
            return found
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """As `Shelf.close`."""
        if self._transport is None:
            self._socket.close()
        else:
            self._transport.close()

    async def _open(self) -> asyncio.Transport:
        async with self._opening:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                self._transport, _ = await loop.create_connection(lambda: self, sock=self._socket)
        if self._transport.is_closing():
            raise ConnectionResetError("the parent is gone")
        return self._transport

    def data_received(self, data: bytes) -> None:
        """As asyncio says."""
        for number, values in self._frames.feed(data):
            answer = self._asked.get(number)
            if answer is not None and not answer.done():
                answer.set_result(values)

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio says."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(error or ConnectionResetError("the parent is gone"))
