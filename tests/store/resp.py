"""A tiny server that speaks the protocol of Redis, in a thread of its own.  It can be slow, full, or silent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.serving import in_thread

Mood = Literal["well", "slow", "silent", "full", "garbage"]
# How long (seconds) a slow one takes to write: longer than its client takes to ask on.
_SLOW = 0.05


@dataclass
class Resp:
    """`values` has each value and when it ends (monotonic seconds); `commands` the name of every command."""

    password: str = ""
    port: int = 0
    mood: Mood = "well"
    values: dict[bytes, tuple[bytes, float]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    written: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def wait_for(self, count: int) -> None:
        """Until so many values are there."""
        with self.written:
            assert self.written.wait_for(lambda: len(self.values) >= count, 20), f"{len(self.values)} values"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        admitted = not self.password
        try:
            while words := await _command(reader):
                name = words[0].decode().upper()
                self.commands.append(name)
                admitted = admitted or (name == "AUTH" and words[-1] == self.password.encode())
                if self.mood == "silent":
                    continue
                if self.mood == "slow" and name == "SET":
                    await asyncio.sleep(_SLOW)
                writer.write(self._answer(name, words[1:]) if admitted else b"-NOAUTH Authentication required.\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, name: str, words: list[bytes]) -> bytes:
        if self.mood == "garbage":
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        match name:
            case "PING":
                return b"+PONG\r\n"
            case "GET":
                return self._get(words[0])
            case "MGET":
                return b"*%d\r\n" % len(words) + b"".join(map(self._get, words))
            case "SET" if self.mood == "full":
                return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
            case "SET":
                unit = {b"PX": 0.001, b"EX": 1.0}[words[2].upper()]
                with self.written:
                    self.values[words[0]] = (words[1], time.monotonic() + int(words[3]) * unit)
                    self.written.notify_all()
                return b"+OK\r\n"
            case _:
                return b"+OK\r\n"

    def _get(self, key: bytes) -> bytes:
        value, end = self.values.get(key, (b"", 0.0))
        return b"$%d\r\n%b\r\n" % (len(value), value) if end > time.monotonic() else b"$-1\r\n"


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    line = await reader.readline()
    words = []
    for _ in range(int(line[1:]) if line.startswith(b"*") else 0):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


@contextmanager
def run_resp(password: str = "") -> Iterator[Resp]:
    """One in a thread of its own, until the block ends."""
    resp = Resp(password)
    with in_thread(resp.serve) as resp.port:
        yield resp
