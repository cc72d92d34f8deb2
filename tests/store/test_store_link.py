"""What the workers of one gateway remember together: the shelf in the process above them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from mmap import mmap
from typing import Any

from dragoman.store.link import SCHEME, Frames, LinkShelf, shared_file
from dragoman.surfaces.shelves import Shelves


class _Parent(asyncio.Protocol):
    """Answers what it heard when it is told to."""

    def __init__(self, shelves: Shelves) -> None:
        self.heard: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._frames = Frames()
        self._shelves = shelves

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            self.heard.put_nowait(message)

    async def answer(self) -> None:
        """The oldest question, once it is there."""
        async with asyncio.timeout(20):
            self.transport.write(self._shelves.heard(await self.heard.get()))


@asynccontextmanager
async def _linked(shelves: Shelves) -> AsyncIterator[tuple[LinkShelf, _Parent]]:
    ours, theirs = socket.socketpair()
    file = shared_file()
    parent = _Parent(shelves)
    await asyncio.get_running_loop().create_connection(lambda: parent, sock=ours)
    shelf = LinkShelf(f"{SCHEME}{theirs.detach()},{file}")
    try:
        yield shelf, parent
    finally:
        await shelf.close()
        parent.transport.close()
        os.close(file)


def test_what_was_put_is_there_for_all_when_that_is_told() -> None:
    async def run() -> None:
        shelves = Shelves(lambda: 0.0)
        async with _linked(shelves) as (one, above_one), _linked(shelves) as (other, above_other):
            put = asyncio.ensure_future(one.put(b"a", b"A", 60))
            got = asyncio.ensure_future(other.get([b"a", b"b"]))
            await above_other.answer()
            assert await got == [None, None]
            assert not put.done()
            await above_one.answer()
            await put
            got = asyncio.ensure_future(other.get([b"a", b"b"]))
            await above_other.answer()
            assert await got == [b"A", None]
            assert above_one.heard.empty() and above_other.heard.empty(), "nobody asks twice"

    asyncio.run(run())


def test_memory_is_shared_and_no_larger_than_asked() -> None:
    async def run() -> None:
        async with _linked(Shelves(lambda: 0.0)) as (shelf, _):
            one, other = shelf.room(4096), shelf.room(4096)
            assert isinstance(one, mmap) and len(one) == len(other) == 4096
            assert one[:] == bytes(4096)
            one[7] = 9
            assert other[7] == 9

    asyncio.run(run())
