"""Files that anybody may send, read by a process of its own: with bounded time and output, and with none of our
environment.  Each worker bounds its memory itself (`pdf_worker.bound`), and what it writes is believed no more than the
file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

# All of our environment that an interpreter needs to find itself and its packages.  The keys stay here.
_ENVIRONMENT = ("PYTHONHOME", "PYTHONPATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
_END = 5.0


class Done(NamedTuple):
    """How a worker ended.  `code` is negative for a signal."""

    output: bytes
    code: int | None

    @property
    def slow(self) -> bool:
        """Whether it ran out of processor time: SIGKILL, SIGXCPU."""
        return not self.output and self.code in (-9, -24)


class FloodError(Exception):
    """A worker wrote more than it may."""


async def done(worker: str, order: Mapping[str, Any], body: bytes, *, deadline: float, most: int) -> Done:
    """What the program `worker` makes of `body`, as `order` says.

    Raises TimeoutError after `deadline` seconds, and FloodError when it writes more than `most` bytes.
    """
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", worker, json.dumps(order)),
        stdin=pipe,
        stdout=pipe,
        stderr=nowhere,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    try:
        async with asyncio.timeout(deadline):
            output = await _exchanged(process, body, most)
            return Done(output, await process.wait())
    finally:
        await _ended(process)


def digest(data: str) -> bytes:
    """What a file in base64 is known by."""
    return hashlib.blake2b(data.encode("utf-8", "surrogatepass"), digest_size=16).digest()


async def _exchanged(process: asyncio.subprocess.Process, body: bytes, most: int) -> bytes:
    """Give the worker its file and take what it writes."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the worker has no pipes")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it ended early, and its answer says why
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    chunks: list[bytes] = []
    size = 0
    while chunk := await process.stdout.read(1 << 20):
        size += len(chunk)
        if size > most:
            raise FloodError
        chunks.append(chunk)
    return b"".join(chunks)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the worker, whatever it is doing, and its pipes with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END):
                while process.stdout is not None and await process.stdout.read(1 << 20):
                    pass  # a process is not over for the event loop while something is left in its pipe
                await process.wait()
