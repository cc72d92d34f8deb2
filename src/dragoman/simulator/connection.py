"""One HTTP exchange of the simulator: its body in, its answer out, paced, cut or broken as a scenario wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dragoman.simulator.refused import Refused

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_MOST_BYTES = 32 * 1024 * 1024


class ClientLeftError(Exception):
    """The client closed the connection before it was answered."""


async def read_body(receive: Receive) -> bytes:
    """The whole body.  Raises `Refused` when it is over 32 MB, `ClientLeftError` when the client does not wait."""
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientLeftError
        data: bytes = event.get("body", b"")
        size += len(data)
        if size > _MOST_BYTES:
            raise Refused(413, "request_too_large", "Request exceeds the maximum size")
        parts.append(data)
        if not event.get("more_body"):
            return b"".join(parts)


async def start(send: Send, status: int, headers: Headers) -> None:
    """The status line and headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def write(send: Send, data: bytes, *, more: bool) -> None:
    """A piece of the body."""
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def write_paced(send: Send, frames: Sequence[bytes], pace: float, chunk: int) -> None:
    """Frames one by one, `pace` seconds apart by the clock, or all at once; in writes of `chunk` bytes if not 0.

    Raises asyncio.CancelledError when the surrounding `watching` sees the client leave.
    """
    if not pace:
        for piece in _pieces(b"".join(frames), chunk):
            await write(send, piece, more=True)
            if chunk:
                await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    due = loop.time()
    for frame in frames:
        for piece in _pieces(frame, chunk):
            await write(send, piece, more=True)
        due += pace
        await asyncio.sleep(due - loop.time())


def _pieces(data: bytes, chunk: int) -> list[bytes]:
    if not chunk:
        return [data]
    return [data[at : at + chunk] for at in range(0, len(data), chunk)]


class Watch:
    """While entered, waits for the client to leave, and then ends the task inside: `left` says so."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.left = False

    async def __aenter__(self) -> Watch:
        self._inside = asyncio.current_task()
        self._task = asyncio.create_task(self._wait())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if kind is asyncio.CancelledError and self.left and self._inside:
            self._inside.uncancel()
            return True
        return False

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        if self._inside:
            self._inside.cancel()


async def forever() -> None:
    """Until cancelled."""
    await asyncio.get_running_loop().create_future()


def reset(send: Send) -> None:
    """Break the connection with a TCP reset, or as abruptly as the server allows.

    uvicorn's `send` is a method of the object that holds the transport; ASGI itself has no word for this.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the simulator was asked to reset the connection")
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
